"""The rooms of this project as a table: how many, on how many floors, and the imports between them.

    python -m tests.architecture.rooms_table [FOLDER]

FOLDER is another checkout to measure. A room is a folder or a loose file of a package, but for the package's own
(`__init__.py`, and what begins with an underscore); an arrow is an import of one room by another. Upward are the fewest
arrows without which nothing goes in a circle; floors are the longest way down along the others. docs/architecture.md
shows the table of this tree beside that of the tree before its rooms.
"""

import sys
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from tests.architecture import imports as reader

Arrows = frozenset[tuple[str, str]]
DATA = ("pipeline.data", "yolox_core.datasets")  # where readers, checks and splits lie, now and before


def rooms(package: str) -> set[str]:
    """The rooms of a package."""
    return {room for name in reader.modules() if (room := _room(name, package))}


def arrows(package: str) -> Arrows:
    """Who imports whom, room by room, within a package."""
    pairs = {
        (_room(name, package), _room(target, package))
        for name in reader.modules()
        for target in reader.own_imports(name)
    }
    return frozenset((source, target) for source, target in pairs if source and target and source != target)


def upward(found: Arrows) -> Arrows:
    """The fewest arrows without which there is no circle; of equal choices the first by name."""
    circular = sorted(arrow for arrow in found if arrow[0] in _below(arrow[1], found))
    for count in range(len(circular) + 1):
        for some in combinations(circular, count):
            if _is_downward(found - frozenset(some)):
                return frozenset(some)
    raise AssertionError("without its circular arrows nothing is circular")


def floors(names: Iterable[str], found: Arrows) -> int:
    """Rooms on the longest way along the arrows, of which none may be circular."""

    def height(room: str) -> int:
        return 1 + max((height(target) for source, target in found if source == room), default=0)

    return max(map(height, names), default=0)


def row(package: str) -> str:
    """One line of the table."""
    found = arrows(package)
    up = upward(found)
    names = rooms(package)
    return f"| `{package.replace('.', '/')}` | {len(names)} | {floors(names, found - up)} | {len(found)} | {len(up)} |"


def _room(name: str, package: str) -> str:
    """The room that a module lies in; empty where it lies in none of this package."""
    room = name.removeprefix(f"{package}.").split(".")[0] if name.startswith(f"{package}.") else ""
    return "" if room.startswith("_") else room


def _below(room: str, found: Arrows) -> set[str]:
    """All rooms that can be reached along the arrows, the room itself included."""
    seen: set[str] = set()
    waiting = [room]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += [target for source, target in found if source == current]
    return seen


def _is_downward(found: Arrows) -> bool:
    return not any(source in _below(target, found) for source, target in found)


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 1:
        reader.ROOT = Path(sys.argv[1]).resolve()  # before anything is read: the reader remembers
    data = next(package for package in DATA if package in reader.modules())
    print("| | rooms | floors | arrows | upward |", "|---|---:|---:|---:|---:|", sep="\n")
    for package in ("yolox_core", "pipeline", data):
        print(row(package))


if __name__ == "__main__":
    main()
