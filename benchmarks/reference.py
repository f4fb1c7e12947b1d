"""The code to compare with: an unmodified checkout of Megvii-BaseDetection/YOLOX, given by --reference.

Besides what this project installs it imports loguru, tabulate and thop: `pip install --no-deps loguru tabulate thop`.
"""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

from yolox_core.errors import InputError

MISSING = "the reference cannot be imported ({}). It needs: pip install --no-deps loguru tabulate thop"


def use(checkout: Path) -> str:
    """Make `import yolox` find the checkout; its commit. InputError where it is none, or cannot be imported."""
    if not (checkout / "yolox" / "models" / "yolo_head.py").is_file():
        raise InputError(f"--reference {checkout}: expected a checkout of Megvii-BaseDetection/YOLOX.")
    sys.path.insert(0, str(checkout.resolve()))
    try:
        import_module("yolox.models")
    except ImportError as missing:
        raise InputError(f"--reference {checkout}: {MISSING.format(missing)}") from missing
    git = subprocess.run(
        ["git", "-C", str(checkout), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return git.stdout.strip() or "unknown commit"
