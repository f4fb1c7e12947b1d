"""Puts a released model into MLflow: its run completed, one registry version for one set of weights, an alias.

The rules are DESIGN.md 4.11: registering makes a version `champion` only where there is none, otherwise
`challenger`; moving `champion` is a person's decision. Doing it again changes nothing but the newest figures.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.digests import file_sha256, folder_digests, listing_sha256
from pipeline.registry import evidence, logged_model
from pipeline.registry.pyfunc_packaging import package
from pipeline.registry.release_record import DataSource, Release
from pipeline.registry.relocation import relocate
from pipeline.registry.resolve import PREFIX, RELEASED_TAG, WEIGHTS_TAG, resolve, versions
from pipeline.registry.run_history import metric_name, send_metrics
from pipeline.registry.run_log import attach, send_missing
from pipeline.registry.store import connect, shown, tracking_uri
from yolox_core.config import WEIGHTS_FILE
from yolox_core.errors import InputError, sentence

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["CHALLENGER", "CHAMPION", "PREFIX", "DataSource", "Registration", "Release", "register", "resolve"]

CHAMPION, CHALLENGER = "champion", "challenger"
AGAIN = "then run `dvc repro` again: only this stage is left to do."
LOGGED_NAME = "detector"  # the model's name within its run


@dataclass(frozen=True)
class Registration:
    """Where it is now."""

    name: str
    version: str
    alias: str
    weights_sha256: str
    run_id: str
    tracking_uri: str  # as it may be shown


def register(release: Release) -> Registration:
    """Complete the training's run and register the model; InputError in one line where MLflow does not answer."""
    weights = release.folder / WEIGHTS_FILE
    if not weights.is_file():
        raise InputError(f"{weights}: no such file. Run the export stage first: `dvc repro export`.")
    uri, digest = tracking_uri(), file_sha256(weights)
    client = connect(uri, advice=f"Start it or unset MLFLOW_TRACKING_URI, {AGAIN}")
    relocate(uri)
    with refused_by(uri):
        run_id = attach(client, release.run, uri)
        last_epoch = send_missing(client, run_id, release.run, uri) - 1
        figures = _figures(release)
        _complete_run(client, run_id, release, figures, max(last_epoch, 0))
        tags = dict(release.tags) | {name: f"{value:.6g}" for name, value in figures.items()}
        tags |= {evidence.RUN_TAG: run_id} | evidence.keep(client, run_id, release.evidence, digest)
        version = _version_of(client, release.name, digest) or _new_version(client, run_id, release, digest)
        number = str(version.version)
        for key, value in tags.items():
            client.set_model_version_tag(release.name, number, metric_name(key), str(value))
        logged_model.describe(client, run_id, version, release)
        logged_model.write_card(client, release, number, {**version.tags, **tags})
        alias = _give_alias(client, release.name, number)
    return Registration(release.name, number, alias, digest, run_id, shown(uri))


@contextmanager
def refused_by(uri: str, advice: str = f"Set it right, {AGAIN}") -> Iterator[None]:
    """What the store refuses or drops midway, as one line: it is the store's state, not a defect of ours."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise InputError(f"{shown(uri)}: MLflow failed: {sentence(error)} {advice}") from error


def _figures(release: Release) -> dict[str, float]:
    """Measured on the test images, and the cost, under the names they have in MLflow."""
    figures = {f"test/{name}": value for name, value in release.test_metrics.items()}
    return figures | {f"cost/{name}": value for name, value in release.cost.items()}


def _complete_run(
    client: "MlflowClient", run_id: str, release: Release, figures: Mapping[str, float], step: int
) -> None:
    """Figures, data and files that say how to repeat the run."""
    known = client.get_run(run_id)
    legal = {metric_name(name): value for name, value in figures.items()}
    changed = {name: value for name, value in legal.items() if known.data.metrics.get(name) != value}
    send_metrics(client, run_id, changed, step)
    client.log_inputs(run_id, logged_model.inputs(release))
    for file in release.files:
        if file.is_file():
            client.log_artifact(run_id, str(file), "reports" if file.parent.name == "reports" else None)
    client.set_terminated(run_id, "FINISHED")


def _version_of(client: "MlflowClient", name: str, digest: str) -> "ModelVersion | None":
    """The version that holds these weights already; the first one, should there be several."""
    same = [version for version in versions(client, name) if version.tags.get(WEIGHTS_TAG) == digest]
    return min(same, key=lambda version: int(version.version), default=None)


def _new_version(client: "MlflowClient", run_id: str, release: Release, digest: str) -> "ModelVersion":
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.models.model import Model

    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(
        experiment_id, name=LOGGED_NAME, source_run_id=run_id, tags={WEIGHTS_TAG: digest}, model_type="object-detector"
    )
    described = Model(
        artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run_id, model_id=logged.model_id
    )
    with tempfile.TemporaryDirectory(prefix="yolox-model-") as folder:
        package(release.folder, Path(folder) / "model", described)
        client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    try:
        client.create_registered_model(release.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # digests are set together with the version, so that a crash can never leave one without them
    tags = {WEIGHTS_TAG: digest, RELEASED_TAG: listing_sha256(folder_digests(release.folder))}
    source = f"{PREFIX}{logged.model_id}"
    return client.create_model_version(release.name, source, run_id, tags=tags, model_id=logged.model_id)


def _give_alias(client: "MlflowClient", name: str, version: str) -> str:
    """`champion` where nobody is, `challenger` otherwise; a champion stays what it is."""
    aliases = client.get_registered_model(name).aliases
    champion = aliases.get(CHAMPION)
    if champion is not None and str(champion) == version:
        return CHAMPION
    alias = CHALLENGER if champion is not None else CHAMPION
    if str(aliases.get(alias)) != version:
        client.set_registered_model_alias(name, alias, version)
    return alias
