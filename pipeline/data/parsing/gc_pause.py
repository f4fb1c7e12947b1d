"""Python's search for circular garbage, put off while a large data set is read.

After every so many new objects it goes through all there are; a data set of COCO's size has millions, none circular.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """No search in the whole process meanwhile; as a context, or as a decorator."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
