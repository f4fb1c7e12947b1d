"""What comes in several kinds stands in one list: a new kind is a file of its own, its entry there, a test and a page.

Counted are the files of both packages that name a kind in a string or import the file that is its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from pipeline.data.checks.catalog import CATALOG
from pipeline.data.formats.annotation_formats import ANNOTATION_FORMATS
from pipeline.sweep.algorithms import SEARCH_ALGORITHMS
from tests.architecture.imports import modules, own_imports, texts
from tests.architecture.test_rooms import inside
from yolox_core.export.formats import EXPORT_FORMATS

READERS = (
    "pipeline.data.coco",
    "pipeline.data.formats",
    "pipeline.data.parsing",
)  # what each may find, it names itself
ByFile = Mapping[str, Iterable[str]]  # module -> its strings, or what it imports
DEFAULT = "the default, which is no place to change for another kind"
RUNTIME = "a runtime of this name"
EVERY_RELEASE = "what every release holds"


@dataclass(frozen=True)
class OneList:
    """A list, and which files may name its members besides."""

    where: str
    members: Iterable[str]
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # member -> files that are its own
    others: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # member -> file -> why it names it


FORMATS = "pipeline.data.formats"
LISTS = {
    "annotation formats": OneList(
        "pipeline.data.formats.annotation_formats",
        ANNOTATION_FORMATS,
        own={
            **{name: (f"{FORMATS}.{name}",) for name in ("voc", "labelme", "label_studio", "cvat", "imagefolder")},
            "coco": (f"{FORMATS}.coco_folder",),
            "csv": (f"{FORMATS}.csv_table",),
            "yolo": (f"{FORMATS}.yolo", f"{FORMATS}.yolo_writer"),
        },
        others={
            "coco": {
                "pipeline.predict.outputs": "an output of predict",
                "pipeline.registry.published_weights": "starting weights of that name",
            },
            "csv": {"pipeline.predict.outputs": "an output of predict"},
        },
    ),
    "export formats": OneList(
        "yolox_core.export.formats",
        EXPORT_FORMATS,
        own={"int8": ("yolox_core.export.quantize",), "nms": ("yolox_core.export.onnx_nms",)},
        others={
            "onnx": {
                "pipeline.cli.main": DEFAULT,
                "pipeline.config.settings": EVERY_RELEASE,
                "pipeline.console.extras": "a module of this name",
                "pipeline.registry.export": EVERY_RELEASE,
                "pipeline.serving.pyfunc_model": RUNTIME,
                "yolox_core.config": RUNTIME,
                "yolox_core.export.model_cost": RUNTIME,
                "yolox_core.export.quantize": RUNTIME,
                "yolox_core.inference.onnx_runtime": RUNTIME,
                "yolox_core.inference.runtime": RUNTIME,
            },
            "openvino": {
                "yolox_core.config": RUNTIME,
                "yolox_core.inference.openvino_runtime": RUNTIME,
                "yolox_core.inference.runtime": RUNTIME,
                "yolox_core.inference.runtimes": RUNTIME,
            },
            "nms": {"yolox_core.export.comparison": "times the graph without reading an image for it"},
        },
    ),
    "search algorithms": OneList(
        "pipeline.sweep.algorithms",
        SEARCH_ALGORITHMS,
        others={
            "grid": {"pipeline.config.settings": DEFAULT},
            "random": {"pipeline.registry.model_reference": "weights that nobody trained"},
        },
    ),
    "checks": OneList(
        "pipeline.data.checks.catalog",
        CATALOG,
        others={
            "missing-image": {"pipeline.data.scan.image_scan": "a link to nowhere"},
            "unreadable-image": {"pipeline.data.scan.image_scan": "found when it is decoded"},
            "box-not-finite": {"pipeline.data.checks.doctor": "found in data that no reader of ours read"},
        },
    ),
}
MEMBERS = [(kind, member) for kind, one in LISTS.items() for member in one.members]


def places(one: OneList, member: str, named: ByFile, imported: ByFile) -> set[str]:
    """The files that name the member or import what is its own, but for its own; readers of formats count as one."""
    own = one.own.get(member, ())
    found = {name for name, words in named.items() if member in words}
    found |= {name for name, targets in imported.items() if set(targets) & set(own)}
    found -= set(own)
    if one.members is CATALOG:
        found = {"the readers" if inside(name, READERS) else name for name in found}
    return found


def of_the_tree() -> tuple[dict[str, Iterable[str]], dict[str, Iterable[str]]]:
    return {name: texts(name) for name in modules()}, {name: own_imports(name) for name in modules()}


def too_many(kind: str, member: str, named: ByFile, imported: ByFile) -> set[str]:
    """The places besides the list and those with a reason; a check also has the one that finds it."""
    one = LISTS[kind]
    beside = places(one, member, named, imported) - {one.where} - set(one.others.get(member, ()))
    return beside if kind != "checks" or len(beside) > 1 else set()


@pytest.mark.parametrize(("kind", "member"), MEMBERS)
def test_a_member_stands_in_its_list_and_its_own_file(kind: str, member: str) -> None:
    assert not too_many(kind, member, *of_the_tree()), f"derive it from {LISTS[kind].where}"


@pytest.mark.parametrize(("kind", "member"), MEMBERS)
def test_what_is_said_here_is_so(kind: str, member: str) -> None:
    """The list names its member, and so does each file that has a reason to."""
    one = LISTS[kind]
    found = places(one, member, *of_the_tree())
    assert {one.where, *one.others.get(member, ())} <= found
    assert kind != "checks" or len(found) > 1, "nobody finds it"


@pytest.mark.parametrize(
    ("kind", "member", "word", "target"),
    [
        ("annotation formats", "labelme", "labelme", ""),
        ("annotation formats", "labelme", "", "pipeline.data.formats.labelme"),
        ("export formats", "int8-openvino", "int8-openvino", ""),
        ("export formats", "int8", "", "yolox_core.export.quantize"),
        ("search algorithms", "tpe", "tpe", ""),
        ("checks", "image-rotated", "image-rotated", ""),
    ],
)
def test_a_second_place_is_found(kind: str, member: str, word: str, target: str) -> None:
    named, imported = of_the_tree()
    named["pipeline.reports.page"] = {word}
    imported["pipeline.reports.page"] = {target}
    assert "pipeline.reports.page" in too_many(kind, member, named, imported)
