"""The chain from a registered version back to what it was made from, and whether each link is still there.

Run and parameters, code, data, the images it was measured on, its files, why it became champion; and the same of the
version that its training started from.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.digests import file_sha256
from pipeline.config.git_state import has_commit
from pipeline.registry import evidence
from pipeline.registry.dvc_cache import lost_data
from pipeline.registry.model_reference import RANDOM, weights_digest
from pipeline.registry.promotion import BEFORE, WHY, reference
from pipeline.registry.published_weights import COCO, recognized
from pipeline.registry.register import CHAMPION, refused_by
from pipeline.registry.relocation import artifact_of_run
from pipeline.registry.resolve import ADVICE, PREFIX, WEIGHTS_TAG, check_stored, lookup
from pipeline.registry.store import connect, is_missing
from yolox_core.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

LOCK, LOCK_TAG = "dvc.lock", "dvc.lock_sha256"
SHORT = 12  # characters of a digest that are shown


@dataclass(frozen=True)
class Link:
    """One thing that the version came from."""

    name: str
    value: str
    lost: str | None = None  # what is wrong with it
    checked: bool = True  # False: nothing was recorded that could be looked for


@dataclass(frozen=True)
class Part:
    """One version of the chain."""

    title: str
    links: tuple[Link, ...]


def chain(name: str, wanted: str) -> list[Part]:
    """The version, then the one that it started from, and so on; InputError where the first is not there."""
    first, uri = lookup(reference(name, wanted))
    client = connect(uri, advice=ADVICE, new=False)
    with refused_by(uri, ADVICE):
        links = [(version, _links(client, version, uri)) for version in _ancestry(first)]
        before = _before(client, name)
        links[0][1].append(Link("champions before", before, checked=False))
        return [Part(_title(client, version), tuple(of)) for version, of in links]


def _ancestry(version: "ModelVersion") -> Iterator["ModelVersion"]:
    """The version and those it started from, as far as they are there: what is lost is said by its link."""
    seen: set[str] = set()
    while True:
        yield version
        seen.add(f"{version.name}/{version.version}")
        parent = version.tags.get("parent")
        if parent is None or parent in seen:
            return
        try:
            version, _ = lookup(f"{PREFIX}{parent}")
        except InputError:
            return


def _title(client: "MlflowClient", version: "ModelVersion") -> str:
    holders = client.get_registered_model(version.name).aliases
    aliases = sorted(alias for alias, holder in holders.items() if str(holder) == str(version.version))
    made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).date()
    return f"{PREFIX}{version.name}/{version.version} ({', '.join(aliases) or 'no alias'}), registered {made}"


def _links(client: "MlflowClient", version: "ModelVersion", uri: str) -> list[Link]:
    files = _refusal(lambda: check_stored(version, uri))
    return [
        Link("model", f"sha256 {_short(version.tags.get(WEIGHTS_TAG))}", files),
        *_run_links(client, version),
        _weights_link(version),
        _commit_link(version),
        *_data_links(version, uri),
        _test_link(version, uri),
        _promotion_link(client, version),
    ]


def _run_links(client: "MlflowClient", version: "ModelVersion") -> list[Link]:
    from mlflow.exceptions import MlflowException

    run_id = evidence.run_of(version)
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return [Link("run", run_id, "this store does not have it")]
    lost = None if run.info.lifecycle_stage == "active" else "it was deleted"
    found = f"{len(run.data.params)} parameters, {len(run.data.metrics)} metrics"
    return [Link("run", f"{run_id}: {found}", lost if run.data.params else lost or "it has no parameters")]


def _weights_link(version: "ModelVersion") -> Link:
    """Whether the weights that training started from are still those."""
    start, digest, parent = (version.tags.get(name) for name in ("initial.weights", "initial.digest", "parent"))
    if start is None or start == RANDOM:
        return Link("initial weights", start or "not recorded", checked=False)
    shown = f"{parent or start}: {_short(digest)}"
    if start == COCO:  # their digests are pinned
        return Link("initial weights", shown, None if recognized(digest) else "no published file has this digest")
    try:
        # by its number: the alias may have moved since
        found = weights_digest(f"{PREFIX}{parent}" if parent else start)
    except InputError as refused:
        return Link("initial weights", shown, str(refused))
    return Link("initial weights", shown, None if found == digest else f"there are other weights now: {_short(found)}")


def _commit_link(version: "ModelVersion") -> Link:
    commit = version.tags.get("git.commit")
    if commit is None:
        return Link("git commit", "not recorded", checked=False)
    changed = ", with changes that were not committed" if version.tags.get("git.dirty") == "true" else ""
    lost = None if has_commit(commit) else "this repository does not have it"
    return Link("git commit", f"{_short(commit)}{changed}", lost)


def _data_links(version: "ModelVersion", uri: str) -> list[Link]:
    """The dvc.lock that is kept with the run, and the data that it names."""
    digest, data = version.tags.get(LOCK_TAG), str(version.tags.get("data.digest"))
    if digest is None:
        return [Link(LOCK, "not recorded", checked=False), Link("data", _short(data), checked=False)]
    with tempfile.TemporaryDirectory(prefix="yolox-lineage-") as folder:
        lock = _kept(evidence.run_of(version), Path(folder), uri)
        if lock is None or file_sha256(lock) != digest:
            lost = "its run does not have it" if lock is None else "the run's file is another one"
            return [Link(LOCK, _short(digest), lost), Link("data", _short(data), f"its {LOCK} is lost")]
        return [Link(LOCK, _short(digest)), Link("data", _short(data), lost_data(lock, data))]


def _kept(run_id: str, folder: Path, uri: str) -> Path | None:
    from mlflow.exceptions import MlflowException

    try:
        return artifact_of_run(run_id, LOCK, uri, folder)
    except (MlflowException, OSError):  # the link says that it is not there
        return None


def _test_link(version: "ModelVersion", uri: str) -> Link:
    digest = version.tags.get(evidence.DIGEST_TAG)
    if digest is None:
        return Link("test images", "not recorded", checked=False)
    shown = f"{_short(digest)}: map {version.tags.get(evidence.MAP_TAG)}"
    return Link("test images", shown, _refusal(lambda: evidence.read(version, uri)))


def _before(client: "MlflowClient", name: str) -> str:
    return str(client.get_registered_model(name).tags.get(BEFORE) or "none")


def _promotion_link(client: "MlflowClient", version: "ModelVersion") -> Link:
    why = {name.removeprefix(WHY): value for name, value in version.tags.items() if name.startswith(WHY)}
    champion = client.get_registered_model(version.name).aliases.get(CHAMPION)
    was_once = "rollback.date" in version.tags
    if not why or not (was_once or str(version.version) in (str(champion), *_before(client, version.name).split())):
        # a promotion that was cut short has left its reasons
        return Link("promoted", "never", checked=False)
    text = f"{why.get('date')} by rule {why.get('rule')}"
    if "over" in why:
        text += f", over version {why['over']}: map {why.get('difference')} more ({why.get('interval')})"
    return Link("promoted", text, checked=False)


def _refusal(look: Callable[[], object]) -> str | None:
    """What speaks against something being there; None where nothing does."""
    try:
        look()
    except InputError as refused:
        return str(refused)
    return None


def _short(digest: str | None) -> str:
    return "not recorded" if digest is None else digest[:SHORT]
