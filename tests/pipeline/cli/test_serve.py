"""`yolox serve` refuses in one line, before a cluster is started, what could never be served."""

from pathlib import Path

import pytest

from tests.pipeline.cli.commands_project import Yolox
from tests.servers import free_port
from yolox_core.inference.processor import cores

REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "more cores than there are": (("--threads", str(cores() + 1)), f"at most {cores()} cores together"),
    "more replicas than cores": (("--replicas", str(cores() + 1)), f"at most {cores()} cores together"),
    "a runtime": (("--runtime", "onx"), "--runtime: expected one of"),
    "a device": (("--device", "tpu"), "--device: expected cpu or cuda"),
    "a GPU for a runtime without": (("--device", "cuda"), "expected --runtime torch"),
    "a port": (("--port", "99999"), "--port: expected 1 to 65535"),
    "no queue": (("--queue", "0"), "--queue: expected a whole number"),
    "no exported file": ((), "this model was not exported"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(yolox: Yolox, model: Path, kind: str) -> None:
    words, line = REFUSED[kind]
    port = () if "--port" in words else ("--port", str(free_port()))
    yolox("serve", "--model", model, *port, *words).refused(line)
