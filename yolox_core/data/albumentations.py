"""A user's own albumentations transforms, from `augment.albumentations` in params.yaml.

albumentations is imported only where a transform is configured. It merely warns of a misspelled argument; here that
is an error with the nearest name. Facts about it are those of release 2.0.8.
"""

import inspect
import os
import random
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from yolox_core.config import AugmentConfig
from yolox_core.data.geometry import Size, keep_visible, letterbox
from yolox_core.errors import InputError, nearest
from yolox_core.structures import ImageArray, Objects

WHERE = "augment.albumentations"
# What these give is not the 8-bit image the network takes (it converts by itself), or needs code, or is abstract.
NOT_FOR_US = frozenset(
    {"Normalize", "ToFloat", "FromFloat", "ToTensorV2", "ToTensor3D", "Lambda", "ImageOnlyTransform", "DualTransform"}
)
ROUNDING = 1e-3  # share, and px: it keeps boxes as float32 shares of the image; a box at the limit must not go for that
SEED_RANGE = 1 << 63


class UserTransforms:
    """The configured transforms, built on first use in each process and left behind when sent to another."""

    def __init__(self, config: AugmentConfig) -> None:
        self._config = config
        self._pipeline: Any = None

    def __call__(self, image: ImageArray, objects: Objects, rng: np.random.Generator) -> tuple[ImageArray, Objects]:
        """Image and objects after the transforms, whose only randomness is `rng`; size kept."""
        if not self._config.albumentations:
            return image, objects
        if self._pipeline is None:
            self._pipeline = build_pipeline(self._config)
        # Compose.set_random_seed gives every transform the same seed, so that two of p = 0.5 would always be applied
        # together; one state shared by all of them draws in turn.
        state = np.random.default_rng(rng.integers(SEED_RANGE))
        self._pipeline.set_random_state(state, random.Random(int(rng.integers(SEED_RANGE))))
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # its colour transforms expect RGB
        if "bboxes" in self._pipeline.processors:
            rows = np.arange(len(objects))
            result = self._pipeline(image=rgb, bboxes=objects.boxes_G4.copy(), rows=rows)
            objects = _remaining(objects, result["rows"], result["bboxes"])
        else:
            result = self._pipeline(image=rgb)
        return self._fitted_back(result["image"], objects, (image.shape[0], image.shape[1]))

    def _fitted_back(self, rgb: Any, objects: Objects, size: Size) -> tuple[ImageArray, Objects]:
        """Back to BGR and `size`: a crop or a resize ends letterboxed like any other image."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise InputError(
                f"{WHERE}: expected an 8-bit image of three channels to come out, got {rgb.dtype} {rgb.shape}. "
                "Leave out transforms that normalise or convert; the network does it."
            )
        image = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), dtype=np.uint8)
        if image.shape[:2] == size:
            return image, objects
        image, scale = letterbox(image, size)
        return image, keep_visible(objects.scaled(scale), size, self._config)

    def __getstate__(self) -> dict[str, Any]:
        return {"_config": self._config, "_pipeline": None}


def _remaining(objects: Objects, rows: Any, boxes: Any) -> Objects:
    """The objects whose `rows` came back, with their new boxes; both are empty lists where none did."""
    kept_G = np.asarray(rows, np.int64).reshape(-1)
    return objects[kept_G].moved(np.asarray(boxes, np.float32).reshape(-1, 4))


def check_transforms(config: AugmentConfig) -> None:
    """InputError where a transform or an argument does not exist or a value is not legal. Runs none of them."""
    if config.albumentations:
        build_pipeline(config)


def build_pipeline(config: AugmentConfig) -> Any:
    """The albumentations Compose of the configured transforms, boxes dropped by the configured rule alone."""
    library = _library()
    transforms = [_transform(library, entry, index) for index, entry in enumerate(config.albumentations)]
    if not any(isinstance(transform, library.DualTransform) for transform in transforms):
        return library.Compose(transforms)  # nothing moves: boxes stay out of it, to the last bit
    rule = library.BboxParams(
        format="pascal_voc",
        label_fields=["rows"],
        min_visibility=config.min_visibility * (1 - ROUNDING),
        min_width=config.min_box_px - ROUNDING,
        min_height=config.min_box_px - ROUNDING,
    )
    return library.Compose(transforms, bbox_params=rule)


def _library() -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the package index for news when it is imported
    import albumentations

    return albumentations


def _transform(library: Any, entry: Mapping[str, Any], index: int) -> Any:
    where = f"{WHERE}[{index}]"
    name = entry.get("name")
    if not isinstance(name, str):
        raise InputError(f"{where}: expected a 'name', got {dict(entry)!r}. Write {{name: HorizontalFlip, p: 0.5}}.")
    known = _known_transforms(library)
    if name not in known:
        raise InputError(
            f"{where}: expected an image transform of albumentations, got {name!r}. {nearest(name, known)}"
        )
    arguments = {key: value for key, value in entry.items() if key != "name"}
    accepted = [key for key in inspect.signature(known[name].__init__).parameters if key != "self"]
    for key in arguments:
        if key not in accepted:
            raise InputError(f"{where}: {name} has no argument {key!r}. {nearest(str(key), accepted)}")
    try:
        transform = known[name](**_as_tuples(arguments), strict=True)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: {name}: {_reason(error).rstrip(' .')}.") from error
    extra = set(transform.targets_as_params) - {"image", "bboxes"}
    if extra:
        raise InputError(f"{where}: {name} needs {', '.join(sorted(extra))}, which this pipeline does not have.")
    return transform


def _known_transforms(library: Any) -> dict[str, Any]:
    """Transforms that take 8-bit images and, where they move pixels, carry boxes along."""
    known = {}
    for name in dir(library):
        candidate = getattr(library, name)
        if name not in NOT_FOR_US and inspect.isclass(candidate) and _carries_boxes(library, candidate):
            known[name] = candidate
    return known


def _carries_boxes(library: Any, candidate: Any) -> bool:
    if issubclass(candidate, library.ImageOnlyTransform):
        return True
    if not issubclass(candidate, library.DualTransform):
        return False
    targets = getattr(candidate, "_targets", ())
    return any(target.value == "BBoxes" for target in (targets if isinstance(targets, tuple) else (targets,)))


def _as_tuples(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """YAML has lists only; albumentations wants ranges as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}


def _reason(error: Exception) -> str:
    """What is wrong, without pydantic's web addresses."""
    details = getattr(error.__cause__, "errors", None)
    if not callable(details):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, each['loc'][:1]))}: {each['msg']}, got {each['input']!r}" for each in details()
    )
