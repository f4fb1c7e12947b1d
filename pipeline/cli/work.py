"""What a submitted job runs on the cluster: python -m pipeline.cli.work ORDER, the sha256 of an order in the store."""

import sys
from collections.abc import Callable
from importlib import import_module

from pipeline.console.exit_codes import refusals
from pipeline.console.process_environment import complete_environment
from pipeline.stages.entrypoint import run_stage
from pipeline.sweep.driver import sweep_space
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.work import work


def main() -> None:
    """An input error is one line and exit code 2, as everywhere."""
    complete_environment()
    with refusals():
        work(sys.argv[1], _run_stage, _run_sweep)


def _run_stage(stage: str) -> None:
    run_stage(import_module(f"pipeline.stages.{stage}").run)


def _run_sweep(config: TrainLoopConfig, note: Callable[[], None]) -> None:
    run_stage(lambda settings: sweep_space(settings, carried=config, note=note))


if __name__ == "__main__":
    main()
