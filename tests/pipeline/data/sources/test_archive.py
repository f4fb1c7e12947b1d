"""Archives: whole and harmless ones are unpacked; every other is one line, and nothing of it stays."""

import io
import os
import random
import stat
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.source_spec import ARCHIVES, SourceSettings
from pipeline.data.sources import fetch
from pipeline.data.sources.archive import unpack
from pipeline.data.sources.limits import Limits
from tests.needs import ROOT
from yolox_core.atomic_files import new_folder
from yolox_core.errors import InputError

CONTENT = {"images/a.jpg": b"first" * 1000, "labels/a.txt": b"0 .5 .5 .1 .1\n", "näme/ü.txt": b"", "data.yaml": b"x"}
MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.xz": "w:xz", ".tar.bz2": "w:bz2"}
FEW = Limits(files=100, bytes=10**6, ratio=200, ratio_above_bytes=10**5, spare_bytes=0)


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings(action="ignore"):
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def entry(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    told = tarfile.TarInfo(name)
    told.size, told.type, told.linkname = size, kind, link
    return told


def make_tar(path: Path, files: dict[str, bytes], *others: tarfile.TarInfo) -> Path:
    mode = next(mode for ending, mode in MODES.items() if path.name.endswith(ending))
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            archive.addfile(entry(name, len(content)), io.BytesIO(content))
        for other in others:
            archive.addfile(other)
    return path


def unpacked(archive: Path, limits: Limits = FEW) -> dict[str, bytes]:
    folder = archive.parent / "out"
    with new_folder(folder) as partial:
        unpack(archive, partial, archive.name, limits)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(archive: Path, limits: Limits = FEW) -> str:
    """The one line; nothing may be left of what was unpacked so far."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(InputError) as refused:
        unpacked(archive, limits)
    assert sorted(archive.parent.rglob("*")) == before
    said = str(refused.value)
    assert said.startswith(f"{archive.name}: ") and "\n" not in said and len(said) < 500
    return said


@pytest.mark.parametrize("ending", ARCHIVES)
def test_every_kind_is_unpacked(tmp_path: Path, ending: str) -> None:
    make: Callable[[Path, dict[str, bytes]], Path] = make_zip if ending == ".zip" else make_tar
    assert unpacked(make(tmp_path / f"all{ending}", CONTENT)) == CONTENT


def test_what_is_meant_to_be_a_name_within_is_one(tmp_path: Path) -> None:
    files = {"./a//b.txt": b"1", "c\\d.txt": b"2"}
    assert unpacked(make_zip(tmp_path / "a.zip", files)) == {"a/b.txt": b"1", "c/d.txt": b"2"}


def test_names_in_utf8_without_the_flag_are_read(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"näme.txt": b"1"})
    for place in ("PK\3\4", "PK\1\2"):  # the flag stands 6 and 8 bytes into the two headers
        data = bytearray(archive.read_bytes())
        flag = data.index(place.encode()) + (7 if place == "PK\3\4" else 9)
        data[flag] &= ~0x08
        archive.write_bytes(data)
    assert unpacked(archive) == {"näme.txt": b"1"}


HARMFUL = ["../out.txt", "a/../../out.txt", "/etc/out.txt", "C:\\out.txt", "..\\out.txt", "\\\\host\\out.txt", "a/.."]


@pytest.mark.parametrize("name", HARMFUL)
@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str, ending: str) -> None:
    make: Callable[[Path, dict[str, bytes]], Path] = make_zip if ending == ".zip" else make_tar
    archive = make(tmp_path / f"bad{ending}", {"good.txt": b"", name: b"harm"})
    assert "expected names inside the folder" in refusal(archive)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
@pytest.mark.parametrize("target", ["good.txt", "/etc/passwd", ".."])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    archive = make_tar(tmp_path / "bad.tar", {"good.txt": b""}, entry("link", kind=kind, link=target))
    assert "got a link or device 'link'" in refusal(archive)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "got a link or device 'link'" in refusal(tmp_path / "bad.zip")


@pytest.mark.parametrize("names", [("a.txt", "./a.txt"), ("é.txt", "e\u0301.txt"), ("a", "a/b.txt"), ("a/b.txt", "a")])
@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_a_name_that_comes_twice_is_refused(tmp_path: Path, names: tuple[str, str], ending: str) -> None:
    make: Callable[[Path, dict[str, bytes]], Path] = make_zip if ending == ".zip" else make_tar
    assert "expected each name once" in refusal(make(tmp_path / f"bad{ending}", dict.fromkeys(names, b"x")))


def test_names_in_other_bytes_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(entry("Käfer.txt"))
    assert r"expected names in UTF-8, got K\udce4fer.txt" in refusal(tmp_path / "bad.tar")


def test_names_longer_than_a_disk_takes_are_refused(tmp_path: Path) -> None:
    assert "at most 255 bytes" in refusal(make_zip(tmp_path / "bad.zip", {"ü" * 130: b""}))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    assert "unpacks to over 200 times its size" in refusal(make_zip(tmp_path / "bad.zip", {"a": bytes(900_000)}))
    assert "unpacks to over 200 times its size" in refusal(make_tar(tmp_path / "bad.tar.xz", {"a": bytes(900_000)}))
    assert unpacked(make_zip(tmp_path / "small.zip", {"a": bytes(90_000)})), "the same ratio, but too little for harm"


def test_too_many_files_and_too_many_bytes_are_refused(tmp_path: Path) -> None:
    many = {f"{number}.txt": b"" for number in range(101)}
    assert "at most 100 files" in refusal(make_zip(tmp_path / "many.zip", many))
    folders = [entry(f"{number}", kind=tarfile.DIRTYPE) for number in range(101)]
    assert "at most 100 files" in refusal(make_tar(tmp_path / "folders.tar", {}, *folders))
    large = {"a": os.urandom(600_000), "b": os.urandom(600_000)}
    assert "expected at most 0.000931 GiB" in refusal(make_tar(tmp_path / "large.tar", large))


def test_a_full_disk_is_told_beforehand(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", CONTENT)
    assert "to spare" in refusal(archive, Limits(spare_bytes=10**18))


def test_an_endless_header_is_refused(tmp_path: Path) -> None:
    """Attributes of a TAR are read into memory whole, as many bytes as they say they have."""
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as archive:
        archive.addfile(entry("name", size=2**26, kind=tarfile.XHDTYPE), io.BytesIO(bytes(2**26)))
    assert "expected headers of at most" in refusal(tmp_path / "bad.tar.gz")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "bad.zip", {"a.txt": b"x"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)
    assert "'a.txt' is encrypted" in refusal(archive)


@pytest.mark.parametrize("ending", ARCHIVES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_archive_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    make: Callable[[Path, dict[str, bytes]], Path] = make_zip if ending == ".zip" else make_tar
    archive = make(tmp_path / f"cut{ending}", {f"{number}.bin": os.urandom(20_000) for number in range(9)})
    data = archive.read_bytes()
    if ending == ".tar" and share == 0.999:
        share = 0.9  # a plain TAR is filled up with zeros to 10 KiB, which say nothing
    archive.write_bytes(data[: int(len(data) * share)])
    refusal(archive)


@pytest.mark.parametrize("files", [1, 5])
def test_a_tar_that_breaks_off_between_two_files_is_refused(tmp_path: Path, files: int) -> None:
    """tarfile takes this for the end."""
    archive = make_tar(tmp_path / "cut.tar", {f"{number}": bytes(512) for number in range(9)})
    archive.write_bytes(archive.read_bytes()[: files * 1024])
    with tarfile.open(archive) as believed:
        assert len(believed.getnames()) == files
    assert "breaks off before its end" in refusal(archive)


def test_a_tar_whose_later_header_is_broken_is_refused(tmp_path: Path) -> None:
    """tarfile takes this for the end, too."""
    archive = make_tar(tmp_path / "bad.tar", {f"{number}": bytes(512) for number in range(9)})
    data = bytearray(archive.read_bytes())
    data[4 * 1024 + 10] ^= 1
    archive.write_bytes(data)
    assert "breaks off before its end" in refusal(archive)


@pytest.mark.parametrize("ending", [ending for ending in ARCHIVES if ending != ".tar"])  # which has no check sums
def test_a_flipped_bit_is_refused(tmp_path: Path, ending: str) -> None:
    make: Callable[[Path, dict[str, bytes]], Path] = make_zip if ending == ".zip" else make_tar
    archive = make(tmp_path / f"bad{ending}", {"a.bin": os.urandom(50_000)})
    data = bytearray(archive.read_bytes())
    data[25_000] ^= 1
    archive.write_bytes(data)
    refusal(archive)


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"PK\3\4 nothing", b"\x1f\x8b nothing", bytes(2048)]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(content)
    refusal(tmp_path / "bad.zip")


def garbled(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, left out or repeated."""
    mixed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5, 30])):
        at, length = chance.randrange(len(mixed)), chance.randrange(1, 600)
        what = chance.random()
        if what < 0.7:
            mixed[at] = chance.choice([0, 255, chance.randrange(256)])
        elif what < 0.85 and len(mixed) > 2 * length:
            del mixed[at : at + length]
        else:
            mixed[at:at] = mixed[at : at + length]
    return bytes(mixed)


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2"])
def test_whatever_the_bytes_it_is_unpacked_or_one_line(tmp_path: Path, ending: str) -> None:
    make: Callable[[Path, dict[str, bytes]], Path] = make_zip if ending == ".zip" else make_tar
    archive = make(tmp_path / f"garbled{ending}", CONTENT | {"n" * 150 + "/long.txt": b"12"})
    data, chance, refused = archive.read_bytes(), random.Random(0), 0
    for _ in range(100):
        archive.write_bytes(garbled(data, chance))
        try:
            unpacked(archive)
        except InputError:
            refused += 1
        assert {path.name for path in tmp_path.iterdir()} <= {archive.name, "out"}
    assert refused > 50


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    assert "got an empty one" in refusal(make_zip(tmp_path / "bad.zip", {}))
    assert "got an empty one" in refusal(make_tar(tmp_path / "bad.tar", {}, entry("folder", kind=tarfile.DIRTYPE)))


def test_a_killed_unpacking_leaves_nothing_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_zip(tmp_path / "a.zip", CONTENT)
    script = (
        "import os, signal; from pathlib import Path; from pipeline.data.sources import archive, fetch;"
        "from pipeline.config.source_spec import SourceSettings;"
        "archive._write = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "fetch.bring(SourceSettings('a.zip'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == -9
    assert not list((tmp_path / "data/sources").glob("*/files")) and not list(tmp_path.rglob("state.json"))
    monkeypatch.chdir(tmp_path)
    assert (fetch.bring(SourceSettings("a.zip")) / "images/a.jpg").read_bytes() == CONTENT["images/a.jpg"]
    assert not list(tmp_path.rglob("*.partial"))
