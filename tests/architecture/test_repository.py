"""What the repository may hold: no registry's host name, nobody's home folder, nothing that the pipeline produces."""

import os
import re
import subprocess
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.config import paths
from tests.needs import ROOT

# Written in two parts, so that this file does not find itself.
FORBIDDEN = {
    "a registry's host name": re.compile(
        "|".join(
            re.escape(name)
            for name in ("pypi" + ".org", "python" + "hosted.org", "download." + "pytorch.org", "registry." + "npmjs")
        )
    ),
    "an index line": re.compile("--(extra-)?index" + r"-url[ =]+\S+:" + "//"),
    "someone's home folder": re.compile(r"(?<![\w.~-])/(home|Users)" + r"/[a-z]\w*/"),
}
COMMITTED = (
    paths.METRICS,
    paths.VALIDATION,
    paths.VALIDATION_TEXT,
    paths.TRAINING,
    paths.HISTORY,
    paths.PER_CLASS,
    paths.PRECISION_RECALL,
    paths.THRESHOLD,
    paths.CONFUSION,
    paths.ERRORS,
    paths.EXPORT,
    paths.REGISTRATION,
)
PRODUCED = (
    paths.FINGERPRINT,
    paths.RAW_ANNOTATIONS,
    paths.VALID_ANNOTATIONS,
    paths.prepared("train"),
    paths.RUNS / "a" / "last.pt",
    paths.TRAINED / "model.safetensors",
    paths.RELEASED / "model.onnx",
    paths.DETECTIONS,
    paths.REPORT,
    Path("mlflow.db"),
    Path("mlartifacts/1/model"),
    Path(".venv/bin/python"),
    Path(".uv/bin/uv"),
    Path(".dvc/cache/files"),
    Path(".dvc/tmp/lock"),
    Path("pipeline/__pycache__/paths.pyc"),
)


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every text file that git holds or would take."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            content = (ROOT / name).read_bytes()
            if b"\0" not in content[:8192]:
                found[name] = content.decode("utf-8", errors="replace")
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str, texts: dict[str, str]) -> None:
    found = [f"{name}: {match.group()}" for name, text in texts.items() for match in FORBIDDEN[what].finditer(text)]
    assert not found


def test_no_file_names_this_machine(texts: dict[str, str]) -> None:
    """Neither the folder of this checkout nor the package index that this machine is set to use."""
    own = [str(ROOT)] if len(ROOT.parts) > 2 else []
    for variable in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        host = urlsplit(os.environ.get(variable, "")).hostname
        own += [host] if host and "." in host else []
    assert not [name for name, text in texts.items() if any(word in text for word in own)]


@pytest.mark.parametrize("path", PRODUCED, ids=str)
def test_git_ignores_what_is_produced(path: Path) -> None:
    assert git("check-ignore", "--quiet", "--no-index", str(path)).returncode == 0


@pytest.mark.parametrize("path", [*COMMITTED, paths.PARAMS, Path("dvc.lock"), Path(".dvc/config")], ids=str)
def test_git_takes_small_results(path: Path) -> None:
    assert git("check-ignore", "--quiet", "--no-index", str(path)).returncode == 1


def test_dvc_adds_no_line_of_its_own() -> None:
    """DVC leaves .gitignore alone where an output is ignored already; it asks before the folder is there."""
    for folder in (paths.RAW, paths.PREPARED, paths.TRAINED, paths.RELEASED):
        assert git("check-ignore", "--quiet", "--no-index", str(folder)).returncode == 0


@pytest.mark.ray
def test_ray_packs_code_only(tmp_path: Path) -> None:
    from ray._private.runtime_env.packaging import create_package

    wanted = {"pipeline/config/paths.py", "yolox_core/config.py", "params.yaml", "dvc.yaml", "pyproject.toml"}
    project = tmp_path / "project"
    for name in {*map(str, PRODUCED), *map(str, COMMITTED), ".git/HEAD", *wanted}:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    (project / ".rayignore").write_bytes((ROOT / ".rayignore").read_bytes())
    create_package(str(project), tmp_path / "package.zip", include_gitignore=False)
    with zipfile.ZipFile(tmp_path / "package.zip") as package:
        packed = {name for name in package.namelist() if not name.endswith("/")}
    assert packed == wanted | {".rayignore"}
