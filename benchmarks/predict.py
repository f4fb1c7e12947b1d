"""`yolox predict` on a video of 30 s and on 1,000 images: images a second, and the most memory that it held (Linux).

Each run is the command itself, in a process of its own, so that the memory is its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.inference import convert
from benchmarks.timing import hardware
from pipeline.data.checks.doctor import check
from pipeline.data.formats.read import read_dataset
from yolox_core.data.image_io import read_image
from yolox_core.errors import InputError

PER_SECOND, SECONDS, SIZE = 25, 30, (480, 640)
# few beside many: memory must not grow with their number
IMAGES = {"torch": (10, 1000), "onnx": (10, 1000, 10_000)}
# VmHWM and not getrusage: the latter counts what the parent held when it started this process
PROBE = """
import json, re, time
from pathlib import Path
from pipeline.cli.main import main
began = time.monotonic()
try:
    main()
except SystemExit as ended:
    assert ended.code in (0, None), ended.code
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"command_s": time.monotonic() - began, "peak_mib": peak}))
"""


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """A row a run. The reference is not asked."""
    if data is None or weights is None:
        raise InputError("--data and --weights: expected images and Megvii's YOLOX-nano, not both given.")
    records, _ = check(read_dataset(data)[0])
    paths = [records.path(image) for image in records.images]
    result: dict[str, Any] = {"hardware": hardware("cpu"), "data": data.name}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = convert(weights, root)
        video = film(root / "film.mp4", paths)
        for runtime, counts in IMAGES.items():
            rows = result[runtime] = {}
            rows["video, CSV"] = measure(root, model, runtime, [video], ["--csv", "out.csv"])
            rows["video, CSV and drawn"] = measure(root, model, runtime, [video], ["--csv", "o.csv", "--save-dir", "d"])
            for count in counts:
                folder = many(root / str(count), paths, count)
                rows[f"{count} images, JSON"] = measure(root, model, runtime, [folder], ["--json", "out.json"])
    return result


def film(path: Path, images: Sequence[Path]) -> Path:
    """A slow zoom into one image after the other, a second each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), PER_SECOND, SIZE[::-1])
    for number in range(PER_SECOND * SECONDS):
        image = read_image(images[number // PER_SECOND % len(images)])
        scale = max(SIZE[0] / image.shape[0], SIZE[1] / image.shape[1]) * (1 + number % PER_SECOND / 250)
        larger = cv2.resize(image, None, fx=scale, fy=scale)
        writer.write(np.ascontiguousarray(larger[: SIZE[0], : SIZE[1]]))
    writer.release()
    return path


def many(folder: Path, images: Sequence[Path], count: int) -> Path:
    """That many files, by links to the images there are."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        source = images[number % len(images)]
        link = folder / f"{number:05d}{source.suffix}"
        link.unlink(missing_ok=True)
        link.symlink_to(source.resolve())
    return folder


def measure(
    root: Path, model: Path, runtime: str, sources: Sequence[Path], outputs: Sequence[str]
) -> dict[str, float | str]:
    """One run of the command: its last line, seconds with the loading of the model, and the most memory held."""
    words = ["predict", *map(str, sources), "--model", str(model), "--runtime", runtime, *outputs]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}  # this checkout, not what is installed
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    said = done.stderr.splitlines()[-1] if done.stderr else ""
    return {"said": said, **json.loads(done.stdout.splitlines()[-1])}
