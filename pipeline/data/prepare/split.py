"""Which images train, which are held out.

A split that the data set brings is honoured where it holds something out:
  - its test images are the test split; without any, its val images are (a set of train and val means val as held out);
  - its val images (where it has test images too) are the val split if a val share is asked for, else they train;
  - where a val share is asked for and none is brought, it is carved out of train by content;
  - images of no brought split train, so that added images never change what is held out.
Otherwise each image falls by a hash of its content, so the shares are met approximately and no image changes sides when
others are added. But for two things:
  - a class whose test images would be under half or over twice the share (so that there might be none) takes the images
    that are nearest to the border, or gives them; likewise for val. It needs 3 images, and some without a rarer class.
  - small groups of pictures that copy each other fall as one, by the first of their digests.
Images of equal content stand on one side; where a brought split has them on two, the copies less held out are left out
of every split, so that the test split stays what the data set says.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from pipeline.data.checks.duplicate_findings import groups_of
from pipeline.data.parsing.split_names import SPLITS, held_out
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError

LARGEST_GROUP = 20  # pictures that fall as one; of a fixed camera all are alike
LARGEST_SHARE = 0.05  # of the images, in one group
_BY_SHARES = "Add images, or change data.split.test and data.split.val."
_BY_ITSELF = "The data set's own split says so: add images, or set data.split.honour to false to split it anew."
FEWEST = 3  # images of a class that is to stand on every side


def split(
    records: DatasetRecords,
    digests: Sequence[str],
    *,
    val: float,
    test: float,
    seed: int,
    honour: bool,
    alike: Sequence[Sequence[str]] = (),
) -> dict[str, list[int]]:
    """Indices of the images of train, val and test. `digests` are the images' content digests, `val` and `test`
    shares, `alike` groups of file names of pictures that copy each other. InputError where nothing would be left to
    train or to test on."""
    keys = _keys(records, digests, alike)
    brought = _brought(records) if honour else None
    sides = _by_content(records, keys, val, test, seed) if brought is None else _honoured(brought, keys, val, seed)
    return _chosen(sides, digests, _BY_SHARES if brought is None else _BY_ITSELF)


def split_fold(
    records: DatasetRecords,
    digests: Sequence[str],
    folds: int,
    fold: int,
    *,
    val: float,
    seed: int,
    alike: Sequence[Sequence[str]] = (),
) -> dict[str, list[int]]:
    """As `split`, for one run of a cross-validation: over all folds each image is tested on once, by its content.

    `val` is the share of the others that is validated on. InputError where nothing would be left.
    """
    sides = []
    for key in _keys(records, digests, alike):
        if int(position(key, seed) * folds) == fold:
            sides.append("test")
        else:  # drawn apart from the fold, which would leave none in some
            sides.append("val" if position(key, seed + 1) < val else "train")
    return _chosen(sides, digests)


def _keys(records: DatasetRecords, digests: Sequence[str], alike: Sequence[Sequence[str]]) -> list[str]:
    """By what each image falls: its digest, or the first of its group's."""
    content = {record.file_name: digest for record, digest in zip(records.images, digests, strict=True)}
    most = min(LARGEST_GROUP, math.floor(LARGEST_SHARE * len(digests)))
    own = [[content[name] for name in group if name in content] for group in alike]
    first: dict[str, str] = {}
    for together in groups_of([(group[0], digest) for group in own for digest in group]):
        if len(together) <= most:
            first |= dict.fromkeys(together, together[0])
    return [first.get(digest, digest) for digest in digests]


def _chosen(sides: list[str], digests: Sequence[str], advice: str = _BY_SHARES) -> dict[str, list[int]]:
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
                f"({len(set(digests))} different). {advice}"
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


def _by_content(records: DatasetRecords, keys: Sequence[str], val: float, test: float, seed: int) -> list[str]:
    at = {key: position(key, seed) for key in keys}
    side = {key: "test" if at[key] < test else "val" if at[key] < test + val else "train" for key in at}
    if len(at) > 1:
        # few images may leave a side empty; then the nearest content takes it, though more images may give it back
        if test > 0 and "test" not in side.values():
            side[min(at, key=at.__getitem__)] = "test"
        if "train" not in side.values():
            side[max(at, key=at.__getitem__)] = "train"
        _show_every_class(side, sorted(at, key=at.__getitem__), _classes(records, keys), {"test": test, "val": val})
    return [side[key] for key in keys]


def _classes(records: DatasetRecords, keys: Sequence[str]) -> dict[str, set[str]]:
    """The names of the classes that each key's images show."""
    names = records.class_names
    shown: dict[str, set[str]] = defaultdict(set)
    for key, record in zip(keys, records.images, strict=True):
        shown[key] |= {names[label] for label in set(record.objects.without_crowds.labels_G.tolist())}
    return shown


def _show_every_class(
    side: dict[str, str], keys: Sequence[str], shown: Mapping[str, set[str]], shares: Mapping[str, float]
) -> None:
    """Move keys, in the order of their positions, until each class has between half and twice its share on a side.

    The rarest class first. Later ones move only keys without a rarer class, so that what was reached stays.
    """
    holders: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        for name in shown[key]:
            holders[name].append(key)
    done: set[str] = set()
    for name in sorted(holders, key=lambda name: (len(holders[name]), name)):
        own = holders[name]
        free = [key for key in own if not shown[key] & done]
        if len(own) < FEWEST:
            continue
        done.add(name)
        wanted = {to: share * len(own) for to, share in shares.items() if share > 0}
        for to, count in wanted.items():
            most = min(max(1, math.floor(2 * count)), len(own) - len(wanted))  # leaves one for each other side
            surplus = sum(side[key] == to for key in own) - most
            _move(side, [key for key in reversed(free) if side[key] == to], surplus, "train")
        for to, count in wanted.items():
            missing = max(1, math.floor(count / 2)) - sum(side[key] == to for key in own)
            spare = sum(side[key] == "train" for key in own) - 1
            _move(side, [key for key in free if side[key] == "train"], min(missing, spare), to)


def _move(side: dict[str, str], keys: Sequence[str], count: int, to: str) -> None:
    for key in keys[: max(0, count)]:
        side[key] = to


def _furthest(sides: list[str], digests: Sequence[str]) -> dict[str, str]:
    """The side of each content that is held out furthest."""
    furthest: dict[str, str] = {}
    for side, digest in zip(sides, digests, strict=True):
        if held_out(side) >= held_out(furthest.get(digest, "train")):
            furthest[digest] = side
    return furthest
