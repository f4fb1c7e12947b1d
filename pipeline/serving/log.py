"""The service's own log: on standard error under uvicorn, in the log of each replica under Ray Serve."""

import logging
from collections.abc import Iterable

logger = logging.getLogger("yolox.serve")


def log_to(handlers: Iterable[logging.Handler]) -> None:
    """Write what the service logs, from INFO on, to `handlers` and nowhere else."""
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a root handler of Ray's or MLflow's would write each line again
    logger.handlers[:] = handlers


def log_to_stderr() -> None:
    """The same on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log_to([handler])
