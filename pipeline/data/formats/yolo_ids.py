"""What our data.yaml carries beyond YOLO, under a key that other tools ignore: the ids of categories and images.

What a reader finds there counts only where it fits the folder: people change their folders.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from yolox_core.data.records import LARGEST_ID

KEY = "yolox"


def section(category_ids: Sequence[int], image_ids: Mapping[str, int]) -> dict[str, Any]:
    """The key's content; images go by their names from the folder of data.yaml."""
    return {"category_ids": list(category_ids), "image_ids": dict(image_ids)}


def category_ids(document: Mapping[str, Any], count: int) -> tuple[int, ...] | None:
    """The ids of `count` classes; None where data.yaml does not say one for each."""
    ids = _content(document).get("category_ids")
    if not isinstance(ids, list) or len(ids) != count or not _are_different_ids(ids, -LARGEST_ID):
        return None
    return tuple(ids)


def image_ids(name: str, document: Mapping[str, Any], images: Sequence[str]) -> dict[str, int] | None:
    """The id of each of the listed images; None where the data.yaml called `name` does not say one for each."""
    ids = _content(document).get("image_ids")
    if not isinstance(ids, dict) or not all(isinstance(key, str) for key in ids):
        return None
    home = PurePosixPath(name).parent
    placed = {os.path.normpath(home / key): value for key, value in ids.items()}
    found = {image: placed.get(image) for image in images}
    return found if _are_different_ids(list(found.values()), 0) else None  # type: ignore[return-value]  # all are ints


def _content(document: Mapping[str, Any]) -> Mapping[str, Any]:
    content = document.get(KEY)
    return content if isinstance(content, dict) else {}


def _are_different_ids(ids: list[Any], least: int) -> bool:
    are_whole = all(type(value) is int and least <= value <= LARGEST_ID for value in ids)  # True is no id
    return are_whole and len(set(ids)) == len(ids)
