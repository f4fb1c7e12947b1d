"""`yolox predict`: what is in images, folders of them, videos and cameras, in whatever form is asked for."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pipeline.config.user_paths import messages_aside
from pipeline.predict.file_outputs import Output
from pipeline.predict.inputs import Clip, find, only_cameras
from pipeline.predict.outputs import Outputs
from pipeline.predict.progress import PredictProgress
from pipeline.predict.slicing import SlicingPredictor
from pipeline.predict.stream import Detecting, Seen, Stretch, expected_images, interruptible, see
from pipeline.registry.model_reference import locate
from yolox_core.config import AUTO
from yolox_core.errors import InputError, on_one_line
from yolox_core.inference.postprocess import check_threshold
from yolox_core.inference.predictor import Predictor
from yolox_core.inference.runtime import TITLES
from yolox_core.inference.runtime_timing import measure_exported

FEW = 20  # images that get a line each without --verbose
WORTH_MEASURING = 200  # images: a faster runtime makes up for the seconds that measuring takes
INTERRUPTED = 128 + 2  # as a shell reports Ctrl-C


@dataclass(frozen=True)
class Slicing:
    """Large images in tiles."""

    size: int | None = None  # px; None: the model's input size
    overlap: float = 0.2


@dataclass(frozen=True)
class Request:
    """What to look at, with what, and what to do with the answers."""

    sources: Sequence[str]
    model: str
    confidence: float
    nms_iou: float
    runtime: str | None = None
    slicing: Slicing | None = None
    stretch: Stretch = field(default_factory=Stretch)
    outputs: Outputs = field(default_factory=Outputs)
    verbose: bool = False


def predict(request: Request) -> int:
    """Look at everything; exit code 2 where something was unreadable, 130 where Ctrl-C ended it.

    What is unreadable among others gets its line and the rest is done; where there is no other, nothing is written.
    """
    check_threshold("--conf", request.confidence)
    check_threshold("--iou", request.nms_iou)
    _check_stretch(request.stretch)
    sources = find(request.sources)
    request.outputs.check(request.sources, sources)
    expected = expected_images(sources, request.stretch)
    predictor = _predictor(request, expected)
    slicing = request.slicing
    tiled = SlicingPredictor(predictor, slicing.size, slicing.overlap) if slicing else predictor
    detecting = Detecting(tiled, request.confidence, request.nms_iou)
    many = len(sources) > FEW or any(isinstance(source, Clip) for source in sources)
    progress = PredictProgress(expected, shown=many and not request.verbose)
    with messages_aside([request.outputs.json, request.outputs.csv, request.outputs.coco]), interruptible() as stopped:
        with progress, ExitStack() as outputs:
            take: Output | None = None
            for answer in see(sources, request.stretch, detecting, stopped):
                if isinstance(answer, InputError):
                    progress.refused(answer)
                    continue
                if take is None:  # not before: where nothing can be read, nothing is written
                    print(on_one_line(f"model: {request.model}, {TITLES[predictor.runtime]}"), file=sys.stderr)
                    take = outputs.enter_context(request.outputs.opened(detecting.predictor.spec, progress.failed))
                take(answer)
                progress.seen(len(answer.found))
                if request.verbose or not many:
                    print(on_one_line(_line(answer)), flush=True)
        early = stopped() and not only_cameras(sources)
    for line in predictor.losses.lines():
        print(f"warning: {line}", file=sys.stderr)
    if many or early:
        progress.summary(". Interrupted: the remaining images were not read." if early else "")
    return INTERRUPTED if early else 2 if progress.skipped or progress.failures else 0


def _predictor(request: Request, expected: int | None) -> Predictor:
    """The model, in its fastest runtime where nobody names one and there are `expected` images to gain from it."""
    path = locate(request.model)
    request.outputs.check_model(path)
    if request.runtime in (None, AUTO) and (expected is None or expected >= WORTH_MEASURING):
        measure_exported(path)
    return Predictor.load(path, runtime=request.runtime)


def _check_stretch(stretch: Stretch) -> None:
    if stretch.every < 1:
        raise InputError(f"--every: expected 1 or more frames, got {stretch.every}.")
    if stretch.seconds is not None and not stretch.seconds > 0:
        raise InputError(f"--seconds: expected a time above 0, got {stretch.seconds}.")


def _line(seen: Seen) -> str:
    at = f" frame {seen.look.frame} ({seen.look.time_s} s)" if seen.look.place else ""
    return f"{seen.look.name}{at}: {seen.found.in_words()}"
