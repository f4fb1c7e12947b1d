"""Formats of annotations that are not read, each with the mark by which it is known and what to export instead.

Asked only where a folder holds nothing that is read, so a refusal can name what is there. A mark is a small function of
the names of the folder's files and of the first KiB of some of them. To add one, add an entry to the list.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipeline.data.parsing.encodings import as_utf8
from pipeline.data.parsing.folder_listing import Listing

_HEAD = 8 * 1024  # bytes of a file that marks are looked for in
_OF_A_FOLDER, _IN_ALL = 16, 256  # files of one kind that are opened
_LINES = 20  # of a text that must all be alike
_LONGEST = 2000  # characters of a line; longer ones are passed over
_COCO = "COCO JSON or Pascal VOC"
_TABLE = "a CSV table with the columns filename, xmin, ymin, xmax, ymax and class"
_SELF = f"Write its boxes as COCO JSON, or as {_TABLE}."
_BETWEEN = r"[;,\s]+"  # columns of a table
_NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"


@dataclass(frozen=True)
class Folder:
    """A folder's files, and the beginnings of those that a mark was looked for in."""

    listing: Listing
    _heads: dict[str, str] = field(default_factory=dict)

    def some(self, *suffixes: str) -> Iterator[str]:
        """The first files of each folder that end so."""
        opened: Counter[str] = Counter()
        for name in self.listing.ending(*suffixes):
            parent = str(PurePosixPath(name).parent)
            if opened[parent] < _OF_A_FOLDER and opened.total() < _IN_ALL:
                opened[parent] += 1
                yield name

    def head(self, name: str) -> str:
        """The beginning of a file, byte by byte where it is not ASCII; empty where it cannot be opened."""
        if name not in self._heads:
            try:
                with (self.listing.root / name).open("rb") as file:
                    self._heads[name] = as_utf8(file.read(_HEAD)).decode("latin-1")
            except OSError:
                self._heads[name] = ""
        return self._heads[name]


Mark = Callable[[Folder], str | None]  # the first file that bears it


@dataclass(frozen=True)
class UnreadFormat:
    """A format that is not read: its name for messages, its mark, and what to do."""

    name: str
    mark: Mark
    advice: str


def unread_format(listing: Listing) -> tuple[UnreadFormat, str] | None:
    """The first format of the list whose mark a file of the folder bears, and that file; None where none does."""
    folder = Folder(listing)
    for one in UNREAD_FORMATS:
        name = one.mark(folder)
        if name is not None:
            return one, name
    return None


def _called(pattern: str) -> Mark:
    """A file whose path ends so."""
    ends = re.compile(rf"(?:^|/)(?:{pattern})$", re.IGNORECASE)
    return lambda folder: next((name for name in folder.listing.files if ends.search(name)), None)


def _holds(suffixes: str, *patterns: str, path: str = "") -> Mark:
    """A file of one of these suffixes, in a path that holds `path`, whose beginning holds each of the patterns."""
    wanted = [re.compile(pattern) for pattern in patterns]
    place = re.compile(path, re.IGNORECASE)
    return lambda folder: next(
        (
            name
            for name in folder.some(*suffixes.split())
            if place.search(name) and all(one.search(folder.head(name)) for one in wanted)
        ),
        None,
    )


def _lines(suffixes: str, line: str, others: str = "", path: str = "") -> Mark:
    """A text of one of these suffixes whose first lines are all like `line` or `others`, and one is like `line`."""
    wanted, alike, place = re.compile(line), re.compile(f"{line}|{others}"), re.compile(path, re.IGNORECASE)

    def fits(text: str) -> bool:
        whole = text if len(text) < _HEAD else text.rpartition("\n")[0]
        lines = [line.strip() for line in whole.splitlines() if line.strip() and len(line) < _LONGEST][:_LINES]
        return all(map(alike.fullmatch, lines)) and any(map(wanted.fullmatch, lines))

    return lambda folder: next(
        (name for name in folder.some(*suffixes.split()) if place.search(name) and fits(folder.head(name))), None
    )


def _keys(*names: str) -> tuple[str, ...]:
    return tuple(rf'"{name}"\s*:' for name in names)


def _any(*marks: Mark) -> Mark:
    return lambda folder: next((name for mark in marks if (name := mark(folder)) is not None), None)


def _times(count: int, separator: str = r"\s+") -> str:
    """So many numbers in a row."""
    return separator.join([_NUMBER] * count)


def _datumaro(name: str) -> str:
    return f"`datum convert -if {name} -i FOLDER -f coco -o OUT -- --save-media` writes it as COCO."


UNREAD_FORMATS: tuple[UnreadFormat, ...] = (
    UnreadFormat(
        "VIA (VGG Image Annotator)",
        _any(
            _holds(".json", *_keys("shape_attributes", "region_attributes")),
            _holds(".json", r'"_via_(settings|img_metadata|data_format_version)"'),
            _holds(".json", *_keys("project", "attribute", "metadata", "view")),  # its third version
            _holds(".csv", r"region_shape_attributes|# ?Exported using VGG"),
        ),
        "In VIA, take Annotation > Export Annotations (COCO format).",
    ),
    UnreadFormat(
        "VoTT",
        _any(
            _called(r".+\.vott"), _holds(".json", *_keys("asset", "regions")), _holds(".json", *_keys("assets", "tags"))
        ),
        "In VoTT, choose Pascal VOC or CSV under Export Settings.",
    ),
    UnreadFormat(
        "CreateML",
        _holds(".json", r'"annotations?"\s*:', *_keys("coordinates", "label")),
        f"Export as {_COCO} instead.",
    ),
    UnreadFormat(
        "Supervisely",
        _any(
            _holds(".json", *_keys("classTitle")),
            _holds(".json", *_keys("classes", "title", "shape"), path=r"(^|/)meta\.json$"),
        ),
        "In Supervisely, export with the app Export to COCO.",
    ),
    UnreadFormat(
        "Datumaro JSON",
        _any(
            _holds(".json", r'"dm_format_version"\s*:'),
            _holds(".json", r'"categories"\s*:\s*\{\s*"(label|mask|points)"\s*:'),
        ),
        _datumaro("datumaro"),
    ),
    UnreadFormat(
        "COCO results, which are detections without images and categories",
        _holds(".json", r"^\s*\[\s*\{", *_keys("image_id", "category_id", "score")),
        "Name the ground truth that they were found on, instances_*.json, with its images.",
    ),
    UnreadFormat(
        "COCO captions, which have no boxes",
        _any(_called(r"captions_.+\.json"), _holds(".json", *_keys("image_id", "caption"))),
        "Take instances_*.json of the same set.",
    ),
    UnreadFormat(
        "Cityscapes",
        _any(_called(r".+_polygons\.json"), _holds(".json", *_keys("imgHeight", "imgWidth", "objects"))),
        "MMDetection's tools/dataset_converters/cityscapes.py writes it as COCO.",
    ),
    UnreadFormat(
        "BDD100K (Scalabel)",
        _holds(".json", r'"(box2d|poly2d)"\s*:', *_keys("category")),
        "`python -m bdd100k.label.to_coco -m det -i LABELS -o OUT` writes it as COCO.",
    ),
    UnreadFormat(
        "Darwin (V7)",
        _holds(".json", *_keys("item", "annotations"), r'"(slots|dataset|schema_ref|source_info)"\s*:'),
        "`darwin convert coco ANNOTATIONS OUT` writes it as COCO.",
    ),
    UnreadFormat("Labelbox", _holds(".json .ndjson .jsonl", r'"(data_row|dataRow|Labeled Data)"\s*:'), _SELF),
    UnreadFormat(
        "Hasty JSON", _holds(".json", *_keys("label_classes", "image_name")), "In Hasty, export as COCO instead."
    ),
    UnreadFormat("a manifest of SageMaker Ground Truth", _holds(".manifest .jsonl .json", *_keys("source-ref")), _SELF),
    UnreadFormat(
        "Vertex AI's JSON lines",
        _holds(".jsonl .json", r'"(imageGcsUri|image_gcs_uri)"\s*:'),
        "Export as AutoML's CSV, which is read, or as COCO JSON.",
    ),
    UnreadFormat("CrowdHuman .odgt", _holds(".odgt .json .jsonl", *_keys("gtboxes")), _SELF),
    UnreadFormat(
        "JSON lines for a language model (PaliGemma, Florence)",
        _holds(".jsonl", r"<loc_?\d+>"),
        "Export the set as COCO JSON instead.",
    ),
    UnreadFormat(
        "a Hugging Face imagefolder without boxes",
        _any(_holds(".jsonl", *_keys("file_name")), _holds(".csv", r"^[^\n]*file_name", path=r"(^|/)metadata\.csv$")),
        "Add `objects` with `bbox` ([x, y, width, height]) and `categories` to each image.",
    ),
    UnreadFormat(
        "Parquet",
        _called(r".+\.parquet"),
        "Write images and boxes as an imagefolder: metadata.jsonl with `file_name` and `objects`.",
    ),
    UnreadFormat("TFRecord", _called(r".+\.(tfrecords?|tfrec|record)(-\d+-of-\d+)?"), f"Export as {_COCO} instead."),
    UnreadFormat("MXNet's RecordIO", _called(r".+\.rec"), _SELF),
    UnreadFormat("MATLAB", _called(r".+\.mat"), _SELF),
    UnreadFormat("dlib's XML (imglab)", _holds(".xml", r"<dataset\b", r"<images\b|<image\b[^>]*\bfile\s*="), _SELF),
    UnreadFormat("UA-DETRAC's XML", _holds(".xml", r"<sequence\b", r"<target_list|<frame\b"), _SELF),
    UnreadFormat(
        "DOTA labelTxt",
        _any(
            _lines(".txt", rf"{_times(8)}\s+[^\d\s]\S*(\s+\d)?", others=r"imagesource:.*|gsd:.*"),
            _holds(".txt", r"\S", path=r"(^|/)labeltxt[^/]*/"),
        ),
        "Convert it to COCO with DOTA_devkit's DOTA2COCO.py.",
    ),
    UnreadFormat("KITTI", _lines(".txt", rf"[A-Za-z]\S*\s+{_times(14)}(\s+{_NUMBER})?"), _datumaro("kitti")),
    UnreadFormat(
        "WIDER FACE",
        _any(
            _called(r"wider_face_\w+_bbx_gt\.txt"),
            _lines(".txt", _times(10), others=r"\S+/\S+\.(jpg|jpeg|png)|\d+", path="gt|wider"),
        ),
        _datumaro("wider_face"),
    ),
    UnreadFormat("MOT", _called(r"(gt|det)/(gt|det)\.txt"), _datumaro("mot_seq")),
    UnreadFormat(
        "VisDrone (annotations/*.txt)",
        _lines(".txt", r"(-?\d+,){7}(-?\d+,){0,2}-?\d*"),
        "Convert it to YOLO with the script in Ultralytics' VisDrone.yaml.",
    ),
    UnreadFormat("ICDAR's outlines of texts", _lines(".txt", rf"{_times(8, ',')},.*[^\d,.\s].*"), _SELF),
    UnreadFormat(
        "a list of keras-yolo3 (`image x1,y1,x2,y2,class ...`), Roboflow's YOLO Keras",
        _lines(".txt", rf"\S.*?\.\w+(\s+{_times(5, ',')})+", others=r"\S.*\.\w+"),
        f"In Roboflow, export as COCO JSON; a list of your own: write it as {_TABLE}.",
    ),
    UnreadFormat(
        "OIDv4 ToolKit's Label/*.txt",
        _lines(".txt", rf"[^\d\s].*?\s+{_times(4)}", path=r"(^|/)label/"),
        f"Take Open Images' own CSV, which is read, or {_TABLE}.",
    ),
    UnreadFormat(
        "Label Studio's CSV",
        _holds(".csv .tsv", r'""(rectangle|polygon|ellipse|brush)labels""'),
        "Export as JSON, which is read.",
    ),
    UnreadFormat("GeoJSON (xView, SpaceNet)", _called(r".+\.geojson"), _SELF),
    UnreadFormat(
        "masks without boxes", _called(r"Segmentation(Class|Object)/.+\.png"), f"Export as {_COCO} with boxes."
    ),
    UnreadFormat(
        "a list of whole images' classes, without boxes", _called(r"_classes\.csv"), "Export boxes, as COCO JSON."
    ),
    UnreadFormat(
        "a table without a header, in which it is not clear which column holds what",
        _any(
            _lines(".csv .tsv", r"[^\n]*\.(jpe?g|png|bmp|webp|tiff?)\b[^\n]*"),
            _lines(".txt", rf".+\.(jpe?g|png|bmp|webp|tiff?|ppm){_BETWEEN}{_times(4, _BETWEEN)}.*"),
        ),
        "Give it a first row: filename,xmin,ymin,xmax,ymax,class, or x,y,width,height where there is no second corner.",
    ),
)
