"""What Ray Train adds to an epoch: the same job through the engine alone and through a worker, in turn."""

import contextlib
import secrets
import statistics
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

from benchmarks.timing import hardware
from pipeline.cluster.ray_cluster import ComputeConfig, cluster
from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.synthetic.scenes import render
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.ray_train import fit
from yolox_core.atomic_files import write_json
from yolox_core.config import DetectorSpec, ModelConfig, Recipe, TrainConfig
from yolox_core.data.image_io import content_digests
from yolox_core.training.engine import EpochReport, TrainingJob, train

PAIRS = 5
IMAGES, SIZE, EPOCHS = 160, 192, 30
STARTING_S = 25.0  # of training, in which Ray's own processes are still importing; start-up is stated apart


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`ray_overhead`: an epoch through Ray Train over one of the engine alone; start-up is stated apart."""
    compute = ComputeConfig(gpu=device == "cuda")
    threads = compute.cores_per_worker()
    bare_s, ray_s, start_s = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = render(folder / "data", IMAGES, seed=0)
        write_coco(records, folder / "all.json")
        names = [image.file_name for image in records.images]
        manifest = folder / "manifest.json"
        write_json(manifest, {"files": dict(zip(names, content_digests(records), strict=True))})
        recipe = Recipe(
            ModelConfig.of_size("nano", len(records.categories)),
            train=TrainConfig(
                epochs=EPOCHS, closing_epochs=0, warmup_epochs=1, batch_size=8, input_size=(SIZE, SIZE), threads=threads
            ),
        )
        spec = DetectorSpec(recipe.model, records.class_names, records.category_ids, recipe.train.input_size)
        with cluster(compute):
            for pair in range(PAIRS):
                job = TrainingJob(
                    recipe=recipe,
                    spec=spec,
                    training=read_coco(folder / "all.json", records.image_root),
                    checkpoints=folder / f"bare{pair}",
                    threads=threads,
                )
                bare_s.append(epochs([report for report in train(job) if isinstance(report, EpochReport)]))
                config = TrainLoopConfig(
                    recipe=recipe.to_dict(),
                    spec=spec.to_dict(),
                    images=str(records.image_root),
                    digests=str(manifest),
                    training=str(folder / "all.json"),
                    validation=str(_nothing(folder)),
                    initial=None,
                    run=str(folder / f"ray{pair}"),
                    threads=threads,
                    loader_workers=0,
                    report_queue=f"report-queue-{secrets.token_hex(4)}",
                )
                reports: list[Any] = []
                began = time.perf_counter()
                with contextlib.chdir(folder):
                    fit(config, compute, reports.append)
                own = [report for report in reports if isinstance(report, EpochReport)]
                ray_s.append(epochs(own))
                start_s.append(time.perf_counter() - began - sum(report.timing["train_s"] for report in own))
    ratios = sorted(through / alone for through, alone in zip(ray_s, bare_s, strict=True))
    return {
        "hardware": hardware(device),
        "ray_overhead": statistics.median(ratios),
        "ratio_lowest": ratios[0],
        "ratio_highest": ratios[-1],
        "epoch_alone_s": statistics.median(bare_s),
        "epoch_through_ray_s": statistics.median(ray_s),
        "start_and_end_s": statistics.median(start_s),
    }


def epochs(reports: list[EpochReport]) -> float:
    """Median seconds of an epoch that began after start-up, checkpoint included."""
    took = [report.timing["train_s"] + report.timing["checkpoint_s"] for report in reports]
    return statistics.median(
        own for own, began in zip(took, accumulate([0.0, *took]), strict=False) if began >= STARTING_S
    )


def _nothing(folder: Path) -> Path:
    """A validation split without images."""
    path = folder / "none.json"
    path.write_text('{"images": [], "annotations": [], "categories": []}', encoding="utf-8")
    return path
