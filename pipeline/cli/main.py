"""The `yolox` command. Thin: every verb loads what it needs and calls it."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.config.settings import Settings, load_settings
from pipeline.console.exit_codes import refusals
from pipeline.data.formats.annotation_formats import NAMES, WRITABLE
from yolox_core.errors import InputError
from yolox_core.export.formats import EXPORT_FORMATS

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From annotated images to a registered, servable YOLOX detector. Run from the project's folder.",
)
FORMAT = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}."
Model = Annotated[
    str, typer.Option("--model", help="Released folder, .pt, Megvii .pth, .onnx, .xml, or models:/name@alias.")
]


def main() -> None:
    """Entry point: an input error is one line and exit code 2."""
    with refusals():
        app()


@app.command()
def doctor(
    path: Annotated[
        str | None, typer.Argument(help="A folder, archive or address of annotated images. Default: of params.yaml.")
    ] = None,
    format: Annotated[str, typer.Option(help=FORMAT)] = "auto",
    json: Annotated[Path | None, typer.Option(help="Write the findings here as well.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Of the archive; needed for one by http(s).")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures here.")] = None,
    fix: Annotated[Path | None, typer.Option(help="Write a mended copy (COCO) into this new folder.")] = None,
    input_size: Annotated[
        int | None, typer.Option(help="px to train at: what is too small? Default: params.yaml's.")
    ] = None,
) -> None:
    """Say what is wrong with annotated images. Exit code 1 with errors or warnings, 0 with notes alone."""
    from pipeline.cli.doctor import Outputs, examine

    raise typer.Exit(examine(path, format, sha256, input_size, Outputs(json, html, fix)))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A folder of annotated images.")],
    out: Annotated[Path, typer.Argument(help="A new or empty folder for the copy.")],
    to: Annotated[str, typer.Option("--to", help=f"{' or '.join(WRITABLE)}.")],
    format: Annotated[str, typer.Option(help=FORMAT)] = "auto",
) -> None:
    """Write a folder of annotated images in another format, with copies of the images. Prints what was left out."""
    from pipeline.cli.convert import convert as run

    run(source, out, to, format)


@app.command()
def init(
    folder: Annotated[
        Path | None, typer.Argument(help="The project's folder; made where it is not there. Of --upgrade: [.]")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Your annotated images. Default: the embedded scenes.")] = None,
    preset: Annotated[str | None, typer.Option(help="few-images, fine-tune or from-nothing: docs/recipes.md.")] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Bring an earlier release's dvc.yaml up to date; nothing else changes.")
    ] = False,
) -> None:
    """Set up a project of your own: dvc.yaml, params.yaml, what git and DVC need. Then: dvc repro."""
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


def _run(stage: str) -> None:
    """A DVC stage on the params.yaml of the current folder."""
    from importlib import import_module

    import_module(f"pipeline.stages.{stage}").run(load_settings())


@app.command(hidden=True)
def package() -> None:
    """Stage of projects on an installed package: which release it is."""
    _run("package")


@app.command()
def fingerprint() -> None:
    """Stage by hand: what the source looks like."""
    _run("fingerprint")


@app.command()
def ingest() -> None:
    """Stage by hand: images and annotations in one form."""
    _run("ingest")


@app.command()
def validate() -> None:
    """Stage by hand: check every image and box; drop and count what cannot be used."""
    _run("validate")


@app.command()
def prepare() -> None:
    """Stage by hand: split by image content."""
    _run("prepare")


@app.command()
def train(
    workers: Annotated[int | None, typer.Option(help="Ray Train workers. Default: YOLOX_WORKERS, or 1.")] = None,
    loader_workers: Annotated[
        int | None,
        typer.Option(help="Loading processes a worker. Default: YOLOX_LOADER_WORKERS, or 0: a thread."),
    ] = None,
    gpu: Annotated[bool | None, typer.Option("--gpu/--cpu", help="Default: YOLOX_GPU, or what is there.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster. Default: RAY_ADDRESS, or this machine.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what an earlier, equal run has left.")] = False,
) -> None:
    """Stage by hand: train through Ray Train, or go on where training was interrupted."""
    from pipeline.cluster.ray_cluster import ComputeConfig
    from pipeline.training import driver

    given: dict[str, Any] = {"workers": workers, "loader_workers": loader_workers, "gpu": gpu, "address": address}
    options = {name: value for name, value in given.items() if value is not None}
    driver.train(load_settings(), dataclasses.replace(ComputeConfig.from_environment(), **options), fresh)


@app.command()
def submit(
    address: Annotated[str, typer.Option(help="The cluster's dashboard, http://host:8265.")],
    workspace: Annotated[
        Path | None, typer.Option(help="This project's folder as the cluster sees it. Default: the same path.")
    ] = None,
) -> None:
    """The train stage as a job on a Ray cluster that shares this folder. The token is RAY_AUTH_TOKEN."""
    from pipeline.cluster.ray_job import Submission
    from pipeline.training import driver

    driver.train(load_settings(), submission=Submission(address, workspace or Path.cwd()))


@app.command()
def sweep(
    plan: Annotated[bool, typer.Option("--plan", help="Check the space and say what would be done.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Write the last sweep's choice into params.yaml.")] = False,
    trials: Annotated[int | None, typer.Option(help="At once. Default: YOLOX_TRIALS, or 1.")] = None,
) -> None:
    """Try what `sweep` in params.yaml says, and choose by evidence; or go on where it was interrupted."""
    from pipeline.cluster.ray_cluster import ComputeConfig

    if apply:
        from pipeline.sweep.apply import apply as write

        write()
        return
    from pipeline.sweep.driver import sweep_space
    from pipeline.sweep.search import describe

    compute = ComputeConfig.from_environment()
    compute = dataclasses.replace(compute, trials=trials) if trials is not None else compute
    if plan:
        print(describe(load_settings(), compute))
    else:
        sweep_space(load_settings(), compute)


@app.command()
def evaluate() -> None:
    """Stage by hand: measure on the held-out test split."""
    _run("evaluate")


@app.command()
def export(
    model: Annotated[str | None, typer.Option(help="Released folder, .pt, Megvii .pth, or models:/name@alias.")] = None,
    formats: Annotated[str, typer.Option(help=f"Of --model: {', '.join(EXPORT_FORMATS)}.")] = "onnx",
    output: Annotated[Path, typer.Option(help="Of --model: a new folder for its files.")] = Path("exported"),
    images: Annotated[Path | None, typer.Option(help="Of --model: what to compare and calibrate on.")] = None,
) -> None:
    """Stage by hand: the forms that params.yaml names, each held to the test images. With --model: any model."""
    if model is None:
        _run("export")
        return
    from pipeline.cli.export import export as run

    run(model, formats, output, images)


@app.command()
def register() -> None:
    """Stage by hand: run, figures and model into MLflow."""
    _run("register")


@app.command()
def report() -> None:
    """Stage by hand: one self-contained page."""
    _run("report")


@app.command()
def study(
    file: Annotated[
        Path | None,
        typer.Argument(help="A question as YAML: docs/studies/README.md. Default: params.yaml's, by its DVC stage."),
    ] = None,
    data: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER, for each data set of the study.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show runs and time, then stop.")] = False,
    answer: Annotated[bool, typer.Option("--answer", help="Run nothing; write what the rows so far carry.")] = False,
    into_mlflow: Annotated[bool, typer.Option("--import", help="Run nothing; bring the rows into MLflow.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Run without asking.")] = False,
    rows: Annotated[Path | None, typer.Option(help="Lines of the runs. Default: runs/studies/NAME.jsonl.")] = None,
    output: Annotated[Path | None, typer.Option(help="The answer's folder. Default: reports/studies/NAME.")] = None,
    at_once: Annotated[
        int | None, typer.Option(help="Runs side by side, each a process of one thread. Default: YOLOX_TRIALS, or 1.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1. Default: what is there.")] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Through Ray Tune; always where RAY_ADDRESS is set.")] = False,
) -> None:
    """Ask a question: show its runs and their time, run what is missing, answer it with intervals."""
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
    source: Annotated[list[str], typer.Argument(help="Images, folders, globs in quotes, videos, camera:0.")],
    model: Model,
    conf: Annotated[float, typer.Option(help="Lowest score, 0 to 1.")] = 0.25,
    iou: Annotated[float, typer.Option(help="Overlap above which the weaker of two boxes is dropped, 0 to 1.")] = 0.65,
    json: Annotated[Path | None, typer.Option(help="Write the detections here: COCO results plus names.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write them here, a row each.")] = None,
    coco: Annotated[Path | None, typer.Option(help="Write images and detections here, as a COCO data set.")] = None,
    labels: Annotated[Path | None, typer.Option(help="New folder: YOLO labels, with links to the images.")] = None,
    crops: Annotated[Path | None, typer.Option(help="New folder: each object as an image, by class.")] = None,
    save_dir: Annotated[Path | None, typer.Option(help="Write images and videos with boxes drawn here.")] = None,
    slice: Annotated[bool, typer.Option("--slice", help="Large images in overlapping tiles: small objects.")] = False,
    slice_size: Annotated[int | None, typer.Option(help="A tile's side, px. Default: the model's input size.")] = None,
    overlap: Annotated[float | None, typer.Option(help="Share of a tile that the next one sees, too. [0.2]")] = None,
    every: Annotated[int, typer.Option(help="Of a video or camera, each so many-th frame.")] = 1,
    seconds: Annotated[float | None, typer.Option(help="Of a video or camera, the first so many seconds.")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="torch, onnx or openvino. Default: torch for a folder; onnx is mostly faster.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line an image, also for more than 20.")] = False,
) -> None:
    """Find objects in images, videos and cameras. Ctrl-C ends it and keeps what was found."""
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
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 8000,
    runtime: Annotated[str, typer.Option(help="onnx, openvino or torch.")] = "onnx",
    device: Annotated[str, typer.Option(help="cpu or cuda (with --runtime torch).")] = "cpu",
    replicas: Annotated[int, typer.Option(help="Processes that answer.")] = 1,
    threads: Annotated[int | None, typer.Option(help="CPU cores of each. Default: all; 1 on a cluster.")] = None,
    watch_s: Annotated[float, typer.Option(help="Seconds between two looks at an alias that may have moved.")] = 10.0,
    max_mib: Annotated[float, typer.Option(help="Largest request.")] = 20.0,
    max_megapixels: Annotated[float, typer.Option(help="Largest image.")] = 50.0,
    queue: Annotated[int, typer.Option(help="Requests at once at a replica; more are answered 503.")] = 64,
    address: Annotated[str | None, typer.Option(help="Ray cluster. Default: RAY_ADDRESS, or this machine.")] = None,
) -> None:
    """A web service with a page, by Ray Serve. Clients send the token YOLOX_SERVE_TOKEN where that is set."""
    import os

    from pipeline.serving import server
    from pipeline.serving.options import Options

    address = address or os.environ.get("RAY_ADDRESS") or None
    cores = threads if threads is not None else server.default_threads(max(1, replicas), address)
    options = Options(model, runtime, device, replicas, cores, watch_s, max_mib, max_megapixels, queue)
    server.serve(options, host, port, address)


@app.command()
def runs(
    clean: Annotated[bool, typer.Option("--clean", help="Remove those that nothing refers to.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
) -> None:
    """What lies under runs/: how far each came, what refers to it, how much room it takes."""
    from pipeline.cli.runs import runs as run

    run(clean, yes)


Name = Annotated[str | None, typer.Option("--name", help="The registered model. Default: that of params.yaml.")]


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A number, or an alias such as challenger.")],
    name: Name = None,
    if_cheaper: Annotated[
        bool, typer.Option("--if-cheaper", help="Also where it needs fewer operations and is at most 0.01 map worse.")
    ] = False,
) -> None:
    """Make a version champion, if it is better on the champion's test images. Exit code 2 where it is not."""
    from pipeline.cli.promote import promote as run

    run(version, name, if_cheaper)


@app.command()
def rollback(name: Name = None) -> None:
    """Make the champion before this one champion again."""
    from pipeline.cli.promote import rollback as run

    run(name)


@app.command()
def lineage(
    version: Annotated[str, typer.Argument(help="A number, or an alias such as champion.")], name: Name = None
) -> None:
    """Where a version came from, and whether all of it is still there. Exit code 1 where something is lost."""
    from pipeline.cli.lineage import lineage as run

    raise typer.Exit(run(version, name))


@app.command()
def assign(
    image: Annotated[Path, typer.Argument(help="An annotated image.")],
    model: Annotated[str, typer.Option("--model", help="Released folder, .pt, Megvii .pth, or models:/name@alias.")],
    data: Annotated[Path | None, typer.Option(help="Data set that annotates it. Default: the prepared one.")] = None,
    rule: Annotated[str | None, typer.Option(help="yolox-2021 or yolox-2023. Default: params.yaml.")] = None,
    radius: Annotated[float | None, typer.Option(help="Centre radius in strides. Default: params.yaml.")] = None,
    output: Annotated[Path, typer.Option(help="The picture.")] = Path("reports/assignment.png"),
) -> None:
    """Draw which anchor points SimOTA gives to which object of an annotated image."""
    from pipeline.cli.assign import assign as run

    settings: Settings = load_settings()
    given = {"rule": rule, "center_radius": radius}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    run(image, model, data, dataclasses.replace(settings.assign, **options), output)
