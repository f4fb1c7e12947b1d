"""The training engine as a plain loop, on rendered scenes, in seconds: python examples/train_in_python.py FOLDER

No stages, Ray or MLflow. Two epochs of a tiny network learn nothing of use; `make repro` does it in earnest.
"""

import dataclasses
import sys
from pathlib import Path

from pipeline import Predictor
from pipeline.data.synthetic.scenes import render
from yolox_core.config import DetectorSpec, ModelConfig, Recipe, TrainConfig
from yolox_core.training.engine import EpochReport, TrainingJob, train


def main(folder: str) -> None:
    root = Path(folder)
    scenes = render(root / "data", images=24, seed=0)  # or read_dataset(...) of pipeline.data.formats.read
    training = dataclasses.replace(scenes, images=scenes.images[:20])
    validation = dataclasses.replace(scenes, images=scenes.images[20:])
    recipe = Recipe(
        model=ModelConfig(num_classes=len(scenes.categories), width=0.125),
        train=TrainConfig(epochs=2, closing_epochs=1, warmup_epochs=0, batch_size=4, input_size=(96, 96)),
    )
    spec = DetectorSpec(recipe.model, scenes.class_names, scenes.category_ids, recipe.train.input_size)
    job = TrainingJob(recipe, spec, training, validation, checkpoints=root / "checkpoints")
    checkpoint = None
    for report in train(job):  # run again, it goes on from its last checkpoint
        if isinstance(report, EpochReport):
            print(f"epoch {report.row['epoch']}: loss {report.row['loss']:.2f}, map {report.row['map']:.3f}")
            checkpoint = report.checkpoint
    if checkpoint is not None:
        print(Predictor(checkpoint, confidence=0.0)(scenes.path(validation.images[0])))


if __name__ == "__main__":
    main(*sys.argv[1:])
