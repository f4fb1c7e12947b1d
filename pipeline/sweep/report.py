"""A sweep's results: a table, the choice as YAML, pictures, and a page with all of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from pipeline.reports import plots
from pipeline.reports.csv_text import csv_of_rows
from pipeline.reports.page import template
from pipeline.sweep.selection import Choice, Finalist
from pipeline.sweep.trial import Trial, in_order
from yolox_core.atomic_files import write_text
from yolox_core.evaluation.detection_limit import deciding

SHOWN = {"map": "map", "gflops": "GFLOPs an image", "parameters": "parameters", "latency_ms": "ms an image (CPU)"}


@dataclass(frozen=True)
class Outcome:
    """All that a sweep came to."""

    title: str
    names: tuple[str, ...]  # the parameters of the space
    cost: str  # what is set against the map
    trials: Sequence[Trial]
    costs: Mapping[str, Mapping[str, float]]  # of every trial, by key
    front: Sequence[str]
    finalists: Sequence[Finalist]
    choice: Choice
    compared_at: int  # epochs that every trial was trained for
    fixed: Mapping[str, Any]  # sweep.base


def write(outcome: Outcome, folder: Path) -> None:
    """trials.csv, best.yaml, pictures, report.html."""
    rows = table(outcome)
    write_text(folder / "trials.csv", csv_of_rows(rows))
    write_text(folder / "best.yaml", yaml.safe_dump(best(outcome), sort_keys=False, allow_unicode=True))
    drawn = figures(outcome)
    for name, (_, svg) in drawn.items():
        write_text(folder / f"{name}.svg", plots.as_file(svg))
    write_text(folder / "report.html", _page(outcome, rows, list(drawn.values())))


def table(outcome: Outcome) -> list[dict[str, Any]]:
    """A row a trial: its values, how far it came, its map there, its costs."""
    rows = []
    for trial in outcome.trials:
        last = trial.rows[-1] if trial.rows else {}
        costs = outcome.costs.get(trial.key, {})
        rows.append(
            {
                **{name: trial.values[name] for name in outcome.names},
                "state": trial.state,
                "epochs": trial.epochs,
                "map": round(trial.map, 4),
                "map_50": round(float(last.get("map_50", 0.0)), 4),
                "parameters": int(costs["parameters"]) if "parameters" in costs else "",
                "gflops": round(costs["gflops"], 3) if "gflops" in costs else "",
                **({"latency_ms": round(costs["latency_ms"], 2)} if "latency_ms" in costs else {}),
                "front": "yes" if trial.key in outcome.front else "",
                "seconds": round(trial.seconds, 1),
                "trial": trial.key,
            }
        )
    return rows


def best(outcome: Outcome) -> dict[str, Any]:
    """What `yolox sweep --apply` writes into params.yaml, and why."""
    taken = next(one for one in outcome.finalists if one.key == outcome.choice.key)
    values = next(trial.values for trial in outcome.trials if trial.key == taken.key)
    return {
        "params": {**values},
        "map": round(taken.mean, 4),
        "maps": [round(value, 4) for value in taken.maps],
        "cost": round(taken.cost, 4),
        "reason": outcome.choice.reason,
        "under": {**outcome.fixed},
        "compared": [
            {
                "trial": other.key,
                "difference": round(other.difference, 4),
                "interval": [round(other.low, 4), round(other.high, 4)],
            }
            for other in outcome.choice.comparisons
        ],
    }


def figures(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Name -> caption and SVG."""
    done = [trial for trial in outcome.trials if trial.state == "finished"]
    kinds: dict[str, list[tuple[float, float]]] = {"front": [], "finished": []}
    for trial in done:
        kind = "front" if trial.key in outcome.front else "finished"
        kinds[kind].append((outcome.costs[trial.key][outcome.cost], trial.map))
    chosen = next((trial for trial in done if trial.key == outcome.choice.key), None)
    ring = (outcome.costs[chosen.key][outcome.cost], chosen.map) if chosen else None
    drawn = {
        "front": (
            "Trials that were trained to the end; no other one beats those of the front in all objectives.",
            plots.front(
                {kind: places for kind, places in kinds.items() if places},
                ring,
                title="Front",
                x=SHOWN[outcome.cost],
                y="map",
            ),
        )
    }
    alike = [trial for trial in outcome.trials if trial.epochs >= outcome.compared_at]
    after = f"after {outcome.compared_at} epochs, which all of these were trained for"
    drawn["parallel"] = (
        f"Each line a trial; the stronger, the larger its map {after}.",
        _parallel(outcome, alike),
    )
    for name in outcome.names:
        places: dict[str, list[float]] = defaultdict(list)
        for trial in sorted(alike, key=lambda one: in_order(one.values[name])):
            places[_text(trial.values[name])].append(_at(trial, outcome.compared_at))
        drawn[f"effect_{name}"] = (
            f"Map {after}, by {name}; the line joins the means.",
            plots.by_value(list(places.items()), title=f"Effect of {name}", x=name, y="map"),
        )
    return drawn


def _parallel(outcome: Outcome, trials: Sequence[Trial]) -> str:
    axes = {
        name: list(dict.fromkeys(_text(value) for value in sorted((t.values[name] for t in trials), key=in_order)))
        for name in outcome.names
    }
    rows = [
        ({name: _text(trial.values[name]) for name in outcome.names}, _at(trial, outcome.compared_at))
        for trial in trials
    ]
    return plots.parallel(axes, rows, "Trials")


def _at(trial: Trial, epochs: int) -> float:
    return deciding(trial.rows[epochs - 1]) or 0.0


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _page(outcome: Outcome, rows: Sequence[Mapping[str, Any]], drawn: Sequence[tuple[str, str]]) -> str:
    states = {
        state: sum(trial.state == state for trial in outcome.trials) for state in ("finished", "pruned", "failed")
    }
    compared = {one.key: one for one in outcome.choice.comparisons}
    cost = SHOWN[outcome.cost]
    finalists = [
        {
            "trial": one.key,
            "map": f"{one.mean:.3f}",
            "seeds": ", ".join(f"{value:.3f}" for value in one.maps),
            cost: f"{one.cost:.4g}",
            "best less this": f"{compared[one.key].difference:+.3f} ({compared[one.key].low:+.3f} to "
            f"{compared[one.key].high:+.3f})"
            if one.key in compared
            else "best",
            "": "chosen" if one.key == outcome.choice.key else "",
        }
        for one in sorted(outcome.finalists, key=lambda one: -one.mean)
    ]
    return template(Path(__file__).with_name("sweep.html.j2")).render(
        title=outcome.title,
        summary=", ".join(f"{count} {state}" for state, count in states.items() if count),
        reason=f"{outcome.choice.key}. {outcome.choice.reason}",
        finalist_columns=list(finalists[0]),
        finalists=finalists,
        seeds=len(outcome.finalists[0].maps),
        figures=[(caption, Markup(svg)) for caption, svg in drawn],  # our own drawings; matplotlib escapes their texts
        columns=list(rows[0]),
        trials=sorted(rows, key=lambda row: -row["map"]),
        failures=[(trial.key, trial.error) for trial in outcome.trials if trial.state == "failed"],
    )
