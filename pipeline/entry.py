"""How every command ends: done (0), or refused with one clear line on standard error (2).

A defect of the program keeps its traceback. Nothing here knows what a command does.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.settings import Settings, load_settings
from yolox_core.errors import InputError


@contextmanager
def refusals() -> Iterator[None]:
    """Turn an InputError into its line and exit code 2."""
    try:
        yield
    except InputError as refused:
        print(f"error: {refused}", file=sys.stderr)
        raise SystemExit(2) from None


def stage_main(run: Callable[[Settings], None]) -> None:
    """Run one stage on the params.yaml of the current folder: `python -m pipeline.stages.<name>`."""
    with refusals():
        run(load_settings())
