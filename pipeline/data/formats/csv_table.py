"""CSV tables of boxes: one row a box, in pixels or as shares of the image's size.

Known: tables with a header (TensorFlow, Kaggle, Open Images), a box in four columns or in one, and some without one.
A row without numbers says that its image has no objects.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath

from pipeline.data.formats.csv_by_values import are_corners, columns_by_values, numbers_of
from pipeline.data.formats.csv_columns import Columns, columns_of, delimiter_of, first_rows, rows_of
from pipeline.data.parsing.box_builder import degrees_of, enclosing, finite_numbers, size_of
from pipeline.data.parsing.dataset_builder import Annotated, DatasetBuilder, class_name
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.matched_image import Match
from pipeline.data.parsing.split_names import held_out, split_of_folders, split_of_name, splits_of_files
from pipeline.data.parsing.text import shown
from yolox_core.data.records import DatasetRecords

_BOXES = 64  # that say whether four numbers are two corners
_OF_VERTICES = 8  # numbers: an oriented box's corners
_SHARES = 0.9  # of a table's numbers lie in 0..1 where they are shares: a box of one pixel is nobody's object


@dataclass(frozen=True)
class _Table:
    """What holds for all rows of a table."""

    columns: Columns
    names: Mapping[str, str]  # of classes, by what stands in the table
    has_decimal_comma: bool  # as where a spreadsheet separates columns by semicolons

    def number(self, text: str) -> str:
        """A number as Python reads it."""
        return text.replace(",", ".") if self.has_decimal_comma else text


@dataclass(frozen=True)
class _Row:
    """One row that can be read."""

    where: str
    image: str  # as written
    label: str | None
    box: tuple[float, float, float, float] | None  # xyxy as written; None: no objects
    size: tuple[int, int]
    split: str | None  # as a column says
    is_group: bool = False


def annotation_files(listing: Listing) -> list[str]:
    """The folder's tables of boxes: *.csv and *.tsv whose first row says so."""
    return [name for name in listing.ending(".csv", ".tsv") if _is_table(listing, name)]


def read(listing: Listing, files: list[str]) -> tuple[DatasetRecords, list[Finding]]:
    """All images that a row names, each with the boxes of its rows in all tables."""
    found = DatasetBuilder(listing)
    names = _display_names(listing)
    split_of_table = splits_of_files(files)
    twice: Counter[tuple[str, str]] = Counter()  # (table, earlier one) -> boxes that both hold
    for name in files:
        rows = _rows(found, name, names)
        is_shares = _are_shares(rows)
        named: defaultdict[str, list[_Row]] = defaultdict(list)
        for row in rows:
            named[row.image].append(row)
        lost: dict[str, Match] = {}
        for written, own in named.items():
            match = listing.locate(name, written)
            if match.image is None:
                lost[written] = match
                continue
            if match.doubt:
                found.findings.append(Finding("image-doubtful", own[0].where, match.doubt, f"{match.image} taken"))
            first = found.images[match.image].annotation if match.image in found.images else ""
            added = _add(found, match.image, own, is_shares, split_of_table[name])
            twice[name, first.partition(": ")[0]] += added
        if lost:
            found.findings.append(_missing(name, lost, named))
    _note_twice(found, twice)
    return found.records(), found.findings


def _note_twice(found: DatasetBuilder, twice: Counter[tuple[str, str]]) -> None:
    """One finding of all boxes that stand in two tables."""
    pairs = sorted(pair for pair, boxes in (+twice).items())
    if pairs:
        where = ", ".join(dict.fromkeys(table for table, _ in pairs))
        what = f"{twice.total()} boxes stand in {', '.join(sorted({first for _, first in pairs}))}, too"
        found.findings.append(Finding("same-in-two-files", where, what, "each counted once"))


def _missing(name: str, lost: Mapping[str, Match], named: Mapping[str, list[_Row]]) -> Finding:
    """One finding of the images that a table names and that are not there."""
    first, instead = next(iter(lost.items()))
    what = f"expected names of images, got {len(lost)} of {len(named)} that match none, first {shown(first)}"
    what += "" if instead.got == "none" else f", for which there is {instead.got}"
    boxes = sum(row.box is not None for written in lost for row in named[written])
    return Finding("missing-image", name, what, f"their {boxes} boxes dropped")


def _is_table(listing: Listing, name: str) -> bool:
    try:
        return _columns(first_rows(listing, name)) is not None
    except (OSError, csv.Error):
        return False


def _columns(rows: list[list[str]]) -> Columns | None:
    """What the columns hold, by the names in the first row, else by the values in the first rows."""
    columns = (columns_of(rows[0]) or columns_by_values(rows)) if rows else None
    if columns and len(columns.box) == 1:
        cells = [row[columns.box[0]] for row in rows if len(row) > columns.box[0]]
        if any(len(finite_numbers(numbers_of(cell)) or []) == _OF_VERTICES for cell in cells):
            return replace(columns, is_corners=True)
    return columns


def _display_names(listing: Listing) -> dict[str, str]:
    """Open Images' names of its classes (/m/01yrx: Cat), from class-descriptions*.csv or FiftyOne's classes.csv."""
    names: dict[str, str] = {}
    for file in listing.ending(".csv"):
        if "class-descriptions" in PurePosixPath(file).name or PurePosixPath(file).name == "classes.csv":
            rows = (line.partition(",") for line in listing.read_text(file).split("\n"))
            pairs = ((key.strip(), class_name(name.strip().strip('"'))) for key, _, name in rows)
            names |= {key: name for key, name in pairs if name and key.startswith("/")}
    return names


def _rows(found: DatasetBuilder, name: str, names: Mapping[str, str]) -> list[_Row]:
    """The rows that can be read; of the others, and of boxes that are none, a finding each."""
    lines = [f"{line}\n" for line in found.listing.read_text(name).split("\n") if line.strip()]
    columns, rows = None, []
    try:
        columns = _columns(rows_of(lines))
        if columns is None:
            what = "expected columns for the image, the class and the box, got others"
            found.findings.append(Finding("unreadable-annotation", name, what, "file left out"))
            return []
        delimiter = delimiter_of(lines[0])
        table = _Table(columns, names, has_decimal_comma=delimiter != ",")
        turned = []
        for number, fields in enumerate(csv.reader(lines, delimiter=delimiter), 1):
            if number > 1 or not columns.has_header:
                row = _row(found, table, fields, where := f"{name}: row {number}")
                if row is not None:
                    rows.append(row)
                if _has_angle(table, fields):
                    turned.append(where)
        _note_angles(found, turned)
    except csv.Error as broken:
        found.findings.append(Finding("unreadable-annotation", name, f"expected CSV, got: {broken}", "rest left out"))
    return _with_corners(found, name, columns, rows) if columns else []


def _has_angle(table: _Table, fields: list[str]) -> bool:
    column = table.columns.angle
    if column is None or column >= len(fields) or len(table.columns.box) == _OF_VERTICES:
        return False
    return any(finite_numbers([table.number(fields[column])]) or [])


def _note_angles(found: DatasetBuilder, turned: list[str]) -> None:
    """One finding of all boxes with an angle, whose unit and centre no table says."""
    if turned:
        what = f"expected upright boxes, got {len(turned)} with an angle"
        found.findings.append(Finding("label-lines-unclear", turned[0], what, "boxes taken as before the turn"))


def _row(found: DatasetBuilder, table: _Table, fields: list[str], where: str) -> _Row | None:
    columns = table.columns
    needed = max(columns.image, columns.label, *columns.box)
    texts = [field.strip() for field in fields] + [""] * (needed + 1 - len(fields))
    image, label = texts[columns.image], class_name(texts[columns.label])
    written = [table.number(texts[column]) for column in columns.box]
    if len(columns.box) == 1:
        written = numbers_of(texts[columns.box[0]])
    if not image:
        found.drop("unknown-image", where, f"expected the name of an image, got {shown(fields)}")
        return None
    split = split_of_name(texts[columns.split]) if columns.split is not None and columns.split < len(texts) else None
    sides = (table.number(texts[column]) if column < len(texts) else "" for column in columns.size or ())
    size = size_of(*sides) if columns.size else (0, 0)
    row = _Row(where, image, label, None, size, split)
    if not any(written):
        return row
    numbers = finite_numbers(written)
    if numbers is None or len(numbers) not in (4, _OF_VERTICES):
        found.drop("box-not-numbers", where, f"expected four finite numbers, got {shown(written)}")
        return row
    if label is None:
        found.drop("unknown-class", where, "expected a class, got none")
        return row
    is_group = columns.group is not None and columns.group < len(texts) and texts[columns.group] == "1"
    if columns.confidence is not None and columns.confidence < len(texts):
        found.note_confidence(where, {"confidence": table.number(texts[columns.confidence])})
    box = _box(found, where, numbers, columns)
    return _Row(where, image, table.names.get(label, label), box, size, split, is_group)


def _box(
    found: DatasetBuilder, where: str, numbers: list[float], columns: Columns
) -> tuple[float, float, float, float]:
    """The box xyxy of a row's numbers, or as written where that shows only from all rows."""
    if len(numbers) == _OF_VERTICES:
        points = list(zip(numbers[0::2], numbers[1::2], strict=True))
        if degrees := degrees_of(points):
            found.note_turned(where, degrees)
        return enclosing(points)
    a, b, c, d = numbers
    return _corners(a, b, c, d) if columns.is_corners is False else (a, b, c, d)


def _with_corners(found: DatasetBuilder, name: str, columns: Columns, rows: list[_Row]) -> list[_Row]:
    """The rows with each box as two corners, where the values say it; none, with a finding, where they may be both."""
    if columns.is_corners is not None:
        return rows
    is_corners = _are_corners(found, name, columns, rows)
    if is_corners is None:
        what = "expected x1, y1, x2, y2 or x, y, width, height, got numbers that may be both, and no header that says"
        found.findings.append(Finding("unreadable-annotation", name, what, "file left out"))
        return []
    if is_corners:
        return rows
    return [replace(row, box=_corners(*row.box)) if row.box else row for row in rows]


def _corners(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x, y, x + width, y + height


def _are_corners(found: DatasetBuilder, name: str, columns: Columns, rows: list[_Row]) -> bool | None:
    """Whether a table's numbers are corners, by its first boxes and the sizes of their images."""
    first = list(islice(((row, row.box) for row in rows if row.box), _BOXES))
    boxes = [box for _, box in first]
    if _are_shares(rows):
        return are_corners(boxes, [(1, 1)] * len(boxes), columns.usually_corners, slack_px=0)
    images = {row.image: found.listing.locate(name, row.image).image for row, _ in first if not all(row.size)}
    own = {written: found.own_size(image) for written, image in images.items() if image}
    sizes = [row.size if all(row.size) else own.get(row.image) or (0, 0) for row, _ in first]
    return are_corners(boxes, sizes, columns.usually_corners)


def _are_shares(rows: list[_Row]) -> bool:
    """Whether a table's numbers are shares of the image's size: they lie in 0..1, and not only on its ends."""
    numbers = [value for row in rows if row.box for value in row.box]
    within = sum(0 <= value <= 1 for value in numbers)
    return any(0 < value < 1 for value in numbers) and within >= _SHARES * len(numbers)


def _add(found: DatasetBuilder, image: str, rows: list[_Row], is_shares: bool, of_table: str | None) -> int:
    """Add one table's rows of an image to what other tables say of it; `of_table` is the table's split.

    Returns how many boxes are left out because another table has them.
    """
    entry = found.images.setdefault(image, Annotated(rows[0].where, rows[0].size, words=split_of_folders(image)))
    splits = {entry.split, *(row.split or of_table for row in rows)}
    entry.split = max(splits, key=held_out)
    if len(splits - {None}) > 1:
        what = f"{image} is in {' and '.join(sorted(split for split in splits if split))}"
        found.findings.append(Finding("split-conflict", rows[0].where, what, f"kept in {entry.split}"))
    if is_shares:
        entry.size = found.own_size(image) or entry.size
    height, width = entry.size
    elsewhere, twice = set(entry.objects), 0
    for row in rows:
        if row.box is None or row.label is None:
            continue
        if is_shares and not height * width:
            found.drop("unreadable-image", row.where, "expected an image of known size, for a box in shares of it")
            continue
        x1, y1, x2, y2 = row.box
        box = (x1 * width, y1 * height, x2 * width, y2 * height) if is_shares else row.box
        if (row.label, box, row.is_group) in elsewhere:
            twice += 1
        else:
            entry.add(row.label, box, row.is_group)
    return twice
