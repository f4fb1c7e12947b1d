"""Frames of videos as they are, with their times, and what is said of those that break off."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from pipeline.predict import video
from pipeline.predict.inputs import Clip
from pipeline.predict.stream import interruptible
from pipeline.predict.video import Frame, expected_frames, frames
from tests.needs import ROOT
from tests.pipeline.predict.clips import CODECS, clip, cut
from yolox_core.errors import InputError


def read(path: Path, every: int = 1, seconds: float | None = None) -> tuple[list[Frame], list[InputError]]:
    """(frames, problems), a problem being the last of all."""
    answers = list(frames(Clip(path.name, path), every, seconds, lambda: False))
    good = [answer for answer in answers if isinstance(answer, Frame)]
    assert all(isinstance(answer, Frame) for answer in answers[: len(good)])
    return good, [answer for answer in answers if isinstance(answer, InputError)]


@pytest.mark.parametrize("suffix", CODECS)
def test_every_frame_with_its_time(tmp_path: Path, suffix: str) -> None:
    path = clip(tmp_path / f"clip{suffix}")
    seen, problems = read(path)
    assert not problems
    assert [frame.index for frame in seen] == list(range(30))
    assert [frame.time_s for frame in seen] == pytest.approx([number / 10 for number in range(30)], abs=0.011)
    assert {frame.per_second for frame in seen} == {10.0}
    assert all((one.image != other.image).any() for one, other in itertools.pairwise(seen))
    assert expected_frames(Clip(path.name, path)) == 30


def test_every_third_of_the_first_two_seconds(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4")
    everything, _ = read(path)
    seen, problems = read(path, every=3, seconds=2)
    assert not problems and [frame.index for frame in seen] == [0, 3, 6, 9, 12, 15, 18]
    assert all((frame.image == everything[frame.index].image).all() for frame in seen)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".webm"])
def test_what_comes_before_a_break_is_kept(tmp_path: Path, suffix: str) -> None:
    path = clip(tmp_path / f"clip{suffix}")
    whole, _ = read(path)
    seen, (problem,) = read(cut(path))
    assert 0 < len(seen) < 30
    assert f"expected 30 frames, got {len(seen)}" in str(problem) and str(path) in str(problem)
    assert all((one.image == other.image).all() for one, other in zip(seen[:-1], whole, strict=False))


@pytest.mark.parametrize("kind", ["cut", "text", "empty", "absent"])
def test_what_is_no_video(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clip_001.mp4"
    if kind == "cut":
        cut(clip(path))  # an MP4's index is at its end
    elif kind != "absent":
        path.write_text("no video" if kind == "text" else "")
    seen, (problem,) = read(path)
    assert not seen and "unreadable video" in str(problem) and str(path) in str(problem)


def test_the_decoder_keeps_its_complaints_to_itself(tmp_path: Path) -> None:
    """In a process of its own: the decoder asks once, when it is first used, how much it is to say."""
    broken = [cut(clip(tmp_path / f"clip{suffix}")) for suffix in CODECS]
    read_all = (
        "import sys; from pathlib import Path; from pipeline.predict.video import *\n"
        "for name in sys.argv[1:]:\n"
        "    list(frames(Clip(name, Path(name)), 1, None, bool))\n"
        "list(frames(Clip('camera:99', None, 99), 1, None, bool))"
    )
    words = [sys.executable, "-c", read_all, *map(str, broken)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_camera_that_is_not_there() -> None:
    answers = list(frames(Clip("camera:99", None, 99), 1, None, lambda: False))
    assert len(answers) == 1 and "camera:99: expected a camera" in str(answers[0])


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clip:
    """A camera that shows a film: test machines have none. Everything past opening it is the real way."""
    path = clip(tmp_path / "film.avi", frames=30)
    monkeypatch.setattr(video, "_open", lambda clip: cv2.VideoCapture(str(path)))
    return Clip("camera:0", None, 0)


def test_a_camera_ends_when_told(camera: Clip) -> None:
    seen = []
    with interruptible() as stopped:
        for frame in frames(camera, 1, None, stopped):
            seen.append(frame)
            if len(seen) == 5:
                signal.raise_signal(signal.SIGINT)
    assert len(seen) == 5 and all(isinstance(frame, Frame) for frame in seen)


def test_a_camera_ends_after_its_seconds(camera: Clip) -> None:
    seen = list(frames(camera, 1, 1e-6, lambda: False))
    assert len(seen) <= 1 and all(isinstance(frame, Frame) for frame in seen)


def test_a_camera_that_stops_says_so(camera: Clip) -> None:
    *seen, problem = frames(camera, 2, None, lambda: False)
    assert len(seen) == 15 and "stopped after 30 frames" in str(problem)


def test_the_second_interrupt_ends_the_program() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt), interruptible() as stopped:
            signal.raise_signal(signal.SIGINT)
            assert stopped()
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
