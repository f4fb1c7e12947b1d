"""The report of a run: one self-contained page, reports/report.html, from what all other stages left.

facts.py reads their files, example_images.py draws, page.py lays it out; here they come together.
"""

from dataclasses import replace

from pipeline.config import paths
from pipeline.config.flattening import flattened
from pipeline.config.git_state import project_state
from pipeline.config.params_file import read_params
from pipeline.config.settings import Settings
from pipeline.config.stage_reports import read_cost
from pipeline.data.coco.coco import read_coco
from pipeline.data.parsing.split_names import SPLITS
from pipeline.data.prepare.repeat_factors import without_repeats
from pipeline.reports.example_images import Picture, draw_pair, pick, score_images
from pipeline.reports.facts import read_inputs, read_json
from pipeline.reports.page import Evidence, render
from yolox_core.atomic_files import write_text
from yolox_core.config import DetectorSpec
from yolox_core.data.records import DatasetRecords
from yolox_core.model.description import read_spec


def write_report(settings: Settings) -> str:
    """Write the page; returns it."""
    spec = read_spec(paths.RELEASED)
    inputs = read_inputs()
    splits = {name: _split(name, spec) for name in SPLITS}
    evidence = Evidence(
        spec=spec,
        state=project_state(),
        params=[(name, "–" if value is None else str(value)) for name, value in flattened(read_params())],
        splits=splits,
        pictures=pictures(spec, splits["test"], inputs.errors["threshold"]),
        cost=read_cost(spec),
    )
    page = render(inputs, settings, evidence)
    write_text(paths.REPORT, page)
    return page


def _split(name: str, spec: DetectorSpec) -> DatasetRecords:
    """A split as it was prepared, its images read as the model reads them."""
    records = without_repeats(read_coco(paths.prepared(name), paths.RAW_IMAGES))
    return replace(records, value_range=spec.value_range)


def pictures(spec: DetectorSpec, truth: DatasetRecords, threshold: float) -> list[Picture]:
    """The worst, middle and best test images, with what scores at least `threshold`."""
    scores = score_images(truth, read_json(paths.DETECTIONS), threshold)
    return [draw_pair(paths.RAW_IMAGES, group, score, spec) for group, score in pick(scores)]
