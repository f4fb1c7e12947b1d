"""Passes the events of Ray Tune's trials to a listener in the driver's process: Tune pickles its callbacks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ray import tune


class TrialListener(Protocol):
    """Hears what Tune's callback tells, by Tune's names of trials."""

    def began(self, tune_id: str, drawn: Mapping[str, Any]) -> None:
        """With what was drawn for it; again where its process died."""

    def advanced(self, tune_id: str, result: Mapping[str, Any]) -> None:
        """With what it reported."""

    def ended(self, tune_id: str, lost: bool) -> None:
        """By itself, stopped, or because its process died too often."""


# Who listens, by the place of Tune's books: Tune pickles its callback.
_LISTENERS: dict[str, TrialListener] = {}


@contextmanager
def listening(place: Path, listener: TrialListener) -> Iterator[None]:
    """`TuneCallback(str(place))` tells this one, for the block."""
    _LISTENERS[str(place)] = listener
    try:
        yield
    finally:
        del _LISTENERS[str(place)]


class TuneCallback(tune.Callback):
    """Passes on what Tune tells."""

    def __init__(self, place: str) -> None:
        self._place = place

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        _LISTENERS[self._place].began(trial.trial_id, trial.config)

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        _LISTENERS[self._place].advanced(trial.trial_id, result)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        _LISTENERS[self._place].ended(trial.trial_id, lost=False)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        _LISTENERS[self._place].ended(trial.trial_id, lost=True)
