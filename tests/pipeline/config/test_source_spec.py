"""What `data.source` may say, and what is said where it says something else."""

from typing import Any

import pytest

from pipeline.config.settings import settings_from
from pipeline.config.source_spec import SourceSettings, unique_names
from yolox_core.errors import InputError

DIGEST = "0123456789abcdefABCDEF" + "0" * 42
WEB = "https://example.org/sets/My_Set.tar.gz?key=secret"


def sources(given: Any) -> tuple[SourceSettings, ...]:
    return settings_from({"data": {"source": given}}).data.sources


def test_every_form_is_a_list_of_sources() -> None:
    assert sources("synthetic") == ()
    assert sources("folder") == sources(["folder"]) == sources({"path": "folder"}) == (SourceSettings("folder"),)
    listed = sources(["a", {"path": WEB, "sha256": DIGEST, "format": "voc", "classes": {"their": "our", "no": None}}])
    assert listed[1].sha256 == DIGEST.lower() and listed[1].classes == {"their": "our", "no": None}
    assert [source.is_remote for source in listed] == [False, True]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (5, "data.source: expected text"),
        ([5], "data.source[0]: expected text"),
        ([], "got an empty list"),
        ("", "expected a path"),
        ({"format": "voc"}, "expected a path"),
        ({"pth": "a"}, "unknown parameter 'data.source.pth'. Did you mean 'path'?"),
        (["a", {"path": "b", "klasses": {}}], "'data.source[1].klasses'. Did you mean 'classes'?"),
        ({"path": "a", "format": 5}, "data.source.format: expected text"),
        ({"path": "a", "classes": ["b"]}, "data.source.classes: expected a mapping"),
        ({"path": "a", "classes": {"b": 1}}, "classes: expected names, or null as ours, got 'b': 1"),
        ({"path": "a", "classes": {True: "b"}}, "Put a name that YAML reads as something else in quotes"),
        ({"path": "a.zip", "sha256": "12"}, "expected 64 hexadecimal digits, got '12'"),
        ({"path": "a", "sha256": DIGEST}, "expected an archive to compare, got a folder"),
        (WEB, "expected the archive's sha256 beside its address"),
        (["a", "a"], "got 'a' twice"),
        (["a", "synthetic"], "expected synthetic alone"),
        ({"path": "synthetic"}, "expected synthetic alone"),
        ([["a"]], "data.source[0]: expected text"),
    ],
)
def test_anything_else_is_refused_in_one_line(given: Any, says: str) -> None:
    with pytest.raises(InputError) as refused:
        sources(given)
    assert says in str(refused.value) and "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "name", "shown"),
    [
        ("~/My Images", "my-images", "~/My Images"),
        ("a/b.tar.gz", "b", "a/b.tar.gz"),
        (WEB, "my_set", "https://example.org/sets/My_Set.tar.gz"),
        ("https://user:secret@example.org/a.zip", "a", "https://example.org/a.zip"),
        ("https://example.org", "example.org", "https://example.org"),
        ("s3://bucket/folder/", "folder", "s3://bucket/folder/"),
        ("s3://bucket", "bucket", "s3://bucket"),
        ("dvc://https://u:secret@host/r.git@v1:a/set", "set", "dvc://https://host/r.git@v1:a/set"),
        ("dvc://https://secret@host/r.git@v1:a/set", "set", "dvc://https://host/r.git@v1:a/set"),
        ("sftp://user:secret@host/a/set", "set", "sftp://host/a/set"),
        ("dvc://git@host:org/r.git@v1:set", "set", "dvc://git@host:org/r.git@v1:set"),
        ("file:///a/b.zip", "b", "file:///a/b.zip"),
    ],
)
def test_names_and_what_is_shown_hold_no_secret(path: str, name: str, shown: str) -> None:
    source = SourceSettings(path, sha256=DIGEST if path.startswith("https") else None)
    assert (source.short_name, source.shown) == (name, shown)


def test_several_sources_have_names_of_their_own() -> None:
    listed = [SourceSettings(path) for path in ("a/train", "b/train", "c/train-2", ".hidden", "猫")]
    assert unique_names(listed) == ("train", "train-2", "train-2-2", "hidden", "data")
    long = unique_names((SourceSettings("a/" + "n" * 255), SourceSettings("b/" + "n" * 255)))
    assert len(set(long)) == 2 and max(map(len, long)) <= 255


def test_data_are_named_by_all_their_sources() -> None:
    assert settings_from({"data": {"source": ["a/Cats", "b/dogs.zip"]}}).registered_name == "yolox-cats-dogs"
    assert settings_from({"data": {"source": "b/dogs.zip"}}).registered_name == "yolox-dogs"
    assert settings_from({"data": {"source": ["a/Cats", "b/dogs.zip"]}}).data.shown == "a/Cats, b/dogs.zip"
    long = settings_from({"data": {"source": [f"{letter * 40}" for letter in "abc"]}}).data_name
    assert len(long) == 60
