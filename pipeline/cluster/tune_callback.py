"""Passes the events of Ray Tune's trials to a listener in the driver's process.

Tune pickles its callbacks, so a callback cannot hold what it reports to: it holds the folder of Tune's own state, and
the listener is looked up by it here. Sweeps and studies both follow their trials this way.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ray import tune


class TrialListener(Protocol):
    """Is notified of trials, by Tune's ids."""

    def began(self, tune_id: str, drawn: Mapping[str, Any]) -> None:
        """It starts, with what was drawn for it; again where its process died."""

    def advanced(self, tune_id: str, result: Mapping[str, Any]) -> None:
        """It has reported a result."""

    def ended(self, tune_id: str, lost: bool) -> None:
        """It is over: by itself, stopped, or `lost` because its process died too often."""


_LISTENERS: dict[str, TrialListener] = {}  # by the folder of Tune's state


@contextmanager
def listening(place: Path, listener: TrialListener) -> Iterator[None]:
    """`TuneCallback(str(place))` reports to this listener, for the block."""
    _LISTENERS[str(place)] = listener
    try:
        yield
    finally:
        del _LISTENERS[str(place)]


class TuneCallback(tune.Callback):
    """Passes Tune's events on to the listener of its folder."""

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
