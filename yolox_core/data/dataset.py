"""Data sets as the loader sees them: from a key to a finished sample, with nothing remembered in between.

All that a training sample depends on is its key and (seed, epoch, position); so any process may make it, in any
order, and gets the same bytes. An evaluation sample depends on its index alone.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolox_core.config import AugmentConfig
from yolox_core.data.albumentations import UserTransforms
from yolox_core.data.augment import Tile, flip, mixup, mosaic, shift_hsv
from yolox_core.data.epoch_order import epoch_order
from yolox_core.data.geometry import Size, fit_scale, fitted_size, keep_visible, padded
from yolox_core.data.image_cache import DEFAULT_CACHE_BYTES, ImageCache
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.structures import BoolArray, ImageArray, IntArray, Objects, Sample


@dataclass(frozen=True)
class SampleKey:
    """Which sample to make. `position` counts within the epoch over all workers; `size` is (height, width) px."""

    epoch: int
    position: int
    image_index: int
    size: Size
    closing: bool = False  # no mosaic and no mixup


class ImageStore:
    """Where the images of a data set are and what is in them, packed.

    A list of a hundred thousand small arrays costs every loader worker its own copy, page by page, as reference counts
    are touched; a few flat arrays cost one. The objects of image i are rows ends[i] to ends[i + 1].
    """

    def __init__(self, records: DatasetRecords, cache_bytes: int, latest: bool = False) -> None:
        self.root = records.image_root
        self._fetch = records.fetch
        self.decoded = ImageCache(cache_bytes, latest, records.value_range)
        self._objects = Objects.joined(image.objects for image in records.images)  # source px
        self._ends = np.cumsum([0, *(len(image.objects) for image in records.images)], dtype=np.int64)
        self._names = np.array([image.file_name.encode() for image in records.images] or [b""])
        self._image_ids = np.array([image.image_id for image in records.images], np.int64)
        self._sizes_N2 = np.array([(image.height, image.width) for image in records.images], np.int32).reshape(-1, 2)
        self.has_objects: BoolArray = np.diff(self._ends) > 0

    def __len__(self) -> int:
        return len(self._image_ids)

    def path(self, index: int) -> Path:
        """Where image `index` lies."""
        return self.root / self.name(index)

    def _here(self, index: int) -> Path:
        return self._fetch(self.name(index)) if self._fetch else self.path(index)

    def name(self, index: int) -> str:
        """The file name of image `index`."""
        return bytes(self._names[index]).decode()

    def image_id(self, index: int) -> int:
        """The data set's own id of image `index`."""
        return int(self._image_ids[index])

    def tile(self, index: int, size: Size) -> tuple[Tile, Size]:
        """Image `index` fitted into `size` with its objects scaled, and its size on disk.

        It is read when its pixels are asked for, or here where the annotation does not say how large it is.
        """
        height, width = self._sizes_N2[index].tolist()
        objects = self._objects[slice(*self._ends[index : index + 2])]
        if height and width:
            fitted = objects.scaled(fit_scale((height, width), size))
            return Tile(fitted_size((height, width), size), fitted, lambda: self.read(index, size)[0]), (height, width)
        image, source_size = self.read(index, size)
        return Tile.of(image, objects.scaled(fit_scale(source_size, size))), source_size

    def read(self, index: int, size: Size) -> tuple[ImageArray, Size]:
        """The pixels of image `index` fitted into `size`, and its size on disk. InputError where that is not as
        annotated: boxes would lie elsewhere."""
        image, source_size = self.decoded.fitted(index, lambda: self._here(index), size)
        annotated = tuple(self._sizes_N2[index].tolist())
        if all(annotated) and annotated != source_size:
            told, true = (f"{width}x{height}" for height, width in (annotated, source_size))
            raise InputError(
                f"{self.path(index)}: annotated as {told}, the image is {true} (width x height). `yolox doctor` finds "
                "such images, `dvc repro` corrects them."
            )
        return image, source_size


class TrainingSet:
    """Varied training samples. Safe to send to another process; decoded images stay behind."""

    def __init__(
        self, records: DatasetRecords, augment: AugmentConfig, seed: int, cache_bytes: int = DEFAULT_CACHE_BYTES
    ) -> None:
        if seed < 0:
            raise InputError(f"seed: expected 0 or more, got {seed}.")
        self.augment = augment
        self.seed = seed
        self.images = ImageStore(records, cache_bytes, latest=augment.mosaic_pool is not None)
        self._order: tuple[int, IntArray] = (-1, np.zeros(0, np.int64))  # of the epoch last asked for
        self._user_transforms = UserTransforms(augment)

    def __len__(self) -> int:
        return len(self.images)

    def divide_cache(self, workers: int) -> None:
        """Keep to one of `workers` equal parts of the memory allowed for decoded images."""
        self.images.decoded.limit_bytes //= workers

    def load(self, key: SampleKey) -> Sample:
        """The sample of `key`. InputError where an image cannot be read."""
        try:
            return self._load(key)
        except Exception as error:
            error.add_note(f"while loading {self.images.path(key.image_index)} as {key}")
            raise

    def _load(self, key: SampleKey) -> Sample:
        rng = np.random.default_rng((self.seed, key.epoch, key.position))
        if not key.closing and rng.random() < self.augment.mosaic:
            image, objects = self._mosaic(key, rng)
            source_size, scale = key.size, 1.0
        else:
            image, objects, source_size = self._letterbox(key)
            scale = fit_scale(source_size, key.size)
        if rng.random() < self.augment.hsv:
            image = shift_hsv(image, rng)
        image, objects = self._user_transforms(image, objects, rng)
        image, objects = flip(image, objects, self.augment.flip, rng)
        return Sample(image, objects, self.images.image_id(key.image_index), source_size, scale)

    def _mosaic(self, key: SampleKey, rng: np.random.Generator) -> tuple[ImageArray, Objects]:
        pool = self._pool(key)
        partners = pool[rng.integers(0, len(pool), 3)]
        tiles = [self.images.tile(int(index), key.size)[0] for index in (key.image_index, *partners)]
        image, objects = mosaic(tiles, key.size, self.augment, rng)
        if rng.random() < self.augment.mixup:
            # As in the reference an image with objects; where there is none it searches for ever, we take any.
            with_objects = pool[self.images.has_objects[pool]]
            drawn = rng.choice(with_objects if len(with_objects) else pool)
            image, objects = mixup(image, objects, self.images.tile(int(drawn), key.size)[0], self.augment, rng)
        return image, objects

    def _pool(self, key: SampleKey) -> IntArray:
        """The images that a sample's other tiles are drawn from: all, or its neighbours in the epoch's order.

        With a pool each image is decoded about once an epoch, however large the data set is, and serves the mosaics
        of its neighbours, which are others in every epoch.
        """
        size = self.augment.mosaic_pool
        if size is None or size >= len(self):
            return np.arange(len(self))
        if self._order[0] != key.epoch:
            self._order = key.epoch, epoch_order(len(self), key.epoch, self.seed)
        start = key.position % len(self) // size * size
        return self._order[1][start : start + size]

    def _letterbox(self, key: SampleKey) -> tuple[ImageArray, Objects, Size]:
        tile, source_size = self.images.tile(key.image_index, key.size)
        return padded(tile.load(), key.size), keep_visible(tile.objects, tile.size, self.augment), source_size


class EvaluationSet:
    """Images as a detector meets them: letterboxed, boxes scaled, nothing else done to either."""

    def __init__(self, records: DatasetRecords, size: Size) -> None:
        self.size = size
        self.images = ImageStore(records, cache_bytes=0)

    def __len__(self) -> int:
        return len(self.images)

    def divide_cache(self, workers: int) -> None:
        """Nothing is kept: every image is loaded once a pass."""

    def load(self, index: int) -> Sample:
        """Sample `index`. InputError where the image cannot be read."""
        tile, source_size = self.images.tile(index, self.size)
        return Sample(
            padded(tile.load(), self.size),
            tile.objects,
            self.images.image_id(index),
            source_size,
            fit_scale(source_size, self.size),
        )
