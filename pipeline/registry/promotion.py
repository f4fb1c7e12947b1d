"""Who is champion: by evidence, and back again.

A version takes over where it is better on the champion's own test images and the images' luck does not explain it
(`yolox_core.evaluation.bootstrap`). Which champions there were is a tag of the registered model; why each came is
written into the tags of its version.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pipeline.config.git_state import project_state
from pipeline.registry import evidence
from pipeline.registry.register import CHAMPION, refused_by
from pipeline.registry.resolve import ADVICE, PREFIX, check_stored, lookup
from pipeline.registry.store import connect, tracking_uri
from yolox_core.errors import InputError
from yolox_core.evaluation.bootstrap import Comparison, compare

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MARGIN = 0.01  # of map: how much worse a cheaper version may at most be
BEFORE = "champion.before"  # tag of the registered model: the versions that were champion, oldest first
WHY = "promotion."  # what the tags of a version begin with that say why it became champion
GFLOPS = "cost/gflops"
Rule = Literal["first", "better", "cheaper"]


@dataclass(frozen=True)
class Case:
    """A version that wants to be champion, and what speaks for it."""

    name: str
    version: str
    champion: str | None  # the version it would follow
    comparison: Comparison | None = None  # this version less the champion; None: there was nothing to compare
    test_digest: str = ""
    gflops: tuple[float, float] = (0.0, 0.0)  # of an image: this version's, the champion's
    rule: Rule | None = None  # by which it may take over; None: it may not

    @property
    def lost_classes(self) -> list[str]:
        """Classes that it is shown to be worse at."""
        return [name for name, one in self.comparison.classes.items() if one.high < 0] if self.comparison else []


def reference(name: str, version: str) -> str:
    """`3` or `challenger` as a model reference."""
    return f"{PREFIX}{name}/{version}" if version.isdecimal() else f"{PREFIX}{name}@{version}"


def judge(name: str, wanted: str, if_cheaper: bool = False) -> Case:
    """Compare a version with the champion; nothing is changed. InputError where they cannot be compared."""
    candidate, uri = lookup(reference(name, wanted))
    client = connect(uri, advice=ADVICE, new=False)
    number = str(candidate.version)
    champion = _champion(client, name, uri)
    if champion == number:
        return Case(name, number, champion)
    check_stored(candidate, uri)  # what cannot be fetched whole serves nobody
    if champion is None:
        return Case(name, number, None, rule="first")
    return _compared(candidate, lookup(f"{PREFIX}{name}/{champion}")[0], uri, if_cheaper)


def _compared(candidate: "ModelVersion", champion: "ModelVersion", uri: str, if_cheaper: bool) -> Case:
    theirs, ours = evidence.read(champion, uri), evidence.read(candidate, uri)
    found = evidence.onto(ours, theirs.held_out)
    if found is None:
        raise InputError(
            f"{PREFIX}{candidate.name}/{candidate.version}: expected the test images {theirs.held_out.digest} of "
            f"champion version {champion.version} among its own, got {ours.held_out.digest}. Only versions measured on "
            "the same images can be compared: train and register it on data that still holds them."
        )
    comparison = compare(theirs.held_out.records, found, theirs.detections)
    gflops = (_gflops(candidate), _gflops(champion))
    rule: Rule | None = None
    if comparison.overall.low > 0:
        rule = "better"
    elif if_cheaper and comparison.overall.low > -MARGIN and gflops[0] < gflops[1]:
        rule = "cheaper"
    return Case(
        candidate.name,
        str(candidate.version),
        str(champion.version),
        comparison,
        theirs.held_out.digest,
        gflops,
        rule,
    )


def promote(case: Case) -> None:
    """Make it champion, with the reasons in its tags; InputError where the champion is no longer the one it beat."""
    assert case.rule is not None
    uri = tracking_uri()
    client = connect(uri, advice=ADVICE, new=False)
    with refused_by(uri, "and try again: nothing was moved."):
        if _champion(client, case.name, uri) != case.champion:
            raise InputError(f"{case.name}: the champion has changed meanwhile. Try again: nothing was moved.")
        _write_why(client, case)
        if case.champion is not None:
            _remember(client, case.name, [*_before(client, case.name, case.champion), case.champion])
        client.set_registered_model_alias(case.name, CHAMPION, case.version)  # last: all or nothing


def rollback(name: str) -> tuple[str, str]:
    """Make the champion before this one champion again; (from, to). InputError where there is none."""
    current, uri = lookup(reference(name, CHAMPION))
    client, champion = connect(uri, advice=ADVICE, new=False), str(current.version)
    with refused_by(uri, "and try again: nothing was moved."):
        before = _before(client, name, champion)
    if not before:
        raise InputError(
            f"{name}: expected a champion before version {champion}, got none. There is nothing to go back to; "
            "`yolox promote VERSION` names another."
        )
    check_stored(*lookup(f"{PREFIX}{name}/{before[-1]}"))
    with refused_by(uri, "and try again."):
        client.set_model_version_tag(name, champion, "rollback.date", _now())
        client.set_registered_model_alias(name, CHAMPION, before[-1])
        _remember(client, name, before[:-1])
    return champion, before[-1]


def _champion(client: "MlflowClient", name: str, uri: str) -> str | None:
    with refused_by(uri, f"The registered model is {name!r}."):
        alias = client.get_registered_model(name).aliases.get(CHAMPION)
    return None if alias is None else str(alias)


def _before(client: "MlflowClient", name: str, champion: str) -> list[str]:
    """The champions before this one, oldest first; this one itself stands there where a move was cut short."""
    before = str(client.get_registered_model(name).tags.get(BEFORE, "")).split()
    while before and before[-1] == champion:
        before.pop()
    return before


def _remember(client: "MlflowClient", name: str, before: list[str]) -> None:
    client.set_registered_model_tag(name, BEFORE, " ".join(before))


def _write_why(client: "MlflowClient", case: Case) -> None:
    known = client.get_model_version(case.name, case.version).tags
    why = {f"{WHY}{name}": value for name, value in _reasons(case).items()}
    for stale in [name for name in known if name.startswith(WHY) and name not in why]:
        client.delete_model_version_tag(case.name, case.version, stale)
    for name, value in why.items():
        client.set_model_version_tag(case.name, case.version, name, value)


def _reasons(case: Case) -> dict[str, str]:
    reasons = {"rule": str(case.rule), "date": _now(), "git_commit": project_state().commit or "none"}
    if case.comparison is None:
        return reasons
    overall = case.comparison.overall
    return reasons | {
        "over": str(case.champion),
        "map": f"{overall.first:.6g}",
        "over_map": f"{overall.second:.6g}",
        "difference": f"{overall.difference:.6g}",
        "interval": f"{overall.low:.6g} {overall.high:.6g}",
        "images": str(case.comparison.images),
        "resamples": str(case.comparison.resamples),
        "test_digest": case.test_digest,
        "gflops": f"{case.gflops[0]:.6g}",
        "over_gflops": f"{case.gflops[1]:.6g}",
        **({"figure": case.comparison.figure} if case.comparison.figure != "map" else {}),
        "worse_classes": ", ".join(case.lost_classes) or "none",
    }


def _gflops(version: "ModelVersion") -> float:
    try:
        return float(version.tags[GFLOPS])
    except (KeyError, ValueError) as absent:
        raise InputError(
            f"{PREFIX}{version.name}/{version.version}: expected its cost under the tag {GFLOPS}, got "
            f"{version.tags.get(GFLOPS)}. Register the model again."
        ) from absent


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
