"""Where the stages leave their work, relative to the project's root. `dvc.yaml` names the same places."""

from pathlib import Path

PARAMS = Path("params.yaml")
GRAPH = Path("dvc.yaml")  # the stages
GRAPH_RECORD = Path("dvc.lock")  # what each stage was run with

FINGERPRINT = Path("data/fingerprint.json")  # what the source looks like, cheaply
WEIGHTS = Path("data/weights.json")  # which initial weights
RAW = Path("data/raw")  # images/ and annotations.json (COCO), as ingested
RAW_IMAGES = RAW / "images"
RAW_ANNOTATIONS = RAW / "annotations.json"
RAW_FINDINGS = RAW / "findings.json"  # what could not be read
VALID_ANNOTATIONS = Path("data/valid/annotations.json")  # what can be used
PREPARED = Path("data/prepared")  # train.json, val.json, test.json (COCO), manifest.json
MANIFEST = PREPARED / "manifest.json"

RUNS = Path("runs")  # checkpoints, outside DVC's outputs: an interrupted run resumes
TRAINED = Path("models/trained")  # model.safetensors, model.json
RELEASED = Path("models/released")  # the same with model.onnx
RELEASED_SPEC = RELEASED / "model.json"

SIMILAR = Path("data/valid/similar.json")  # pairs of images that are copies of each other, though other files
DIGESTS = Path("data/valid/digests.json")  # sha256 of every image
VALIDATION = Path("reports/validation.json")
VALIDATION_TEXT = Path("reports/validation.md")
TRAINING = Path("reports/training.json")  # how the training run went; the run's name
HISTORY = Path("reports/history.csv")
METRICS = Path("reports/metrics.json")
DETECTIONS = Path("reports/detections.json")
PER_CLASS = Path("reports/per_class.csv")
PRECISION_RECALL = Path("reports/precision_recall.csv")
THRESHOLD = Path("reports/threshold.csv")  # precision, recall and F1 by score
CONFUSION = Path("reports/confusion.csv")  # objects by their class and the class they were found as
ERRORS = Path("reports/errors.json")  # mistakes by cause, and what each costs
EXPORT = Path("reports/export.json")
REGISTRATION = Path("reports/registration.json")
REPORT = Path("reports/report.html")

# of projects that `yolox init` made
PACKAGE = Path("data/package.json")  # which release of the package


def prepared(split: str) -> Path:
    """The COCO file of one split: train, val or test."""
    return PREPARED / f"{split}.json"
