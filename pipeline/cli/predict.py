"""`yolox predict`: what is in images, folders of them, videos and cameras, in whatever form is asked for."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

from pipeline.config.user_paths import user_path
from pipeline.predict import file_outputs, folder_outputs
from pipeline.predict.detections import Found, in_words
from pipeline.predict.file_outputs import Output
from pipeline.predict.inputs import Clip, Source, check_apart, find
from pipeline.predict.progress import PredictProgress
from pipeline.predict.slicing import SlicingPredictor
from pipeline.predict.stream import Detecting, Seen, Stretch, interruptible, see
from pipeline.predict.video import expected_frames
from pipeline.registry.model_reference import locate
from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError
from yolox_core.inference.postprocess import check_threshold
from yolox_core.inference.predictor import Predictor

FEW = 20  # images that get a line each without --verbose
INTERRUPTED = 128 + 2  # as a shell reports Ctrl-C


@dataclass(frozen=True)
class Outputs:
    """Where to write what was found."""

    json: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    labels: Path | None = None
    crops: Path | None = None
    save_dir: Path | None = None

    def check(self, words: Sequence[str], sources: Sequence[Source]) -> None:
        """InputError where one would write on the sources, on another output, or where it cannot."""
        given = {source.path.resolve() for source in sources if source.path}
        taken: dict[Path, str] = {}
        for name, path in self._asked():
            option = f"--{name.replace('_', '-')}"
            other = taken.setdefault(path.resolve(), option)
            if other != option:
                raise InputError(f"{option} {path}: expected a place of its own, got that of {other}.")
            if path.resolve() in given:
                raise InputError(f"{option} {path}: expected a place of its own, got one of the images or videos.")
            if name in ("json", "csv", "coco"):
                if path.is_dir():
                    raise InputError(f"{option} {path}: expected a file, got a folder.")
                continue
            check_apart(option, path, words, sources)
            if name != "save_dir":
                folder_outputs.check_new(option, path)
                folder_outputs.check_stems(option, sources)

    @contextmanager
    def opened(self, spec: DetectorSpec) -> Iterator[list[Output]]:
        """All that were asked for, ready to take what is seen."""
        kinds = {
            "json": file_outputs.json_file,
            "csv": file_outputs.csv_file,
            "coco": file_outputs.coco_file,
            "labels": folder_outputs.labels_folder,
            "crops": folder_outputs.crops_folder,
            "save_dir": folder_outputs.drawn_folder,
        }
        with ExitStack() as stack:
            yield [stack.enter_context(kinds[name](path, spec)) for name, path in self._asked()]

    def _asked(self) -> list[tuple[str, Path]]:
        """(name, place) of each output that is wanted."""
        given = ((entry.name, getattr(self, entry.name)) for entry in fields(self))
        return [(name, user_path(path)) for name, path in given if path is not None]


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
    detecting = Detecting(_predictor(request), request.confidence, request.nms_iou)
    many = len(sources) > FEW or any(isinstance(source, Clip) for source in sources)
    progress = PredictProgress(_total(sources, request.stretch), shown=many and not request.verbose)
    with interruptible() as stopped:
        with progress, ExitStack() as outputs:
            takers: list[Output] | None = None
            for answer in see(sources, request.stretch, detecting, stopped):
                if isinstance(answer, InputError):
                    progress.refused(answer)
                    continue
                if takers is None:  # not before: where nothing can be read, nothing is written
                    takers = outputs.enter_context(request.outputs.opened(detecting.predictor.spec))
                for take in takers:
                    take(answer)
                progress.seen(len(answer.found))
                if request.verbose or not many:
                    print(_line(answer, detecting.predictor.spec), flush=True)
        early = stopped() and not _only_cameras(sources)
    if many or early:
        progress.summary(". Interrupted: the rest was not looked at." if early else "")
    return INTERRUPTED if early else 2 if progress.skipped else 0


def _predictor(request: Request) -> Predictor | SlicingPredictor:
    predictor = Predictor.load(locate(request.model), runtime=request.runtime)
    slicing = request.slicing
    return SlicingPredictor(predictor, slicing.size, slicing.overlap) if slicing else predictor


def _check_stretch(stretch: Stretch) -> None:
    if stretch.every < 1:
        raise InputError(f"--every: expected 1 or more frames, got {stretch.every}.")
    if stretch.seconds is not None and not stretch.seconds > 0:
        raise InputError(f"--seconds: expected a time above 0, got {stretch.seconds}.")


def _only_cameras(sources: Sequence[Source]) -> bool:
    """Ctrl-C is how a camera is ended; it cuts short everything else."""
    return all(isinstance(source, Clip) and source.path is None for source in sources)


def _total(sources: Sequence[Source], stretch: Stretch) -> int | None:
    """How many images are to come, as far as containers say; None with a camera or a bound in seconds."""
    counts = [expected_frames(source) if isinstance(source, Clip) else 1 for source in sources]
    clips = any(isinstance(source, Clip) for source in sources)
    if None in counts or (clips and stretch.seconds is not None):
        return None
    return sum(
        -(-(count or 0) // stretch.every) if isinstance(source, Clip) else 1
        for source, count in zip(sources, counts, strict=True)
    )


def _line(seen: Seen, spec: DetectorSpec) -> str:
    at = f" frame {seen.look.frame} ({seen.look.time_s} s)" if seen.look.place else ""
    return f"{seen.look.name}{at}: {in_words(Found.of(seen.found, spec))}"
