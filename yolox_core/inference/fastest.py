"""Which runtime was measured to be the fastest for an exported model here: ONNX Runtime or OpenVINO.

That depends on the processor: OpenVINO ran YOLOX twice as fast as ONNX Runtime on an AMD EPYC and slower on two Xeons.
What runtime_timing.py measured is kept by processor and model in the user's cache folder, or in YOLOX_RUNTIMES.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from yolox_core.atomic_files import write_json
from yolox_core.config import EXPORTED_RUNTIMES, RuntimeName
from yolox_core.cpus import cores
from yolox_core.inference.processor import processor
from yolox_core.inference.runtime import PACKAGES, installed_runtimes

VARIABLE = "YOLOX_RUNTIMES"  # of the environment: the folder where it is kept
DEFAULT_FOLDER = "~/.cache/yolox-pipeline/runtimes"
MIN_SPEEDUP = 1.1  # over the default: less is noise

logger = logging.getLogger("yolox_core")


def fastest(onnx: Path) -> RuntimeName | None:
    """What was measured to be the fastest for the ONNX file on this processor; None where nothing was."""
    try:
        found = json.loads(_place(onnx).read_text(encoding="utf-8"))["fastest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # not measured, or a damaged file
        return None
    return found if found in EXPORTED_RUNTIMES else None


def keep(onnx: Path, milliseconds: Mapping[RuntimeName, float]) -> RuntimeName:
    """Keep what an image took in each runtime; returns the default, or the fastest that is clearly faster."""
    default, best = EXPORTED_RUNTIMES[0], min(milliseconds, key=lambda name: milliseconds[name])
    found = best if milliseconds[best] * MIN_SPEEDUP < milliseconds[default] else default
    try:
        write_json(_place(onnx), {"processor": processor(), "ms_an_image": dict(milliseconds), "fastest": found})
    except OSError as failed:
        logger.warning("%s: what was measured cannot be kept (%s). Name a folder by %s.", _folder(), failed, VARIABLE)
    return found


def _place(onnx: Path) -> Path:
    versions = [version(PACKAGES[name]) for name in installed_runtimes()]  # a newer one may be faster
    digest = hashlib.sha256(onnx.read_bytes())
    digest.update(f"\n{processor()}\n{cores()} cores\n{versions}".encode())
    return _folder() / f"{digest.hexdigest()[:32]}.json"


def _folder() -> Path:
    given = Path(os.environ.get(VARIABLE) or DEFAULT_FOLDER)
    try:
        return given.expanduser()
    except RuntimeError:  # nobody's home is known
        return given
