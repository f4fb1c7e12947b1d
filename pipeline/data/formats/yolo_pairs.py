"""Which label file belongs to which image in a YOLO folder, and which pictures of the folder are its data.

Labels lie in labels/ where images lie in images/, beside them, or in another folder that speaks of labels. Names meet
whatever their case.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from pipeline.data.formats import yolo_names
from pipeline.data.parsing.box_builder import finite_numbers
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.left_out import aside, by_folder
from pipeline.data.parsing.picture_names import is_of_a_model, kind_of_folder
from pipeline.data.parsing.text import folded
from yolox_core.data.image_kinds import IMAGE_SUFFIXES

_FEWEST = 5  # numbers in a line of labels
_HEAD = 4096  # characters that are read to tell labels from another text


def label_files(listing: Listing) -> list[str]:
    """*.txt in a folder called labels, or called like an image beside them, and what holds labels in such a folder.

    So does one called like an image in a folder that speaks of labels: train_labels, annotations.
    """
    texts = listing.ending(".txt")
    beside = {_beside(image) for image in listing.images}
    called = {name for name in texts if "labels" in _folders(name) or folded(name) in beside}
    plain = {name for name in called if not yolo_names.is_names_file(name)}
    if len(plain) < len(called):  # labels/test.txt is a list, or of images/test.jpg
        matched = {folded(label_candidates(image)[0]) for image in listing.images} - beside
        plain |= {name for name in called if folded(name) in matched}
    beside.update(_beside(picture) for pictures in listing.unread_pictures.values() for picture in pictures)
    beside.update(f"{folded(image)}.txt" for image in listing.images)
    homes = {_folder(name) for name in plain}
    doubtful = [name for name in texts if name not in plain and (_folder(name) in homes or folded(name) in beside)]
    plain.update(name for name in doubtful if _holds_labels(listing, name))
    others = [name for name in texts if name not in plain and _is_called_like_labels(listing, name)]
    plain.update(name for name in others if _holds_labels(listing, name, are_shares=True))
    return [name for name in texts if name in plain]


def label_candidates(image: str) -> list[str]:
    """Where the labels of an image may lie: images/ -> labels/ (the last such folder), else beside it."""
    path = _as_text(image)
    folder, _, name = path.rpartition("/")
    parts = folder.split("/")
    for at in range(len(parts) - 1, -1, -1):
        if parts[at].lower() == "images":
            return ["/".join([*parts[:at], "labels", *parts[at + 1 :], name]), path]
    return [path, f"labels/{path}", f"{folder}/labels/{name}" if folder else f"labels/{name}"]


def _as_text(image: str) -> str:
    """The image's name with the suffix of a label file."""
    return image[: len(image) - len(PurePosixPath(image).suffix)] + ".txt"


def pair(listing: Listing, files: Sequence[str], findings: list[Finding]) -> tuple[dict[str, str], set[str]]:
    """The label file of each image that has one, and images that another one stands in for, which are left out."""
    claims: defaultdict[str, list[tuple[tuple[int, bool], str]]] = defaultdict(list)
    exact, of_folded = set(files), {folded(name): name for name in reversed(files)}
    for image in listing.images:
        found = _label_of(image, exact, of_folded)
        if found is not None:
            rank, file = found
            claims[file].append(((rank, kind_of_folder(_folder(image)) == "made"), image))
    label_of: dict[str, str] = {}
    doubles: set[str] = set()
    for file, images in claims.items():
        (_, chosen), *others = sorted(images)
        label_of[chosen] = file
        for _, other in others:
            doubles.add(other)
            what = f"expected one image, got {chosen} and {other}"
            findings.append(Finding("image-doubtful", file, what, f"{other} left out"))
    for file in files:
        if file not in claims:
            stem = PurePosixPath(file).stem  # a.jpg of a.jpg.txt
            is_whole = PurePosixPath(stem).suffix.lower() in IMAGE_SUFFIXES
            elsewhere = listing.locate(file, stem if is_whole else "", stem)
            if elsewhere.image is not None and not elsewhere.doubt:
                label_of.setdefault(elsewhere.image, file)
    return label_of, doubles - set(label_of)


def _label_of(image: str, exact: Collection[str], of_folded: Mapping[str, str]) -> tuple[int, str] | None:
    """(how far off the usual place, label file) of an image: in its own case before another."""
    candidates = label_candidates(image)
    for at, candidate in enumerate(candidates):
        if candidate in exact:
            return at, candidate
    for at, candidate in enumerate(candidates):
        if folded(candidate) in of_folded:
            return at + len(candidates), of_folded[folded(candidate)]
    return None


def data_images(
    listing: Listing, label_of: Mapping[str, str], listed: Collection[str], findings: list[Finding]
) -> list[str]:
    """The pictures that are data: where data.yaml lists images, or labels/ lies beside images/, no others.

    A folder in which an image has labels is data as a whole. One finding for each folder that is left out.
    """
    labelled = {_folder(image) for image in label_of}
    roots = {_root(file, "labels") for file in label_of.values()} - {None}

    def is_data(image: str) -> bool:
        folder = _folder(image)
        if folder in labelled:
            return True
        if kind_of_folder(folder) == "made":
            return False
        return image in listed if listed else not roots or _root(image, "images") in roots

    kept = {image for image in listing.images if is_data(image)}
    others = [image for image in listing.images if image not in kept]
    findings += [aside(folder, pictures) for folder, pictures in by_folder(others).items()]
    return [image for image in listing.images if image in kept]


def without_results(
    files: Sequence[str], label_of: Mapping[str, str], listed: Collection[str], findings: list[Finding]
) -> list[str]:
    """The label files but for those of a model's results, which `yolo predict` leaves in runs/.

    They are left out where other images have labels, and data.yaml does not list theirs. One finding for each folder.
    """
    image_of = {file: image for image, file in label_of.items()}
    home_of = {file: _home(file) for file in files}
    of_data = {file for file, image in image_of.items() if image in listed or not _is_of_results(image, home_of[file])}
    homes = {home_of[file] for file in of_data}
    results = defaultdict(list)
    for file, home in home_of.items():
        if file not in of_data and (file in image_of or (home not in homes and is_of_a_model(home))):
            results[home].append(file)
    if not of_data:
        return list(files)
    for home, found in results.items():
        what = f"expected labels of the data set, got {len(found)} files of labels in a folder of results"
        findings.append(Finding("labels-of-results", found[0], what, f"labels of {home} left out"))
    left = {file for found in results.values() for file in found}
    return [file for file in files if file not in left]


def _is_of_results(image: str, home: str) -> bool:
    """Whether an image lies in a folder of results, or its labels in one, `home`, that the image does not lie in."""
    is_elsewhere = is_of_a_model(home) and not image.lower().startswith(f"{home.lower()}/")
    return is_elsewhere or is_of_a_model(_folder(image))


def _home(file: str) -> str:
    """The folder above a label file's folder labels/, in small letters, else the one that it lies in."""
    root = _root(file, "labels")
    return _folder(file) if root is None else root


def without_labels(images: Iterable[str], label_of: Mapping[str, str]) -> list[Finding]:
    """One finding for each folder with images that have no label file, and so count as background."""
    findings = []
    for folder, inside in by_folder(list(images)).items():
        bare = [image for image in inside if image not in label_of]
        where = "the data set" if folder == "." else folder
        if bare:
            code = "image-without-labels" if len(bare) < len(inside) else "folder-without-labels"
            what = f"{len(bare)} of {len(inside)} images have no label file, {bare[0]} is one"
            findings.append(Finding(code, where, what, "taken as background"))
    return findings


def _root(name: str, folder: str) -> str | None:
    """What lies above the last folder called so, in lower case; None where there is none."""
    parts = _folders(name)
    return "/".join(parts[: len(parts) - 1 - parts[::-1].index(folder)]) if folder in parts else None


def _is_called_like_labels(listing: Listing, name: str) -> bool:
    folder = _folder(name)
    return kind_of_folder(folder) == "annotations" and folded(PurePosixPath(name).stem) in listing.images_by_stem


def _holds_labels(listing: Listing, name: str, are_shares: bool = False) -> bool:
    """Whether each line, as far as it is read, begins like one of labels; a list of names or images does not.

    `are_shares`: only where it is a class and shares of an image's size, as no other format's lines are.
    """
    try:
        with (listing.root / name).open(encoding="utf-8-sig", errors="replace") as file:
            lines = [line.split() for line in file.read(_HEAD).split("\n")[:20]]
    except OSError:
        return False
    lines = [words for words in lines if words]
    begins = [finite_numbers(words[:_FEWEST]) if len(words) >= _FEWEST else None for words in lines]
    return bool(lines) and all(
        numbers and not (are_shares and any(not 0 <= share <= 1 for share in numbers[1:])) for numbers in begins
    )


def _beside(image: str) -> str:
    return folded(_as_text(image))


def _folders(name: str) -> tuple[str, ...]:
    return tuple(name.lower().split("/")[:-1])


def _folder(name: str) -> str:
    return name.rpartition("/")[0] or "."
