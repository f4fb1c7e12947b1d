"""Weights that are no numbers are refused by name in every form, and so is an answer of a network that is none."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.yolox_core.conftest import SPEC, Forms, opinionated
from yolox_core.collectives import World
from yolox_core.config import EvaluateConfig
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.evaluation.detect import detect_all
from yolox_core.evaluation.evaluator import evaluate
from yolox_core.export.onnx import export_openvino
from yolox_core.inference.onnx_weights import floats
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import read_weights, release
from yolox_core.training.checkpoint import newest

STEM = "backbone.backbone.stem.conv.conv.weight"
VALUES = [float("nan"), float("inf"), -float("inf")]


def broken(tensor: torch.Tensor, value: float = float("nan")) -> torch.Tensor:
    changed = tensor.clone()
    changed.view(-1)[-1] = value  # one number of all
    return changed


@pytest.mark.parametrize("value", VALUES)
def test_a_released_folder(forms: Forms, tmp_path: Path, value: float) -> None:
    folder = tmp_path / "released"
    shutil.copytree(forms.released, folder)
    state = load_file(folder / "model.safetensors")
    save_file(state | {STEM: broken(state[STEM], value)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=rf"released: expected finite weights, got NaN or infinity in {STEM}\. "):
        Predictor.load(folder, runtime="torch")


def test_checkpoints(forms: Forms, tmp_path: Path) -> None:
    content = torch.load(forms.pt, weights_only=True)
    state = content["ema"]["model"]
    content["ema"]["model"] = state | {STEM: broken(state[STEM])}
    torch.save(content, tmp_path / "epoch_00007.pt")
    theirs = torch.load(forms.pth, weights_only=True)
    name = "head.reg_preds.1.bias"
    theirs["model"][name] = broken(theirs["model"][name])
    torch.save(theirs, tmp_path / "megvii.pth")
    for path, tensor in ((tmp_path / "epoch_00007.pt", STEM), (tmp_path / "megvii.pth", name)):
        with pytest.raises(
            InputError, match=rf"{path.name}: expected finite weights, got NaN or infinity in {tensor}\."
        ):
            read_weights(path)


@pytest.mark.parametrize("entry", ["model", "ema", "optimizer"])
def test_a_run_goes_on_from_the_checkpoint_before(forms: Forms, tmp_path: Path, entry: str) -> None:
    content = torch.load(forms.pt, weights_only=True)
    torch.save(content, tmp_path / "epoch_00006.pt")
    if entry == "optimizer":
        content["optimizer"]["state"] = {3: {"momentum_buffer": torch.tensor([0.0, float("nan")])}}
    else:
        state = content["model"] if entry == "model" else content["ema"]["model"]
        state[STEM] = broken(state[STEM])
    torch.save(content, tmp_path / "epoch_00007.pt")
    found = newest(tmp_path)
    assert found.path == tmp_path / "epoch_00006.pt"
    assert len(found.passed_over) == 1 and f"NaN or infinity in {entry}." in found.passed_over[0]


def test_nothing_is_released_that_is_no_number(tmp_path: Path) -> None:
    model = opinionated()
    with torch.no_grad():
        model.head.stems[0].conv.weight[0] = float("nan")
    with pytest.raises(InputError, match=r"expected finite weights, got NaN or infinity in head\.stems\.0\.conv"):
        release(tmp_path / "new", model, SPEC)
    assert not (tmp_path / "new").exists() or not list((tmp_path / "new").iterdir())


def onnx_with(source: Path, target: Path, change: Callable[[str, Any], Any]) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(source))
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(change(tensor.name, numpy_helper.to_array(tensor)), tensor.name))
    onnx.save(model, str(target))


def test_an_onnx_file_is_read_as_the_onnx_package_reads_it(forms: Forms) -> None:
    import onnx
    from onnx import numpy_helper

    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(str(forms.onnx)).graph.initializer}
    kept = {name: values for name, values in kept.items() if values.dtype.kind == "f"}
    read = dict(floats(forms.onnx))
    assert read.keys() == kept.keys() and len(read) > 50
    for name, values in kept.items():
        assert np.array_equal(read[name], values.ravel())


def test_an_onnx_file_that_is_cut_or_none_gives_what_there_is(tmp_path: Path, forms: Forms) -> None:
    content = forms.onnx.read_bytes()
    generator = np.random.default_rng(0)
    for number in range(200):
        data = bytearray(content[: int(generator.integers(0, 4000))])
        if number % 2:
            data = bytearray(generator.integers(0, 256, 500, dtype=np.uint8).tobytes())
        (tmp_path / "cut.onnx").write_bytes(bytes(data))
        list(floats(tmp_path / "cut.onnx"))  # ends, and raises nothing


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_an_exported_file(forms: Forms, tmp_path: Path, runtime: str) -> None:
    last = list(dict(floats(forms.onnx)))[-1]
    for value in VALUES:

        def change(name: str, values: Any, value: float = value) -> Any:
            changed = np.array(values)
            if name == last:
                changed.reshape(-1)[-1] = value
            return changed

        onnx_with(forms.onnx, tmp_path / "model.onnx", change)
        with pytest.raises(InputError, match=rf"model\.onnx: expected finite weights, got NaN or infinity in {last}\."):
            Predictor.load(tmp_path / "model.onnx", runtime=runtime)


def test_a_file_of_openvino(forms: Forms, tmp_path: Path) -> None:
    export_openvino(forms.onnx, tmp_path / "model.xml")
    Predictor.load(tmp_path / "model.xml")
    weights = bytearray((tmp_path / "model.bin").read_bytes())
    middle = len(weights) // 8 * 4
    weights[middle : middle + 4] = np.float32("nan").tobytes()
    (tmp_path / "model.bin").write_bytes(weights)
    with pytest.raises(InputError, match=r"model\.xml: expected finite weights, got NaN or infinity in \S+\. "):
        Predictor.load(tmp_path / "model.xml")


@pytest.fixture
def overflowing(forms: Forms, tmp_path: Path) -> Path:
    """A released folder whose weights are numbers, so large that what comes of them is none; with its ONNX file."""
    folder = tmp_path / "large"
    shutil.copytree(forms.released, folder)
    state = load_file(folder / "model.safetensors")
    large = {name: tensor * 1e30 for name, tensor in state.items() if name.endswith("conv.weight") and tensor.ndim == 4}
    save_file(state | large, folder / "model.safetensors", metadata={"format": "pt"})

    def enlarge(name: str, values: Any) -> Any:
        return (values * 1e30).astype(values.dtype) if values.ndim == 4 and values.dtype.kind == "f" else values

    with np.errstate(over="ignore"):
        onnx_with(forms.onnx, folder / "model.onnx", enlarge)
    return folder


def test_an_answer_that_is_no_number(overflowing: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for runtime in ("torch", "onnx", "openvino"):
        predictor = Predictor.load(overflowing, runtime=runtime)
        answers = list(predictor.stream(paths))
        assert [str(answer).partition(": ")[0] for answer in answers] == [str(path) for path in paths]
        for answer in answers:
            assert isinstance(answer, InputError) and f"network of {overflowing}, got NaN" in str(answer)
        for ask in (lambda p=predictor: p.predict([picture]), lambda p=predictor: p.predict_each([picture], [(0, 1)])):
            with pytest.raises(InputError, match=r"image: expected numbers from the network of .*large, got NaN"):
                ask()
    records = DatasetRecords(
        tmp_path,
        tuple(map(Category, SPEC.category_ids, SPEC.class_names)),
        [ImageRecord(image_id=1, file_name="a.png", height=96, width=128)],
    )
    with pytest.raises(InputError, match=r"^a\.png: expected numbers from the network of "):
        detect_all(Predictor.load(overflowing, runtime="torch"), records, EvaluateConfig())
    model = read_weights(overflowing).build().eval()
    with pytest.raises(InputError, match=r"^a\.png: expected numbers from the network, got NaN for 1 of the images"):
        evaluate(model, records, SPEC, EvaluateConfig(), World(), torch.device("cpu"), 1)
