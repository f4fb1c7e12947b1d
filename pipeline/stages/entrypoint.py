"""How a stage begins and ends. `yolox <stage>` comes here, as do the names that stages had before, until the next
release: `python -m pipeline.stages.<stage>`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.config.settings import Settings
from pipeline.config.stage_params import stage_settings
from pipeline.console.exit_codes import refusals


def run_stage(run: Callable[[Settings], None]) -> None:
    """Run one stage on the params.yaml of the current folder; InputError where that was edited before its end."""
    with stage_settings() as settings:
        run(settings)


def stage_main(run: Callable[[Settings], None]) -> None:
    """The same with one-line errors, for a stage that is called by its former name."""
    stage = Path(sys.argv[0]).stem
    print(
        f"deprecated: `python -m pipeline.stages.{stage}` goes with the next release. Run `yolox init --upgrade` in "
        f"this folder once: its dvc.yaml then says `yolox {stage}`.",
        file=sys.stderr,
    )
    with refusals():
        run_stage(run)
