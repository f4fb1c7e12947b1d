"""Which images train, which are held out.

A split that the data set brings is honoured where it holds something out:
  - its test images are the test split; without any, its val images are (a set of train and val means val as held out);
  - its val images (where it has test images too) are the val split if a val share is asked for, else they train;
  - where a val share is asked for and none is brought, it is carved out of train by content;
  - images of no brought split train, so that added images never change what is held out.
Otherwise each image falls by a hash of its content, so the shares are met approximately and no image ever changes
sides when others are added. Images of equal content stand on one side; where a brought split has them on two, the
copies less held out are left out of every split, so that the test split stays what the data set says.
"""

import hashlib
from collections.abc import Sequence

from yolox_core.datasets.records import DatasetRecords
from yolox_core.errors import InputError

SPLITS = ("train", "val", "test")
_HELD_OUT = {"train": 0, "val": 1, "test": 2}


def split(
    records: DatasetRecords, digests: Sequence[str], *, val: float, test: float, seed: int, honour: bool
) -> dict[str, list[int]]:
    """Indices of the images of train, val and test. `digests` are the images' content digests, `val` and `test`
    shares. InputError where nothing would be left to train or to test on."""
    brought = _brought(records) if honour else None
    return _chosen(
        _by_content(digests, val, test, seed) if brought is None else _honoured(brought, digests, val, seed), digests
    )


def split_fold(digests: Sequence[str], folds: int, fold: int, *, val: float, seed: int) -> dict[str, list[int]]:
    """As `split`, for one run of a cross-validation: over all folds each image is tested on once, by its content.

    `val` is the share of the others that is validated on. InputError where nothing would be left.
    """
    sides = []
    for digest in digests:
        if int(position(digest, seed) * folds) == fold:
            sides.append("test")
        else:  # drawn apart from the fold, which would leave none in some
            sides.append("val" if position(digest, seed + 1) < val else "train")
    return _chosen(sides, digests)


def _chosen(sides: list[str], digests: Sequence[str]) -> dict[str, list[int]]:
    """Indices by side, of images that are copies of each other only those on the side held out furthest."""
    furthest = _furthest(sides, digests)
    chosen: dict[str, list[int]] = {name: [] for name in SPLITS}
    for index, (side, digest) in enumerate(zip(sides, digests, strict=True)):
        if side == furthest[digest]:
            chosen[side].append(index)
    for name in ("train", "test"):
        if not chosen[name]:
            raise InputError(
                f"data.split: expected at least one {name} image, got none of {len(digests)} images "
                f"({len(set(digests))} different). Add images, or change data.split.test and data.split.val."
            )
    return chosen


def position(digest: str, seed: int) -> float:
    """Where an image's content falls in [0, 1), whatever else the data set holds."""
    mixed = hashlib.sha256(f"{seed}:{digest}".encode()).digest()
    return int.from_bytes(mixed[:8], "big") / 2**64


def _brought(records: DatasetRecords) -> list[str] | None:
    """The data set's own sides, with something held out as test; None where it holds nothing out."""
    own = [record.split if record.split in SPLITS else "train" for record in records.images]
    if "test" in own:
        return own
    if "val" in own:
        return ["test" if side == "val" else side for side in own]
    return None


def _honoured(brought: list[str], digests: Sequence[str], val: float, seed: int) -> list[str]:
    if val == 0:
        return ["train" if side == "val" else side for side in brought]
    if "val" in brought:
        return brought
    return [
        "val" if side == "train" and position(digest, seed) < val else side
        for side, digest in zip(brought, digests, strict=True)
    ]


def _by_content(digests: Sequence[str], val: float, test: float, seed: int) -> list[str]:
    positions = [position(digest, seed) for digest in digests]
    sides = ["test" if at < test else "val" if at < test + val else "train" for at in positions]
    if len(set(digests)) < 2:
        return sides
    # few images may leave a side empty; then the nearest content takes it, though more images may give it back
    if test > 0 and "test" not in sides:
        sides = _moved(sides, positions, min(positions), "test")
    if "train" not in sides:
        sides = _moved(sides, positions, max(positions), "train")
    return sides


def _moved(sides: list[str], positions: list[float], at: float, to: str) -> list[str]:
    return [to if own == at else side for side, own in zip(sides, positions, strict=True)]


def _furthest(sides: list[str], digests: Sequence[str]) -> dict[str, str]:
    """The side of each content that is held out furthest."""
    furthest: dict[str, str] = {}
    for side, digest in zip(sides, digests, strict=True):
        if _HELD_OUT[side] >= _HELD_OUT[furthest.get(digest, "train")]:
            furthest[digest] = side
    return furthest
