"""Stage `package`, of projects on an installed package alone: which release it is, so that an upgrade re-runs stages.

In the package's own repository stages depend on the files of the code instead.
"""

from importlib.metadata import version

from pipeline import paths
from pipeline.entry import stage_main
from pipeline.run_folder import code_digest
from pipeline.settings import Settings
from yolox_core.datasets.atomic import write_json

DISTRIBUTION = "yolox-pipeline"
PACKAGE = paths.FINGERPRINT.with_name("package.json")  # made in such projects alone, so not among pipeline/paths.py


def run(_: Settings) -> None:
    """Write data/package.json; the same package gives the same bytes."""
    write_json(PACKAGE, {"version": version(DISTRIBUTION), "detector": code_digest()})
    print(f"package: {DISTRIBUTION} {version(DISTRIBUTION)}")


if __name__ == "__main__":
    stage_main(run)
