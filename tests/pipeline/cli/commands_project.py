"""An empty project to call `yolox` in, a tiny released model, and the command itself with what it printed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.cli import main
from yolox_core.config import DetectorSpec, ModelConfig
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model

SPEC = DetectorSpec(ModelConfig(2, width=0.125, depth=0.33), ("cat", "dog"), (1, 7), (64, 64), confidence=1e-5)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    line: str  # standard error, but for what `yolox predict` says of its model
    model: str = ""

    def refused(self, *words: str) -> None:
        """It ended with code 2 and one line that holds all of these."""
        assert self.code == 2
        assert self.line.startswith("error: ") and self.line.count("\n") == 1 and self.line.endswith("\n")
        assert not [word for word in words if word not in self.line], self.line


class Yolox:
    """`yolox <words>` in this process and in the current folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *words: str | Path | float) -> Ended:
        self._monkeypatch.setattr("sys.argv", ["yolox", *map(str, words)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        printed = self._capsys.readouterr()
        code = ended.value.code
        lines = printed.err.splitlines(keepends=True)
        model = [line for line in lines if line.startswith("model: ")]
        rest = "".join(line for line in lines if line not in model)
        return Ended(code if isinstance(code, int) else 0, printed.out, rest, "".join(model))


def released(folder: Path) -> Path:
    """A released model of random weights; every detection has a score of about 1e-4."""
    release(folder, build_model(SPEC.model, seed=3), SPEC)
    return folder


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below, with its size and time: two equal states mean that nothing was written."""
    entries = {path: path.stat() for path in folder.rglob("*")}
    return {str(path): (entry.st_size if path.is_file() else 0, entry.st_mtime_ns) for path, entry in entries.items()}


def break_image(path: Path, source: Path) -> Path:
    """The first half of another image file."""
    shutil.copyfile(source, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path
