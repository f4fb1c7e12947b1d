"""The line for what is not installed, and what it must not hide."""

import sys

import pytest

from pipeline.console.extras import BY_MODULE, extras, require_installed
from yolox_core.errors import InputError


@pytest.mark.parametrize(
    ("absent", "says"),
    [
        (
            ["mlflow"],
            "the model registry needs MLflow, which is not installed. Run: pip install 'yolox-pipeline[registry]'.",
        ),
        (["torch"], "the training pipeline needs PyTorch, which is not installed."),
        (["torch", "ray", "dvc"], "the training pipeline needs PyTorch, Ray and DVC, which are not installed."),
        (["ray", "dvc"], "the training pipeline needs Ray and DVC, which are not installed."),
        (["psutil"], "the training pipeline needs psutil, which is not installed."),
        (["psutil", "dvc"], "the training pipeline needs DVC, which is not installed."),
        (["starlette"], "serving needs starlette, which is not installed."),
        (
            ["optuna"],
            "sweep.search: tpe needs Optuna, which is not installed. Run: pip install 'yolox-pipeline[sweep]'.",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_extra(absent: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)  # as Python marks what must not be imported
    with pytest.raises(InputError) as refused, extras():
        __import__(absent[0])
    assert str(refused.value).startswith(says)
    with pytest.raises(InputError) as refused:
        require_installed(absent[0])
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    "module", ["pipeline.no_such", "yolox_core.no_such", "mlflow.no_such", "torch.no_such", "no_such"]
)
def test_a_broken_installation_is_not_taken_for_a_missing_extra(module: str) -> None:
    with pytest.raises(ModuleNotFoundError) as missing, extras():
        __import__(module)
    assert missing.value.name == module


def test_what_is_installed_passes() -> None:
    for module in BY_MODULE:
        require_installed(module)
