"""What is read for a tile, and when: not what is out of sight, and not an image of another size than annotated."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.synthetic.scenes import render
from yolox_core.config import AugmentConfig
from yolox_core.data import image_cache
from yolox_core.data.augment import Tile, compose
from yolox_core.data.dataset import ImageStore
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.structures import ImageArray, Objects

SIZE = (64, 64)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> DatasetRecords:
    return render(tmp_path_factory.mktemp("scenes"), 2, seed=1)


def resized_to(records: DatasetRecords, height: int, width: int) -> DatasetRecords:
    """The same images, annotated as of another size."""
    return replace(records, images=[replace(image, height=height, width=width) for image in records.images])


def test_a_tile_is_read_when_its_pixels_are_asked_for_and_once(
    records: DatasetRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, plain = [], image_cache.read_image
    monkeypatch.setattr(image_cache, "read_image", lambda path, *how: (read.append(path), plain(path, *how))[1])
    tile, size = ImageStore(records, cache_bytes=0).tile(0, SIZE)
    assert not read and size == (records.images[0].height, records.images[0].width)
    assert tile.load().shape[:2] == tile.size and len(read) == 1
    unsaid, true_size = ImageStore(resized_to(records, 0, 0), cache_bytes=0).tile(0, SIZE)
    assert unsaid.load().shape[:2] == unsaid.size == tile.size and true_size == size and len(read) == 2
    np.testing.assert_array_equal(unsaid.objects.boxes_G4, tile.objects.boxes_G4)


def test_an_image_of_another_size_than_annotated_is_refused(records: DatasetRecords) -> None:
    tile, _ = ImageStore(resized_to(records, 100, 50), cache_bytes=0).tile(0, SIZE)
    with pytest.raises(InputError, match=r"annotated as 50x100, the image is \d+x\d+ \(width x height\)"):
        tile.load()


def test_a_tile_out_of_sight_is_not_read() -> None:
    def unread() -> ImageArray:
        raise AssertionError("read, though nothing of it can be seen")

    none = Objects()
    seen = Tile.of(np.full((*SIZE, 3), 7, np.uint8), none)
    hidden = Tile(SIZE, none, unread)
    # the canvas of twice the input, unmoved: the output shows what lies above and left of the middle
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    output, _ = compose([seen, hidden, hidden, hidden], SIZE, SIZE, identity, AugmentConfig())
    assert (output == 7).all()
