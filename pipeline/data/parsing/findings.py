"""A finding: one thing that is wrong with a data set, and where.

Readers and checks return findings instead of raising, so that one bad file does not hide the others. Their codes are
listed with severity and remedy in pipeline/data/checks/catalog.py.
"""

from dataclasses import dataclass

from yolox_core.errors import on_one_line


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a data set; its texts stay on one line, whatever a file name holds."""

    code: str  # stable short name: "missing-image", "box-without-area", ...
    where: str  # "annotations/a.xml: object 3"
    what: str  # what was expected and found
    action: str  # what was or will be done about it: "box dropped", "image dropped", "kept"
    images: tuple[str, ...] = ()  # file names of the images it is about, where they were found

    def __post_init__(self) -> None:
        for name in ("where", "what", "action"):
            object.__setattr__(self, name, on_one_line(getattr(self, name)))  # frozen: only here

    def line(self) -> str:
        """The finding as one line."""
        return f"{self.where}: {self.what} ({self.code}; {self.action})"
