"""The answer to which image an annotation is of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Match:
    """The image of an annotation, or why there is none."""

    image: str | None = None
    got: str = "none"  # what there is instead, for a message
    doubt: str = ""  # why another image may be meant
