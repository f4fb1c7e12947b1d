"""DVC stage `package`: record the release of the installed package.

In projects on an installed package alone, so that an upgrade runs stages again; in the package's own repository they
depend on the files of the code instead.
"""

from importlib.metadata import version

from pipeline.config.paths import DISTRIBUTION, PACKAGE
from pipeline.config.settings import Settings
from pipeline.stages.entrypoint import stage_main
from pipeline.training.identity import engine_digest
from yolox_core.atomic_files import write_json


def run(_: Settings) -> None:
    """Write data/package.json; the same package gives the same bytes."""
    write_json(PACKAGE, {"version": version(DISTRIBUTION), "detector": engine_digest()})
    print(f"package: {DISTRIBUTION} {version(DISTRIBUTION)}")


if __name__ == "__main__":
    stage_main(run)
