"""How a DVC stage begins and ends: params.yaml in, one-line errors out."""

from collections.abc import Callable

from pipeline.config.settings import Settings, load_settings
from pipeline.console.exit_codes import refusals


def stage_main(run: Callable[[Settings], None]) -> None:
    """Run one stage on the params.yaml of the current folder: `python -m pipeline.stages.<name>`."""
    with refusals():
        run(load_settings())
