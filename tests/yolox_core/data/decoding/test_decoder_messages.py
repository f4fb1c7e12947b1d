"""No decoder speaks for itself: nothing but our own lines comes to the terminal, whatever the picture's state."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.needs import ROOT

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
READ = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from yolox_core.data.image_io import read_image
from yolox_core.errors import InputError

def read(path):
    try:
        return str(read_image(path).shape)
    except InputError as refused:
        return str(refused)

paths = [Path(name) for name in sys.argv[1:]] * 5
with ThreadPoolExecutor(4) as pool:
    read_by_pool = list(pool.map(read, paths))
os.system("echo a child process >&2")
print("python", file=sys.stderr)
import ctypes
library = ctypes.CDLL(None)
library.perror(b"a library")
print(len(read_by_pool))
"""


def saved(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def noisy() -> dict[str, bytes]:
    """Pictures about which libpng, libjpeg, libtiff and OpenCV have something to say."""
    png, jpeg, tiff = saved("PNG"), saved("JPEG"), saved("TIFF", compression="tiff_lzw")
    broken = bytearray(png)
    broken[len(png) // 2] ^= 255
    odd = Image.Exif()
    odd[0x0112] = 9
    return {
        "profile.png": png[:33] + chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")) + png[33:],
        "broken.png": bytes(broken),
        "extra.jpg": jpeg[:-2] + b"abc" * 5 + jpeg[-2:],
        "cut.tif": tiff[: len(tiff) // 2],
        "turned.tif": saved("TIFF", exif=odd),
    }


def printed(folder: Path, level: str | None) -> list[str]:
    for name, data in noisy().items():
        (folder / name).write_bytes(data)
    names = [str(folder / name) for name in noisy()]
    environment = {name: value for name, value in os.environ.items() if name != "OPENCV_LOG_LEVEL"}
    environment |= {"OPENCV_LOG_LEVEL": level} if level else {}
    done = subprocess.run(
        [sys.executable, "-c", READ, *names], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=100
    )
    assert done.stdout == f"{5 * len(names)}\n"
    return done.stderr.splitlines()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library's own stream is closed under glibc")
def test_only_our_own_lines_come_to_the_terminal(tmp_path: Path) -> None:
    """And all of these do: Python's, a child's, and the C library's once no image is decoded."""
    lines = printed(tmp_path, None)
    assert lines[:2] == ["a child process", "python"]
    assert len(lines) == 3 and lines[2].startswith("a library: ")


def test_opencv_speaks_where_it_is_asked_to(tmp_path: Path) -> None:
    assert any("TIFF" in line for line in printed(tmp_path, "WARNING"))
