"""A Ray cluster, a store and an MLflow server on hosts of their own (tests/hosts.py), and a laptop that shares nothing.

    with cluster(folder) as there:
        there.laptop.output("yolox", "submit", ...)   # its environment has all addresses and keys: there.client
        there.store_away()                            # a block in which nobody reaches the store
        there.head.kill(); there.start_head()         # lost, and started again with its files
        there.workers[0].kill()                       # lost
        there.start_worker(there.lan.add("worker4"))  # one more joins
        there.lan.cut(there.workers[0], there.store)  # one worker alone cannot reach the store; there.lan.heal()
        there.objects("store/dvc/")                   # name -> bytes of what lies in the bucket, below a prefix
        there.none_sees(folder)                       # asserts that `ls` of it fails on all hosts but the laptop

Hosts: `head`, `worker1` to `worker3`, `laptop`, `store` (S3 by moto's server, which asks for keys) and `tracking`
(MLflow on PostgreSQL, artifacts by the server). A node has AWS's variables in its own environment unless it was started
by `start_worker(host, keys=False)`. Up in 40 to 60 s on two cores that others use, too; 2.2 GB of memory before
anything is trained.
"""

import json
import secrets
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import needs
from tests.hosts import Command, Host, Lan, hosts
from tests.waiting import until

UP_WITHIN_S = 180.0
CPUS = 2  # of each node, to Ray
BUCKET = "bucket"
WORKERS = ("worker1", "worker2", "worker3")
# one user with all rights: of moto's server the first three requests may be unsigned, and from then on it asks for keys
MAKE_USER = """
import botocore.session, json, sys
def client(service, key="none", secret="none"):
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    return botocore.session.get_session().create_client(service, "us-east-1", endpoint_url=sys.argv[1], **keys)
iam = client("iam")
iam.create_user(UserName="test")
rights = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
iam.put_user_policy(UserName="test", PolicyName="s3", PolicyDocument=policy)
made = iam.create_access_key(UserName="test")["AccessKey"]
client("s3", made["AccessKeyId"], made["SecretAccessKey"]).create_bucket(Bucket=sys.argv[2])
print(json.dumps([made["AccessKeyId"], made["SecretAccessKey"]]))
"""
LIST = """
import botocore.session, json, os, sys
client = botocore.session.get_session().create_client("s3", "us-east-1", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
pages = client.get_paginator("list_objects_v2").paginate(Bucket=sys.argv[1], Prefix=sys.argv[2])
print(json.dumps({found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}))
"""


@dataclass
class Cluster:
    """See above."""

    lan: Lan
    logs: Path
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    keys: dict[str, str] = field(default_factory=dict)  # AWS's variables

    @property
    def head(self) -> Host:
        return self.lan["head"]

    @property
    def laptop(self) -> Host:
        return self.lan["laptop"]

    @property
    def store(self) -> Host:
        return self.lan["store"]

    @property
    def tracking(self) -> Host:
        return self.lan["tracking"]

    @property
    def workers(self) -> list[Host]:
        return [self.lan[name] for name in WORKERS]

    @property
    def client(self) -> dict[str, str]:
        """What the laptop needs to know."""
        addresses = {
            "YOLOX_SUBMIT": f"http://{self.head.address}:8265",
            "YOLOX_STORE": f"s3://{BUCKET}/store",
            "MLFLOW_TRACKING_URI": f"http://{self.tracking.address}:5000",
        }
        return addresses | self.keys | self._token

    def start_head(self) -> Command:
        words = ("--head", "--port=6379", "--dashboard-host=0.0.0.0", "--dashboard-port=8265")
        return self._start_node(self.head, *words, **self.keys)

    def start_worker(self, host: Host, keys: bool = True) -> Command:
        return self._start_node(host, f"--address={self.head.address}:6379", **(self.keys if keys else {}))

    def store_away(self) -> AbstractContextManager[None]:
        """A block in which nobody reaches the store; what is in it stays."""
        return self.lan.unplugged(self.store)

    def objects(self, prefix: str = "") -> dict[str, int]:
        """Name -> size in bytes of what lies in the store below a prefix of the bucket."""
        found: dict[str, int] = json.loads(self.laptop.output("python", "-c", LIST, BUCKET, prefix, **self.keys))
        return found

    def none_sees(self, *folders: Path) -> None:
        """No host but the laptop has these: the project here, the project there."""
        for host in self.lan.hosts.values():
            for folder in folders if host is not self.laptop else ():
                done = host.run("ls", str(folder))
                assert done.returncode and "No such file or directory" in done.stdout, f"{host.name}: {done.stdout}"

    @property
    def _token(self) -> dict[str, str]:
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def _start_node(self, host: Host, *words: str, **environment: str) -> Command:
        """One node, until it is killed; returns when it has joined."""
        common = (f"--node-ip-address={host.address}", f"--num-cpus={CPUS}", "--object-store-memory=104857600")
        fast = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "5"}
        log = self.logs / f"{host.name}-{secrets.token_hex(2)}.log"
        given = self._token | fast | environment
        node = host.popen("ray", "start", *words, *common, "--disable-usage-stats", "--block", log=log, **given)
        _wait(node, log, lambda: "Ray runtime started" in log.read_text(encoding="utf-8"))
        return node

    def _start_store(self) -> None:
        log = self.logs / "store.log"
        words = ("moto_server", "-H", "0.0.0.0", "-p", "9000")
        server = self.store.popen(*words, log=log, INITIAL_NO_AUTH_ACTION_COUNT="3")
        _wait(server, log, lambda: self.store.answers("127.0.0.1", 9000))
        url = f"http://{self.store.address}:9000"
        printed = self.store.output("python", "-c", MAKE_USER, url, BUCKET)
        key, secret = json.loads(printed.splitlines()[-1])
        self.keys = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINT_URL": url}
        self.keys |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def _start_tracking(self) -> None:
        host, programs = self.tracking, needs.postgresql()
        data = host.home / "postgres"
        as_owner = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--")  # never as root
        host.output("install", "-d", "-o", "postgres", str(data))
        words = (f"{programs}/initdb", "-D", str(data), "--username=mlflow", "--auth=trust", "--no-sync")
        host.output(*as_owner, *words, folder=data)
        words = (f"{programs}/postgres", "-D", str(data), "-k", str(data), "-c", "listen_addresses=127.0.0.1")
        log = self.logs / "postgres.log"
        server = host.popen(*as_owner, *words, folder=data, log=log)
        _wait(server, log, lambda: host.answers("127.0.0.1", 5432))
        words = ("mlflow", "server", "--workers", "1", "--host", "0.0.0.0", "--port", "5000", "--backend-store-uri")
        words += ("postgresql://mlflow@127.0.0.1/postgres", "--artifacts-destination", str(host.home / "artifacts"))
        log = self.logs / "mlflow.log"
        server = host.popen(*words, log=log, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
        _wait(server, log, lambda: host.answers("127.0.0.1", 5000))


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """All of it, in an empty folder, until the block ends."""
    needs.postgresql()
    # a host cannot keep what it compiles of the locked packages; two seconds where they are compiled already
    packages = sysconfig.get_path("purelib")
    subprocess.run([sys.executable, "-m", "compileall", "-q", packages], capture_output=True)  # templates fail
    (folder / "logs").mkdir()
    with hosts(folder, "head", *WORKERS, "laptop", "store", "tracking") as lan:
        made = Cluster(lan, folder / "logs")
        made._start_store()
        made.laptop.environment |= made.client
        with ThreadPoolExecutor() as pool:
            tracking = pool.submit(made._start_tracking)
            made.start_head()
            list(pool.map(made.start_worker, made.workers))
            tracking.result()
        yield made


def _wait(server: Command, log: Path, is_up: Callable[[], bool]) -> None:
    until(lambda: server.poll() is not None or is_up(), UP_WITHIN_S)
    assert server.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-3000:]
