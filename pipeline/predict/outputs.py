"""All that `yolox predict` may write at once: which outputs were asked for, checked together and opened together.

file_outputs.py and folder_outputs.py hold the outputs themselves, each a context that takes one image after the other.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.config.user_paths import user_path
from pipeline.predict import file_outputs, folder_outputs
from pipeline.predict.file_outputs import Output
from pipeline.predict.inputs import Source, check_apart
from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError


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

    def check_model(self, model: Path) -> None:
        """InputError where one would write on the model: a file, or a folder with all that lies in it."""
        place = model.resolve()
        for name, path in self._asked():
            if place == path.resolve() or place in path.resolve().parents:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} {path}: expected a place apart from the model, got one in it.")

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
