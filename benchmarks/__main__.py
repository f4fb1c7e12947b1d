"""`python -m benchmarks SUBJECT [--reference PATH] [--json FILE]`: measure a subject, alone or beside the reference."""

import argparse
import json
from importlib import import_module
from pathlib import Path

import torch

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
)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--reference", type=Path, help="an unmodified checkout of Megvii-BaseDetection/YOLOX")
    parser.add_argument("--data", type=Path, help="a folder of annotated images, for subjects that need one")
    parser.add_argument("--weights", type=Path, help="Megvii's YOLOX-nano for inference, a released folder for export")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    told = parser.parse_args()
    with refusals():
        figures = import_module(f"benchmarks.{told.subject}").run(told.reference, told.device, told.data, told.weights)
    text = json.dumps({"subject": told.subject, **figures}, indent=1)
    print(text)
    if told.json:
        told.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
