"""What the words of `yolox predict` name, and what they must not."""

import os
from pathlib import Path

import pytest

from pipeline.predict.inputs import Clip, Still, check_apart, find
from yolox_core.errors import InputError


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.PNG", "night/a.jpg", "door.mp4", "notes.txt", ".hidden.jpg", "night/.trash/c.jpg"):
        (tmp_path / "shots" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shots" / name).write_bytes(b"")
    return tmp_path / "shots"


def names(*words: object) -> list[str]:
    return [source.name for source in find([str(word) for word in words])]


def test_a_folder_gives_its_images_and_videos(shots: Path) -> None:
    found = find([str(shots)])
    assert [source.name for source in found] == ["a.jpg", "b.PNG", "door.mp4", "night/a.jpg"]
    assert [type(source) for source in found] == [Still, Still, Clip, Still]
    assert found[3].path == shots / "night" / "a.jpg"


def test_a_glob_is_ours_where_the_shell_left_it(shots: Path) -> None:
    assert names(shots / "*.jpg") == ["a.jpg"]
    assert names(shots / "**" / "*.jpg") == ["a.jpg", "night/a.jpg"]
    with pytest.raises(InputError, match=r"\*\.txt: expected images or videos .* got 1 other matches"):
        find([str(shots / "*.txt")])
    odd = shots / "a[1].jpg"  # a name, not a pattern
    odd.write_bytes(b"")
    assert names(odd) == ["a[1].jpg"]


def test_several_words_give_each_file_once(shots: Path) -> None:
    assert names(shots / "a.jpg", shots / "*.jpg", shots / "b.PNG") == ["a.jpg", "b.PNG"]
    assert names(shots / "night", shots / "a.jpg") == ["night/a.jpg", "a.jpg"]


def test_two_files_of_one_name_are_refused(shots: Path) -> None:
    with pytest.raises(InputError, match=r"expected files of different names, got .*shots/a\.jpg and .*night/a\.jpg"):
        find([str(shots / "a.jpg"), str(shots / "night" / "a.jpg")])


def test_home_is_expanded(shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(shots.parent))
    assert names("~/shots/a.jpg") == ["a.jpg"]
    assert names("~/shots/*.PNG") == ["b.PNG"]


def test_cameras() -> None:
    assert find(["camera:2"]) == [Clip("camera:2", None, 2)]
    for wrong in ("camera:", "camera:front", "camera:-1"):
        with pytest.raises(InputError, match="expected camera:<number>"):
            find([wrong])


def test_nothing_to_look_at(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: expected images or videos"):
        find([str(tmp_path / "empty")])
    with pytest.raises(InputError, match="no such image or folder"):
        find([str(tmp_path / "nowhere.jpg")])


def test_a_name_that_no_output_can_hold(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(path)).write_bytes(b"")
    with pytest.raises(InputError, match="UTF-8"):
        find([os.fsdecode(path)])


def test_no_output_among_the_images(shots: Path, tmp_path: Path) -> None:
    for word, folder in (
        (shots, shots),
        (shots, shots / "drawn"),
        (shots / "a.jpg", shots),
        (shots / "*.jpg", shots),
    ):
        with pytest.raises(InputError, match="expected a folder apart from the images"):
            check_apart("--save-dir", folder, [str(word)], find([str(word)]))
    check_apart("--save-dir", tmp_path / "drawn", [str(shots)], find([str(shots)]))
    check_apart("--save-dir", shots / "drawn", [str(shots / "a.jpg")], find([str(shots / "a.jpg")]))


def test_pictures_of_unread_kinds_are_counted_by_kind(shots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("c.HEIC", "d.heic", "night/e.cr2"):
        (shots / name).write_bytes(b"")
    line = "warning: 1 .cr2 and 2 .heic not read: no decoder here opens them. Save them as JPEG or PNG.\n"
    assert len(names(shots)) == 4 and capsys.readouterr().err == line
    assert names(shots / "*")[:1] == ["a.jpg"] and capsys.readouterr().err.startswith("warning: 2 .heic not read")
    with pytest.raises(InputError, match=r"got 1 other matches\. 1 \.heic not read"):
        find([str(shots / "*.heic")])
