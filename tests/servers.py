"""Real servers for tests, each a process of its own on a free port of the loopback interface.

S3 is moto's server: not a store to keep data in, but it speaks S3 over HTTP and, told to, checks signatures and rights.
"""

import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests import needs

UP_WITHIN_S = 60.0
PRIVILEGE_SEPARATION = Path("/run/sshd")  # as root sshd wants this empty folder, which its service would make


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextmanager
def running(words: list[str], log: Path, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A server for the block, ended with all that it started."""
    with log.open("wb") as output:
        server = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options)
    try:
        yield server
    finally:
        family = []
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        for process in family:
            with suppress(psutil.Error):
                process.terminate()
        psutil.wait_procs(family, timeout=20)
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        server.wait()


@dataclass(frozen=True)
class S3:
    """A store that only one pair of keys may read and write."""

    url: str
    key: str
    secret: str
    nothing: Path  # an empty file

    @property
    def alone(self) -> dict[str, str]:
        """Nothing from the files, the proxy and the cloud of whoever runs the test."""
        return {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(self.nothing),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.nothing),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know, the usual way."""
        keys = {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}
        return {**self.alone, "AWS_ENDPOINT_URL": self.url, **keys}

    def client(self, service: str = "s3") -> Any:
        """botocore's, with these keys."""
        import botocore.session

        keys = {"aws_access_key_id": self.key, "aws_secret_access_key": self.secret}
        return botocore.session.get_session().create_client(service, "us-east-1", endpoint_url=self.url, **keys)

    def take(self, bucket: str, folder: Path, prefix: str) -> None:
        """Copy a folder's files into a new bucket, below `prefix`."""
        client = self.client()
        client.create_bucket(Bucket=bucket)
        for path in folder.iterdir():
            client.put_object(Bucket=bucket, Key=f"{prefix}/{path.name}", Body=path.read_bytes())


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """moto's server, which takes three unsigned requests: they make one user, and from then on it asks for keys."""
    port = free_port()
    words = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with running(words, folder / "s3.log", env=os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": "3"}) as server:
        _wait(server, port, folder / "s3.log")
        url = f"http://127.0.0.1:{port}"
        nothing = folder / "nothing"
        nothing.touch()
        iam = S3(url, "none", "none", nothing).client("iam")
        iam.create_user(UserName="test")
        rights = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
        iam.put_user_policy(UserName="test", PolicyName="s3", PolicyDocument=policy)
        made = iam.create_access_key(UserName="test")["AccessKey"]
        yield S3(url, made["AccessKeyId"], made["SecretAccessKey"], nothing)


class Away:
    """A way to a server on this machine that can be cut: nothing listens then, and what was open breaks."""

    def __init__(self, port: int) -> None:
        self._to, self.port = port, free_port()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None

    def __enter__(self) -> "Away":
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cut it; entered again it is there again."""
        listener, self._listener = self._listener, None
        for each in [listener, *self._open]:
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            self._open += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(2**16):
                target.sendall(content)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Mlflow:
    """A tracking server with a registry, which keeps the artifacts too."""

    url: str
    log: Path
    database: Path

    def requests(self) -> list[str]:
        """What it was asked for until now, in order: method and path."""
        asked = re.findall(r'"([A-Z]+ /[^ ?"]*)[^"]*" \d{3}', self.log.read_text())
        return [line for line in asked if line != "GET /health"]


@contextmanager
def mlflow_server(folder: Path, empty_store: Path | None = None) -> Iterator[Mlflow]:
    """MLflow's own, on sqlite; `empty_store` saves it the seconds of making its tables."""
    port, database, log = free_port(), folder / "server.db", folder / "mlflow.log"
    if empty_store is not None:
        shutil.copy(empty_store, database)
    words = [str(Path(sys.executable).with_name("mlflow")), "server", "--workers", "1", "--host", "127.0.0.1"]
    words += ["--port", str(port), "--backend-store-uri", f"sqlite:///{database}"]
    words += ["--artifacts-destination", str(folder / "artifacts")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn by name
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": path}
    with running(words, log, env=environment, cwd=folder) as server:
        _wait(server, port, log)
        yield Mlflow(f"http://127.0.0.1:{port}", log, database)


@dataclass(frozen=True)
class Ssh:
    """A machine that one key opens."""

    address: str  # ssh://user@host:port
    key: Path


@contextmanager
def ssh_server(folder: Path) -> Iterator[Ssh]:
    """OpenSSH's server with a host key, a configuration and one user's key of its own, all in `folder`."""
    program = needs.sshd()
    if os.getuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(made, check=True)
    port = free_port()
    settings = f"""
        ListenAddress 127.0.0.1:{port}
        HostKey {folder}/host
        AuthorizedKeysFile {folder}/user.pub
        PidFile none
        UsePAM no
        StrictModes no
        PasswordAuthentication no
        PermitRootLogin prohibit-password
        Subsystem sftp internal-sftp
    """
    (folder / "sshd_config").write_text(settings, encoding="utf-8")
    # by its absolute path: it starts itself again for each connection
    words = [str(program), "-D", "-e", "-f", str(folder / "sshd_config")]
    with running(words, folder / "sshd.log") as server:
        _wait(server, port, folder / "sshd.log")
        user = pwd.getpwuid(os.getuid()).pw_name
        yield Ssh(f"ssh://{user}@127.0.0.1:{port}", folder / "user")


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    _until(lambda: answers(port) or server.poll() is not None)
    assert server.poll() is None, log.read_text(encoding="utf-8", errors="replace")


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + UP_WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {UP_WITHIN_S:.0f} s"
        time.sleep(0.05)
