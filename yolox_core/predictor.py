"""A model on disk -> detections in source pixels, the same whichever form the model has.

Preprocessing and post-processing are those of training's evaluation, so that what was measured is what one gets.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from yolox_core.config import ONNX_SPEC_KEY, DetectorSpec
from yolox_core.errors import InputError
from yolox_core.loading.geometry import letterbox
from yolox_core.model.weights import SPEC_FILE, read_weights
from yolox_core.postprocess import check_threshold, decode, select, to_source
from yolox_core.structures import Detections, FloatArray, ImageArray

ONNX_FILE = "model.onnx"

# uint8-valued float32 [B, 3, H, W] -> decoded predictions [B, A, 4+1+C]
Decoder = Callable[[Tensor], Tensor]


class Predictor:
    """Detections from images; load one with `Predictor.load(reference)`."""

    def __init__(self, spec: DetectorSpec, decoder: Decoder) -> None:
        self.spec = spec
        self._decoder = decoder

    @classmethod
    def load(cls, reference: Path | str, device: torch.device | str = "cpu") -> "Predictor":
        """From a released folder, a .pt checkpoint, a Megvii .pth, or an .onnx file; InputError for anything else."""
        path = Path(reference)
        if path.suffix == ".onnx":
            return cls(*_onnx(path))
        weights = read_weights(path)
        model = weights.build().eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

        @torch.inference_mode()
        def decoder(images_BCHW: Tensor) -> Tensor:
            size = (images_BCHW.shape[2], images_BCHW.shape[3])
            images_BCHW = images_BCHW.to(device).contiguous(memory_format=torch.channels_last)
            return decode(model(images_BCHW), size).cpu()

        return cls(weights.spec, decoder)

    def predict(
        self, images: Sequence[ImageArray], confidence: float | None = None, nms_iou: float | None = None
    ) -> list[Detections]:
        """Detections of each BGR uint8 image [H, W, 3], best first; thresholds default to the model's own.

        InputError where a threshold is outside 0 to 1.
        """
        confidence = self.spec.confidence if confidence is None else confidence
        nms_iou = self.spec.nms_iou if nms_iou is None else nms_iou
        check_threshold("confidence", confidence)
        check_threshold("nms_iou", nms_iou)
        if not images:
            return []
        fitted = [letterbox(image, self.spec.input_size) for image in images]
        decoded_BA = self._decoder(_batch([image for image, _ in fitted]))
        return [
            to_source(select(decoded_A, confidence, nms_iou), scale, (image.shape[0], image.shape[1]))
            for decoded_A, (_, scale), image in zip(decoded_BA, fitted, images, strict=True)
        ]

    def decoded(self, image: ImageArray) -> FloatArray:
        """What the network says of one image before any selection: [A, 4+1+C], boxes xyxy in network px."""
        letterboxed, _ = letterbox(image, self.spec.input_size)
        return self._decoder(_batch([letterboxed]))[0].numpy()

    def with_input_size(self, size: tuple[int, int]) -> "Predictor":
        """The same model at another input size (height, width) px, multiples of 32."""
        for side in size:
            if side < 32 or side % 32:
                raise InputError(f"input size: expected multiples of 32 px, got {list(size)}.")
        return Predictor(dataclasses.replace(self.spec, input_size=size), self._decoder)


def _batch(letterboxed: Sequence[ImageArray]) -> Tensor:
    """[H, W, 3] uint8 images of one size -> float32 [B, 3, H, W]."""
    return torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image in letterboxed]).astype(np.float32))


def _onnx(path: Path) -> tuple[DetectorSpec, Decoder]:
    if not path.is_file():
        raise InputError(f"{path}: no such model.")
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as refused:  # onnxruntime raises kinds of its own for each way a file can be broken
        raise InputError(f"{path}: not an ONNX model that can be run ({str(refused)[:120]}).") from refused
    entry = session.get_modelmeta().custom_metadata_map.get(ONNX_SPEC_KEY)
    if entry is None:
        raise InputError(f"{path}: an ONNX file without the entry '{ONNX_SPEC_KEY}'; export it with `yolox export`.")
    name = session.get_inputs()[0].name

    def decoder(images_BCHW: Tensor) -> Tensor:
        (decoded_BA,) = session.run(None, {name: images_BCHW.numpy()})
        return torch.from_numpy(decoded_BA)

    try:
        plain = json.loads(entry)
    except (ValueError, RecursionError) as broken:
        raise InputError(f"{path}: {ONNX_SPEC_KEY}: not JSON ({broken}). Export the model again.") from broken
    return DetectorSpec.from_dict(plain, f"{path}: {SPEC_FILE}"), decoder
