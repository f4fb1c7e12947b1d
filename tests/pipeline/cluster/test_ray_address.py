"""What answers at RAY_ADDRESS, with real servers that are no Ray cluster. With a real cluster: tests/integration/."""

import http.server
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from pipeline.cluster import ray_address
from pipeline.cluster.ray_cluster import ComputeConfig, check_address
from pipeline.cluster.ray_job import Submission, submit
from yolox_core.errors import InputError


@pytest.fixture
def web() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def mute() -> Iterator[int]:
    """Takes connections, says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def another_service() -> Iterator[int]:
    """Speaks gRPC, but not Ray's."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("web", "something else answers there"),
        ("mute", "no answer from Ray within seconds"),
        ("another_service", "something else answers there"),
    ],
)
def test_something_else_answers(
    kind: str, reason: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_address, "ANSWER_WITHIN_S", 1.0)
    address = f"127.0.0.1:{request.getfixturevalue(kind)}"
    with pytest.raises(InputError) as refused:
        check_address(ComputeConfig(address=address))
    assert str(refused.value).startswith(f"RAY_ADDRESS={address}: no Ray cluster answers ({reason})")


@pytest.mark.parametrize(("kind", "reason"), [("web", "something else answers there: 404"), ("mute", "no answer")])
def test_something_else_answers_a_job(
    kind: str, reason: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own client would wait for ever at the second."""
    monkeypatch.setattr(ray_address, "ANSWER_WITHIN_S", 1.0)
    address = f"http://127.0.0.1:{request.getfixturevalue(kind)}"
    with pytest.raises(InputError) as refused:
        submit(Submission(address, Path("/shared")), "run")
    assert str(refused.value).startswith(f"--address {address}: no Ray cluster answers ({reason}")


def test_another_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of another release, as its control service answers."""
    import ray
    from ray.core.generated import gcs_service_pb2

    messages: Any = gcs_service_pb2

    def answer(details: Any) -> Any:
        reply = messages.CheckAliveReply(ray_version=version).SerializeToString()
        return grpc.unary_unary_rpc_method_handler(lambda request, context: reply)

    class Control(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return answer(details) if details.method == ray_address.CHECK_ALIVE else None

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Control()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    version = "2.1.0"
    assert ray_address.no_cluster_answers(f"127.0.0.1:{port}") == f"it is of Ray 2.1.0, this is Ray {ray.__version__}"
    version = ray.__version__
    assert ray_address.no_cluster_answers(f"127.0.0.1:{port}") is None
    server.stop(None)


def test_a_dashboard_of_another_ray_is_named(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "version").write_text('{"ray_version": "2.1.0"}')
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with pytest.raises(InputError, match=r"no Ray cluster answers \(it is of Ray 2\.1\.0, this is Ray "):
            submit(Submission(address, Path("/shared")), "run")
        server.shutdown()


def test_ray_client_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=r"Ray Client cannot train: .* `yolox submit`"):
            check_address(ComputeConfig(address=address))
