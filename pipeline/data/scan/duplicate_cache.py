"""All pairs of a data set's pictures, of which only those are compared that were not before.

A picture whose side of the split, and whose order among the others, are as they were copies the same earlier ones as
before, unless one of these went or a new one is near it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from io import BytesIO

import numpy as np

from pipeline.data.parsing.gc_pause import gc_paused
from pipeline.data.scan.near_duplicates import SIDE, Alike, Likenesses, Rows, Search, Thumb

MOST_NEW = 1 / 8  # of the pictures; to compare more than a few with all takes as long as all with each other
KEY = 16  # bytes
DIGEST = sha256().digest_size


@dataclass(frozen=True)
class Pair:
    """Two pictures, by their places; `second` is the later one."""

    first: int
    second: int
    likeness: float  # correlation
    mirrored: bool


@dataclass(frozen=True)
class DuplicateCache:
    """What a comparison found; rows count pictures that could be opened."""

    keys: Sequence[bytes]  # a digest of each picture and its side
    alike: Likenesses

    def to_bytes(self) -> bytes:
        """A digest, then NumPy's .npz."""
        halves = [half for both in self.alike.values() for half in both]
        likest = [half.likest or (-1, 0.0, False) for half in halves]
        file = BytesIO()
        np.savez(
            file,
            keys=np.frombuffer(b"".join(self.keys), np.uint8),
            rows=np.array(list(self.alike), np.int64),
            ends=np.cumsum([len(half.others) for half in halves], dtype=np.int64),
            others=np.concatenate([np.zeros(0, np.int64), *[half.others for half in halves]]),
            first=np.array([first for first, _, _ in likest], np.int64),
            likeness=np.array([likeness for _, likeness, _ in likest], np.float64),
            mirrored=np.array([mirrored for _, _, mirrored in likest], np.bool_),
        )
        return sha256(file.getvalue()).digest() + file.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "DuplicateCache":
        """What `to_bytes` wrote; ValueError where it is damaged."""
        digest, content = data[:DIGEST], data[DIGEST:]
        if sha256(content).digest() != digest:
            raise ValueError(f"expected a comparison of {len(data)} bytes, got one that was changed")
        with np.load(BytesIO(content), allow_pickle=False) as stored:
            columns = {name: stored[name] for name in stored.files}
        keys, ends = columns["keys"].tobytes(), columns["ends"].tolist()
        likest = zip(*(columns[name].tolist() for name in ("first", "likeness", "mirrored")), strict=True)
        halves = [
            Alike(columns["others"][start:end], found if found[0] >= 0 else None)
            for start, end, found in zip([0, *ends], ends, likest, strict=False)
        ]
        alike = dict(zip(columns["rows"].tolist(), zip(halves[::2], halves[1::2], strict=True), strict=True))
        return DuplicateCache([keys[at : at + KEY] for at in range(0, len(keys), KEY)], alike)


@gc_paused()
def pairs(
    thumbs: Sequence[Thumb], sides: Sequence[str | None] | None = None, before: DuplicateCache | None = None
) -> tuple[list[Pair], DuplicateCache]:
    """Of each picture that copies an earlier one the likest of those, and the likest on another side of the split.

    At most two for a picture, since of a fixed camera's pictures all are alike; `sides` None: all are on one side.
    Pictures without pixels are left out. `before` is what an earlier call handed back; it is handed back itself where
    nothing has changed. Where the order has, or more than a few pictures, all are compared.
    """
    place_N = np.array([at for at, one in enumerate(thumbs) if one.size], np.int64)
    rows = [np.zeros((0, SIDE), np.uint8), *[thumbs[at] for at in place_N]]
    pictures_N = np.concatenate(rows).reshape(-1, SIDE, SIDE)
    side_N = np.array([str(sides[at]) if sides is not None else "" for at in place_N], np.str_)
    keys = [
        blake2b(picture.tobytes() + side.encode(), digest_size=KEY).digest()
        for picture, side in zip(pictures_N, side_N.tolist(), strict=True)
    ]
    if before is not None and before.keys == keys:
        compared = before
    else:
        compared = DuplicateCache(keys, _again(Search(pictures_N, side_N), keys, before) if keys else {})
    found = [(row, half.likest) for row, halves in sorted(compared.alike.items()) for half in halves]
    return [
        Pair(int(place_N[likest[0]]), int(place_N[row]), *likest[1:]) for row, likest in found if likest is not None
    ], compared


def _again(search: Search, keys: Sequence[bytes], before: DuplicateCache | None) -> Likenesses:
    """What each row may copy; of those where nothing has changed it is taken from `before`."""
    rows = np.arange(len(keys))
    old_N = None if before is None else _kept(before.keys, keys)
    if before is None or old_N is None:
        return search.alike(rows)
    new_of_old = np.full(len(before.keys), -1, np.int64)
    new_of_old[old_N[old_N >= 0]] = np.flatnonzero(old_N >= 0)
    changed_N = (old_N < 0) | search.near(np.flatnonzero(old_N < 0))
    alike: Likenesses = {}
    for old, halves in before.alike.items():
        row = int(new_of_old[old])
        if row < 0 or changed_N[row]:
            continue
        if any((new_of_old[half.others] < 0).any() for half in halves):
            changed_N[row] = True
        else:
            alike[row] = (_moved(halves[0], new_of_old), _moved(halves[1], new_of_old))
    return alike | search.alike(np.flatnonzero(changed_N))


def _kept(old: Sequence[bytes], new: Sequence[bytes]) -> Rows | None:
    """The row each of `new` had before, -1 where it had none; None where to compare all is as well."""
    row_of = {key: row for row, key in enumerate(_numbered(old))}
    rows = np.array([row_of.get(key, -1) for key in _numbered(new)], np.int64)
    kept = rows[rows >= 0]
    return rows if len(rows) - len(kept) <= MOST_NEW * len(rows) and bool((np.diff(kept) > 0).all()) else None


def _numbered(keys: Sequence[bytes]) -> Sequence[bytes]:
    """The keys; those that occurred before with how often, so that no two are equal."""
    if len(set(keys)) == len(keys):
        return keys
    count: Counter[bytes] = Counter()
    numbered = []
    for key in keys:
        numbered.append(key + b"%d" % count[key] if count[key] else key)
        count[key] += 1
    return numbered


def _moved(half: Alike, new_of_old: Rows) -> Alike:
    likest = half.likest and (int(new_of_old[half.likest[0]]), *half.likest[1:])
    return Alike(new_of_old[half.others], likest)
