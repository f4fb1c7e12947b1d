"""Which training images are seen how often: rare classes more, images without objects no more than a share.

Repeat factors are LVIS's (Gupta, Dollar, Girshick 2019, section 4.2): an image is seen max(1, sqrt(t / f)) times, where
f is the share of images with its rarest class. Everything follows from contents, so that added images change little.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pipeline.data.prepare.split import position
from yolox_core.data.records import DatasetRecords, ImageRecord


def balanced(
    training: DatasetRecords, digests: Sequence[str], *, background: float | None, rare: float | None, seed: int
) -> DatasetRecords:
    """The training images, some left out, some several times (under ids of their own, after all others).

    `background`: the largest share of images without objects, None for any. `rare`: the share of images below which a
    class is rare, None for no repeats. `digests` are the images' content digests.
    """
    positions = [position(digest, seed) for digest in digests]
    kept = _without_much_background(training.images, positions, background)
    images = [training.images[index] for index in kept]
    if rare is None:
        return replace(training, images=images)
    factors = repeat_factors(images, rare)
    number = max((record.image_id for record in images), default=0)
    again: list[ImageRecord] = []
    for record, factor, index in zip(images, factors, kept, strict=True):
        times = math.floor(factor) + (positions[index] < factor - math.floor(factor))
        for _ in range(times - 1):
            number += 1
            again.append(replace(record, image_id=number))
    return replace(training, images=[*images, *again])


def without_repeats(records: DatasetRecords) -> DatasetRecords:
    """Each image once, as it was before `balanced`."""
    once: dict[str, ImageRecord] = {}
    for record in records.images:
        once.setdefault(record.file_name, record)
    return replace(records, images=list(once.values()))


def repeat_factors(images: Sequence[ImageRecord], rare: float) -> list[float]:
    """How often each image is to be seen, 1 or more; not yet rounded."""
    classes = [set(record.objects.without_crowds.labels_G.tolist()) for record in images]
    with_class = Counter(label for present in classes for label in present)
    of_class = {label: max(1.0, math.sqrt(rare * len(images) / count)) for label, count in with_class.items()}
    return [max((of_class[label] for label in present), default=1.0) for present in classes]


def _without_much_background(
    images: Sequence[ImageRecord], positions: Sequence[float], share: float | None
) -> list[int]:
    """Indices of the images that stay; of those without objects the first by their content."""
    # crowds alone teach nothing
    empty = [index for index, record in enumerate(images) if record.objects.ignore_G.all()]
    with_objects = len(images) - len(empty)
    if share is None:
        return list(range(len(images)))
    room = math.floor(share / (1 - share) * with_objects)
    left_out = set(sorted(empty, key=positions.__getitem__)[room:])
    return [index for index in range(len(images)) if index not in left_out]
