"""What the names of files and folders say of pictures: of which kind a file is, and whether a folder holds copies."""

import re
from functools import lru_cache
from pathlib import PurePosixPath

from yolox_core.data.image_kinds import IMAGE_SUFFIXES

# kinds that no decoder here may open; named where an annotation speaks of one
_OTHERS = """
    .arw .avif .cr2 .cr3 .dcm .dng .emf .eps .exr .fits .gif .hdr .heic .heif .ico .j2c .j2k .jp2 .jpf .jpx .jxl .nef
    .nrw .orf .pam .pbm .pcx .pfm .pgm .pnm .ppm .psd .raf .ras .raw .rw2 .sgi .sr .svg .tga .wmf .xcf
"""
_OF_IMAGES = "frames image images img imgs jpeg jpegimages jpg photo photos picture pictures png rgb"
# of what was made from images: masks, drawn copies, plots
_OF_MADE = """
    annotated contour contours debug depth drawn edges groundtruth gt instance instances mask masks matte mattes
    outline outlines output outputs overlay overlays panoptic pixelmaps plot plots pred predict predicted prediction
    predictions preds preview previews result results runs seg segmentation segmentationclass segmentationobject
    segmentations segments semantic stuff thumb thumbnail thumbnails thumbs trimap trimaps vis visual visualisation
    visualisations visualization visualizations viz
"""
_OF_ANNOTATIONS = "annotation annotations annots json jsons label labels xml xmls"
_OF_A_MODEL = frozenset(["pred", "predict", "predicted", "prediction", "predictions", "preds", "runs"])
_KINDS = {
    "made": frozenset(_OF_MADE.split()),
    "images": frozenset(_OF_IMAGES.split()),
    "annotations": frozenset(_OF_ANNOTATIONS.split()),
}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")

UNREAD_SUFFIXES = frozenset(_OTHERS.split()) - IMAGE_SUFFIXES
PICTURE_SUFFIXES = IMAGE_SUFFIXES | UNREAD_SUFFIXES


@lru_cache(maxsize=4096)  # a data set has few folders
def kind_of_folder(folder: str) -> str:
    """made, images or annotations, as the innermost folder says that says any; empty where none does."""
    for part in reversed(PurePosixPath(folder).parts):
        words = _words(part)
        for kind, known in _KINDS.items():
            if words & known:
                return kind
    return ""


def is_of_a_model(folder: str) -> bool:
    """Whether a folder's name says that a model's results lie in it, as runs/detect/predict does."""
    return kind_of_folder(folder) == "made" and any(_words(part) & _OF_A_MODEL for part in PurePosixPath(folder).parts)


def _words(part: str) -> set[str]:
    return {part.lower(), *(word.lower() for word in _WORD.findall(part))}
