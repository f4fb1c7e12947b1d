"""What a preset reaches on a data set that brings its own split, over several seeds: one JSON line a seed.

    python -m benchmarks.recipes ../shared/datasets/raccoon few-images --seeds 0 1 2

The engine runs in this process, without Ray, on the same images, split and parameters as
`make repro DATA=... PRESET=...`; the test split is measured once, after training, as `evaluate` does.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import torch

from pipeline.config.overrides import preset_settings
from pipeline.config.settings import Settings
from pipeline.data.checks.doctor import check
from pipeline.data.formats.read import read_dataset
from pipeline.data.prepare.split import split
from pipeline.registry.model_reference import initial_weights
from yolox_core.config import DetectorSpec
from yolox_core.data.image_io import content_digests
from yolox_core.data.records import DatasetRecords
from yolox_core.evaluation.coco import measure
from yolox_core.evaluation.detect import detect_all
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import read_weights
from yolox_core.training.engine import EpochReport, TrainingJob, train


def sides(folder: Path, settings: Settings) -> tuple[DatasetRecords, DatasetRecords]:
    """The training and test images, as the pipeline splits them."""
    records, _ = check(read_dataset(folder)[0])
    options = settings.data.split
    parts = split(records, content_digests(records), val=0.0, test=options.test, seed=0, honour=True)
    train_part, test_part = (
        dataclasses.replace(records, images=[records.images[index] for index in parts[name]])
        for name in ("train", "test")
    )
    return train_part, test_part


def run(settings: Settings, training: DatasetRecords, test: DatasetRecords, threads: int) -> dict[str, float]:
    """Train once; test figures, seconds of training, and of all threads' CPU time from weights to last checkpoint."""
    recipe = settings.recipe(len(training.categories))
    spec = DetectorSpec(recipe.model, training.class_names, training.category_ids, recipe.train.input_size)
    path = initial_weights(settings.model, recipe.model)
    initial = read_weights(Path(path)) if path else None
    seconds, checkpoint, began = 0.0, None, time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        job = TrainingJob(recipe, spec, training, initial=initial, checkpoints=Path(folder), threads=threads)
        for report in train(job):
            if isinstance(report, EpochReport):
                seconds += report.timing["train_s"]
                checkpoint = report.checkpoint
        assert checkpoint is not None
        cpu_seconds = time.process_time() - began
        metrics = measure(test, detect_all(Predictor.load(checkpoint), test, settings.evaluate)).metrics
    return {"map": metrics["map"], "map_50": metrics["map_50"], "train_seconds": seconds, "cpu_seconds": cpu_seconds}


def main() -> None:
    """Print a line a seed and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("preset")
    parser.add_argument("--weights", help="others than the preset's")
    parser.add_argument("--set", nargs="*", default=[], help="key=value, as for make repro")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    told = parser.parse_args()
    weights = [f"model.weights={told.weights}"] if told.weights else []
    rows = []
    for seed in told.seeds:
        settings = preset_settings(told.preset, [f"seed={seed}", *weights, *told.set])
        row = run(settings, *sides(told.data, settings), told.threads)
        rows.append(row)
        print(
            json.dumps({"data": told.data.name, "preset": told.preset, "set": told.set, "seed": seed, **row}),
            flush=True,
        )
    print(json.dumps({name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}))


if __name__ == "__main__":
    main()
