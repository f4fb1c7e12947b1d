"""A Ray cluster of processes on this machine."""

import secrets
import subprocess
import sys
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.integration.project import Project
from tests.servers import free_port


@dataclass
class Nodes:
    """A Ray cluster of processes on the loopback interface, with a token: each node can be lost by itself."""

    temp: Path
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    nodes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    metrics: list[int] = field(default_factory=list)  # ports for Prometheus
    port: int = 0
    dashboard: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a driver needs to join."""
        return {
            "RAY_ADDRESS": f"127.0.0.1:{self.port}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",
            # half a minute by default
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "5",
        }

    def start(self, *words: str, project: Project, **environment: str) -> "subprocess.Popen[bytes]":
        """One node, in a session of its own, until it is killed."""
        ray = str(Path(sys.executable).with_name("ray"))
        common = ("--node-ip-address=127.0.0.1", "--object-store-memory=104857600", "--disable-usage-stats", "--block")
        common += (f"--dashboard-agent-listen-port={free_port()}",)  # jobs need it; other clusters here may have Ray's
        self.metrics.append(free_port())
        log = (self.temp / f"node{len(self.nodes)}.log").open("wb")
        node = subprocess.Popen(
            [ray, "start", *words, *common, f"--metrics-export-port={self.metrics[-1]}"],
            env=project.environment(**self.environment, **environment, RAY_enable_node_label="0") | {"RAY_ADDRESS": ""},
            cwd=self.temp,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.nodes.append(node)
        return node

    def last_is_up(self) -> bool:
        """Whether the node that was started last has joined."""
        node, log = self.nodes[-1], self.temp / f"node{len(self.nodes) - 1}.log"
        assert node.poll() is None, log.read_text(encoding="utf-8")[-2000:]
        return "Ray runtime started" in log.read_text(encoding="utf-8")

    def told(self, metric: str) -> bool:
        """Whether a node tells Prometheus this metric."""
        for port in self.metrics:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                if f"\n{metric}{{" in page.read().decode():
                    return True
        return False

    def kill(self, node: "subprocess.Popen[bytes]") -> None:
        """All processes of a node at once, as when its machine is gone."""
        family = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        node.wait()
