"""What one task of a Label Studio export says: which image it is of, and the regions that a person drew.

JSON holds `data` and a list of annotations with their results; JSON_MIN is one flat object for each annotation, its
regions under the names of the labelling interface.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.data.parsing.image_match import UPLOADED

# regions that are no box, and cannot be put into one without their pixels
NO_BOXES = frozenset({"brushlabels", "brush", "keypointlabels", "keypoint", "vectorlabels", "vector"})
_LABEL_KEYS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")


@dataclass(frozen=True)
class Region:
    """One region: its place in percent, the size of its image, the labels on it."""

    number: int
    value: Mapping[str, Any]
    size: tuple[object, object]  # (height, width) px as written
    labels: tuple[object, ...]
    kind: str = ""  # the result's `type`
    score: object = None  # of a model, where one drew it


def is_task(entry: object) -> bool:
    """Whether an entry of a list is a task, in either form."""
    if not isinstance(entry, dict):
        return False
    return isinstance(entry.get("data"), dict) or "annotation_id" in entry or "annotator" in entry


def image_candidates(task: Mapping[str, Any]) -> list[str]:
    """Names by which the task's image may lie in the folder, the surest first."""
    inner = task.get("data")
    data = inner if isinstance(inner, dict) else task
    values = [data.get("image"), *(value for key, value in data.items() if key != "image"), task.get("file_upload")]
    names = [name for value in values if isinstance(value, str) for name in _names(value)]
    bases = [UPLOADED.sub("", PurePosixPath(name).name) for name in names]
    return list(dict.fromkeys([*names, *bases]))


def chosen_annotation(task: Mapping[str, Any]) -> tuple[list[Any] | None, int]:
    """The results of the annotation that counts, None where no person made one; and how many there were.

    Predictions and cancelled annotations do not count. Of several the ground truth counts, else the first.
    """
    if not isinstance(task.get("data"), dict):
        return _flat_results(task), 1
    given = task.get("annotations", task.get("completions"))
    made = [entry for entry in given if _is_made(entry)] if isinstance(given, list) else []
    made.sort(key=lambda entry: entry.get("ground_truth") is not True)  # stable: the first stays first
    return (made[0]["result"] if made else None), len(made)


def regions(results: list[Any]) -> Iterator[Region]:
    """The regions of an annotation. Of a shape and a label in two results of one id, that with the label counts."""
    labelled = {_id(result) for result in results if isinstance(result, dict) and _labels(result)} - {None}
    for number, result in enumerate(results, 1):
        value = result.get("value") if isinstance(result, dict) else None
        kind = str(result.get("type", "")).lower() if isinstance(result, dict) else ""
        if not isinstance(value, dict) or not (kind in NO_BOXES or {"x", "y"} <= set(value) or "points" in value):
            continue  # a choice, a text, a rating: says nothing of a place
        labels = _labels(result)
        if not labels and _id(result) in labelled:
            continue
        size = (result.get("original_height"), result.get("original_width"))
        yield Region(number, value, size, labels, kind, result.get("score"))


def _names(value: str) -> list[str]:
    """The file names that an address may mean: s3://bucket/a.jpg, /data/upload/1/a.jpg, /data/local-files/?d=a.jpg."""
    try:
        parts = urlsplit(value)
        local = parse_qs(parts.query, max_num_fields=20).get("d", [])
    except ValueError:  # no address
        return [value]
    return [*local, unquote(parts.path).lstrip("/"), value] if parts.path else [*local, value]


def _is_made(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("result"), list):
        return False
    return not entry.get("was_cancelled") and not entry.get("skipped")


def _flat_results(task: Mapping[str, Any]) -> list[Any]:
    """JSON_MIN's regions in the form of results; its sizes stand in the region itself."""
    found = []
    for value in task.values():
        for region in value if isinstance(value, list) else []:
            if isinstance(region, dict):
                found.append({**region, "value": region, "id": None})
    return found


def _labels(result: Mapping[str, Any]) -> tuple[object, ...]:
    value = result.get("value")
    given = [value.get(key) for key in _LABEL_KEYS] if isinstance(value, dict) else []
    return next((tuple(labels) for labels in given if labels and isinstance(labels, list)), ())


def _id(result: Mapping[str, Any]) -> str | None:
    value = result.get("id")
    return value if isinstance(value, str) else None
