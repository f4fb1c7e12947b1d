"""A trial's folder, and what a detector costs."""

from pathlib import Path

import pytest

from pipeline.sweep.trial import Trial, read_trial, read_trials, trial_key, write_rows, write_trial
from yolox_core.config import SIZES, DetectorSpec, ModelConfig
from yolox_core.export.model_cost import latency_ms, size_of


def test_keys_tell_trials_apart_and_can_be_folders() -> None:
    keys = [
        trial_key({"model.width": width, "train.input_size": size}) for width in (0.25, 0.5) for size in (96, [96, 128])
    ]
    assert len(set(keys)) == 4
    assert all("/" not in key and len(key) < 100 for key in keys)
    assert trial_key({"a.b": 1, "c.d": 2}) == trial_key({"c.d": 2, "a.b": 1})


def test_a_trial_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_trial(tmp_path / "none") is None
    rows = [{"epoch": 0, "loss": 1.5, "map": 0.25}, {"epoch": 1, "loss": 1.25}]
    trial = Trial("k", {"model.width": 0.25}, "pruned", rows, None, 12.0)
    write_trial(tmp_path / "k", trial)
    write_rows(tmp_path / "k", rows)
    assert read_trial(tmp_path / "k") == trial
    assert (trial.epochs, trial.map) == (2, 0.0)  # nothing was found in its last epoch


def test_trials_come_in_the_order_of_their_values(tmp_path: Path) -> None:
    for width in (0.25, 0.125, 1.0, 0.5):
        write_trial(tmp_path / str(width), Trial(str(width), {"model.width": width}, "finished", []))
    assert [trial.values["model.width"] for trial in read_trials(tmp_path)] == [0.125, 0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("size", "gflops", "parameters"), [("nano", 1.08, 0.91e6), ("tiny", 6.45, 5.06e6), ("s", 26.8, 9.0e6)]
)
def test_costs_are_the_published_ones(size: str, gflops: float, parameters: float) -> None:
    """Megvii-BaseDetection/YOLOX README.md, at the sizes' own inputs and 80 classes."""
    side = SIZES[size][3]
    spec = DetectorSpec(ModelConfig.of_size(size, 80), tuple(map(str, range(80))), tuple(range(80)), (side, side))
    costs = size_of(spec)
    assert costs["gflops"] == pytest.approx(gflops, rel=0.04)  # theirs count normalisation, too
    assert costs["parameters"] == pytest.approx(parameters, rel=0.01)


def test_a_wider_network_takes_longer() -> None:
    def spec(width: float) -> DetectorSpec:
        return DetectorSpec(ModelConfig(1, width=width), ("thing",), (1,), (128, 128))

    assert latency_ms(spec(0.5)) > latency_ms(spec(0.125)) > 0
