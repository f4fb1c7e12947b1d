"""The dashboard asks for what is told: our gauges by name, all of them, and Ray's own by the names Ray gives them."""

import json
import re
from pathlib import Path

from pipeline.training.prometheus import GAUGES

DASHBOARD = Path(__file__).parents[2] / "infra" / "grafana" / "training.json"


def test_every_panel_asks_for_a_metric_that_exists() -> None:
    from ray.dashboard.modules.reporter import reporter_agent

    rays = {f"ray_{metric.name}" for metric in reporter_agent.METRICS_GAUGES.values()}
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = {re.split(r"[{ ]", target["expr"])[0] for panel in panels for target in panel["targets"]}
    ours = {name for name in asked if name.startswith("ray_yolox_")}
    assert asked - ours <= rays
    assert ours == {f"ray_{name}" for name in GAUGES}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels) == len({panel["id"] for panel in panels})
