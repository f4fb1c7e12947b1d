"""Damaged and odd image files."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.data_zoo.zoo import Coco, by_pillow, coco, encoded, picture, pillow


@coco("missing-image")
def image_that_is_not_there(made: Coco) -> None:
    made.add("lost.jpg", None)


@coco("missing-image")
def link_to_nowhere(made: Coco) -> None:
    made.add("link.jpg", None)
    (made.root / "link.jpg").symlink_to("nowhere.jpg")


@coco("unreadable-image")
def text_called_jpg(made: Coco) -> None:
    made.put(1, b"this is no image")


@coco("unreadable-image")
def empty_file(made: Coco) -> None:
    made.put(1, b"")


@coco("unreadable-image")
def png_with_a_damaged_header(made: Coco) -> None:
    data = bytearray(encoded(picture(1), ".png"))
    data[16:24] = b"\0" * 8
    made.put(1, bytes(data), "1.png")


@coco("truncated-image")
def jpeg_cut_short(made: Coco) -> None:
    data = encoded(picture(1), ".jpg")
    made.put(1, data[: len(data) * 2 // 3])


@coco("truncated-image")
def png_cut_short(made: Coco) -> None:
    data = encoded(picture(1), ".png")
    made.put(1, data[: len(data) // 2], "1.png")


@coco("truncated-image")
def webp_cut_short(made: Coco) -> None:
    data = encoded(picture(1), ".webp")
    made.put(1, data[: len(data) // 2], "1.webp")


@coco("image-mislabelled")
def png_called_jpg(made: Coco) -> None:
    made.put(1, encoded(picture(1), ".png"))


@coco("image-mislabelled")
def jpeg_called_png(made: Coco) -> None:
    made.put(1, encoded(picture(1), ".jpg"), "1.png")


@coco("image-animated")
def animated_png(made: Coco) -> None:
    made.put(1, by_pillow(pillow(1), "PNG", save_all=True, append_images=[pillow(2), pillow(3)]), "1.png")


@coco("image-animated")
def tiff_of_several_pages(made: Coco) -> None:
    made.put(1, by_pillow(pillow(1), "TIFF", save_all=True, append_images=[pillow(2)]), "1.tif")


@coco("image-16-bit")
def sixteen_bits(made: Coco) -> None:
    grey = cv2.cvtColor(picture(1), cv2.COLOR_BGR2GRAY).astype(np.uint16) * 257
    made.put(1, encoded(grey, ".png"), "1.png")


@coco("image-16-bit")
def sixteen_bits_in_colour(made: Coco) -> None:
    made.put(1, encoded(picture(1).astype(np.uint16) * 257, ".png"), "1.png")


@coco("image-16-bit")
def sixteen_bits_in_a_tiff(made: Coco) -> None:
    made.put(1, encoded(picture(1).astype(np.uint16) * 257, ".tif"), "1.tif")


@coco("image-cmyk")
def cmyk(made: Coco) -> None:
    made.put(1, by_pillow(pillow(1).convert("CMYK"), "JPEG"))


@coco("image-palette")
def palette(made: Coco) -> None:
    made.put(1, by_pillow(pillow(1).quantize(16), "PNG"), "1.png")


@coco("image-alpha")
def alpha(made: Coco) -> None:
    see_through = pillow(1)
    see_through.putalpha(Image.linear_gradient("L").resize(see_through.size))
    made.put(1, by_pillow(see_through, "PNG"), "1.png")


@coco("image-grayscale")
def grayscale(made: Coco) -> None:
    made.put(1, by_pillow(pillow(1).convert("L"), "JPEG"))


@coco("image-rotated")
def turned_by_exif(made: Coco) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    made.put(1, by_pillow(pillow(1).rotate(90, expand=True), "JPEG", exif=tags))


@coco("image-rotated")
def mirrored_by_exif(made: Coco) -> None:
    tags = Image.Exif()
    tags[0x0112] = 2
    made.put(1, by_pillow(pillow(1), "JPEG", exif=tags))


@coco("image-enormous")
def enormous(made: Coco) -> None:
    size = (7100, 7100)
    made.put(1, encoded(np.zeros((*size, 3), np.uint8), ".png"), "1.png")
    made.images[0] |= {"height": size[0], "width": size[1]}


@coco("image-enormous")
def too_enormous_for_pillow(made: Coco) -> None:
    size = (14_000, 14_000)
    made.put(1, encoded(np.zeros(size, np.uint8), ".png"), "1.png")
    made.images[0] |= {"height": size[0], "width": size[1]}


@coco("copies-differ")
def copies_with_other_boxes(made: Coco) -> None:
    made.add("copy.jpg", encoded(picture(1), ".jpg"))
    made.box(5, [2, 2, 9, 9])


@coco("duplicate-across-splits")
def three_copies_on_three_sides(made: Coco) -> None:
    for name in ("copy.jpg", "another.jpg"):
        made.add(name, encoded(picture(1), ".jpg"))
    for entry, split in zip(made.images, ("train", "train", "train", "train", "val", "test"), strict=True):
        entry["split"] = split


@coco("image-mislabelled")
def two_images_that_would_get_one_name(made: Coco) -> None:
    made.put(1, encoded(picture(1), ".png"), "a.jpg")
    made.put(2, encoded(picture(2), ".png"), "a.jpeg")
    made.add("a.png", encoded(picture(7), ".png"))


@coco("duplicate-image-entry")
def one_file_in_two_entries(made: Coco) -> None:
    made.add("1.jpg", None)
    made.box(5, [2, 2, 9, 9])


@coco("image-duplicate")
def the_same_file_twice(made: Coco) -> None:
    made.add("copy.jpg", encoded(picture(1), ".jpg"))


@coco("duplicate-across-splits")
def the_same_file_on_both_sides(made: Coco) -> None:
    made.add("copy.jpg", encoded(picture(1), ".jpg"))
    made.write_split(4, 5)


@coco("image-similar")
def a_smaller_copy(made: Coco) -> None:
    small = cv2.resize(picture(1), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    made.add("small.jpg", encoded(small, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 60), small.shape[:2])


@coco("similar-across-splits")
def a_mirrored_copy_on_the_other_side(made: Coco) -> None:
    made.add("mirror.jpg", encoded(picture(1)[:, ::-1], ".jpg", cv2.IMWRITE_JPEG_QUALITY, 50))
    made.write_split(4, 5)


@coco("image-without-annotation")
def image_that_nobody_named(made: Coco) -> None:
    Path(made.root / "extra.jpg").write_bytes(encoded(picture(9), ".jpg"))


@coco("size-wrong")
def annotated_with_another_size(made: Coco) -> None:
    made.images[0] |= {"height": 70, "width": 141}


@coco("size-transposed")
def height_and_width_exchanged(made: Coco) -> None:
    made.images[0] |= {"height": 128, "width": 96}


@coco("size-scaled")
def annotated_on_a_larger_copy(made: Coco) -> None:
    made.images[0] |= {"height": 192, "width": 256}
