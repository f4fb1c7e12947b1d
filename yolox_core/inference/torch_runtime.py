"""A network in PyTorch: what trained it, on a CPU or a GPU. Imported only where PyTorch is what runs."""

from pathlib import Path

import torch

from yolox_core.inference.runtime import Runtime
from yolox_core.model.fuse import fused
from yolox_core.model.weights import read_weights
from yolox_core.ops.anchors import decode
from yolox_core.structures import FloatArray

CUDA_BATCH = 16


def open_torch(path: Path, device: torch.device | str) -> Runtime:
    """Weights as PyTorch runs them: a released folder, a .pt or a Megvii .pth."""
    weights = read_weights(path)
    model = fused(weights.build()).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(images_BCHW: FloatArray) -> FloatArray:
        size = (images_BCHW.shape[2], images_BCHW.shape[3])
        images = torch.from_numpy(images_BCHW).to(device).contiguous(memory_format=torch.channels_last)
        predictions: FloatArray = decode(model(images), size).cpu().numpy()
        return predictions

    # on a CPU one by one: a batch would round differently, and what was measured was measured so
    return Runtime("torch", weights.spec, run, batch=CUDA_BATCH if torch.device(device).type == "cuda" else 1)
