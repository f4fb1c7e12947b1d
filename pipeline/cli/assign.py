"""`yolox assign`: which anchor points SimOTA gives to which object of an annotated image, as a picture and a table."""

from pathlib import Path

import cv2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.config.user_paths import messages_aside, output_path
from pipeline.predict.assignment import DrawnAssignment, draw
from yolox_core.atomic_files import write_bytes
from yolox_core.config import AssignConfig
from yolox_core.errors import on_one_line


def assign(image: Path, model: str, data: Path | None, config: AssignConfig, output: Path) -> None:
    """Write the picture to `output`, and print how many points each object got."""
    drawn = draw(image, model, data, config)
    encoded, content = cv2.imencode(".png", drawn.picture)
    assert encoded
    with messages_aside([output]):
        write_bytes(output_path(output), content.tobytes())
        print_points(drawn)
        print(on_one_line(f"{output}: written"))


def print_points(drawn: DrawnAssignment) -> None:
    """A table of the objects: how many points each got, by stride."""
    counts = drawn.counts
    table = Table("object", "size px", *(f"stride {stride}" for stride in counts[0]) if counts else (), "points")
    for caption, (x1, y1, x2, y2), by_stride in zip(drawn.captions, drawn.boxes, counts, strict=True):
        size = f"{x2 - x1:.0f} x {y2 - y1:.0f}"
        table.add_row(escape(on_one_line(caption)), size, *map(str, by_stride.values()), str(sum(by_stride.values())))
    Console().print(table)
