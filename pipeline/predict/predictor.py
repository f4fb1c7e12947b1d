"""A model in three lines of Python.

from pipeline import Predictor
found = Predictor("models:/yolox-detector@champion")("photo.jpg")
print(found.names, found.scores, found.boxes)
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from pipeline.config.user_paths import user_path
from pipeline.console.extras import extras
from pipeline.predict.pillow_images import is_pillow_image, pillow_source
from pipeline.predict.slicing import SlicingPredictor
from pipeline.registry.model_reference import locate
from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError
from yolox_core.inference.predictor import Predictor as CorePredictor
from yolox_core.inference.predictor import Source
from yolox_core.structures import Detections, ImageArray

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PillowImage

    # a file's path, a file's bytes, BGR pixels (`as_bgr` of yolox_core says which), or a Pillow image
    Picture = str | Path | bytes | npt.NDArray[Any] | PillowImage

Found = Detections  # its name of before, for one release


class Predictor:
    """Objects in images, with their names.

    reference: a released folder, a .pt checkpoint, a Megvii .pth, an .onnx or .xml, or models:/name@alias.
    confidence, nms_iou: thresholds; None: the model's own. runtime: onnx, openvino or torch; None or auto: what the
    reference's form asks for (docs/predict.md). InputError where the reference names no model, or needs an extra of
    the package that is not installed.
    """

    def __init__(
        self,
        reference: str | Path,
        *,
        confidence: float | None = None,
        nms_iou: float | None = None,
        runtime: str | None = None,
        device: "torch.device | str" = "cpu",
    ) -> None:
        self._confidence, self._nms_iou = confidence, nms_iou
        self._core: CorePredictor | SlicingPredictor
        with extras():
            self._core = self._plain = CorePredictor.load(locate(str(reference)), device, runtime)

    @property
    def spec(self) -> DetectorSpec:
        """Class names, category ids, input size and thresholds of the model."""
        return self._core.spec

    def sliced(self, size: int | None = None, overlap: float = 0.2) -> "Predictor":
        """The same model, looking at large images in overlapping tiles of `size` px (None: its input size)."""
        slicing = Predictor.__new__(Predictor)
        slicing._confidence, slicing._nms_iou, slicing._plain = self._confidence, self._nms_iou, self._plain
        slicing._core = SlicingPredictor(self._plain, size, overlap)
        return slicing

    @overload
    def __call__(self, images: "list[Picture]") -> list[Detections]: ...
    @overload
    def __call__(self, images: "Picture") -> Detections: ...
    def __call__(self, images: "Picture | list[Picture]") -> Detections | list[Detections]:
        """What is in one image; for a list of images a list. InputError for the first that cannot be read."""
        found = []
        for answer in self.stream(images if isinstance(images, list) else [images]):
            if isinstance(answer, InputError):
                raise answer
            found.append(answer[1])
        return found if isinstance(images, list) else found[0]

    def stream(self, images: "Iterable[Picture]") -> Iterator[tuple[ImageArray, Detections] | InputError]:
        """(BGR pixels, what is in them) of any number of images, in bounded memory; reading overlaps with the network.

        In the place of an image that cannot be read comes its InputError; the others go on. What is no image at all
        (a number, say) ends it with an InputError. What images have and the network does not get (levels of more than
        8 bits, further pages, transparency) is a UserWarning at the end, one of each kind.
        """
        try:
            yield from self._core.stream(map(_source, images), self._confidence, self._nms_iou)
        finally:
            self._plain.losses.warn(level=3)


def _source(picture: "Picture") -> Source:
    """What core's predictor takes: a path or bytes, which it reads ahead, or pixels."""
    if isinstance(picture, (str, Path)):
        return user_path(picture)
    if isinstance(picture, (bytes, np.ndarray)):
        return picture
    if is_pillow_image(picture):
        return pillow_source(picture)
    got = type(picture).__name__
    raise InputError(f"image: expected a path, bytes, BGR pixels or a Pillow image, got {got}.")
