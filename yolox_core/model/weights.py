"""Reads and writes every kind of weight file: released models, our checkpoints, Megvii's checkpoints.

Nothing is ever unpickled: safetensors, or torch.load with weights_only=True. A file is read into `Weights`, which
says what network it belongs to; `load_weights` copies what fits into a model and reports exactly what did not and why.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from yolox_core.atomic_files import write_bytes, write_text
from yolox_core.config import SIZES, SPEC_FILE, WEIGHTS_FILE, DetectorSpec, ModelConfig, bottlenecks
from yolox_core.errors import InputError
from yolox_core.model.class_rows import ClassRows, class_rows_of
from yolox_core.model.coco_names import COCO_CATEGORY_IDS, COCO_NAMES
from yolox_core.model.description import DAMAGED, read_spec, require_model
from yolox_core.model.yolox import YOLOX

CLASS_LAYER = re.compile(r"head\.cls_preds\.\d+\.(weight|bias)")


@dataclass(frozen=True)
class Weights:
    """A state dict and the detector it belongs to."""

    spec: DetectorSpec
    state: Mapping[str, Tensor]
    source: str  # for messages and reports

    def build(self) -> YOLOX:
        """The detector with exactly these weights."""
        model = YOLOX(self.spec.model)
        model.load_state_dict(self.state)
        return model


@dataclass(frozen=True)
class LoadReport:
    """What became of a set of weights in another model."""

    source: str
    loaded: tuple[str, ...]
    fresh: Mapping[str, str]  # name in the model -> why it kept its own values
    unused: Mapping[str, str]  # name in the file -> why it was not used
    classes: ClassRows

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "loaded": len(self.loaded),
            "fresh": dict(self.fresh),
            "unused": dict(self.unused),
            "classes": self.classes.to_dict(),
        }

    def lines(self) -> list[str]:
        """A few readable lines."""
        lines = [f"{self.source}: {len(self.loaded)} tensors loaded, {len(self.fresh)} start fresh"]
        lines += [f"  fresh {name}: {why}" for name, why in self.fresh.items()]
        lines += [f"  unused {name}: {why}" for name, why in self.unused.items()]
        return [*lines, f"  {self.classes.line()}"]


def read_weights(path: Path) -> Weights:
    """A released folder, one of our checkpoints (.pt) or a Megvii checkpoint (.pth).

    InputError where there is no such file, or it is none of these; the file's own code is never run.
    """
    if path.is_dir():
        return _read_released(path)
    require_model(path)
    content = read_plain(path)
    if "yolox_pipeline_checkpoint" in content:
        return _from_checkpoint(path, content)
    return _from_megvii(path, _state(content.get("model", content), path, content))


def read_plain(path: Path) -> dict[str, Any]:
    """A torch file of plain containers and tensors, read without unpickling anything else; InputError otherwise."""
    _require_torch_file(path)
    try:
        # the best figure in Megvii's own training checkpoints is a numpy scalar
        with torch.serialization.safe_globals(_numpy_scalar()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as refused:  # torch raises a dozen kinds for broken and for unsafe files; each means the same here
        raise InputError(f"{path}: not a checkpoint that can be read safely ({_refused(refused)}).") from refused
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a checkpoint (a dictionary), found {type(content).__name__}.")
    return content


def _require_torch_file(path: Path) -> None:
    """A zip archive, or a pickle as torch wrote until 1.6: what begins otherwise is no checkpoint at all."""
    try:
        with path.open("rb") as file:
            opening = file.read(4)
    except OSError as unreadable:
        raise InputError(f"{path}: not a file that can be read ({unreadable.strerror}).") from unreadable
    if not opening.startswith((b"PK\x03\x04", b"\x80")):
        raise InputError(f"{path}: no checkpoint. Expected a released folder, a .pt, a .pth or an .onnx file.")


def _refused(error: Exception) -> str:
    """What torch refused, without its advice before and after on how to load the file all the same."""
    text = str(error).partition("Check the documentation")[0].rpartition("WeightsUnpickler error:")[2]
    text = text.rpartition("trusted source.")[2].strip() or text
    return " ".join(text.partition("Please ")[0].split())[:120] or type(error).__name__


def load_weights(
    model: YOLOX, weights: Weights, class_names: Sequence[str] | None = None, class_rows: str | None = None
) -> LoadReport:
    """Copy what fits into `model`, whose classes are called `class_names` (None: as those of the weights).

    Rows of the class layers are copied by the classes' names, those of other classes keep their fresh values; with
    `class_rows` BY_POSITION all are copied where both have the same number. InputError where anything else differs:
    then the weights are of another architecture.
    """
    classes = class_rows_of(class_names, weights.spec.class_names, model.config.num_classes, class_rows)
    own = model.state_dict()
    loaded: dict[str, Tensor] = {}
    fresh: dict[str, str] = {}
    unused: dict[str, str] = {}
    misfits: list[str] = []
    for name, tensor in own.items():
        given = weights.state.get(name)
        if given is None:
            misfits.append(f"{name} is missing")
        elif CLASS_LAYER.fullmatch(name) and given.shape[1:] == tensor.shape[1:]:
            if classes.rows:
                loaded[name] = classes.taken(given, tensor)
            else:
                fresh[name] = unused[name] = classes.line()
        elif given.shape == tensor.shape:
            loaded[name] = given
        else:
            misfits.append(f"{name} is {list(given.shape)}, expected {list(tensor.shape)}")
    misfits += [f"{name} has no place" for name in weights.state if name not in own]
    if misfits:
        theirs, ours = weights.spec.model, model.config
        raise InputError(
            f"{weights.source}: expected width {ours.width}, depth {ours.depth}, depthwise {ours.depthwise}; "
            f"the weights are of width {theirs.width}, depth {theirs.depth}, depthwise {theirs.depthwise} "
            f"({len(misfits)} tensors differ: {misfits[0]}). {_how_to_match(theirs)}"
        )
    with torch.no_grad():
        for name, tensor in loaded.items():
            own[name].copy_(tensor)
    return LoadReport(weights.source, tuple(loaded), fresh, unused, classes)


def _how_to_match(model: ModelConfig) -> str:
    """What to set for weights of this network."""
    factors = (model.width, model.depth, model.depthwise)
    size = next((size for size, published in SIZES.items() if published[:3] == factors), None)
    if size is not None:
        return f"Set model.size to {size}, and model.width, model.depth and model.depthwise to null."
    depthwise = str(model.depthwise).lower()
    return f"Set model.width to {model.width}, model.depth to {model.depth} and model.depthwise to {depthwise}."


def release(folder: Path, model: nn.Module, spec: DetectorSpec) -> None:
    """Write a released model's safetensors and model.json into `folder` (made if absent), each atomically.

    InputError where a weight is no finite number.
    """
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    require_finite(state, str(folder))
    # not by save_file, whose files nobody but their owner may read, whatever the umask
    write_bytes(folder / WEIGHTS_FILE, save(state, metadata={"format": "pt"}))
    write_text(folder / SPEC_FILE, json.dumps(spec.to_dict(), indent=2, ensure_ascii=False) + "\n")


def _read_released(folder: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    require_model(folder, WEIGHTS_FILE)
    try:
        state = load_file(folder / WEIGHTS_FILE)
    except (ValueError, SafetensorError) as broken:
        raise InputError(f"{folder}: damaged model ({broken}). Release it again.") from broken
    return _fitting(Weights(read_spec(folder), state, str(folder)))


def _from_checkpoint(path: Path, content: Mapping[str, Any]) -> Weights:
    try:
        spec = DetectorSpec.from_dict(content["spec"], str(path))
        averaged = content["ema"]
        if not isinstance(averaged, Mapping):
            raise InputError(f"{path}: expected averaged weights under 'ema', got {type(averaged).__name__}.")
        return _fitting(Weights(spec, _state(averaged["model"], path, averaged), str(path)))
    except KeyError as missing:
        raise InputError(f"{path}: a checkpoint without {missing}; it was written by another release.") from missing


def _state(given: Any, path: Path, content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """`given`, found in `content`, as a state dict; InputError where it is not names and tensors."""
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in given.items()
    ):
        raise InputError(f"{path}: expected a checkpoint with a 'model' of tensors, found {_kinds(content)}.")
    return dict(given)


def _first_side(state: Mapping[str, Tensor], name: str, path: Path) -> int:
    """The length of a tensor that every YOLOX has; InputError where it is absent or a single number."""
    if name not in state or not state[name].ndim:
        raise InputError(f"{path}: not a YOLOX checkpoint: no tensor '{name}' of one side or more.")
    return state[name].shape[0]


def _from_megvii(path: Path, state: Mapping[str, Tensor]) -> Weights:
    """The architecture is read off the tensors, because the reference stores none."""
    width = _first_side(state, "backbone.backbone.stem.conv.conv.weight", path) / 64
    blocks = sum(
        1 for name in state if re.fullmatch(r"backbone\.backbone\.dark2\.1\.m\.\d+\.conv1\.conv\.weight", name)
    )
    classes = _first_side(state, "head.cls_preds.0.weight", path)
    depthwise = any(".dconv." in name for name in state)
    # what the file does not say is that of the published size, where it is one
    depth, side = blocks / 3, 640
    for known_width, known_depth, known_depthwise, known_side in SIZES.values():
        if (known_width, bottlenecks(known_depth), known_depthwise) == (width, blocks, depthwise):
            depth, side = known_depth, known_side
    try:
        model = ModelConfig(classes, width, depth, depthwise)
    except InputError as impossible:
        raise InputError(f"{path}: not a YOLOX checkpoint: {impossible}") from impossible
    names, ids = tuple(f"class_{index}" for index in range(classes)), tuple(range(1, classes + 1))
    if classes == len(COCO_NAMES):
        names, ids = COCO_NAMES, COCO_CATEGORY_IDS
    return _fitting(Weights(DetectorSpec(model, names, ids, (side, side)), dict(state), str(path)))


def _fitting(weights: Weights) -> Weights:
    """The same weights, checked to fill their own network; InputError otherwise."""
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in YOLOX(weights.spec.model).state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.state.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise InputError(
            f"{weights.source}: {len(wrong)} tensors do not fit a YOLOX of width {weights.spec.model.width}, "
            f"depth {weights.spec.model.depth} (first: {wrong[0]}: expected {expected.get(wrong[0])}, "
            f"got {found.get(wrong[0])})."
        )
    require_finite(weights.state, weights.source)
    return weights


def require_finite(content: Any, where: str, name: str = "") -> None:
    """InputError where a tensor, or one within mappings and lists, holds what is no finite number, by its name."""
    if isinstance(content, Tensor):
        if content.is_floating_point() and not torch.isfinite(content).all():
            raise InputError(f"{where}: expected finite weights, got NaN or infinity in {name}. {DAMAGED}")
        return
    inner = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        require_finite(value, where, f"{name}.{key}" if name else str(key))


def _numpy_scalar() -> list[Any]:
    import numpy as np

    rebuild = np.float64(0).__reduce__()[0]  # the function by which numpy scalars are stored
    of_numpy_1 = (rebuild, "numpy.core.multiarray.scalar")  # its name in files written with numpy 1
    return [rebuild, of_numpy_1, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]


def _kinds(content: Mapping[Any, Any]) -> str:
    return ", ".join(f"{str(key)[:40]}: {type(value).__name__}" for key, value in list(content.items())[:6])
