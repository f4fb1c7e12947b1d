"""How data sets call their splits: train, training, train2017; val, valid, validation; test, testing."""

import re
from functools import lru_cache
from pathlib import PurePosixPath

SPLITS = ("train", "val", "test")  # each held out further than the one before
_WORDS = {"train": "train", "training": "train", "trainval": "train"}
_WORDS |= {"val": "val", "valid": "val", "validation": "val", "dev": "val"}
_WORDS |= {"test": "test", "testing": "test"}
_YEAR = re.compile(r"\d{0,4}$")  # COCO: train2017


@lru_cache(maxsize=1024)  # a data set's images say the same few words
def split_of_word(word: str) -> str | None:
    """train, val or test where a single word means one of them."""
    return _WORDS.get(_YEAR.sub("", word.lower()))


def split_of_folders(name: str) -> str | None:
    """The split that a relative file name's folders speak of, the innermost first."""
    folders = reversed(PurePosixPath(name).parts[:-1])
    return next((split for split in map(split_of_word, folders) if split), None)


def split_of_file(name: str) -> str | None:
    """The split that a file's own name speaks of (instances_train2017.json), else its folders."""
    words = re.split(r"[_\-. ]+", PurePosixPath(name).stem)
    return next((split for split in map(split_of_word, words) if split), None) or split_of_folders(name)


def held_out(split: str | None) -> int:
    """How far images of a split are held out: an image in two splits must not be trained on."""
    return SPLITS.index(split) if split in SPLITS else -1
