"""The `yolox` command. Thin: every command imports what it needs when it is run, and calls it."""

import dataclasses
import os
import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pipeline.console.interrupts import quiet_start

with quiet_start():  # half a second in which Ctrl-C would print where the imports are
    import typer

    from pipeline import stages
    from pipeline.cli.command_list import Commands, about
    from pipeline.console.exit_codes import refusals
    from pipeline.console.process_environment import complete_environment
    from pipeline.data.formats.annotation_formats import NAMES, WRITABLE
    from yolox_core.errors import InputError
    from yolox_core.export.formats import EXPORT_FORMATS

if TYPE_CHECKING:
    from pipeline.config.settings import Settings


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Typer's own boxes would import Rich, Markdown and Pygments: as long as all the rest
    help="From annotated images to a registered, servable YOLOX detector. Run it in the project folder.",
)
ENCODING = "Encoding of texts that are not UTF-8 and do not say what they are: cp1252, gbk, ..."
FORMAT = f"Annotation format: {', '.join(NAMES[:-1])} or {NAMES[-1]}."
Model = Annotated[
    str, typer.Option("--model", help="Model: a released folder, .pt, Megvii .pth, .onnx, .xml, or models:/name@alias.")
]


def main() -> None:
    """Entry point: an input error is one line and exit code 2."""
    complete_environment()
    with refusals():
        app()


@app.command()
def doctor(
    path: Annotated[
        str | None, typer.Argument(help="Folder, archive or URL of annotated images. Default: from params.yaml.")
    ] = None,
    format: Annotated[str, typer.Option(help=FORMAT)] = "auto",
    json: Annotated[Path | None, typer.Option(help="Write the findings to this JSON file.")] = None,
    sha256: Annotated[str | None, typer.Option(help="SHA-256 of the archive. Required for http(s) URLs.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML report with images to this file.")] = None,
    fix: Annotated[Path | None, typer.Option(help="Write a repaired copy (COCO) to this new folder.")] = None,
    input_size: Annotated[
        int | None, typer.Option(help="Input size (px) to check object sizes against. Default: train.input_size.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help=ENCODING)] = None,
) -> None:
    """Check annotated images for problems. Exit code 1 with errors or warnings, 0 otherwise."""
    from pipeline.cli.doctor import Outputs, examine

    raise typer.Exit(examine(path, format, sha256, input_size, Outputs(json, html, fix), encoding))


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="Annotated images: folder, archive or URL.")],
    out: Annotated[Path, typer.Argument(help="New or empty folder for the copy.")],
    to: Annotated[str, typer.Option("--to", help=f"Format to write: {' or '.join(WRITABLE)}.")],
    format: Annotated[str, typer.Option(help=FORMAT)] = "auto",
    encoding: Annotated[str | None, typer.Option(help=ENCODING)] = None,
    sha256: Annotated[str | None, typer.Option(help="SHA-256 of the archive. Required for http(s) URLs.")] = None,
) -> None:
    """Convert annotated images to another format. Copies the images, and prints what could not be converted."""
    from pipeline.cli.convert import convert as run

    run(source, out, to, format, encoding, sha256)


@app.command()
def init(
    folder: Annotated[
        Path | None, typer.Argument(help="Project folder. Created if it does not exist. With --upgrade: [.]")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Annotated images. Default: the built-in data.")] = None,
    preset: Annotated[str | None, typer.Option(help="few-images, fine-tune or from-nothing: docs/recipes.md.")] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Update the dvc.yaml of an earlier release. Nothing else changes.")
    ] = False,
) -> None:
    """Create a project: dvc.yaml, params.yaml, and the git and DVC files. Run `yolox repro` in it next."""
    if upgrade:
        from pipeline.cli.upgrade import upgrade as run

        if data is not None or preset is not None:
            raise InputError("--upgrade: expected neither --data nor --preset: params.yaml stays as it is.")
        run(folder or Path())
        return
    from pipeline.cli.init import create

    if folder is None:
        raise InputError("FOLDER: expected the folder of the new project, got none: yolox init FOLDER.")
    create(folder, data, preset)


@app.command()
def repro(
    settings: Annotated[list[str] | None, typer.Argument(help="KEY=VALUE for params.yaml: train.epochs=20")] = None,
    data: Annotated[str | None, typer.Option(help="Annotated images, for data.source in params.yaml.")] = None,
    preset: Annotated[str | None, typer.Option(help="few-images, fine-tune or from-nothing: docs/recipes.md.")] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,  # for make
) -> None:
    """Run the whole pipeline with `dvc repro`, one run of a project at a time. Settings go into params.yaml first."""
    from pipeline.cli.repro.guarded_run import Parent

    parent = Parent() if with_parent else None  # before anything that takes time
    from pipeline.cli.repro.command import repro as run

    raise typer.Exit(run(settings or [], data or None, preset or None, parent))


def _settings() -> "Settings":
    """params.yaml of the current folder."""
    from pipeline.config.settings import load_settings

    return load_settings()


def _run(stage: str) -> None:
    """A DVC stage on the params.yaml of the current folder."""
    _run_stage(import_module(f"pipeline.stages.{stage}").run)


def _run_stage(run: Callable[["Settings"], None]) -> None:
    from pipeline.stages.entrypoint import run_stage

    run_stage(run)


@app.command()
def train(
    workers: Annotated[int | None, typer.Option(help="Ray Train workers. Default: YOLOX_WORKERS, or 1.")] = None,
    loader_workers: Annotated[
        int | None,
        typer.Option(help="Data loader processes per worker. Default: YOLOX_LOADER_WORKERS, or 0 (a thread)."),
    ] = None,
    gpu: Annotated[bool | None, typer.Option("--gpu/--cpu", help="Default: YOLOX_GPU, or a GPU if present.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster. Default: RAY_ADDRESS, or this machine.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete this run's checkpoints and start over.")] = False,
) -> None:
    """Run one DVC stage: train with Ray Train. An interrupted run resumes from its last checkpoint."""
    from pipeline.cluster.ray_cluster import ComputeConfig
    from pipeline.training import driver

    given: dict[str, Any] = {"workers": workers, "loader_workers": loader_workers, "gpu": gpu, "address": address}
    options = {name: value for name, value in given.items() if value is not None}
    compute = dataclasses.replace(ComputeConfig.from_environment(), **options)
    _run_stage(lambda settings: driver.train(settings, compute, fresh))


@app.command()
def submit(
    address: Annotated[
        str | None, typer.Option(help="Ray dashboard URL of the cluster, http://host:8265. Default: YOLOX_SUBMIT.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Without YOLOX_STORE: the project's path there. [same]")
    ] = None,
    stage: Annotated[str, typer.Option(help="train; or all: evaluate, export and register there, too.")] = "train",
) -> None:
    """Train as a job on a Ray cluster, through YOLOX_STORE or a shared folder. Reads the token from RAY_AUTH_TOKEN."""
    from pipeline.cli.submit import submit as run

    _run_stage(lambda settings: run(settings, address, workspace, stage))


@app.command()
def sweep(
    plan: Annotated[bool, typer.Option("--plan", help="Check the space and show the trials, then exit.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Write the last sweep's choice to params.yaml.")] = False,
    trials: Annotated[int | None, typer.Option(help="Trials to run concurrently. Default: YOLOX_TRIALS, or 1.")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Run as a job on the Ray cluster at YOLOX_SUBMIT.")] = False,
) -> None:
    """Search hyperparameters as `sweep` in params.yaml says. An interrupted sweep resumes."""
    from pipeline.cli.sweep import sweep as run

    run(plan, apply, trials, submit)


@app.command()
def export(
    model: Annotated[str | None, typer.Option(help="Released folder, .pt, Megvii .pth, or models:/name@alias.")] = None,
    formats: Annotated[str, typer.Option(help=f"With --model: {', '.join(EXPORT_FORMATS)}.")] = "onnx",
    output: Annotated[Path, typer.Option(help="With --model: new folder for the exported files.")] = Path("exported"),
    images: Annotated[Path | None, typer.Option(help="With --model: images to compare and calibrate on.")] = None,
) -> None:
    """Run one DVC stage: export the trained model and compare it on the test images. With --model: export any model."""
    if model is None:
        _run("export")
        return
    from pipeline.cli.export import export as run

    run(model, formats, output, images)


@app.command()
def study(
    file: Annotated[
        Path | None,
        typer.Argument(help="Study file (YAML, see docs/studies/README.md). Default: run the DVC stage on study.file."),
    ] = None,
    data: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER, for each data set of the study.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show the runs and their estimated time, then exit.")] = False,
    answer: Annotated[bool, typer.Option("--answer", help="Run nothing. Answer from existing results.")] = False,
    into_mlflow: Annotated[bool, typer.Option("--import", help="Run nothing. Import the results into MLflow.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    rows: Annotated[Path | None, typer.Option(help="File of the results. Default: runs/studies/NAME.jsonl.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the answer. Default: reports/studies/NAME.")] = None,
    at_once: Annotated[
        int | None,
        typer.Option(help="Concurrent runs, each a process with one thread. Default: YOLOX_TRIALS, or 1."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1. Default: a GPU if there is one.")] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Run with Ray Tune. Always on if RAY_ADDRESS is set.")] = False,
) -> None:
    """Run a study: compare settings over several seeds, and report the effects with confidence intervals."""
    from pipeline.study import runner as command

    if file is None:
        _run("study")
        return
    places = command.Places.of(file, rows, output)
    if plan:
        command.plan(file, places, at_once, device)
    elif answer:
        command.answer(file, places)
    elif into_mlflow:
        command.bring_into_mlflow(file, places)
    else:
        command.run(file, data or [], places, yes, at_once, device, ray)


@app.command()
def predict(
    source: Annotated[list[str], typer.Argument(help="Images, folders, quoted globs, videos, or camera:0.")],
    model: Model,
    conf: Annotated[float, typer.Option(help="Score threshold, 0 to 1.")] = 0.25,
    iou: Annotated[float, typer.Option(help="IoU threshold of non-maximum suppression, 0 to 1.")] = 0.65,
    json: Annotated[Path | None, typer.Option(help="Write detections as JSON: COCO results plus names.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write detections as CSV, one row each.")] = None,
    coco: Annotated[Path | None, typer.Option(help="Write images and detections as a COCO data set.")] = None,
    labels: Annotated[Path | None, typer.Option(help="New folder for YOLO labels and links to the images.")] = None,
    crops: Annotated[Path | None, typer.Option(help="New folder for a crop of each object, by class.")] = None,
    save_dir: Annotated[Path | None, typer.Option(help="Folder for images and videos with boxes drawn.")] = None,
    slice: Annotated[bool, typer.Option("--slice", help="Sliced inference: predict on overlapping tiles.")] = False,
    slice_size: Annotated[int | None, typer.Option(help="Tile size (px). Default: the model's input size.")] = None,
    overlap: Annotated[float | None, typer.Option(help="Overlap of neighboring tiles as a fraction. [0.2]")] = None,
    every: Annotated[int, typer.Option(help="Process every n-th frame of a video or camera.")] = 1,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds of a video or camera.")] = None,
    runtime: Annotated[
        str, typer.Option(help="auto, onnx, openvino or torch. auto: the fastest measured here, or onnx.")
    ] = "auto",
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print one line per image, even for more than 20.")
    ] = False,
) -> None:
    """Detect objects in images, videos and cameras. Ctrl-C stops and keeps the results so far."""
    from pipeline.cli.predict import Request, Slicing
    from pipeline.cli.predict import predict as run
    from pipeline.predict.outputs import Outputs
    from pipeline.predict.stream import Stretch

    is_sliced = slice or slice_size is not None or overlap is not None
    tiles = Slicing(slice_size, 0.2 if overlap is None else overlap) if is_sliced else None
    outputs = Outputs(json, csv, coco, labels, crops, save_dir)
    raise typer.Exit(run(Request(source, model, conf, iou, runtime, tiles, Stretch(every, seconds), outputs, verbose)))


@app.command()
def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="Address to listen on. 0.0.0.0 for all interfaces.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    runtime: Annotated[str, typer.Option(help="Runtime: auto, onnx, openvino or torch.")] = "auto",
    device: Annotated[str, typer.Option(help="Device: cpu, or cuda with PyTorch.")] = "cpu",
    workers: Annotated[int, typer.Option(help="Processes on this machine, each with a model of its own.")] = 1,
    threads: Annotated[int | None, typer.Option(help="CPU cores per process. Default: all; 1 on a cluster.")] = None,
    watch_s: Annotated[float, typer.Option(help="Seconds between checks whether the alias has moved.")] = 10.0,
    max_mib: Annotated[float, typer.Option(help="Maximum request size (MiB).")] = 20.0,
    max_megapixels: Annotated[float, typer.Option(help="Maximum image size (megapixels).")] = 50.0,
    total_megapixels: Annotated[float, typer.Option(help="Megapixels of concurrent images. More: 503.")] = 200.0,
    queue: Annotated[int, typer.Option(help="Concurrent requests per process. More are answered 503.")] = 64,
    ray: Annotated[bool, typer.Option("--ray", help="Use Ray Serve on this machine.")] = False,
    replicas: Annotated[int, typer.Option(help="Replicas of Ray Serve. More than 1 implies --ray.")] = 1,
    address: Annotated[str | None, typer.Option(help="Ray cluster to use Ray Serve on. Default: RAY_ADDRESS.")] = None,
) -> None:
    """Serve a model over HTTP, with uvicorn or Ray Serve. Requires the token YOLOX_SERVE_TOKEN from clients if set."""
    from pipeline.serving.options import Options
    from pipeline.serving.server import Placement
    from pipeline.serving.server import serve as run

    at = Placement(host, port, workers, address or os.environ.get("RAY_ADDRESS") or None, replicas, ray)
    cores = threads if threads is not None else at.default_threads()
    run(Options(model, runtime, device, replicas, cores, watch_s, max_mib, max_megapixels, total_megapixels, queue), at)


@app.command()
def runs(
    clean: Annotated[bool, typer.Option("--clean", help="Remove runs that nothing refers to.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """List the runs under runs/: progress, references and disk usage."""
    from pipeline.cli.runs import runs as run

    run(clean, yes)


Name = Annotated[str | None, typer.Option("--name", help="Registered model. Default: registry.name of params.yaml.")]


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Version number, or an alias such as challenger.")],
    name: Name = None,
    if_cheaper: Annotated[
        bool, typer.Option("--if-cheaper", help="Also promote if it needs fewer FLOPs and loses at most 0.01 mAP.")
    ] = False,
) -> None:
    """Make a version the champion if it is better on the champion's test images. Exit code 2 if it is not."""
    from pipeline.cli.promote import promote as run

    run(version, name, if_cheaper)


@app.command()
def rollback(name: Name = None) -> None:
    """Make the previous champion the champion again."""
    from pipeline.cli.promote import rollback as run

    run(name)


@app.command()
def lineage(
    version: Annotated[str, typer.Argument(help="Version number, or an alias such as champion.")], name: Name = None
) -> None:
    """Trace a version back to its code and data, and check that all of it still exists. Exit code 1 if not."""
    from pipeline.cli.lineage import lineage as run

    raise typer.Exit(run(version, name))


@app.command()
def assign(
    image: Annotated[Path, typer.Argument(help="Annotated image.")],
    model: Annotated[str, typer.Option("--model", help="Model: a released folder, .pt, .pth, or models:/name@alias.")],
    data: Annotated[Path | None, typer.Option(help="Data set with its annotations. Default: data/valid.")] = None,
    rule: Annotated[str | None, typer.Option(help="yolox-2021 or yolox-2023. Default: params.yaml.")] = None,
    radius: Annotated[float | None, typer.Option(help="Center radius in strides. Default: params.yaml.")] = None,
    output: Annotated[Path, typer.Option(help="Image file to write.")] = Path("reports/assignment.png"),
) -> None:
    """Draw which anchor points SimOTA assigns to the objects of an annotated image."""
    from pipeline.cli.assign import assign as run

    settings = _settings()
    given = {"rule": rule, "center_radius": radius}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    run(image, model, data, dataclasses.replace(settings.assign, **options), output)


def _command(stage: str) -> Callable[[], None]:
    def run() -> None:
        _run(stage)

    return run


_DEFINED = {command.callback.__name__ for command in app.registered_commands if command.callback}
PLAIN_STAGES = {  # those without options: a file in pipeline/stages is all that they need
    name: app.command(name, help=f"Run one DVC stage: {about(name)}", hidden=name == "package")(_command(name))
    for name in sorted(module.name for module in pkgutil.iter_modules(stages.__path__))
    if name not in _DEFINED | {"entrypoint"}
}
