"""The report as one HTML page that needs nothing else: pictures inlined, no script, no address of another machine."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from pipeline.config.git_state import ProjectState
from pipeline.config.settings import Settings
from pipeline.reports import data_card, error_tables, facts, split_tables, training_curves
from pipeline.reports.example_images import Picture
from pipeline.reports.facts import Inputs
from pipeline.reports.plots import MANY, Series, curves, places, steps
from yolox_core.config import STRIDES, DetectorSpec

TEMPLATE = Path(__file__).with_name("report.html.j2")
Figures = list[tuple[Markup, str]]  # each with its caption


@dataclass(frozen=True)
class Evidence:
    """What the page shows besides the reports of the stages before."""

    spec: DetectorSpec
    state: ProjectState
    params: facts.Facts
    splits: split_tables.Splits
    pictures: Sequence[Picture]
    cost: Mapping[str, float]


def render(inputs: Inputs, settings: Settings, evidence: Evidence) -> str:
    """The page. Equal inputs give equal bytes."""
    return template(TEMPLATE).render(
        **_head(inputs),
        **_quality(inputs, evidence),
        **_learning(inputs, settings),
        **_data(inputs, settings, evidence),
        training=facts.training_facts(inputs, settings),
        cost=facts.cost_facts(evidence.cost, evidence.spec),
        params=evidence.params,
        export=facts.export_facts(inputs.export),
        forms=facts.export_forms(inputs.export),
        lineage=facts.lineage_facts(inputs, evidence.state),
    )


def template(path: Path) -> Template:
    """The template of a page. It may include what lies beside it, and beside this file."""
    environment = Environment(
        loader=FileSystemLoader([path.parent, TEMPLATE.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    return environment.get_template(path.name)


def _code(text: str) -> Markup:
    """A text whose parts between backticks are code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _head(inputs: Inputs) -> dict[str, Any]:
    metrics, registration = inputs.metrics, inputs.registration
    return {
        "title": registration["name"],
        "version": registration["version"],
        "alias": registration["alias"],
        "images": metrics.get("images"),
        "boxes": metrics.get("boxes"),
        "headlines": facts.headlines(metrics),
    }


def _quality(inputs: Inputs, evidence: Evidence) -> dict[str, Any]:
    threshold, confidence = inputs.errors["threshold"], evidence.spec.confidence
    causes = error_tables.cause_table(inputs.errors)
    return {
        "columns": [key for key in (inputs.per_class[0] if inputs.per_class else {}) if key != "class"],
        "classes": facts.class_table(inputs.per_class),
        "precision": _figure(precision_recall(inputs)),
        "many_classes": len(inputs.per_class) > MANY,
        "threshold": threshold,
        "confidence": confidence,
        "threshold_figures": threshold_figures(inputs, threshold),
        "thresholds": error_tables.threshold_table(inputs.threshold),
        "confusion": error_tables.confusion_table(inputs.confusion),
        "causes": causes,
        "dearest": max(causes[0][3], 1e-9),  # a detector without mistakes pays nothing
        "right": inputs.errors["count"]["right"],
        "pictures": [
            (group, list(members)) for group, members in groupby(evidence.pictures, key=lambda picture: picture.group)
        ],
    }


def _learning(inputs: Inputs, settings: Settings) -> dict[str, Any]:
    history = inputs.history
    rate, points = training_curves.rate_series(history), training_curves.points_series(history)
    bands = training_curves.phases(settings, len(history))

    def drawn(plans: Sequence[tuple[str, Series, str, float | None]]) -> Figures:
        return [
            (_figure(curves(series, title=title, x="epoch", y=y, top=top, bands=bands)), title)
            for title, series, y, top in plans
            if series
        ]

    return {
        "learning": drawn(
            [
                ("Training loss by epoch", training_curves.loss_series(history), "loss", None),
                ("Validation mAP by epoch", training_curves.map_series(history), "fraction", 1.0),
                ("Learning rate by epoch", rate, "learning rate", _above(rate)),
            ]
        ),
        "assignment": drawn(
            [
                ("Anchor points per object by epoch", points, "anchor points", _above(points)),
                (
                    "Objects without an anchor point by epoch",
                    training_curves.unmatched_series(history),
                    "fraction of objects",
                    None,
                ),
                ("Anchor points by stride and epoch", training_curves.level_series(history), "fraction of points", 1.0),
            ]
        ),
    }


def _data(inputs: Inputs, settings: Settings, evidence: Evidence) -> dict[str, Any]:
    splits = evidence.splits
    # the list is long; classes and kinds of finding stand in tables of their own
    told = ("list", "boxes_per_class", "findings_by_code")
    meetings = data_card.meetings(splits)
    return {
        "data": facts.data_facts(inputs.manifest, settings),
        "splits": split_tables.split_table(splits),
        "class_counts": split_tables.class_table(splits),
        "shapes": _shapes(evidence),
        "meetings": meetings if len(meetings) > 1 else [],
        "examples": data_card.examples(splits),
        "validation": facts.plain_facts({key: value for key, value in inputs.validation.items() if key not in told}),
        "found": data_card.findings(inputs.validation),
        "changes": data_card.changes(inputs.manifest),
    }


def _shapes(evidence: Evidence) -> Figures:
    """How large objects are, how they are shaped, where they lie."""
    sizes = split_tables.size_shares(evidence.splits, evidence.spec.input_size)
    if not sizes:
        return []
    marks = {f"stride {stride}": float(stride) for stride in STRIDES}
    titles = ("Object size at the network's input", "Aspect ratio of objects", "Object locations")
    drawn = (
        steps(sizes, title=titles[0], x="square root of the area, px", y="fraction", marks=marks),
        steps(data_card.aspect_shares(evidence.splits), title=titles[1], x="width / height", y="fraction", marks={}),
        places(data_card.centers(evidence.splits), title=titles[2]),
    )
    captions = (
        f"{titles[0]}: fraction of each split's objects by the square root of their area. Objects smaller than the "
        "finest stride are hard to detect.",
        f"{titles[1]}: width over height; 2 is twice as wide as high.",
        f"{titles[2]}: object centers in the image, all splits; the cell with most objects is darkest.",
    )
    return list(zip(map(_figure, drawn), captions, strict=True))


def precision_recall(inputs: Inputs) -> str:
    """Precision over recall, or nothing where no class occurs."""
    series = facts.precision_series(inputs.precision_recall)
    if not series:
        return ""
    return curves(series, title="Precision-recall curve at IoU 0.50, by class", x="recall", y="precision", top=1.02)


def threshold_figures(inputs: Inputs, threshold: float) -> Figures:
    """All classes together with the recommended score, and F1 of each class."""
    marks = {f"recommended: {threshold:.2f}": threshold}
    drawn = [
        ("Precision, recall and F1 by score, all classes", error_tables.threshold_series(inputs.threshold), "fraction"),
        ("F1 by score, by class", error_tables.f1_series(inputs.threshold), "F1"),
    ]
    return [
        (_figure(curves(series, title=title, x="score", y=y, top=1.02, marks=marks)), title)
        for title, series, y in drawn
        if series
    ]


def _above(series: Series) -> float | None:
    highest = max((y for points in series.values() for _, y in points), default=0.0)
    return highest * 1.1 or None


def _figure(svg: str) -> Markup:
    return Markup(svg)  # our own drawing; its texts are escaped by matplotlib
