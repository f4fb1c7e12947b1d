"""DVC stage `train`: a training run through Ray Train, resumed where it was interrupted, and its released model."""

from pipeline.config.settings import Settings
from pipeline.stages.entrypoint import stage_main
from pipeline.training.driver import train


def run(settings: Settings) -> None:
    """Train and release; how many workers, and where, says the environment."""
    train(settings)


if __name__ == "__main__":
    stage_main(run)
