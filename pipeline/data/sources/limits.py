"""How much may come from outside: said before a disk is full, not after."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from yolox_core.errors import InputError

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """What no data set for a detector reaches, and a file made to do harm does."""

    files: int = 5_000_000  # Open Images has 1.9 million with boxes; a label file beside each makes 3.8
    bytes: int = 200 * GIB  # COCO 2017 has 25; more belongs in a folder, where it lies once
    ratio: int = 200  # of unpacked to packed, over the whole archive: images are packed already, JSON shrinks 20 times
    ratio_above_bytes: int = GIB // 4  # less can do no harm, whatever it was packed into
    spare_bytes: int = GIB  # left free on the disk, for what else writes there


LIMITS = Limits()
LARGER_DISK = "let data/ be a link to a larger disk"


class Budget:
    """Counts what is about to be written under `folder`, and refuses what is too much."""

    def __init__(
        self,
        folder: Path,
        where: str,
        limits: Limits = LIMITS,
        packed_bytes: int | None = None,
        if_full: str = LARGER_DISK,
    ) -> None:
        self.folder, self.where, self.limits, self.packed_bytes = folder, where, limits, packed_bytes
        self.if_full = if_full
        self.files = self.bytes = 0

    def spend(self, size: int, files: int = 1) -> None:
        """Before `size` bytes are written. InputError where they would be too many."""
        self.files += files
        self.bytes += size
        limits = self.limits
        if self.files > limits.files:
            raise InputError(f"{self.where}: expected at most {limits.files} files, got more. Name a folder instead.")
        if self.bytes > limits.bytes:
            raise InputError(
                f"{self.where}: expected at most {_gib(limits.bytes)}, got more. "
                "Bring it here yourself, and name the folder."
            )
        if self.packed_bytes is not None:
            allowed = max(limits.ratio_above_bytes, limits.ratio * self.packed_bytes)
            if self.bytes > allowed:
                raise InputError(
                    f"{self.where}: expected images, got content that unpacks to over {limits.ratio} times its size. "
                    "If it is meant so, unpack it yourself, and name the folder."
                )
        free = shutil.disk_usage(self.folder).free
        if size > free - limits.spare_bytes:
            raise InputError(
                f"{self.where}: expected room for {_gib(size)} and {_gib(limits.spare_bytes)} to spare in "
                f"{self.folder.parent}, got {_gib(free)} free. Make room, or {self.if_full}."
            )


def _gib(size: int) -> str:
    return f"{size / GIB:.3g} GiB"
