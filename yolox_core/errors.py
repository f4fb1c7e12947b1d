"""The one error that means "the input is wrong, not the program".

Commands print it as a single line and exit with 2; everything else is a defect and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """`<where>: expected X, got Y. <what to do>`, on one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'x'?`, or the list of known names where none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names)}."
