"""All that `yolox predict` may write at once: which outputs were asked for, checked together and opened together.

file_outputs.py and folder_outputs.py hold the outputs themselves, each a context that takes one image after the other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.config.user_paths import output_path, real_path, user_path
from pipeline.predict import file_outputs, folder_outputs
from pipeline.predict.file_outputs import Output
from pipeline.predict.inputs import Source, check_apart
from pipeline.predict.stream import Seen
from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError, reason

FOLDERS = frozenset({"labels", "crops", "save_dir"})


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
        given = {real_path(source.path) for source in sources if source.path}
        taken: dict[Path, str] = {}
        for name, path in self._asked():
            option = _option(name)
            other = taken.setdefault(real_path(path), option)
            if other != option:
                raise InputError(f"{option} {path}: expected a place of its own, got that of {other}.")
            if real_path(path) in given:
                raise InputError(f"{option} {path}: expected a place of its own, got one of the images or videos.")
            if name not in FOLDERS:
                if path.is_dir():
                    raise InputError(f"{option} {path}: expected a file, got a folder.")
                continue
            check_apart(option, path, words, sources)
            if name == "save_dir":
                folder_outputs.check_drawn(option, sources)
                folder_outputs.check_folder(option, path)
            else:
                folder_outputs.check_new(option, path)
                folder_outputs.check_stems(option, sources)

    def check_model(self, model: Path) -> None:
        """InputError where one would write on the model: a file, or a folder with all that lies in it."""
        place = real_path(model)
        for name, path in self._asked():
            if place == real_path(path) or place in real_path(path).parents:
                option = _option(name)
                raise InputError(f"{option} {path}: expected a place apart from the model, got one in it.")

    @contextmanager
    def opened(self, spec: DetectorSpec, report: Callable[[InputError], None]) -> Iterator[Output]:
        """All that were asked for as one, ready to take what is seen.

        Where one fails the others go on and `report` is called; InputError where none is left.
        """
        kinds = {
            "json": file_outputs.json_file,
            "csv": file_outputs.csv_file,
            "coco": file_outputs.coco_file,
            "labels": folder_outputs.labels_folder,
            "crops": folder_outputs.crops_folder,
            "save_dir": folder_outputs.drawn_folder,
        }
        opened: list[_Opened] = []
        with ExitStack() as stack:
            for name, path in self._asked():
                one = _Opened(f"{_option(name)} {path}", name in FOLDERS, ExitStack())
                opened.append(stack.enter_context(one))
                one.take = one.stack.enter_context(kinds[name](path, spec))

            def take(seen: Seen) -> None:
                for one in list(opened):
                    refused = one.give(seen)
                    if refused is not None:
                        opened.remove(one)
                        if not opened:
                            raise refused
                        report(refused)

            yield take
            for one in opened:
                refused = one.close()
                if refused is not None:
                    report(refused)

    def _asked(self) -> list[tuple[str, Path]]:
        """(name, place) of each output that is wanted."""
        given = ((entry.name, getattr(self, entry.name)) for entry in fields(self))
        return [(name, user_path(path) if name in FOLDERS else output_path(path)) for name, path in given if path]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass
class _Opened:
    """One output while it is written."""

    where: str  # its option and place
    is_folder: bool
    stack: ExitStack
    take: Output = lambda seen: None

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *ended: Any) -> None:
        self.stack.__exit__(*ended)  # nothing is open any more where it was closed before

    def give(self, seen: Seen) -> InputError | None:
        """Hand it what was seen; where it cannot write, it is ended, and why."""
        try:
            self.take(seen)
        except OSError as failed:
            return self._ended(failed)
        return None

    def close(self) -> InputError | None:
        """Bring it to its place, or why that failed."""
        try:
            self.stack.close()
        except OSError as failed:
            return self._ended(failed)
        return None

    def _ended(self, failed: OSError) -> InputError:
        """A folder keeps the files that it has, each of which is whole; half a file is of no use."""
        kept = False
        try:
            if self.is_folder:
                self.stack.close()
                kept = True
            else:
                self.stack.__exit__(type(failed), failed, failed.__traceback__)
        except OSError:
            pass  # the first reason is the one to name
        what = "What it holds up to there is kept" if kept else "It is not written"
        why = failed.strerror or reason(failed)
        return InputError(f"{self.where}: cannot be written: {why}. {what}; other outputs are not touched.")
