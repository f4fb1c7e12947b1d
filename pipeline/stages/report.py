"""DVC stage `report`: one self-contained page, reports/report.html, from what all other stages left."""

from typing import Any

import yaml

from pipeline import paths
from pipeline.entry import stage_main
from pipeline.git_state import project_state
from pipeline.reports.content import Facts, read_inputs, read_json
from pipeline.reports.html import render
from pipeline.reports.pictures import Picture, draw_pair, pick, score_images
from pipeline.settings import Settings
from yolox_core.config import DetectorSpec
from yolox_core.datasets.atomic import write_text


def run(settings: Settings) -> None:
    """Write the page."""
    spec = DetectorSpec.from_dict(read_json(paths.RELEASED / "model.json"), str(paths.RELEASED / "model.json"))
    page = render(
        inputs=read_inputs(),
        settings=settings,
        state=project_state(),
        params=parameters(yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8")) or {}),
        pictures=pictures(spec),
        confidence=spec.confidence,
    )
    write_text(paths.REPORT, page)
    print(f"{paths.REPORT}: written, {len(page) // 1024} KiB")


def pictures(spec: DetectorSpec) -> list[Picture]:
    """The worst, middle and best test images at the threshold that the released model predicts with."""
    names = dict(zip(spec.category_ids, spec.class_names, strict=True))
    scores = score_images(read_json(paths.prepared("test")), read_json(paths.DETECTIONS), spec.confidence)
    return [draw_pair(paths.RAW_IMAGES, group, score, names) for group, score in pick(scores)]


def parameters(plain: dict[str, Any], prefix: str = "") -> Facts:
    """params.yaml as dotted names and values, in the file's order."""
    facts: Facts = []
    for key, value in plain.items():
        if isinstance(value, dict) and value:
            facts += parameters(value, f"{prefix}{key}.")
        else:
            facts.append((f"{prefix}{key}", "–" if value is None else str(value)))
    return facts


if __name__ == "__main__":
    stage_main(run)
