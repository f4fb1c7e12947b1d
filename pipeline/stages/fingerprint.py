"""DVC stage `fingerprint`: fingerprint the data source and the initial weights.

DVC cannot watch a folder outside the project without hashing all of it; this digest of names, sizes and times
changes when images are added or altered, and ingest depends on it. Nothing is fetched for it.
"""

from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.config.user_paths import check_raw_is_ours
from pipeline.data.sources.fetch import check_formats, source_digest
from pipeline.registry.model_reference import initial_digest
from pipeline.stages.entrypoint import stage_main
from yolox_core.atomic_files import write_json
from yolox_core.export.formats import check_formats as check_export_formats


def run(settings: Settings) -> None:
    """Write data/fingerprint.json and data/weights.json; the same source gives the same bytes."""
    check_raw_is_ours()
    check_formats(settings.data)
    check_export_formats(settings.export.formats, "export.formats")  # after hours of training it would be late
    source, files = source_digest(settings.data)
    weights = initial_digest(settings.model)
    write_json(paths.FINGERPRINT, {"source": source, "files": files})
    write_json(paths.WEIGHTS, {"digest": weights})
    print(f"fingerprint: {files} files in {settings.data.shown}, {source[:12]}")


if __name__ == "__main__":
    stage_main(run)
