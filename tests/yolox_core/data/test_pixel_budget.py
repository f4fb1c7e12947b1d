"""Room for pixels: who waits, who goes, and that nobody waits for ever; and what real threads take of it."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.needs import ROOT
from yolox_core.data.pixel_budget import PixelBudget, most_pixels, pixels_in
from yolox_core.errors import InputError
from yolox_core.inference import predictor as predictor_module
from yolox_core.inference.predictor import _ahead


def test_an_image_says_its_pixels(tmp_path: Path) -> None:
    pixels = np.zeros((30, 50, 3), np.uint8)
    for suffix in (".jpg", ".png", ".webp", ".bmp"):
        path = tmp_path / f"image{suffix}"
        path.write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
        assert pixels_in(path) == pixels_in(str(path)) == pixels_in(path.read_bytes()) == 1500
    jpeg = (tmp_path / "image.jpg").read_bytes()
    late = jpeg[:2] + b"".join([b"\xff\xe2\xff\xfe" + b"\0" * 65532] * 5) + jpeg[2:]
    (tmp_path / "late.jpg").write_bytes(late)  # its size comes after 320 KiB of something else
    assert pixels_in(tmp_path / "late.jpg") == pixels_in(pixels) == 1500
    for suffix, kind in ((".png", np.uint16), (".tif", np.uint16), (".jp2", np.uint8)):
        heavy = cv2.imencode(suffix, np.zeros((64, 64), kind))[1].tobytes()
        assert pixels_in(heavy) == 3 * 64 * 64, "their decoders hold more"
    assert pixels_in(b"words") == most_pixels()  # decoded alone
    assert pixels_in(tmp_path / "none.jpg") == pixels_in("a\0b") == pixels_in(tmp_path) == 0


class Watched(PixelBudget):
    """Keeps the most that was held at a time."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.peak = 0

    def take(self, pixels: int, turn: int | None = None) -> None:
        super().take(pixels, turn)
        self.peak = max(self.peak, self._held)


def test_threads_hold_no_more_than_there_is() -> None:
    budget = Watched(100)

    def work(pixels: int) -> None:
        with budget.held(pixels):
            time.sleep(0.005)

    threads = [threading.Thread(target=work, args=(10 + 7 * number % 60,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads) and 60 < budget.peak <= 100


def test_an_image_larger_than_all_is_taken_alone() -> None:
    budget = Watched(100)
    with budget.held(500):
        waits = threading.Thread(target=budget.take, args=(1,))
        waits.start()
        waits.join(0.2)
        assert waits.is_alive()
    waits.join(30)
    assert not waits.is_alive() and budget.peak == 500


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Watched]]:
    """A predictor's budget of 100 px, on eight cores."""
    made: list[Watched] = []

    def budget(_: int) -> Watched:
        made.append(Watched(100))
        return made[-1]

    monkeypatch.setattr(predictor_module, "PixelBudget", budget)
    monkeypatch.setattr(predictor_module, "cores", lambda: 8)
    yield made


SIZES = [(5, 10), (1, 1), (30, 30), (9, 9), (9, 9), (2, 2), (10, 10), (0, 5), (4, 25), (3, 3)] * 4


def test_what_is_read_ahead_is_bounded_and_keeps_its_order(small: list[Watched]) -> None:
    images = [np.full((*size, 3), number, np.uint8) for number, size in enumerate(SIZES)]

    def work(image: np.ndarray) -> int:
        time.sleep(0.001 * (image.shape[0] % 3))  # later ones are done first
        return int(image.max(initial=0))

    expected = [number if 0 not in size else 0 for number, size in enumerate(SIZES)]
    assert list(_ahead(work, images)) == expected
    assert small[0].peak <= 900 and small[0]._held == 0  # the largest alone


PEAK = """
import resource, sys
import pipeline.data.scan.image_scan as scan
import yolox_core.inference.predictor as predictor
from pathlib import Path
from yolox_core.data.image_io import read_image
from yolox_core.data.records import DatasetRecords, ImageRecord

scan.most_pixels = predictor.most_pixels = lambda: 50_000_000
predictor.cores = lambda: 8
folder = Path(sys.argv[2])
names = sorted(path.name for path in folder.iterdir())
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
before = peak()
if sys.argv[1] == "scan":
    records = [ImageRecord(number, name, 5000, 8000) for number, name in enumerate(names)]
    assert [one.size for one in scan.scan_images(DatasetRecords(folder, (), records))] == [(5000, 8000)] * 6
else:
    assert sum(image.shape[0] for image in predictor._ahead(read_image, [folder / name for name in names])) == 30000
print(peak() - before)
"""


@pytest.mark.parametrize("who", ["scan", "predict"])
def test_memory_is_that_of_one_image_where_only_one_fits(who: str, tmp_path: Path) -> None:
    """Six of 40 megapixels; before, six threads had one each."""
    gray = np.full((5000, 8000, 3), 80, np.uint8)
    data = cv2.imencode(".png", gray, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(data + bytes([number]))  # another content each
    words = [sys.executable, "-c", PEAK, who, str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 700  # MB: 250 while one is decoded, what the threads keep; of six at once 1100 and 1400


def test_who_stops_reading_is_not_held_up(small: list[Watched]) -> None:
    before = threading.active_count()
    stream = _ahead(lambda image: image, [np.zeros((10, 10, 3), np.uint8)] * 50)
    assert next(stream).shape == (10, 10, 3)
    stream.close()  # others wait for room that nobody will give back
    assert threading.active_count() == before

    def broken(image: np.ndarray) -> None:
        raise InputError("no image")

    with pytest.raises(InputError, match="no image"):
        list(_ahead(broken, [np.zeros((10, 10, 3), np.uint8)] * 50))
    assert threading.active_count() == before
