"""Checks what `make repro` is given before DVC writes it into params.yaml: a slip changes nothing.

    python -m pipeline.cli.make_overrides [--preset few-images] [--data PATH] train.epochs=20 ...

Prints the arguments for `dvc exp run`, one a line; the settings given by hand come after the preset's and win.
"""

import argparse

from pipeline.config.overrides import in_hydra, merged, parsed, preset_values
from pipeline.console.exit_codes import refusals
from pipeline.data.sources.fetch import source_digest


def arguments(given: list[str], preset: str | None = None, data: str | None = None) -> list[str]:
    """`-S ++key=value` for each setting. InputError where one is unknown, or makes params.yaml illegal."""
    source = [("data.source", data)] if data else []
    settings = [*(preset_values(preset) if preset else ()), *source, *map(parsed, given)]
    checked = merged(settings)
    if data:
        source_digest(checked.data)  # refuses a folder that is not there, before params.yaml names it
    # ++ also adds a key that has a default and is not in params.yaml
    return [word for key, value in settings for word in ("-S", f"++{key}={in_hydra(value)}")]


if __name__ == "__main__":
    with refusals():
        parser = argparse.ArgumentParser(prog="make repro")
        parser.add_argument("--preset")
        parser.add_argument("--data")
        parser.add_argument("settings", nargs="*")
        options = parser.parse_args()
        print("\n".join(arguments(options.settings, options.preset, options.data)))
