"""A loader's images through a model to COCO metrics, exact for any number of workers.

Each worker takes every n-th image, none twice and none padded in; the first worker measures and tells the others.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from yolox_core.collectives import World
from yolox_core.config import DetectorSpec, EvaluateConfig
from yolox_core.data.batch import Batch
from yolox_core.data.dataset import EvaluationSet
from yolox_core.data.loader import evaluation_batches
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.evaluation.coco import measure
from yolox_core.inference.postprocess import select, to_source
from yolox_core.ops.anchors import decode
from yolox_core.structures import Detections


class GivenUp(Exception):
    """An evaluation was told to end before it was done."""


def evaluate(
    model: nn.Module,
    truth: DatasetRecords,
    spec: DetectorSpec,
    config: EvaluateConfig,
    world: World,
    device: torch.device,
    batch_size: int,
    workers: int = 0,
    leave: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """The metrics of `model` on `truth` at the spec's input size, the same on every worker.

    `leave` is asked before every batch. Once it agrees on any worker, all raise GivenUp. InputError, on all of them,
    where the model's answer to an image is no number.
    """
    dataset = EvaluationSet(truth, spec.input_size)
    names = {image.image_id: image.file_name for image in truth.images}
    own: list[dict[str, Any]] = []
    broken: list[str] = []
    indices = list(range(world.rank, len(dataset), world.size))
    leaving = False
    for batch in evaluation_batches(dataset, indices, batch_size, workers) if indices else ():
        leaving = leave()
        if leaving:
            break
        for image_id, found in zip(batch.image_ids, detect(model, batch, spec, config, device), strict=True):
            if found is None:
                broken.append(names[image_id])
            else:
                own += found.to_json(names[image_id], image_id)
    if any(world.gather([leaving])):
        raise GivenUp
    _require_none(sorted(world.gather(broken)))
    everything = world.gather(own)
    metrics = measure(truth, everything, "faster-coco-eval").metrics if world.is_first else {}
    return world.from_first(metrics)


@torch.no_grad()
def detect(
    model: nn.Module, batch: Batch, spec: DetectorSpec, config: EvaluateConfig, device: torch.device
) -> Iterator[Detections | None]:
    """One batch through a model in eval mode -> detections of each image, in its own source pixels.

    None where the model's answer is no number.
    """
    images = batch.images_BCHW.to(device, non_blocking=True).float().contiguous(memory_format=torch.channels_last)
    decoded_BA = decode(model(images), (images.shape[2], images.shape[3])).cpu().numpy()
    for decoded_A, scale, source_size in zip(decoded_BA, batch.scales, batch.source_sizes, strict=True):
        if np.isnan(decoded_A.min(initial=0.0)):
            yield None
        else:
            yield to_source(select(decoded_A, config.confidence, config.nms_iou), scale, source_size, spec)


def _require_none(broken: list[str]) -> None:
    if broken:
        raise InputError(
            f"{broken[0]}: expected numbers from the network, got NaN for {len(broken)} of the images. Training has "
            "diverged: lower train.learning_rate or set train.clip_norm."
        )
