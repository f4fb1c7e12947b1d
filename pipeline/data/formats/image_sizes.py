"""The sizes of a data set's images as their files have them, read from the headers."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from yolox_core.data.image_io import READERS, image_size
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.errors import InputError


def with_own_sizes(records: DatasetRecords) -> DatasetRecords:
    """The records with each image's own size, whatever was annotated; the annotated one where no file can be read."""

    def sized(record: ImageRecord) -> ImageRecord:
        try:
            height, width = image_size(records.path(record))
        except InputError:
            return record
        return replace(record, height=height, width=width)

    with ThreadPoolExecutor(READERS) as pool:
        return replace(records, images=list(pool.map(sized, records.images)))
