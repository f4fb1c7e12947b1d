"""`yolox serve` refuses in one line, before anything is started, what could never be served."""

import socket
from pathlib import Path

import pytest
import torch

from tests.pipeline.cli.commands_project import Yolox
from tests.servers import free_port
from yolox_core.cpus import cores

REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "more cores than there are": (
        ("--threads", str(cores() + 1)),
        f"error: --threads {cores() + 1}: expected at most {cores()} cores together",
    ),
    "more replicas than cores": (
        ("--replicas", str(cores() + 1)),
        f"error: --replicas {cores() + 1}: expected at most {cores()} cores",
    ),
    "more processes than cores": (
        ("--workers", str(cores() + 1)),
        f"error: --workers {cores() + 1}: expected at most {cores()} cores",
    ),
    "no process": (("--workers", "0"), "--workers: expected a whole number"),
    "processes on Ray": (("--workers", "2", "--ray"), "--workers 2: expected none with --ray"),
    "Ray's model": (("--ray", "--runtime", "onnx"), "this model was not exported"),
    "several processes' model": (("--workers", str(cores()), "--runtime", "onnx"), "this model was not exported"),
    "a runtime": (("--runtime", "onx"), "--runtime: expected one of"),
    "a device": (("--device", "tpu"), "--device: expected cpu or cuda"),
    "a GPU for a runtime without": (("--device", "cuda", "--runtime", "onnx"), "expected --runtime torch"),
    "a port": (("--port", "99999"), "--port: expected 1 to 65535"),
    "no queue": (("--queue", "0"), "--queue: expected a whole number"),
    "no exported file": (("--runtime", "onnx"), "this model was not exported"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(yolox: Yolox, model: Path, kind: str) -> None:
    words, line = REFUSED[kind]
    port = () if "--port" in words else ("--port", str(free_port()))
    yolox("serve", "--model", model, *port, *words).refused(line)


@pytest.mark.parametrize("words", [(), ("--workers", "1"), ("--ray",)])
def test_a_port_that_is_taken_is_told_before_a_model_is_looked_for(yolox: Yolox, words: tuple[str, ...]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        yolox("serve", "--model", "nowhere", "--port", port, *words).refused(
            f"--port {port}: cannot listen on this address"
        )


def test_a_gpu_that_is_not_there_is_refused_by_what_was_given(
    yolox: Yolox, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)  # on a machine that has one, too
    words = ("serve", "--model", model, "--port", str(free_port()), "--device", "cuda")
    yolox(*words).refused("error: --device cuda: expected a GPU, got none.")
    if cores() > 1:
        yolox(*words, "--replicas", "2").refused("--device cuda --replicas 2: expected a GPU for each, got none.")
