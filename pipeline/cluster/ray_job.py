"""Training as a Ray job: the code is packed and sent; data and runs lie in a store, or in a folder that all share.

The job carries out an order of the store, or runs the train stage in that folder, so that the run is the same run
wherever it is trained: submitted again after a failure it resumes. Its driver is on the cluster and lives on when this
command is left.
"""

import asyncio
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cluster.ray_address import no_dashboard_answers
from pipeline.cluster.ray_cluster import ENVIRONMENT, START_WITHIN
from yolox_core.errors import InputError, reason

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PACKAGES = ("pipeline", "yolox_core")
LARGEST_PACKAGE = 5 * 2**20  # bytes; the code is a twentieth of it: what is larger holds something else
# of this command's environment, what the job needs to know
PASSED_ON = (
    *("YOLOX_WORKERS", "YOLOX_MIN_WORKERS", "YOLOX_LOADER_WORKERS", "YOLOX_GPU", "YOLOX_THREADS", "YOLOX_HANG_S"),
    *("YOLOX_TRIALS", "YOLOX_GPU_PER_TRIAL", START_WITHIN),
    *("YOLOX_STORE", "YOLOX_IMAGES", "YOLOX_CACHE", "YOLOX_CACHE_GIB", "YOLOX_CHECKPOINTS"),
    "MLFLOW_TRACKING_URI",  # without its password, which would be seen on the dashboard
)
AGENT_WITHIN_S, AGENT_EVERY_S = 120.0, 2.0  # of a cluster's head, which starts jobs
STOP_WITHIN_S = 120  # Ray gives a job that is stopped 3 s; ours saves first
RUNNING = ("PENDING", "RUNNING")


@dataclass(frozen=True)
class Submission:
    """Where to, and where the project lies there."""

    address: str  # of the cluster's dashboard, http(s)://host:8265
    workspace: Path  # the project's folder as the cluster sees it; with a store nobody looks there
    stages: tuple[str, ...] = ()  # after the training, with a store

    def __post_init__(self) -> None:
        if not self.address.startswith(("http://", "https://")):
            raise InputError(
                f"--address {self.address}: expected the cluster's dashboard, http://host:8265, to submit a job to."
            )

    @classmethod
    def from_environment(cls) -> "Submission | None":
        """YOLOX_SUBMIT, the dashboard's address, and YOLOX_WORKSPACE; None where nothing is to be submitted."""
        address = os.environ.get("YOLOX_SUBMIT")
        return cls(address, Path(os.environ.get("YOLOX_WORKSPACE") or Path.cwd())) if address else None


def submit(submission: Submission, run: str, order: str | None = None) -> None:
    """Train the run `run` (its folder's name) as a job, and follow it to its end; with a store, as its `order` says.

    A job of the same run that is still going on is followed instead. InputError where the cluster does not answer,
    refuses the token, or the job fails; SystemExit 130 where the user leaves it running.
    """
    client = _connect(submission.address)
    job = _running_job(client, run) or _start(client, submission, run, order)
    print(f"submit: job {job} at {submission.address}", flush=True)
    with _stopped_by_sigterm(client, job):
        _follow(client, job)
    info = client.get_job_info(job)
    if info.status != "SUCCEEDED":
        code = f", exit code {info.driver_exit_code}" if info.driver_exit_code is not None else ""
        raise InputError(f"job {job}: {info.status.lower()}{code}. Its output stands above; submit again to resume.")


def _connect(address: str) -> "JobSubmissionClient":
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    if silent := no_dashboard_answers(address):
        raise InputError(f"--address {address}: no Ray cluster answers ({silent[:120]}). Check the address.")
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except Exception as refused:  # kinds of requests', Ray's and Python's own for one and the same failure
        said = " ".join(str(refused).split()).replace(address, "")
        if any(word in said.lower() for word in ("401", "403", "token", "auth")):
            raise InputError(
                f"--address {address}: the cluster wants another token. Set RAY_AUTH_TOKEN to the cluster's own."
            ) from refused
        raise InputError(f"--address {address}: no Ray cluster answers ({said[:120]}).") from refused


def _running_job(client: "JobSubmissionClient", run: str) -> str | None:
    jobs = [job for job in client.list_jobs() if job.submission_id and job.status in RUNNING]
    return next((job.submission_id for job in jobs if (job.metadata or {}).get("run") == run), None)


def _start(client: "JobSubmissionClient", submission: Submission, run: str, order: str | None) -> str:
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    variables = ENVIRONMENT | {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WITHIN_S)} | variables
    # -P: the package that was sent, not what lies in the shared folder
    command = f"cd {shlex.quote(str(submission.workspace))} && exec python -P -m pipeline.cli train"
    if order is not None:
        command = f"exec python -P -m pipeline.cli.work {order}"
    entrypoint = f'export PYTHONPATH="$PWD" && {command}'
    deadline_s = time.monotonic() + AGENT_WITHIN_S
    with _package() as folder:
        while True:
            try:
                job: str = client.submit_job(
                    entrypoint=entrypoint,
                    runtime_env={"working_dir": str(folder), "env_vars": variables},
                    metadata={"run": run},
                    submission_id=f"{run.replace('/', '-')}-{secrets.token_hex(3)}",
                )
            except RuntimeError as refused:  # Ray's, of whatever kind
                if "No available agent" not in str(refused) or time.monotonic() > deadline_s:
                    raise InputError(f"--address {submission.address}: {reason(refused)}. Submit again.") from refused
                time.sleep(AGENT_EVERY_S)  # a cluster that has just started
            else:
                return job


@contextmanager
def _package() -> Iterator[Path]:
    """The project's code by itself, its size checked."""
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="yolox-package-") as name:
        folder = Path(name)
        for package in PACKAGES:
            shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        sizes = {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        if sum(sizes.values()) > LARGEST_PACKAGE:
            largest = max(sizes, key=lambda path: sizes[path])
            raise InputError(
                f"{root}: expected at most {LARGEST_PACKAGE >> 20} MiB of code to send, got "
                f"{sum(sizes.values()) >> 20} MiB; the largest file is {largest}. Move what is not code elsewhere."
            )
        yield folder


def _follow(client: "JobSubmissionClient", job: str) -> None:
    """Print the job's output until it ends. Ctrl-C on a terminal asks what to do with it."""

    async def tail() -> None:
        async for lines in client.tail_job_logs(job):
            print(lines, end="", flush=True)

    try:
        asyncio.run(tail())
        while client.get_job_info(job).status in RUNNING:  # the connection ended, the job did not
            asyncio.run(tail())
    except (RuntimeError, OSError) as lost:  # requests' and aiohttp's errors are OSErrors; Ray raises the other
        raise InputError(
            f"job {job}: the cluster does not answer any more ({str(lost)[:100]}). The job continues; submit again to "
            "follow it."
        ) from lost
    except KeyboardInterrupt:
        if _wants_to_stop(job):
            client.stop_job(job)
            raise
        print(f"submit: job {job} continues. Submit again to follow it.", file=sys.stderr)
        raise SystemExit(130) from None


def _wants_to_stop(job: str) -> bool:
    """Asked on a terminal; elsewhere nobody is there to ask, and the job goes on."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(f"\njob {job}: stop it, or leave it running? [s/L] ").strip().lower() == "s"
    except EOFError:
        return False


@contextmanager
def _stopped_by_sigterm(client: "JobSubmissionClient", job: str) -> Iterator[None]:
    """SIGTERM, which nobody sends by a slip, stops the job as well: it saves, and ends."""

    def stop(*_: Any) -> None:
        client.stop_job(job)
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
