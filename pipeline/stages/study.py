"""DVC stage `study` (pipeline/study/dvc.yaml): run the study that params.yaml names, import its rows, answer it.

Rows lie outside the stage's output, so an interrupted study goes on. The stage runs every time: it looks whether study,
images and rows still belong together, runs what has no row, and leaves MLflow alone where nothing is new.
"""

from pathlib import Path

from pipeline.config.settings import Settings
from pipeline.stages.entrypoint import stage_main
from pipeline.study import runner

ANSWER = Path("reports/study")


def run(settings: Settings) -> None:
    """What has a row is not run again."""
    file = Path(settings.study.file)
    places = runner.Places.of(file, answer=ANSWER)
    data = [f"{name}={folder}" for name, folder in settings.study.data.items()]
    runner.run(file, data, places, yes=True, at_once=None, device=None)
    runner.bring_into_mlflow(file, places)


if __name__ == "__main__":
    stage_main(run)
