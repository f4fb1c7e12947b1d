"""The report as one HTML page that needs nothing else: pictures inlined, no script, no address of another machine."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pipeline.git_state import ProjectState
from pipeline.reports import content
from pipeline.reports.content import Inputs
from pipeline.reports.pictures import IOU, Picture
from pipeline.reports.plots import MANY, Series, curves
from pipeline.settings import Settings

TEMPLATE = "report.html.j2"


def render(
    inputs: Inputs,
    settings: Settings,
    state: ProjectState,
    params: content.Facts,
    pictures: Sequence[Picture],
    confidence: float,
) -> str:
    """The page. Equal inputs give equal bytes."""
    metrics, registration = inputs.metrics, inputs.registration
    return template(TEMPLATE).render(
        title=registration["name"],
        version=registration["version"],
        alias=registration["alias"],
        images=metrics.get("images"),
        boxes=metrics.get("boxes"),
        headlines=content.headlines(metrics),
        learning=learning_figures(inputs),
        columns=[key for key in (inputs.per_class[0] if inputs.per_class else {}) if key != "class"],
        precision=_figure(precision_recall(inputs)),
        many_classes=len(inputs.per_class) > MANY,
        classes=content.class_table(inputs.per_class),
        pictures=[(group, list(members)) for group, members in groupby(pictures, key=lambda picture: picture.group)],
        picture_iou=IOU,
        confidence=confidence,
        data=content.data_facts(inputs.manifest, settings),
        validation=content.plain_facts({key: value for key, value in inputs.validation.items() if key != "list"}),
        training=content.training_facts(inputs.training, inputs.history),
        params=params,
        export=content.export_facts(inputs.export),
        lineage=content.lineage_facts(inputs, state),
    )


def template(name: str) -> Template:
    """A page's template, beside this file."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(name)


def learning_figures(inputs: Inputs) -> list[tuple[Markup, str]]:
    """Losses, validation figures where there are any, learning rate; each with its caption."""
    rate = content.rate_series(inputs.history)
    drawn = [
        ("Training loss by epoch", content.loss_series(inputs.history), "loss", None),
        ("Validation mAP by epoch", content.map_series(inputs.history), "fraction", 1.0),
        ("Learning rate by epoch", rate, "learning rate", _above(rate)),
    ]
    return [
        (_figure(curves(series, title=title, x="epoch", y=y, top=top)), title)
        for title, series, y, top in drawn
        if series
    ]


def precision_recall(inputs: Inputs) -> str:
    """Precision over recall, or nothing where no class occurs."""
    series = content.precision_series(inputs.precision_recall)
    if not series:
        return ""
    return curves(series, title="Precision over recall at IoU 0.50, by class", x="recall", y="precision", top=1.02)


def _above(series: Series) -> float | None:
    highest = max((y for points in series.values() for _, y in points), default=0.0)
    return highest * 1.1 or None


def _figure(svg: str) -> Markup:
    return Markup(svg)  # our own drawing; its texts are escaped by matplotlib
