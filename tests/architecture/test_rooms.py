"""Who may import whom: rooms stand on floors, doors are entered by nobody, and each vendor has its files.

A rule is a function from imports to violations, so that every rule is tried on a planted violation too.
"""

import sys
from collections.abc import Callable, Iterable, Mapping

import pytest

from tests.architecture.imports import closure, imports, modules, own_imports

Imports = Mapping[str, Iterable[str]]  # module -> what it imports

# Rooms from the ground up. A file imports from its own room and from lower floors.
CORE = {
    "config": 1,
    "structures": 1,
    "errors": 1,
    "collectives": 1,
    "cpus": 1,
    "atomic_files": 1,
    "ops": 2,
    "data": 2,
    "model": 2,
    "loss": 3,
    "inference": 3,
    "evaluation": 4,
    "export": 4,
    "training": 5,
    "_renamed": 6,  # until the next release
}
PIPELINE = {
    "config": 1,
    "console": 1,
    "cluster": 1,
    "data": 2,
    "registry": 3,
    "reports": 3,
    "predict": 4,
    "serving": 4,
    "training": 4,
    "sweep": 5,
    "study": 5,
    "stages": 6,
    "cli": 7,
}
DATA = {  # within pipeline/data
    "parsing": 1,
    "coco": 2,
    "scan": 2,
    "synthetic": 3,
    "checks": 3,
    "formats": 4,
    "prepare": 4,
    "sources": 5,
}
GROUND = 1  # the files of the core's lowest floor may import each other
FLOORS = {"yolox_core": CORE, "pipeline": PIPELINE, "pipeline.data": DATA}

# Doors parse what was asked for and call a room; nothing imports from them, but the command line runs the stages.
DOORS = {"pipeline.cli": (), "pipeline.stages": ("pipeline.cli",)}

# vendor -> the only files and rooms that may import it
VENDORS = {
    "ray": (
        "pipeline.cluster",
        "pipeline.serving.deployment",
        "pipeline.study.ray_executor",
        "pipeline.sweep.ray_tune",
        "pipeline.sweep.tune_search",
        "pipeline.training.checkpoint_upload",
        "pipeline.training.prometheus",
        "pipeline.training.ray_train",
        "pipeline.training.worker",
    ),
    "grpc": ("pipeline.cluster.ray_address",),
    "mlflow": ("pipeline.registry", "pipeline.serving.pyfunc_model", "pipeline.study.mlflow_import"),
    "sqlalchemy": ("pipeline.registry.store",),
    "dvc": ("pipeline.data.sources.remote", "pipeline.registry.dvc_cache", "pipeline.registry.dvc_remote"),
    "fsspec": (
        "pipeline.data.sources.remote",
        "pipeline.cluster.store",
        "pipeline.training.node_image_cache",
    ),
    "torch.distributed": ("yolox_core.collectives",),
    "albumentations": ("yolox_core.data.albumentations",),
    "pycocotools": ("yolox_core.evaluation", "pipeline.data.coco.segmentation"),
    "faster_coco_eval": ("yolox_core.evaluation.coco",),
    "safetensors": ("yolox_core.model.weights",),
    "onnx": ("yolox_core.export",),
    "onnxruntime": ("yolox_core.inference.onnx_runtime", "yolox_core.export.quantize"),
    "openvino": ("yolox_core.inference.openvino_runtime",),
    "scipy": ("pipeline.study.analysis", "pipeline.sweep.selection", "yolox_core.export.comparison"),
    "ijson": ("pipeline.data.coco.json_stream",),
    "orjson": ("pipeline.data.coco.coco",),
    "pyarrow": ("pipeline.data.coco.columns", "pipeline.training.checkpoint_upload"),
    "pandas": ("pipeline.serving.pyfunc_model",),
    "threadpoolctl": ("pipeline.data.scan.near_duplicates",),
    "PIL": ("pipeline.data.scan.image_metadata", "pipeline.predict.pillow_images", "pipeline.predict.predictor"),
    "supervision": ("yolox_core.structures",),
    "fastapi": ("pipeline.serving",),
    "starlette": ("pipeline.serving",),
    "uvicorn": ("pipeline.serving.uvicorn_server",),
    "prometheus_client": ("pipeline.serving.prometheus",),
    "typer": ("pipeline.cli.command_list", "pipeline.cli.main"),
    "psutil": ("pipeline.cli.repro",),
    "rich": ("pipeline.cli", "pipeline.console", "pipeline.training.progress"),
    "jinja2": ("pipeline.reports.page",),
    "matplotlib": ("pipeline.reports.plots",),
    "yaml": (
        "pipeline.cli.init",
        "pipeline.config",
        "pipeline.data.parsing.yaml_text",
        "pipeline.predict.folder_outputs",
        "pipeline.registry.dvc_cache",
        "pipeline.registry.dvc_remote",
        "pipeline.sweep",
    ),
    "ruamel": ("pipeline.config.yaml_editor", "pipeline.cli.upgrade"),
    "filelock": (
        "pipeline.training.run_lock",
        "pipeline.data.sources.cache",
        "pipeline.registry.model_cache",
        "pipeline.registry.published_weights",
    ),
    "markupsafe": ("pipeline.reports.page", "pipeline.sweep.report"),
    "fastapi_offline": ("pipeline.serving.app",),
}

EVERYWHERE = ("torch", "numpy", "cv2")  # of the core's four; what they compute with


def inside(name: str, places: Iterable[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def room_of(name: str, package: str) -> str:
    """The room below `package` that `name` lies in; empty for the package's own file."""
    return name.removeprefix(package).lstrip(".").split(".")[0]


def upward(package: str, imported: Imports) -> list[str]:
    """Imports within `package` that do not go down, and rooms without a floor."""
    floors, found = FLOORS[package], []
    for name, targets in imported.items():
        if not name.startswith(f"{package}."):
            continue  # the package's own file gathers public names from every floor
        room = room_of(name, package)
        for target in targets:
            if not inside(target, [package]) or not {room, room_of(target, package)} <= set(floors):
                continue
            to_room = room_of(target, package)
            floor, to_floor = floors[room], floors[to_room]
            ground = floor == to_floor == GROUND and package == "yolox_core"
            if room != to_room and not ground and to_floor >= floor:
                found.append(f"{name} (floor {floor}) imports {target} (floor {to_floor})")
    return found


def core_needs_pipeline(imported: Imports) -> list[str]:
    """Imports of the product by the detector."""
    return [
        f"{name} imports {target}"
        for name, targets in imported.items()
        for target in targets
        if inside(name, ["yolox_core"]) and inside(target, ["pipeline"])
    ]


def entered(imported: Imports) -> list[str]:
    """Imports from a door by whoever may not."""
    return [
        f"{name} imports {target}, which is a door: move what it needs into a room"
        for name, targets in imported.items()
        for target in targets
        for door, allowed in DOORS.items()
        if inside(target, [door]) and target != door and not inside(name, [door, *allowed])
    ]


def misplaced(imported: Imports) -> list[str]:
    """Imports of a vendor by a file that is not one of its own."""
    return [
        f"{name} imports {target}: {vendor} belongs in {', '.join(places)}"
        for name, targets in imported.items()
        for target in targets
        for vendor, places in VENDORS.items()
        if inside(target, [vendor]) and not inside(name, places)
    ]


def without_floor(imported: Imports) -> list[str]:
    """Rooms that no table knows."""
    return [
        f"{name}: a new room: its floor stands here and in docs/architecture.md"
        for package, floors in FLOORS.items()
        for name in imported
        if name.startswith(f"{package}.") and room_of(name, package) not in floors
    ]


def loose(imported: Imports) -> list[str]:
    """Files of pipeline/ that lie in no room; a room is imported by the name of its folder."""
    rooms = {f"pipeline.{room}" for room in PIPELINE}
    return [
        f"{name}: a file belongs into a room"
        for name in imported
        if name.startswith("pipeline.") and name.count(".") == 1 and name not in rooms
    ]


def unlisted(imported: Imports) -> list[str]:
    """Third parties without their place in the table, but for those that every file of both packages may import."""
    known = {*VENDORS, *EVERYWHERE, *FLOORS, *sys.stdlib_module_names}
    return [
        f"{name} imports {target}: name its files in VENDORS"
        for name, targets in imported.items()
        for target in targets
        if target.split(".")[0] not in known
    ]


def package_itself(imported: Imports) -> list[str]:
    """Imports of public names by the package's own files."""
    return [
        f"{name} imports {target} itself: import from the file that defines it"
        for name, targets in imported.items()
        for target in targets
        if target in ("yolox_core", "pipeline") and name != target
    ]


def circles(imported: Imports) -> list[str]:
    """Imports that come back to where they began."""
    done: set[str] = set()
    found: list[str] = []

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            for target in sorted(imported.get(name, ())):
                visit(target, [*trail, name])
            done.add(name)

    for name in imported:
        visit(name, [])
    return found


RULES: dict[str, tuple[Callable[[Imports], list[str]], Imports]] = {  # rule, and a violation that it must find
    "the core's rooms import downwards": (
        lambda imported: upward("yolox_core", imported),
        {"yolox_core.model.head": ["yolox_core.training.engine"]},
    ),
    "the core's rooms of one floor know nothing of each other": (
        lambda imported: upward("yolox_core", imported),
        {"yolox_core.data.loader": ["yolox_core.model.yolox"]},
    ),
    "pipeline's rooms import downwards": (
        lambda imported: upward("pipeline", imported),
        {"pipeline.config.settings": ["pipeline.registry.store"]},
    ),
    "the data rooms import downwards": (
        lambda imported: upward("pipeline.data", imported),
        {"pipeline.data.parsing.text": ["pipeline.data.formats.voc"]},
    ),
    "the core does not know the pipeline": (core_needs_pipeline, {"yolox_core.errors": ["pipeline.config.paths"]}),
    "nothing imports from a command": (entered, {"pipeline.sweep.search": ["pipeline.cli.doctor"]}),
    "nothing imports from a stage": (entered, {"pipeline.serving.app": ["pipeline.stages.train"]}),
    "a vendor is imported in its files only": (misplaced, {"pipeline.reports.page": ["mlflow.pyfunc"]}),
    "no file imports its own package": (package_itself, {"yolox_core.loss.simota": ["yolox_core"]}),
    "every room has a floor": (without_floor, {"pipeline.data.attic.old": []}),
    "pipeline has no loose file": (loose, {"pipeline.utils": []}),
    "every vendor is placed": (unlisted, {"pipeline.reports.page": ["requests"]}),
    "no circles": (circles, {"pipeline.a": ["pipeline.b"], "pipeline.b": ["pipeline.a"]}),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: str) -> None:
    violations, _ = RULES[rule]
    ours: Callable[[str], Iterable[str]] = imports if violations in (misplaced, unlisted) else own_imports
    assert not violations({name: ours(name) for name in modules()})


@pytest.mark.parametrize("rule", RULES)
def test_a_violation_is_found(rule: str) -> None:
    violations, planted = RULES[rule]
    assert violations(planted)


@pytest.mark.parametrize("package", FLOORS)
def test_every_floor_has_its_room(package: str) -> None:
    rooms = {room_of(name, package) for name in modules() if name.startswith(f"{package}.")}
    assert set(FLOORS[package]) <= rooms, "a room went: take it out here and in docs/architecture.md"


def test_every_vendor_is_used_where_the_table_says() -> None:
    places = {(vendor, place) for vendor, named in VENDORS.items() for place in named}
    used = {
        (vendor, place)
        for vendor, place in places
        for name in modules()
        if inside(name, [place]) and any(inside(target, [vendor]) for target in imports(name))
    }
    assert used == places


def test_imports_are_read_from_functions_too() -> None:
    """The reader itself: without it every rule here would pass on an empty list."""
    assert "yolox_core.errors" in own_imports("yolox_core.config")
    assert {"pipeline.config.paths", "yolox_core.config"} <= own_imports("pipeline.config.settings")
    assert {"yolox_core.errors", "pipeline.config.settings", "yolox_core.config"} <= closure(
        "pipeline.stages.entrypoint"
    )
