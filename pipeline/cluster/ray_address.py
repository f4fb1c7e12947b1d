"""Whether a Ray cluster answers at an address, within seconds: Ray itself tries for minutes, and prints meanwhile."""

import http.client
import json
import socket
import urllib.error
import urllib.request
from importlib import metadata
from typing import Any

ANSWER_WITHIN_S = 5.0
ANOTHER, SILENT = "something else answers there", "no answer from Ray within seconds"
AUTO, CLIENT = "auto", "ray://"
CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"  # of a cluster's control service; it asks for the token, too


def nobody_listens(address: str) -> str | None:
    """Why no connection is made to host:port; None where one is, and for words like `auto`, which Ray resolves."""
    place = _place(address)
    if place is None:
        return None
    try:
        socket.create_connection(place, ANSWER_WITHIN_S).close()
    except (OSError, OverflowError, UnicodeError) as away:
        return str(away)
    return None


def no_cluster_answers(address: str) -> str | None:
    """Why what listens at host:port is no Ray cluster for this process; None where it is one, or where the address
    is for Ray to judge. Imports Ray.
    """
    if address.startswith(CLIENT):
        return "Ray Client cannot train: on a machine of the cluster name its head, host:6379, or use `yolox submit`"
    import grpc
    import ray
    from ray._private.grpc_utils import init_grpc_channel
    from ray._private.services import canonicalize_bootstrap_address

    place = _place(canonicalize_bootstrap_address("auto") or "" if address == AUTO else address)
    if place is None:
        return None
    host, port = place
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    no_proxy = [("grpc.enable_http_proxy", 0)]
    with init_grpc_channel(target, no_proxy) as channel:
        try:
            reply: Any = channel.unary_unary(CHECK_ALIVE)(b"", timeout=ANSWER_WITHIN_S)
        except grpc.RpcError as failed:
            return _reason(failed)
    there = _version(reply)
    if there not in (None, ray.__version__):
        return f"it is of Ray {there}, this is Ray {ray.__version__}"
    return None


def no_dashboard_answers(address: str) -> str | None:
    """Why what listens at http(s)://host:port is no dashboard of this Ray; None where it is, or asks for a token."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/api/version", timeout=ANSWER_WITHIN_S) as answer:
            version = json.load(answer)
    except urllib.error.HTTPError as refused:
        return None if refused.code in (401, 403) else f"{ANOTHER}: {refused.code} {refused.reason}"
    except TimeoutError:
        return SILENT
    except (OSError, http.client.HTTPException) as away:
        return str(getattr(away, "reason", away))
    except ValueError:
        return ANOTHER
    if not isinstance(version, dict) or "ray_version" not in version:
        return ANOTHER
    here, there = metadata.version("ray"), version["ray_version"]
    return None if there == here else f"it is of Ray {there}, this is Ray {here}"


def _place(address: str) -> tuple[str, int] | None:
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdecimal() else None


def _reason(failed: Any) -> str | None:
    import grpc

    words = {
        grpc.StatusCode.UNAUTHENTICATED: "it asks for another token: set RAY_AUTH_TOKEN to the cluster's own",
        grpc.StatusCode.UNIMPLEMENTED: ANOTHER,
        grpc.StatusCode.UNAVAILABLE: ANOTHER,
        grpc.StatusCode.DEADLINE_EXCEEDED: SILENT,
    }
    return words.get(failed.code())  # another failure is a cluster's own, for Ray to judge


def _version(reply: bytes) -> str | None:
    from ray.core.generated import gcs_service_pb2

    messages: Any = gcs_service_pb2
    return str(messages.CheckAliveReply.FromString(reply).ray_version) or None
