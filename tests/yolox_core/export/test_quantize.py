"""A detector in integers says nearly the same, where the integers are that its runtime is fast with."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.yolox_core.conftest import SPEC, Forms
from yolox_core.export.quantize import quantize
from yolox_core.inference.runtimes import open_runtime
from yolox_core.structures import ImageArray


def pictures(seed: int, count: int = 4) -> Iterator[ImageArray]:
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield generator.integers(0, 256, (90, 150, 3), dtype=np.uint8)


def integer_convolutions(path: Path) -> set[str]:
    """Names of the weights that are stored as integers and used by a convolution."""
    graph = onnx.load(path).graph
    makers = {output: node for node in graph.node for output in node.output}
    weights = [makers.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    return {node.input[0].removesuffix("_quantized") for node in weights if node is not None}


@pytest.mark.parametrize(("runtime", "for_openvino"), [("onnx", False), ("openvino", True)])
def test_says_nearly_the_same(forms: Forms, tmp_path: Path, runtime: str, for_openvino: bool) -> None:
    target = tmp_path / "int8.onnx"
    quantize(forms.onnx, target, pictures(0), for_openvino=for_openvino)
    assert target.stat().st_size < 0.6 * forms.onnx.stat().st_size
    batch = np.random.default_rng(1).integers(0, 256, (2, 3, *SPEC.input_size)).astype(np.float32)
    opened = open_runtime(target, runtime, "cpu")
    assert opened.spec == SPEC
    got, expected = opened.decode(batch), open_runtime(forms.onnx, "onnx", "cpu").decode(batch)
    apart = np.abs(got[..., 4:] - expected[..., 4:])
    assert 0 < float(apart.mean()) < 0.03 and float(expected[..., 4:].std()) > 0.1
    assert np.median(np.abs(got[..., :4] - expected[..., :4])) < 2  # px


def test_first_and_last_layers_stay_in_float(forms: Forms, tmp_path: Path) -> None:
    quantize(forms.onnx, tmp_path / "int8.onnx", pictures(0))
    integers = integer_convolutions(tmp_path / "int8.onnx")
    all_of_them = {node.input[1] for node in onnx.load(forms.onnx).graph.node if node.op_type == "Conv"}
    assert integers < all_of_them
    exact = {name for name in all_of_them if ".stem." in name or ".dark2." in name or "_preds." in name}
    assert all_of_them - integers == exact and len(exact) == 16


def test_its_activations_are_integers_for_onnx_runtime_alone(forms: Forms, tmp_path: Path) -> None:
    read = {}
    for for_openvino in (False, True):
        path = tmp_path / f"{for_openvino}.onnx"
        quantize(forms.onnx, path, pictures(0), for_openvino=for_openvino)
        graph = onnx.load(path).graph
        makers = {output: node.op_type for node in graph.node for output in node.output}
        sources = [makers.get(node.input[0], "") for node in graph.node if node.op_type == "Sigmoid"]
        read[for_openvino] = sources.count("DequantizeLinear")
    assert read[True] == 0 < read[False]


def test_the_same_images_give_the_same_bytes_and_others_give_others(forms: Forms, tmp_path: Path) -> None:
    content = []
    for number, seed in enumerate((0, 0, 1)):
        quantize(forms.onnx, tmp_path / f"{number}.onnx", pictures(seed))
        content.append((tmp_path / f"{number}.onnx").read_bytes())
    assert content[0] == content[1] != content[2]
