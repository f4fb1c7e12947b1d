"""Several hosts on one machine, in Linux namespaces, to test what must work where nothing is shared.

    with hosts(folder, "head", "worker1", "laptop") as lan:
        lan["head"].output("hostname", "-I")          # what it printed; the command must succeed
        done = lan["laptop"].run("yolox", "doctor")   # done.returncode, done.stdout (standard error goes with it)
        job = lan["laptop"].popen("yolox", "submit", YOLOX_STORE="s3://...")  # a Popen; a signal reaches the command
        lan.add("worker4")                            # one more, later
        lan.cut(lan["head"], lan["worker1"])          # packets between the two vanish; both live on
        lan.heal()                                    # all cuts, and every cable that was unplugged
        with lan.unplugged(lan["worker1"]): ...       # nobody reaches it, it reaches nobody
        lan["worker1"].kill()                         # all its processes at once; the host and its files stay

A cut is silent: who waits for an answer waits on. With the cable out, the others get "no route to host" after 3 s.

Each host has its name, its address (`.address`, 10.77.0.x, and by name), its processes, /tmp, /dev/shm and home, and a
virtual environment at a path of its own with the project's wheel; the locked packages are mounted there, read-only.
Of this machine's files it sees /usr, /etc and Python's installation, read-only, and none of the project. A file of a
host's lies on this machine, too: at `host.here(host.home / "x")`. Its environment variables are `host.environment`,
which a test may add to, and what `run` and `popen` are given; none of the caller's.

The machine's own network is not touched: the bridge, too, is in a namespace. Every namespace ends with its first
process, which ends when this process closes a pipe or dies: nothing is left after a failure, Ctrl-C or a kill.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import psutil

from tests import needs, wheels
from tests.waiting import until

NETWORK = "10.77.0"
NOBODY = "02:00:00:00:00:01"  # a hardware address that no card has
SHARED_MEMORY_MIB = 512
WITHIN_S = 600.0
KEEP = "exec env --ignore-signal=CHLD cat"  # until the pipe closes; the kernel reaps whoever is orphaned


class Command(subprocess.Popen[str]):
    """A command on a host: a signal goes to itself, not to the `nsenter` that waits for it."""

    def send_signal(self, number: int) -> None:
        with suppress(psutil.NoSuchProcess):
            for inner in psutil.Process(self.pid).children():
                inner.send_signal(number)


@dataclass
class Host:
    """A host of a `Lan`."""

    name: str
    address: str
    root: Path
    init: int  # the id, on this machine, of its first process
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """As the host sees it."""
        return Path("/home") / self.name

    @property
    def programs(self) -> Path:
        """The folder `bin` of its virtual environment, as the host sees it."""
        return Path("/opt") / self.name / "bin"

    def here(self, path: Path) -> Path:
        """Where on this machine a file of the host's own lies."""
        return self.root / path.relative_to("/")

    def popen(
        self, *words: str, folder: Path | str | None = None, log: Path | None = None, **environment: str
    ) -> Command:
        """Begin a command in `folder` (its home); what it prints goes to a pipe, or to the file `log`."""
        enter = [*_nsenter(self.init, "mount", "uts", "ipc", "net", "pid"), "sh", "-c", 'cd "$0" && exec "$@"']
        with ExitStack() as stack:
            return Command(
                [*enter, str(folder or self.home), *words],
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=stack.enter_context(log.open("wb")) if log else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def run(self, *words: str, **given: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, or kill it after `WITHIN_S`."""
        command = self.popen(*words, **given)
        try:
            printed = command.communicate(timeout=WITHIN_S)[0]
        except BaseException:
            command.kill()
            raise
        return subprocess.CompletedProcess(words, command.returncode, printed)

    def output(self, *words: str, **given: Any) -> str:
        """The output of a command that must succeed."""
        done = self.run(*words, **given)
        assert done.returncode == 0, f"{self.name}: {shlex.join(words)}\n{done.stdout[-4000:]}"
        return done.stdout

    def answers(self, address: str, port: int) -> bool:
        """Whether a connection to that port succeeds from here."""
        return self.run("timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}").returncode == 0

    def kill(self) -> None:
        """Kill all that runs there at once, as a power failure does; returns when it is gone."""
        self.run("sh", "-c", "kill -KILL -1")
        until(lambda: self.output("ps", "-eo", "comm=").split() == ["cat", "ps"], 60)


class Lan:
    """A network of hosts on one bridge."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.hosts: dict[str, Host] = {}
        self._stack = stack
        self._cuts: list[tuple[Host, Host]] = []
        self._environment = _virtual_environment(folder)
        (folder / "hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
        script = f"ip link add lan type bridge && ip link set lan up && echo up && {KEEP}"
        self._switch = self._hold(["unshare", "--net", "--fork", "sh", "-c", script])

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def add(self, name: str) -> Host:
        """One more host; those that are there know its name at once."""
        root, number = self.folder / name, len(self.hosts) + 10
        address = f"{NETWORK}.{number}"
        _make_root(root, name)
        shutil.copytree(self._environment, root / "opt" / name, symlinks=True)
        _write_programs(root / "opt" / name / "bin", f"/opt/{name}/bin")
        apart = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "sh", "-e", "-c"]
        apart.append(f"{_own_root(root, self.folder / 'hosts')}; hostname {name}; echo up; {KEEP}")
        host = Host(name, address, root, self._hold(apart))
        with (self.folder / "hosts").open("a", encoding="utf-8") as known:
            known.write(f"{address} {name}\n")
        self._ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(host.init))
        self._ip("link", "set", name, "master", "lan", "up")
        host.environment = {
            "PATH": f"{host.programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(host.home),
            "USER": name,
            "LANG": "C.UTF-8",
            **{key: value for key, value in os.environ.items() if key in QUIET},
        }
        host.output("sh", "-ec", f"ip link set lo up; ip address add {address}/24 dev eth0; ip link set eth0 up")
        self.hosts[name] = host
        return host

    def cut(self, one: Host, other: Host) -> None:
        """Let the packets between two hosts vanish, as between networks whose connection is lost."""
        for here, there in ((one, other), (other, one)):
            here.output("ip", "neigh", "replace", there.address, "lladdr", NOBODY, "nud", "permanent", "dev", "eth0")
        self._cuts.append((one, other))

    def heal(self) -> None:
        """Undo every cut, and plug in whoever is unplugged."""
        for one, other in self._cuts:
            for here, there in ((one, other), (other, one)):
                here.output("ip", "neigh", "del", there.address, "dev", "eth0")
        self._cuts.clear()
        for name in self.hosts:
            self._ip("link", "set", name, "up")

    @contextmanager
    def unplugged(self, host: Host) -> Iterator[None]:
        """In the block its cable is out."""
        self._ip("link", "set", host.name, "down")
        try:
            yield
        finally:
            self._ip("link", "set", host.name, "up")

    def _ip(self, *words: str) -> None:
        """ip(8) where the bridge is."""
        subprocess.run([*_nsenter(self._switch, "net"), "ip", *words], check=True, capture_output=True)

    def _hold(self, words: list[str]) -> int:
        """The id of the first process of namespaces that last as long as this block does."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(words, **pipes, start_new_session=True)  # out of reach of Ctrl-C
        self._stack.callback(process.communicate)  # closes the pipe; the kernel ends all others with the first
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == b"up\n", (line + process.stdout.read()).decode()
        (first,) = psutil.Process(process.pid).children()
        return int(first.pid)


QUIET = (
    *("DVC_NO_ANALYTICS", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "RAY_USAGE_STATS_ENABLED"),
    *("NO_ALBUMENTATIONS_UPDATE", "ORT_DISABLE_TELEMETRY", "OMP_WAIT_POLICY"),
)


@contextmanager
def hosts(folder: Path, *names: str) -> Iterator[Lan]:
    """Hosts with these names, below an empty folder; all that they run ends with the block. Skips without rights."""
    needs.right("hosts")
    with ExitStack() as stack:
        lan = Lan(folder, stack)
        for name in names:
            lan.add(name)
        yield lan


def _nsenter(process: int, *kinds: str) -> list[str]:
    return [str(shutil.which("nsenter")), "--target", str(process), *(f"--{kind}" for kind in kinds), "--"]


def _virtual_environment(folder: Path) -> Path:
    """One with the project's wheel and a link to the place of the locked packages, for each host to have a copy of."""
    made, source = folder / "environment", folder / "source"
    source.mkdir()
    uv = str(needs.uv())
    quiet = {"check": True, "capture_output": True}
    wheel = wheels.build(source, folder)
    subprocess.run([uv, "venv", "--relocatable", "--python", _python(), str(made)], **quiet)
    words = ["pip", "install", "--no-deps", "--no-index", "--python", str(made / "bin/python"), str(wheel)]
    subprocess.run([uv, *words], **quiet)
    (packages,) = made.glob("lib/python*/site-packages")
    (packages / "locked.pth").write_text("/opt/packages\n", encoding="utf-8")
    return made


def _make_root(root: Path, name: str) -> None:
    """The folders of a host's own; what is shared is mounted into them."""
    for folder in ("etc", "usr", "proc", "sys", "dev", "run/lock", "var/lib", "mnt", "opt/packages", f"home/{name}"):
        (root / folder).mkdir(parents=True)
    for folder in ("tmp", "var/tmp"):
        (root / folder).mkdir()
        (root / folder).chmod(0o1777)
    for link in ("bin", "sbin", "lib", "lib64"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(os.readlink(f"/{link}"))


def _own_root(root: Path, known: Path) -> str:
    """Lines of shell that leave a process in namespaces of its own with `root` as all that it sees."""
    mounts = {"/usr": "usr", "/etc": "etc", sysconfig.get_path("purelib"): "opt/packages"}
    if not sys.base_prefix.startswith("/usr"):
        mounts[sys.base_prefix] = sys.base_prefix.lstrip("/")
        (root / sys.base_prefix.lstrip("/")).mkdir(parents=True, exist_ok=True)
    lines = [f"cd {shlex.quote(str(root))}", 'mount --bind "$PWD" "$PWD"', 'cd "$PWD"']
    for here, there in mounts.items():
        lines.append(f"mount --bind {shlex.quote(here)} ./{shlex.quote(there)}")
        lines.append(f"mount -o remount,bind,ro ./{shlex.quote(there)}")
    lines += [f"mount --bind {shlex.quote(str(known))} etc/hosts", "mount -t proc proc proc", "mount --rbind /sys sys"]
    lines += ["mount --rbind /dev dev", f"mount -t tmpfs -o mode=1777,size={SHARED_MEMORY_MIB}m shm dev/shm"]
    return "; ".join([*lines, "pivot_root . mnt", "cd /", "umount -l mnt"])


def _write_programs(folder: Path, inside: str) -> None:
    """The locked packages' commands (ray, dvc, mlflow, ...), as an installer writes them."""
    for entry in entry_points(group="console_scripts"):
        program = folder / entry.name
        if program.exists():
            continue
        name = entry.attr.split(".")[0]
        lines = [f"#!{inside}/python", "import sys", f"from {entry.module} import {name}", f"sys.exit({entry.attr}())"]
        program.write_text("\n".join(lines) + "\n", encoding="utf-8")
        program.chmod(0o755)


def _python() -> str:
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
