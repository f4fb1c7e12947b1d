"""How data sets call their splits: train, training, train2017; val, valid, validation; test, testing.

Files and folders are read by one rule: train_images, images-train, WIDER_train and trainImages are all of train. A name
that speaks of several, as train_test does, speaks of none; but train and val together are what is trained on, and
test-dev is a test set.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

SPLITS = ("train", "val", "test")  # each held out further than the one before
_WORDS = {"train": "train", "training": "train", "trainval": "train"}
_WORDS |= {"val": "val", "valid": "val", "validation": "val", "dev": "val"}
_WORDS |= {"test": "test", "testing": "test"}
_YEAR = re.compile(r"\d{0,4}$")  # COCO: train2017
_ALL_OF_DARKNET = "obj_train_data"  # its folder for all images; lists tell which of them train
_TEST_DEV = re.compile(r"test[\W_]?dev", re.IGNORECASE)  # COCO and VisDrone have one
_BETWEEN = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")  # words of a name


@lru_cache(maxsize=1024)  # a data set's images say the same few words
def split_of_word(word: str) -> str | None:
    """train, val or test where a single word means one of them."""
    return _WORDS.get(_YEAR.sub("", word.lower()))


@lru_cache(maxsize=1024)
def split_of_name(name: str) -> str | None:
    """The split that the words of a folder's name, or of a file's without suffix, speak of."""
    if name == _ALL_OF_DARKNET:
        return None
    whole = split_of_word(name)
    found = {split for split in map(split_of_word, _BETWEEN.split(_TEST_DEV.sub("test", name))) if split}
    return whole or ("train" if found == {"train", "val"} else found.pop() if len(found) == 1 else None)


def split_of_folders(name: str) -> str | None:
    """The split that a relative file name's folders speak of: in one word before several, the innermost first."""
    return _split_of_folder(str(PurePosixPath(name).parent))


def split_of_file(name: str) -> str | None:
    """The split that a file's own name speaks of (instances_train2017.json), else its folders."""
    return split_of_name(PurePosixPath(name).stem) or split_of_folders(name)


@lru_cache(maxsize=1024)  # thousands of images lie in one folder
def _split_of_folder(path: str) -> str | None:
    folders = PurePosixPath(path).parts[::-1]
    found = (split for means in (split_of_word, split_of_name) for split in map(means, folders) if split)
    return next(found, None)


def leaves_some_to_train(splits: Iterable[str | None]) -> bool:
    """Whether any of the images trains; those of no split do."""
    return any(split in ("train", None) for split in splits)


def splits_of_files(files: Collection[str]) -> Mapping[str, str | None]:
    """The split of each file of annotations by its name; none of a single one, or where none would be left to train."""
    return splits_by_words({name: split_of_file(name) if len(files) > 1 else None for name in files})


def splits_by_words(words: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """What names say of each image, as long as some are left to train: flight_test.json alone holds nothing out."""
    return splits_of({name: (None, word) for name, word in words.items()})


def splits_of(said: Mapping[str, tuple[str | None, str | None]]) -> Mapping[str, str | None]:
    """The split of each image by what is written, else by what names say, where these leave some to train."""
    either = {image: written or word for image, (written, word) in said.items()}
    return either if leaves_some_to_train(either.values()) else {image: written for image, (written, _) in said.items()}


def held_out(split: str | None) -> int:
    """How far images of a split are held out: an image in two splits must not be trained on."""
    return SPLITS.index(split) if split in SPLITS else -1
