"""How the errors of others are quoted: whole sentences, and the disk that is full by its name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs
from yolox_core.errors import reason, sentence

ON_A_FULL_DISK = """
import os, sys
from yolox_core.errors import InputError, full_disk, sentence
from pipeline.console.exit_codes import refusals
os.environ["TMPDIR"] = sys.argv[1]
with refusals():
    try:
        with open(sys.argv[1] + "/file", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
    except OSError as failed:
        print(sentence(failed))
        try:
            raise RuntimeError("MLflow: could not write") from failed
        except RuntimeError as outer:
            print(sentence(outer))
        raise
"""


@pytest.mark.parametrize(
    ("failed", "text"),
    [
        (OSError(13, "Permission denied", "/x/y"), "Permission denied: '/x/y'."),
        (ValueError("two\n  lines."), "two lines."),
        (ValueError(), "ValueError."),
        (RuntimeError("MLflow: [Errno 111] Connection refused"), "MLflow: Connection refused."),
        (ValueError("x" * 1000), "x" * 300 + "."),
    ],
)
def test_an_error_is_quoted_as_one_sentence(failed: Exception, text: str) -> None:
    assert sentence(failed) == text
    assert f"{reason(failed)}." == text


@pytest.mark.parametrize("file", [7, b"/nowhere/at/all", "/nowhere/at/all", None])
def test_what_an_error_names_never_hides_it(file: object, tmp_path: Path) -> None:
    """A descriptor, as `open(7)` names it, and a current folder that is gone."""
    code = (
        "import errno, os, sys; from yolox_core.errors import reason; os.rmdir(os.getcwd());"
        f"print(reason(OSError(errno.ENOSPC, 'No space left on device', {file!r})))"
    )
    environment = os.environ | {"PYTHONPATH": str(needs.ROOT), "PYTHONSAFEPATH": "1"}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("No space left on device"), done.stderr


def test_a_disk_that_is_full_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = needs.mounting(f'mount -t tmpfs -o size=1m tmpfs "{disk}" && exec "$@"')
    words = [*mounted, sys.executable, "-c", ON_A_FULL_DISK, str(disk)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.stdout.splitlines() == [
        f"No space left on device ({disk} is full).",
        f"MLflow: could not write ({disk} is full).",
    ]
    assert (done.returncode, done.stderr) == (2, f"error: {disk}: {disk} is full. Check the path and the disk.\n")
