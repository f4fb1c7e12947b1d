"""Opens a model in the runtime that its form asks for, or that was measured to be the fastest here.

Each runtime has a file of its own and is imported only where it is what runs: onnx_runtime.py, openvino_runtime.py,
torch_runtime.py.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yolox_core.config import AUTO, EXPORTED_RUNTIMES, ONNX_FILE, RUNTIMES, SPEC_FILE, RuntimeName
from yolox_core.errors import InputError
from yolox_core.inference.fastest import fastest
from yolox_core.inference.runtime import TITLES, Runtime, importing, installed_runtimes
from yolox_core.model.description import read_spec, require_model

if TYPE_CHECKING:
    import torch

# which runtimes can run a file, the preferred one first
BY_SUFFIX: dict[str, tuple[RuntimeName, ...]] = {".onnx": EXPORTED_RUNTIMES, ".xml": ("openvino",)}


def open_runtime(
    path: Path, runtime: str | None = None, device: "torch.device | str" = "cpu", threads: int = 0
) -> Runtime:
    """The network at `path` in the runtime asked for; InputError where that fails or is not installed.

    "auto" or None: what the file's form asks for. A released folder holds the network as ONNX, for ONNX Runtime or for
    OpenVINO where that was measured to be faster here (fastest.py), and its weights for PyTorch, which runs it where it
    was not exported or `device` is no CPU; the other two are for CPUs alone. `threads` is how many cores `decode` takes
    in those two, 0 for all; PyTorch has torch.set_num_threads.
    """
    runtime = None if runtime == AUTO else runtime
    if runtime is not None and runtime not in RUNTIMES:
        raise InputError(f"runtime: expected one of {', '.join((AUTO, *RUNTIMES))}, got {runtime!r}.")
    able: tuple[RuntimeName, ...] = RUNTIMES if path.is_dir() else BY_SUFFIX.get(path.suffix.lower(), ("torch",))
    chosen = runtime or (_of_folder(path, device) if path.is_dir() else able[0])
    if chosen not in able:
        raise InputError(
            f"{path}: runtime: expected {' or '.join(able)} for such a file, got {chosen}. "
            "A released folder has all: `dvc repro` makes one."
        )
    require_model(path)
    if chosen != "torch" and not _is_cpu(device):
        raise InputError(
            f"{path}: device {device}: expected PyTorch to run the model there, got {TITLES[chosen]}, which runs on "
            "the CPU only. Name a released folder or a .pt, with runtime torch or auto."
        )
    if chosen == "torch":
        with importing("torch", path):
            from yolox_core.inference.torch_runtime import open_torch

        return open_torch(path, device)
    file = path / ONNX_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{file}: no such file: this model was not exported. Run the export stage, or take --runtime torch."
        )
    if chosen == "openvino":
        from yolox_core.inference.openvino_runtime import open_openvino as open_exported
    else:
        from yolox_core.inference.onnx_runtime import open_onnx as open_exported
    opened = open_exported(file, threads)
    return _described(opened, path) if path.is_dir() else opened


def _is_cpu(device: "torch.device | str") -> bool:
    return str(device).partition(":")[0] == "cpu"


def _of_folder(folder: Path, device: "torch.device | str") -> RuntimeName:
    """What a folder is run by where nobody says."""
    exported = folder / ONNX_FILE
    if not exported.is_file() or not _is_cpu(device):
        return "torch"
    installed = installed_runtimes()
    if len(installed) > 1:
        return fastest(exported) or installed[0]
    return next(iter(installed), "torch")


def _described(opened: Runtime, folder: Path) -> Runtime:
    """The exported network under what the folder's model.json says today: names and thresholds may be edited there."""
    spec, exported = read_spec(folder), opened.spec
    if (spec.model, spec.input_size) != (exported.model, exported.input_size):
        raise InputError(
            f"{folder}: {SPEC_FILE} and {ONNX_FILE} are of different models: input {list(spec.input_size)} px and "
            f"{spec.model}, {list(exported.input_size)} px and {exported.model}. Export it again."
        )
    return replace(opened, spec=spec)
