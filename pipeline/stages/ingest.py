"""DVC stage `ingest`: import images and annotations in one format."""

from pipeline.config.settings import Settings
from pipeline.data.sources.ingest import ingest
from pipeline.stages.entrypoint import stage_main


def run(settings: Settings) -> None:
    """Fill data/raw, and say what it holds."""
    data = settings.data
    records, findings = ingest(data)
    boxes = sum(len(record.objects) for record in records.images)
    print(f"ingest: {len(records.images)} images, {boxes} boxes, {len(records.categories)} classes from {data.shown}")
    if findings:
        print(f"ingest: {len(findings)} annotations or images could not be read; validate lists them")


if __name__ == "__main__":
    stage_main(run)
