"""DVC stage `package`: record the release of the installed package.

In projects on an installed package alone, so that an upgrade runs stages again, as does changed code under one version;
in the package's own repository they depend on the files of the code instead.
"""

from importlib.metadata import version
from pathlib import Path

from pipeline.config.code_digest import code_digest
from pipeline.config.paths import PACKAGE
from pipeline.config.settings import Settings
from pipeline.console.extras import DISTRIBUTION
from pipeline.stages.entrypoint import stage_main
from yolox_core.atomic_files import write_json


def run(_: Settings) -> None:
    """Write data/package.json; the same package gives the same bytes."""
    stages = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    code = code_digest(f"pipeline.stages.{stage}" for stage in stages)
    write_json(PACKAGE, {"version": version(DISTRIBUTION), "code": code})
    print(f"package: {DISTRIBUTION} {version(DISTRIBUTION)}")


if __name__ == "__main__":
    stage_main(run)
