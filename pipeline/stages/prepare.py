"""DVC stage `prepare`: split into train, validation and test by image content."""

from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.data.prepare.prepared import prepare
from pipeline.stages.entrypoint import stage_main


def run(settings: Settings) -> None:
    """Write data/prepared, and say what each split holds and what stands on more than one side."""
    manifest = prepare(settings.data.split)
    counts = ", ".join(f"{count} {name}" for name, count in manifest["images"].items())
    print(f"prepare: {counts}; data {manifest['data_digest'][:12]}")
    if manifest["left_out"]:
        count = len(manifest["left_out"])
        print(f"prepare: {count} images left out (copies of held-out ones, too much background): see {paths.MANIFEST}")
    if manifest["similar_across_splits"]:
        count = len(manifest["similar_across_splits"])
        print(f"prepare: {count} groups of similar images stand on more than one side of the split, which flatters")
        print(f"prepare: the figures: see similar_across_splits in {paths.MANIFEST}; remove copies, or split by hand")


if __name__ == "__main__":
    stage_main(run)
