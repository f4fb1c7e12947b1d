"""DVC stage `evaluate`: evaluate on the held-out test split.

Images go one by one through the same Predictor that people use, and pycocotools is the judge.
"""

from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.data.prepare.test_split import test_split
from pipeline.reports.tables import write_reports
from pipeline.stages.entrypoint import stage_main
from yolox_core.evaluation.detect import detect_all
from yolox_core.evaluation.detection_limit import CEILING, LIMIT, UNLIMITED
from yolox_core.inference.predictor import Predictor


def run(settings: Settings) -> None:
    """Write metrics.json, detections.json, and what explains them: tables by class, threshold and cause."""
    truth = test_split()
    figures = write_reports(truth, detect_all(Predictor.load(paths.TRAINED, runtime="torch"), truth, settings.evaluate))
    named = ", ".join(f"{name} {figures[name]:.3f}" for name in ("map", "map_50"))
    print(f"evaluate: {named} on {len(truth.images)} test images")
    if CEILING in figures:
        print(
            f"evaluate: images with more than {LIMIT} objects of a class: a perfect detector reaches a map of "
            f"{figures[CEILING]:.3f}; {UNLIMITED} {figures[UNLIMITED]:.3f} is measured on all detections and decides"
        )


if __name__ == "__main__":
    stage_main(run)
