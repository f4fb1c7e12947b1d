"""Where a run works, from the environment. With a real cluster: tests/integration/test_refused_run.py."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.cluster.ray_cluster import ComputeConfig, check_address, imported_beside
from tests.integration.project import Family, finish
from tests.needs import ROOT
from yolox_core.errors import InputError

NAMES = ("YOLOX_WORKERS", "YOLOX_LOADER_WORKERS", "YOLOX_GPU", "YOLOX_THREADS", "RAY_ADDRESS")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_default_is_one_worker_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLOX_GPU", "0")
    assert ComputeConfig.from_environment() == ComputeConfig(workers=1, loader_workers=0, gpu=False, address=None)


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"YOLOX_WORKERS": "4", "YOLOX_LOADER_WORKERS": "2", "YOLOX_GPU": "1", "RAY_ADDRESS": "head:6379"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    # a machine without CUDA may send its work to one that has it
    assert ComputeConfig.from_environment() == ComputeConfig(workers=4, loader_workers=2, gpu=True, address="head:6379")


def test_a_gpu_is_taken_where_pytorch_sees_one() -> None:
    """Without a driver PyTorch is not asked: the answer must be the same."""
    assert ComputeConfig.from_environment().gpu == torch.cuda.is_available()


def test_a_module_is_there_after_the_block_beside_which_it_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    code = f"import os, time\nwhile not os.path.exists({str(begun)!r}):\n    time.sleep(0.01)\nDONE = True\n"
    (tmp_path / "slow_to_import.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with imported_beside("slow_to_import"):
        assert not hasattr(sys.modules.get("slow_to_import"), "DONE")
        begun.touch()
    assert sys.modules.pop("slow_to_import").DONE


def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert ComputeConfig.from_environment().address is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("YOLOX_WORKERS", "0", "at least 1, got '0'"),
        ("YOLOX_WORKERS", "two", "at least 1, got 'two'"),
        ("YOLOX_WORKERS", "", "at least 1, got ''"),
        ("YOLOX_WORKERS", "²", "at least 1, got '²'"),
        ("YOLOX_LOADER_WORKERS", "-1", "at least 0, got '-1'"),
        ("YOLOX_GPU", "yes", "auto, 0 or 1, got 'yes'"),
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as refused:
        ComputeConfig.from_environment()
    assert str(refused.value).startswith(f"{name}: expected ") and expected in str(refused.value)


def test_cores_are_shared_among_workers() -> None:
    assert ComputeConfig(workers=1).cores_per_worker() >= 1
    assert ComputeConfig(workers=10_000).cores_per_worker() == 1
    assert ComputeConfig(threads=3).cores_per_worker() == 3


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9", "ray://127.0.0.1:9", "[::1]:9", "127.0.0.1:99999", "no.such.host.invalid:1"]
)
def test_an_address_where_nobody_listens(address: str) -> None:
    with pytest.raises(InputError, match="no Ray cluster answers") as refused:
        check_address(ComputeConfig(address=address))
    assert str(refused.value).startswith(f"RAY_ADDRESS={address}: ") and "unset RAY_ADDRESS" in str(refused.value)


@pytest.mark.parametrize("address", [None, "local"])
def test_an_address_without_a_port_is_for_ray_to_judge(address: str | None) -> None:
    check_address(ComputeConfig(address=address))


@pytest.mark.parametrize("given", [{"workers": 0}, {"workers": -1}, {"loader_workers": -1}])
def test_a_wrong_option_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected a whole number of at least"):
        ComputeConfig(**given)


def test_an_address_that_is_no_name_is_refused() -> None:
    with pytest.raises(InputError, match="no Ray cluster answers"):
        check_address(ComputeConfig(address="x" * 70 + ":1"))


def test_fewer_workers_than_wanted_may_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLOX_WORKERS", "4")
    assert list(ComputeConfig.from_environment().counts) == [4]
    monkeypatch.setenv("YOLOX_MIN_WORKERS", "2")
    assert list(ComputeConfig.from_environment().counts) == [2, 3, 4]
    monkeypatch.setenv("YOLOX_MIN_WORKERS", "5")
    with pytest.raises(InputError, match="YOLOX_MIN_WORKERS: expected at most the 4 of YOLOX_WORKERS, got 5"):
        ComputeConfig.from_environment()


@pytest.mark.ray
def test_nobody_else_reads_what_lies_in_rays_folder() -> None:
    """Of a real cluster: its sockets, its logs; Ray itself opens its folder to everybody. All is gone after it."""
    code = (
        "import os; from pathlib import Path; import pipeline.cluster.ray_cluster as module\n"
        "with module.cluster(module.ComputeConfig()):\n"
        "    import ray; own = Path(ray._private.worker._global_node.get_session_dir_path()).parents[1]\n"
        "    assert own.name.startswith('ray-') and own.stat().st_mode & 0o777 == 0o700, own\n"
        "assert not own.exists(), sorted(own.rglob('*'))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)


@pytest.mark.ray
def test_a_ray_that_does_not_start_in_time_ends_with_words() -> None:
    """Half a second for what takes several; none of what was started lives on."""
    code = (
        "from pipeline.cluster import ray_cluster as module; module.START_LIMIT_S = 0.5\n"
        "with module.cluster(module.ComputeConfig()):\n    pass\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with Family(command) as family, family.watched():
        printed = finish(command, 300)
    assert command.returncode == 2
    assert printed.splitlines()[0] == "ray: starting on this machine"
    last = printed.splitlines()[-1]
    assert last.startswith(
        "error: Ray on this machine: expected it to start within 0 s, got nothing. Its logs are in /"
    )
    shutil.rmtree(Path(last.partition("Its logs are in ")[2].partition(". ")[0]).parent)
    assert "Traceback" not in printed
    assert not family.survivors()
