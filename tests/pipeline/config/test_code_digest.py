"""A digest of code follows what the code does, not names of files, comments, docstrings or types alone."""

from pathlib import Path

import pytest

from pipeline.config.code_digest import code_digest

FILES = {
    "yolox_core/engine.py": """\"\"\"Trains.\"\"\"
from typing import TYPE_CHECKING

from yolox_core import boxes
from yolox_core.loss import total, unused as other

if TYPE_CHECKING:
    from yolox_core.apart import Apart


def train(step: int = 3) -> float:
    \"\"\"Docs.\"\"\"
    from yolox_core.lazy import late

    return boxes.area(step) + total(step) + late()
""",
    "yolox_core/boxes.py": "def area(side):\n    return side * side\n",
    "yolox_core/loss.py": "def total(x):\n    return x + 1\n\n\ndef unused(x):\n    return x\n",
    "yolox_core/lazy.py": "from yolox_core.deep import DEPTH\n\n\ndef late():\n    return DEPTH\n",
    "yolox_core/deep.py": "DEPTH = 2\n",
    "yolox_core/apart.py": "def total(x):\n    return x - 1\n\n\nclass Apart:\n    pass\n",
}


Files = dict[str, str]


def digest(root: Path, files: Files) -> str:
    """Of the engine, the files written below `root`, a new folder: digests of files are remembered."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return code_digest(["yolox_core.engine"], root)


def edited(name: str, old: str, new: str) -> Files:
    assert old in FILES[name]
    return {**FILES, name: FILES[name].replace(old, new)}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("yolox_core/engine.py", "step: int = 3", "step: int = 4"),
        ("yolox_core/engine.py", "+ total(step)", "- total(step)"),
        ("yolox_core/boxes.py", "side * side", "side + side"),
        ("yolox_core/loss.py", "x + 1", "x + 2"),
        ("yolox_core/lazy.py", "return DEPTH", "return -DEPTH"),
        ("yolox_core/deep.py", "DEPTH = 2", "DEPTH = 3"),  # imported by a module that a function imports
        ("yolox_core/engine.py", "import total, unused as other", "import unused as total, total as other"),
        ("yolox_core/engine.py", "yolox_core.loss import total, unused as other", "yolox_core.apart import total"),
    ],
)
def test_an_edit_of_what_runs_changes_it(tmp_path: Path, name: str, old: str, new: str) -> None:
    assert digest(tmp_path / "edited", edited(name, old, new)) != digest(tmp_path / "plain", FILES)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("yolox_core/apart.py", "x - 1", "x - 2"),
        ("yolox_core/engine.py", '"""Docs."""', '"""Other docs."""  # and a comment'),
        ("yolox_core/engine.py", '    """Docs."""\n', ""),
        ("yolox_core/engine.py", '"""Trains."""', '"""Trains, at length."""'),
        ("yolox_core/engine.py", "import Apart", "import Apart, Another"),  # for a type checker alone
        ("yolox_core/boxes.py", "return side * side", "return (\n        side * side\n    )"),
    ],
)
def test_an_edit_of_anything_else_keeps_it(tmp_path: Path, name: str, old: str, new: str) -> None:
    assert digest(tmp_path / "edited", edited(name, old, new)) == digest(tmp_path / "plain", FILES)


def test_what_runs_instead_of_imports_for_types_counts(tmp_path: Path) -> None:
    otherwise = edited("yolox_core/engine.py", "import Apart\n", "import Apart\nelse:\n    Apart = int\n")
    assert digest(tmp_path / "edited", otherwise) != digest(tmp_path / "plain", FILES)


@pytest.mark.parametrize("line", ["from . import boxes", "from .loss import total", "import yolox_core.boxes"])
def test_an_import_that_cannot_be_followed_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match=r"line 4"):
        digest(tmp_path / "edited", edited("yolox_core/engine.py", "from yolox_core import boxes", line))


def test_names_of_files_do_not_count(tmp_path: Path) -> None:
    renames = {"boxes": "areas", "loss": "detection_loss", "lazy": "eager"}
    moved = dict(FILES)
    for old, new in renames.items():
        moved[f"yolox_core/{new}.py"] = moved.pop(f"yolox_core/{old}.py")
    moved["yolox_core/engine.py"] = (
        FILES["yolox_core/engine.py"]
        .replace("boxes", "areas")
        .replace("yolox_core.loss", "yolox_core.detection_loss")
        .replace("yolox_core.lazy", "yolox_core.eager")
    )
    assert digest(tmp_path / "moved", moved) == digest(tmp_path / "plain", FILES)
