"""Detections as a folder: YOLO labels, crops, and drawn images or videos. What was given is never written to."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath

import cv2
import yaml

from pipeline.config.user_paths import real_path
from pipeline.predict.file_names import folder_names, with_ending
from pipeline.predict.file_outputs import Output
from pipeline.predict.inputs import Clip, Source, Still
from pipeline.predict.stream import Look, Seen
from yolox_core.atomic_files import new_folder, shortened, write_bytes, write_text
from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError
from yolox_core.inference.visualize import draw_boxes
from yolox_core.structures import ImageArray

_WRITTEN = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})  # other kinds become PNG


def check_folder(option: str, folder: Path) -> None:
    """InputError where something lies there that is no folder."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{option} {folder}: expected a folder, got a file. Name another.")


def check_new(option: str, folder: Path) -> None:
    """InputError unless the folder is absent or empty: it is replaced whole, and earlier results would mix."""
    check_folder(option, folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{option} {folder}: expected a new or empty folder, got one with content. Name another.")


def check_stems(option: str, sources: Sequence[Source]) -> None:
    """InputError where two images differ in their suffix alone: their files would be one."""
    seen: dict[PurePath, str] = {}
    for source in sources:
        if isinstance(source, Still):
            other = seen.setdefault(PurePath(source.name).with_suffix(""), source.name)
            if other != source.name:
                raise InputError(
                    f"{option}: expected images of different names, got {other} and {source.name}. Rename one."
                )


def check_drawn(option: str, sources: Sequence[Source]) -> None:
    """InputError where two drawn copies would be one file: that of a.gif is called a.gif.png."""
    seen: dict[PurePath, str] = {}
    for source in sources:
        other = seen.setdefault(drawn_name(source), source.name)
        if other != source.name:
            raise InputError(
                f"{option}: expected images of different names, got {other} and {source.name}. Rename one."
            )


def drawn_name(source: Source) -> PurePath:
    """What the drawn copy is called: like the original where that kind is written, else with one more ending."""
    name = PurePath(source.folder if isinstance(source, Clip) else source.name)
    kept, ending = (frozenset({".mp4"}), ".mp4") if isinstance(source, Clip) else (_WRITTEN, ".png")
    return name if name.suffix.lower() in kept else with_ending(name, ending)


@contextmanager
def labels_folder(path: Path, spec: DetectorSpec) -> Iterator[Output]:
    """A YOLO data set: labels/, images/ (links to the images; frames of a video as JPEG) and data.yaml."""
    with new_folder(path) as folder:
        names = yaml.safe_dump({"names": list(spec.class_names)}, allow_unicode=True, sort_keys=False)
        write_text(folder / "data.yaml", names)

        def add(seen: Seen) -> None:
            picture = seen.look.picture
            label = with_ending(PurePath(picture).with_suffix(""), ".txt")
            write_text(folder / "labels" / label, "".join(_label_lines(seen)))
            _place(folder / "images" / picture, seen)

        yield add


def _label_lines(seen: Seen) -> Iterator[str]:
    """`class cx cy width height`, as shares of the image."""
    height, width = seen.image.shape[:2]
    for label, (x1, y1, x2, y2) in zip(seen.found.labels, seen.found.boxes.tolist(), strict=True):
        shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        yield f"{label} {' '.join(f'{share:.8f}' for share in shares)}\n"


def _place(path: Path, seen: Seen) -> None:
    """The image beside its labels: a link to the file as it is, or the frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(seen.look.content, Path):
        path.symlink_to(real_path(seen.look.content))
    else:
        write_bytes(path, _encoded(seen.image, ".jpg"))


@contextmanager
def crops_folder(path: Path, spec: DetectorSpec) -> Iterator[Output]:
    """Each object as a JPEG, in a folder of its class: dog/photo_1.jpg is the best of photo.jpg, if it is a dog."""
    classes = folder_names(spec.class_names)
    with new_folder(path) as folder:

        def add(seen: Seen) -> None:
            stem = PurePath(seen.look.picture).with_suffix("")
            boxes = seen.found.boxes.round().astype(int).tolist()
            for number, (label, (x1, y1, x2, y2)) in enumerate(zip(seen.found.labels, boxes, strict=True), 1):
                if x2 > x1 and y2 > y1:
                    place = folder / classes[int(label)] / with_ending(stem, f"_{number}.jpg")
                    write_bytes(place, _encoded(seen.image[y1:y2, x1:x2], ".jpg"))

        yield add


@contextmanager
def drawn_folder(path: Path, spec: DetectorSpec) -> Iterator[Output]:
    """Images with their boxes drawn, one by one; a clip becomes an MP4 of the same length, whole or absent."""
    with ExitStack() as open_clip:
        current: Source | None = None
        write: Callable[[ImageArray], None] | None = None

        def add(seen: Seen) -> None:
            nonlocal current, write
            look, picture = seen.look, _drawn(seen)
            if look.source is not current:
                open_clip.close()
                current, write = look.source, None
            if not isinstance(look.source, Clip):
                name = drawn_name(look.source)
                write_bytes(path / name, _encoded(picture, name.suffix))
                return
            if write is None:
                write = open_clip.enter_context(_video(path, look.source, look, picture))
            write(picture)

        yield add


def _drawn(seen: Seen) -> ImageArray:
    found = seen.found
    captions = [f"{name} {score:.2f}" for name, score in zip(found.names, found.scores, strict=True)]
    return draw_boxes(seen.image, found.boxes, found.labels.tolist(), captions)


@contextmanager
def _video(folder: Path, clip: Clip, first: Look, picture: ImageArray) -> Iterator[Callable[[ImageArray], None]]:
    place = folder / drawn_name(clip)
    partial = place.with_name(f".{shortened(place.stem)}.{os.getpid()}.partial.mp4")
    place.parent.mkdir(parents=True, exist_ok=True)
    height, width = picture.shape[:2]
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(partial), codec, first.per_second or 25.0, (width, height))
    try:
        if not writer.isOpened():
            raise OSError(f"{place}: OpenCV cannot write a video there")

        def write(frame: ImageArray) -> None:
            # a writer drops a frame of another size without a word; some streams change theirs
            same = frame.shape[:2] == (height, width)
            writer.write(frame if same else cv2.resize(frame, (width, height)))

        yield write
        writer.release()
        os.replace(partial, place)
    finally:
        writer.release()
        partial.unlink(missing_ok=True)


def _encoded(image: ImageArray, suffix: str) -> bytes:
    encoded, content = cv2.imencode(suffix, image)
    assert encoded  # the suffix is one that OpenCV writes
    return content.tobytes()
