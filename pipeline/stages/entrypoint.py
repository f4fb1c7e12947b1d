"""The names that stages had before `yolox <stage>`: `python -m pipeline.stages.<stage>`. Gone in the next release."""

import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.config.settings import Settings, load_settings
from pipeline.console.exit_codes import refusals


def stage_main(run: Callable[[Settings], None]) -> None:
    """Run one stage on the params.yaml of the current folder; params.yaml in, one-line errors out."""
    stage = Path(sys.argv[0]).stem
    print(
        f"deprecated: `python -m pipeline.stages.{stage}` goes with the next release. Run `yolox init --upgrade` in "
        f"this folder once: its dvc.yaml then says `yolox {stage}`.",
        file=sys.stderr,
    )
    with refusals():
        run(load_settings())
