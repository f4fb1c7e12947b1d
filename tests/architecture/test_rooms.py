"""The house's rules of DESIGN section 2: who may import whom, and which vendor lives in which room."""

import pytest

from tests.architecture.imports import closure, imports, modules, own_imports

# vendor -> the only files and folders that may import it
ROOMS = {
    "ray": ("pipeline.distributed", "pipeline.serving"),
    "mlflow": ("pipeline.tracking", "pipeline.serving"),
    "dvc": ("pipeline",),
    "yaml": ("pipeline", "yolox_core.datasets.yaml_text"),
    "torch.distributed": ("yolox_core.collectives",),
    "albumentations": ("yolox_core.loading",),
    "pycocotools": ("yolox_core.evaluation", "yolox_core.datasets"),
    "faster_coco_eval": ("yolox_core.evaluation",),
    "safetensors": ("yolox_core.model.weights",),
    "onnx": ("yolox_core.export", "yolox_core.nms_graph", "yolox_core.quantize"),
    "onnxscript": ("yolox_core.export",),
    "onnxruntime": ("yolox_core.runtimes", "yolox_core.quantize"),
    "openvino": ("yolox_core.export", "yolox_core.runtimes"),
    "ijson": ("yolox_core.datasets.coco_document",),
    "orjson": ("yolox_core.datasets.coco",),
    "pyarrow": ("yolox_core.datasets.coco_columns",),
    "threadpoolctl": ("yolox_core.datasets.duplicates",),
    "PIL": ("yolox_core.datasets.image_facts", "pipeline"),
    "supervision": ("yolox_core.visualize", "yolox_core.predictor", "pipeline"),
    "fastapi": ("pipeline.serving",),
    "starlette": ("pipeline.serving",),
    "typer": ("pipeline",),
    "rich": ("pipeline",),
    "jinja2": ("pipeline.reports",),
    "matplotlib": ("pipeline.reports",),
}

# yolox_core from the ground up; the files of floor 1 make one room
FLOORS = {
    "config": 1,
    "structures": 1,
    "boxes": 1,
    "errors": 1,
    "anchors": 1,
    "compact": 1,
    "collectives": 1,
    "model": 2,
    "assign": 2,
    "assign_health": 2,
    "losses": 2,
    "postprocess": 2,
    "visualize": 2,
    "datasets": 2,
    "loading": 2,
    "evaluation": 3,
    "runtimes": 3,
    "quantize": 3,
    "nms_graph": 4,
    "export": 4,
    "predictor": 4,
    "train": 4,
}
NEIGHBOURS = {("loading", "datasets")}  # the one import allowed between rooms of one floor


def inside(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def room_of(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("vendor", ROOMS)
def test_a_vendor_is_imported_in_its_room_only(vendor: str) -> None:
    strays = [
        f"{name} imports {target}"
        for name in modules()
        for target in imports(name)
        if inside(target, (vendor,)) and not inside(name, ROOMS[vendor])
    ]
    assert not strays, f"{vendor} belongs in {', '.join(ROOMS[vendor])}"


def test_the_core_does_not_know_the_pipeline() -> None:
    strays = [
        f"{name} imports {target}"
        for name in modules()
        if inside(name, ("yolox_core",))
        for target in imports(name)
        if inside(target, ("pipeline",))
    ]
    assert not strays


def test_every_room_of_the_core_has_a_floor() -> None:
    rooms = {room_of(name) for name in modules() if name.startswith("yolox_core.")}
    assert rooms <= set(FLOORS), "a new room or file: give it a floor here and in docs/architecture.md"


def test_the_core_imports_downwards_only() -> None:
    strays = []
    for name in modules():
        if not name.startswith("yolox_core."):
            continue  # yolox_core/__init__.py gathers the public names from every floor
        room, floor = room_of(name), FLOORS.get(room_of(name), 0)
        for target in own_imports(name):
            if target == "yolox_core":
                strays.append(f"{name} imports yolox_core itself: import from the file that defines it")
                continue
            to_room, to_floor = room_of(target), FLOORS.get(room_of(target), 0)
            same = room == to_room or floor == to_floor == 1 or (room, to_room) in NEIGHBOURS
            if not same and to_floor >= floor:
                strays.append(f"{name} (floor {floor}) imports {target} (floor {to_floor})")
    assert not strays


def test_no_circles() -> None:
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        assert name not in trail, f"circle: {' -> '.join([*trail[trail.index(name) :], name])}"
        if name not in done:
            for target in sorted(own_imports(name)):
                if target != name:
                    visit(target, [*trail, name])
            done.add(name)

    for name in modules():
        visit(name, [])


def test_imports_are_read_from_functions_too() -> None:
    """The reader itself: without it every rule here would pass on an empty list."""
    assert "yolox_core.errors" in own_imports("yolox_core.config")
    assert {"pipeline.paths", "yolox_core.config"} <= own_imports("pipeline.settings")
    assert {"yolox_core.errors", "pipeline.settings", "yolox_core.config"} <= closure("pipeline.entry")
