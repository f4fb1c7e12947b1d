"""Weights by name from a real server that speaks as the public one does: fetched once, compared, refused in a line."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.config.settings import ModelSettings, Settings
from pipeline.data.sources import http
from pipeline.registry import model_reference, published_weights
from pipeline.registry.published_weights import COCO_FILES, FOLDER, SERVER, Table, WeightsFile, bring
from pipeline.stages import fingerprint
from tests.needs import ROOT, coco_nano, shared_folder
from tests.release_server import Release, serving
from yolox_core.config import SIZES, ModelConfig
from yolox_core.errors import InputError
from yolox_core.model.coco_names import COCO_NAMES
from yolox_core.model.weights import read_weights
from yolox_core.model.yolox import build_model

CONTENT = bytes(range(256)) * 40
COCO_OF_NANO = ModelSettings(size="nano", weights="coco")


def table(content: bytes = CONTENT) -> Table:
    return {"nano": (WeightsFile(hashlib.sha256(content).hexdigest(), len(content)),)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, not made yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(http, "PAUSE_S", 0.01)
    return tmp_path / "cache"


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[Release]:
    with serving({"yolox_nano.pth": CONTENT}) as release:
        monkeypatch.setenv(SERVER, release.address)
        yield release


def refusal(files: Table | None = None) -> str:
    with pytest.raises(InputError) as refused:
        bring("nano", files or table())
    said = str(refused.value)
    assert "secret" not in said and "\n" not in said
    return said


def test_it_is_fetched_once(release: Release, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = bring("nano", table())
    assert kept == cache / "yolox_nano.pth" and kept.read_bytes() == CONTENT
    said = capsys.readouterr().err
    assert "fetching the COCO weights of YOLOX-nano (0.0 MiB, Apache-2.0, Megvii) from http://127.0.0.1" in said
    assert "fetched 0.0 MiB of" in said and "secret" not in said
    assert bring("nano", table()) == kept
    assert release.asked == ["/releases/download/0.1.1rc0/yolox_nano.pth"] and release.ranges == [""]
    assert {path.name for path in cache.iterdir()} <= {"yolox_nano.pth", ".lock"}


def test_a_server_may_be_named_with_a_slash_and_a_query(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, f"{release.address}/?token=secret")
    assert bring("nano", table()).read_bytes() == CONTENT
    assert release.asked == ["/releases/download/0.1.1rc0/yolox_nano.pth?token=secret"]


def test_a_cut_connection_is_gone_on_with(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    release.cut_after = len(CONTENT) // 3 + 1
    assert bring("nano", table()).read_bytes() == CONTENT
    assert release.ranges == ["", f"bytes={release.cut_after}-", f"bytes={2 * release.cut_after}-"]
    assert len(release.asked) == 3  # a signed address holds for one request
    assert capsys.readouterr().err.count("fetched ") == 1


def test_what_an_earlier_command_has_left_is_gone_on_with(release: Release, cache: Path) -> None:
    release.cut_after = 10
    assert f"{10 * http.TRIES} bytes are kept" in refusal()
    assert not (cache / "yolox_nano.pth").exists()
    release.cut_after = None
    assert bring("nano", table()).read_bytes() == CONTENT
    assert release.ranges[-1] == f"bytes={10 * http.TRIES}-"


def test_wrong_bytes_are_refused_and_not_kept(release: Release, cache: Path) -> None:
    release.files["yolox_nano.pth"] = b"<html>log in to this network</html>"
    said = refusal()
    assert table()["nano"][0].sha256 in said and hashlib.sha256(release.files["yolox_nano.pth"]).hexdigest() in said
    assert not list(cache.glob("yolox*"))


def test_a_file_that_is_not_there(release: Release, cache: Path) -> None:
    release.files.clear()
    said = refusal()
    assert "HTTP Error 404" in said and f"{release.address}/yolox_nano.pth" in said and len(release.asked) == 1
    assert str(cache / "yolox_nano.pth") in said and FOLDER in said


def test_without_a_network_the_line_says_how_to_do_without(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unheard:  # bound, and nothing listens
        unheard.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        monkeypatch.setenv(SERVER, address)
        said = refusal()
    assert said.startswith(f"{address}/yolox_nano.pth: expected the COCO weights of YOLOX-nano, got URLError")
    assert said.endswith(f"Put that file at {cache}/yolox_nano.pth, or name a folder that holds it in {FOLDER}.")
    cache.mkdir(exist_ok=True)
    (cache / "yolox_nano.pth").write_bytes(CONTENT)
    assert bring("nano", table()) == cache / "yolox_nano.pth"


def test_a_silent_server_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv(SERVER, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert "timed out" in refusal()


def test_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, "file:///etc")
    assert refusal().startswith(f"{SERVER}: expected an address with http:// or https://")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://[::1", "expected an address with http:// or https://, got 'http://[::1' (Invalid IPv6 URL)"),
        ("http://127.0.0.1:port/", "InvalidURL (nonnumeric port: 'port')"),
        (f"http://{'a' * 70}.com/", "UnicodeError (encoding with 'idna' codec failed"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, address: str, says: str) -> None:
    monkeypatch.setattr(http, "PAUSE_S", 1e9)  # no second try
    monkeypatch.setenv(SERVER, address)
    assert says in refusal()


def test_an_address_may_have_any_letters(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, f"{release.address}/%C3%BC/ü ö")
    assert "HTTP Error 404" in refusal()
    assert release.asked == ["/releases/download/0.1.1rc0/%C3%BC/%C3%BC%20%C3%B6/yolox_nano.pth"]


@pytest.mark.parametrize("name", ["by hand.pth", "BY HAND.PTH", "yolox_nano.pth.tar", "nano.pt", "nano"])
def test_a_file_under_any_name_will_do(release: Release, cache: Path, name: str) -> None:
    cache.mkdir()
    (cache / "a.pth").write_bytes(CONTENT[::-1])  # as long, and another
    (cache / name).write_bytes(CONTENT)
    assert bring("nano", table()) == cache / name and not release.asked


@pytest.mark.parametrize("content", [CONTENT[:1000], CONTENT[::-1], b""])
def test_another_file_of_that_name_is_not_touched(release: Release, cache: Path, content: bytes) -> None:
    cache.mkdir()
    place = cache / "yolox_nano.pth"
    place.write_bytes(content)
    said = refusal()
    assert said.startswith(f"{place}: expected the published file ({len(CONTENT)} bytes") and "delete it" in said
    assert f"({len(content)} bytes)" in said and place.read_bytes() == content and not release.asked
    place.unlink()
    assert bring("nano", table()) == place


def test_a_cache_that_cannot_be_written(release: Release, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_bytes(b"a file")
    assert refusal().startswith(f"{cache}: expected a folder to keep weights in, got: File exists")
    monkeypatch.setenv(FOLDER, "~nobody-of-this-name/weights")
    assert refusal().startswith("~nobody-of-this-name/weights: expected a folder to keep weights in")
    assert not release.asked


def test_two_commands_at_once_fetch_once(release: Release) -> None:
    file = table()["nano"][0]
    script = (
        "from pipeline.registry.published_weights import WeightsFile, bring\n"
        f"bring('nano', {{'nano': (WeightsFile({file.sha256!r}, {file.size}),)}})"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}) for _ in "ab"]
    assert [process.wait(120) for process in both] == [0, 0] and len(release.asked) == 1


def test_a_published_checkpoint_is_read(release: Release, tmp_path: Path) -> None:
    """As they are laid out: the state, the optimizer's, and the epoch."""
    state = build_model(ModelConfig.of_size("nano", 80), seed=1).state_dict()
    made = tmp_path / "made.pth"
    momentum = {number: {"momentum_buffer": torch.ones(2)} for number in range(3)}
    torch.save({"start_epoch": 300, "model": state, "optimizer": {"state": momentum, "param_groups": []}}, made)
    release.files["yolox_nano.pth"] = made.read_bytes()
    weights = read_weights(bring("nano", table(made.read_bytes())))
    assert weights.spec.model == ModelConfig.of_size("nano", 80) and weights.spec.class_names == COCO_NAMES


def test_every_size_has_its_pinned_digest() -> None:
    assert set(COCO_FILES) == set(SIZES)
    digests = [file.sha256 for files in COCO_FILES.values() for file in files]
    assert len(set(digests)) == len(digests) and all(len(digest) == 64 for digest in digests)
    sizes = [files[0].size for files in COCO_FILES.values()]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("size", SIZES)
def test_the_fingerprint_needs_neither_network_nor_file(size: str, cache: Path, release: Release) -> None:
    settings = Settings(model=ModelSettings(size=size, weights="coco"))
    fingerprint.run(settings)
    assert model_reference.initial_digest(settings.model) == COCO_FILES[size][0].sha256
    assert COCO_FILES[size][0].sha256 in Path("data/weights.json").read_text()
    assert not release.asked and not cache.exists()


@pytest.mark.parametrize(
    ("factors", "advice"),
    [
        ({"width": 0.125}, "(width 0.25), got width 0.125. Set model.width to null"),
        ({"depthwise": False}, "(depthwise True), got depthwise False. Set model.depthwise to null"),
        ({"width": 1.0, "depth": 0.67}, "Set model.width and model.depth to null, or model.weights to a file or null."),
    ],
)
def test_a_network_that_was_not_published_is_refused(factors: dict[str, float], advice: str, release: Release) -> None:
    chosen = replace(COCO_OF_NANO, **factors)
    for ask in (model_reference.initial_digest, published_weights.published_file):
        with pytest.raises(InputError) as refused:
            ask(chosen)
        assert str(refused.value).startswith("model.weights: coco: expected YOLOX-nano as it was published")
        assert advice in str(refused.value) and not release.asked


def test_the_published_factors_may_be_written_out() -> None:
    assert model_reference.initial_digest(replace(COCO_OF_NANO, width=0.25, depth=0.33, depthwise=True))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("cocoo", "Did you mean 'coco'?"),
        ("COCO", "Did you mean 'coco'?"),
        ("imagenet", "Known: coco."),
        ("yolox_nano.pth", "Write model.weights: coco, and it is fetched; or check the path."),
        ("somewhere/of_mine.pth", "Check the path."),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, advice: str) -> None:
    with pytest.raises(InputError) as refused:
        model_reference.initial_digest(ModelSettings(weights=name))
    assert str(refused.value).startswith(f"model.weights: expected coco or a weights file, got '{name}'")
    assert str(refused.value).endswith(advice)


def test_the_real_file_by_name_and_by_path_is_one(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under any name; another of the known files than the published one counts as what it is."""
    file = coco_nano()
    mine = tmp_path / "mine.pth"
    shutil.copyfile(file, mine)
    by_path = model_reference.initial_digest(replace(COCO_OF_NANO, weights=str(mine)))
    pinned = model_reference.initial_digest(COCO_OF_NANO)
    assert model_reference.digest_to_use(COCO_OF_NANO, pinned) == pinned  # nothing is kept yet
    with serving({"yolox_nano.pth": file.read_bytes()}) as release:
        monkeypatch.setenv(SERVER, release.address)
        path = model_reference.initial_weights(COCO_OF_NANO, ModelConfig.of_size("nano", 1))
    assert path == str(cache / "yolox_nano.pth")
    assert model_reference.digest_to_use(COCO_OF_NANO, pinned) == by_path
    started = model_reference.origin(str(mine), by_path)
    assert started and started["published"] == "YOLOX-nano, COCO (Apache-2.0, Megvii)"
    tags = model_reference.origin_tags({"started_from": model_reference.origin("coco", by_path)})
    assert tags == {"initial.weights": "coco", "initial.digest": by_path, "initial.published": started["published"]}


def test_the_folder_of_the_real_file_serves_as_a_cache(monkeypatch: pytest.MonkeyPatch, release: Release) -> None:
    monkeypatch.setenv(FOLDER, str(shared_folder("weights")))
    assert bring("nano") == coco_nano().absolute() and not release.asked
