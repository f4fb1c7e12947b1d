"""DVC stage `sweep` of pipeline/sweep/dvc.yaml: tries a space, and chooses by evidence."""

from pipeline.config.settings import Settings
from pipeline.stages.entrypoint import stage_main
from pipeline.sweep.driver import sweep_space


def run(settings: Settings) -> None:
    """Search, compare and report; how many trials run at once says the environment."""
    sweep_space(settings)


if __name__ == "__main__":
    stage_main(run)
