"""`python -m benchmarks SUBJECT [--reference PATH] [--json FILE]`: measure a subject, alone or beside the reference."""

import argparse
import json
from importlib import import_module
from pathlib import Path

from pipeline.console.exit_codes import refusals

SUBJECTS = (
    "assignment",
    "step",
    "loader",
    "inference",
    "evaluation",
    "memory",
    "training",
    "overhead",
    "predict",
    "export",
    "serving",
    "doctor",
    "start",
)
WITHOUT_TORCH = ("start",)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument(
        "--reference",
        type=Path,
        help="an unmodified checkout of Megvii-BaseDetection/YOLOX; for start, an earlier commit of this repository",
    )
    parser.add_argument("--data", type=Path, help="a folder of annotated images, for subjects that need one")
    parser.add_argument("--weights", type=Path, help="Megvii's YOLOX-nano for inference, a released folder for export")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    options = parser.parse_args()
    device = options.device or ("cpu" if options.subject in WITHOUT_TORCH else available_device())
    with refusals():
        figures = import_module(f"benchmarks.{options.subject}").run(
            options.reference, device, options.data, options.weights
        )
    text = json.dumps({"subject": options.subject, **figures}, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


def available_device() -> str:
    """A GPU, where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    main()
