"""What each extra of the package adds, and the one-line error for a module that is not installed.

The package alone predicts, and checks and converts data sets. Anything else is imported where it is used; the entry
points (the command line, `pipeline.Predictor`) turn its ModuleNotFoundError into that error. pyproject.toml names the
packages; tests/architecture/test_extras.py compares the two.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from yolox_core.errors import InputError

DISTRIBUTION = "yolox-pipeline"


@dataclass(frozen=True)
class Extra:
    """What needs it, its best-known modules with their names, and the other modules of it that we import."""

    purpose: str
    known_for: Mapping[str, str]
    others: tuple[str, ...] = ()


EXTRAS = {
    "registry": Extra("the model registry", {"mlflow": "MLflow"}),
    "serve": Extra(
        "serving",
        {"fastapi": "FastAPI", "uvicorn": "uvicorn"},
        ("fastapi_offline", "prometheus_client", "starlette"),
    ),
    "train": Extra(
        "the training pipeline",
        {"torch": "PyTorch", "ray": "Ray", "dvc": "DVC"},
        (
            *("albumentations", "faster_coco_eval", "fsspec", "grpc", "matplotlib", "onnx", "onnxscript", "psutil"),
            *("pyarrow", "safetensors", "scipy"),
        ),
    ),
    "sweep": Extra("sweep.search: tpe", {"optuna": "Optuna"}),
}
BY_MODULE = {module: name for name, extra in EXTRAS.items() for module in (*extra.known_for, *extra.others)}


def is_installed(module: str) -> bool:
    """Whether a module can be found; it is not imported for that."""
    return find_spec(module) is not None


def install(extra: str) -> str:
    """The command that adds an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def require_installed(module: str) -> None:
    """InputError, as `extras` raises it, where a module of an extra is not installed: before work that needs it."""
    with extras():
        if not is_installed(module):
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


@contextmanager
def extras() -> Iterator[None]:
    """Turn the ModuleNotFoundError of a module that an extra adds into an InputError that names the extra.

    Any other is raised as it is: the installation is broken.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        name = BY_MODULE.get(missing.name or "")
        if name is None:
            raise
        raise InputError(f"{_needs(EXTRAS[name], str(missing.name))} Run: {install(name)}.") from missing


def _needs(extra: Extra, module: str) -> str:
    """`serving needs FastAPI and uvicorn, which are not installed.`"""
    missing = [name for known, name in extra.known_for.items() if known == module or not is_installed(known)]
    *first, last = missing or [module]
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"{extra.purpose} needs {listed}, which {'are' if first else 'is'} not installed."
