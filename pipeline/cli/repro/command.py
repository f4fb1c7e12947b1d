"""`yolox repro`, and `make repro`: the whole pipeline, with settings given by name written into params.yaml before.

One run of a project at a time, which ends with all that it has started. git is not touched.
"""

from pipeline.cli.repro.checks import check_dvc_is_free, check_place, check_sources
from pipeline.cli.repro.dvc_command import COMMAND, dvc_environment
from pipeline.cli.repro.guarded_run import Parent, run_guarded
from pipeline.config import paths
from pipeline.config.override_words import split_settings
from pipeline.config.overrides import changed_params, parsed, preset_values
from pipeline.config.params_file import params_text, parse_params
from pipeline.config.project_lock import project_run_lock
from pipeline.config.settings import load_settings
from pipeline.config.stage_params import check_recorded_as
from pipeline.data.sources.fetch import source_digest
from yolox_core.atomic_files import write_text


def repro(given: list[str], data: str | None, preset: str | None, parent: Parent | None) -> int:
    """Run it; the exit code. InputError, and nothing written, where something is in the way."""
    check_place()
    with project_run_lock() as lock:
        check_dvc_is_free()
        text = new_params([setting for words in given for setting in split_settings(words)], data, preset)
        if text != params_text():
            write_text(paths.PARAMS, text)
        with dvc_environment() as environment:
            code = run_guarded(COMMAND, environment, lock, parent)
        if code == 0:
            check_recorded_as(parse_params(text))
            from pipeline.cli.repro import summary  # imports Rich: no refusal waits for it

            summary.run(load_settings())
    return code


def new_params(given: list[str], data: str | None, preset: str | None) -> str:
    """params.yaml with the preset's settings, the data, and what is given by hand, which wins; all of it checked."""
    settings = [
        *(preset_values(preset) if preset else ()),
        *([("data.source", data)] if data else ()),
        *map(parsed, given),
    ]
    text, checked = changed_params(settings)
    check_sources(checked.data)
    if data:
        source_digest(checked.data)
    return text
