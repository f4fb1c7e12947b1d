"""How the training went, epoch by epoch: its phases, its curves, and what SimOTA gave to the objects."""

from collections.abc import Mapping, Sequence

from pipeline.config.settings import Settings
from pipeline.reports.plots import Band, Series
from yolox_core.config import STRIDES
from yolox_core.loss.assign_counts import MOST_K, SIZES

History = Sequence[Mapping[str, float]]  # a row an epoch, as in reports/history.csv


def phases(settings: Settings, epochs: int) -> list[Band]:
    """The parts of a run that has ended after so many epochs; patience may have brought the last one forward."""
    closing = min(settings.train.closing_epochs, epochs)
    warm_up = min(settings.train.warmup_epochs, epochs - closing)
    middle = "mosaic" if settings.augment.mosaic else "main part"
    lengths = (("warm-up", warm_up), (middle, epochs - warm_up - closing), ("closing", closing))
    bands, first = [], 0.5  # a point stands at the number of its epoch, counted from 1
    for name, length in lengths:
        if length:
            bands.append(Band(name, first, first + length))
        first += length
    return bands


def loss_series(history: History) -> Series:
    """The whole loss and its parts over epochs; a part that is always zero is left out."""
    parts = dict.fromkeys(name for row in history for name in row if name.startswith("loss/"))
    series = {"all": _points(history, "loss")} | {part.removeprefix("loss/"): _points(history, part) for part in parts}
    return {label: points for label, points in series.items() if any(y for _, y in points)}


def map_series(history: History) -> Series:
    """map and map_50 in the epochs that were evaluated; empty without a validation split."""
    return _present({name: _points(history, name) for name in ("map", "map_50")})


def rate_series(history: History) -> Series:
    """The learning rate over epochs."""
    return _present({"learning rate": _points(history, "learning_rate")})


def points_series(history: History) -> Series:
    """Anchor points an object asked for (its k, of which MOST_K and more count as MOST_K), and got, by size."""
    asked = [
        (row["epoch"] + 1, sum(k * row[f"assign/k/{k}"] for k in range(1, MOST_K + 1)))
        for row in history
        if "assign/k/1" in row
    ]
    got = {f"got, {size}": _points(history, f"assign/positives_per_object/{size}") for size in SIZES}
    return _present({"asked for (k)": asked, **got})


def unmatched_series(history: History) -> Series:
    """The share of objects that got no point, by size."""
    return _present({size: _points(history, f"assign/unmatched/{size}") for size in SIZES})


def level_series(history: History) -> Series:
    """The share of the positive points on each level."""
    return _present({f"stride {stride}": _points(history, f"assign/level/{stride}") for stride in STRIDES})


def _present(series: Series) -> Series:
    return {name: points for name, points in series.items() if points}


def _points(history: History, name: str) -> list[tuple[float, float]]:
    return [(row["epoch"] + 1, row[name]) for row in history if name in row]
