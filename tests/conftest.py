"""What holds for every test: no telemetry, nobody's servers or files, no skip without a need (see `tests/needs.py`)."""

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests import needs, starts

os.environ.update(
    {
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
)
# OpenMP's threads spin while they wait for each other. Where other processes want the cores, too, that took 30 times
# the work and 60 times as long (2 cores, forward passes of a nano detector). To sleep instead changes no bit.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for address in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "RAY_ADDRESS"):
    os.environ.pop(address, None)

KEPT = tempfile.TemporaryDirectory(prefix="yolox-kept-")  # removed when the tests have ended
os.environ["YOLOX_SEEN"] = os.path.join(KEPT.name, "seen.sqlite")
os.environ["YOLOX_MODELS"] = os.path.join(KEPT.name, "models")
os.environ["YOLOX_WEIGHTS_DIR"] = os.path.join(KEPT.name, "weights")
os.environ["YOLOX_WEIGHTS_URL"] = "http://127.0.0.1:9"  # no test reaches the public server
os.environ["YOLOX_RUNTIMES"] = os.path.join(KEPT.name, "runtimes")

STRICT = os.environ.get("CI", "").lower() == "true"


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts Ray, a server or a training; skip the tests marked `gpu` on a machine without CUDA."""
    for item in items:
        for marker in sorted(starts.started_by(functions_of(item))):
            item.add_marker(marker)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=needs.cuda_reason()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Our own way of spreading the tests, where there are several processes."""
    from tests.spread import Spread

    return Spread(config, log)


def functions_of(item: Any) -> list[Any]:
    """A test's function and those of its fixtures."""
    return [item.function, *(made[-1].func for made in item._fixtureinfo.name2fixturedefs.values())]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[Any]:
    """A test's skip, held against its need."""
    return refuse_idle_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[Any]:
    """The skip of a whole file, held against its need."""
    return refuse_idle_skip((yield))


def refuse_idle_skip(report: Any, strict: bool = STRICT) -> Any:
    """With CI=true, turn a skip whose need is there into a failure."""
    if strict and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if needs.is_present(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped although what it needs is there: {reason}. Skips go through tests/needs.py."
    return report
