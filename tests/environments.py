"""The pipeline in the environments that users have: `python -m tests.environments --all` prints a table of them.

Each is a function that prepares: a project of the real code with tiny settings, the command that runs it, and what is
around them. `make repro` must come to the environment's stage, with no traceback, before a deadline that none reaches.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.integration.project import CODE, FILES, PARAMS
from tests.needs import RIGHTS, ROOT
from tests.pipeline.data.folders import voc

WITHIN_S = 400.0  # on two busy cores; a stage that trains takes a minute
INSTALL = ("Makefile", "requirements-dev.txt", "README.md", "LICENSE")
REFUSED = "refused"  # the stage of what is refused in one line before any work
NAMELESS = ("unshare", "--user", "--map-user=12345", "--map-group=12345")
SHARED_BIN = Path(sys.executable).parent


@dataclass
class Place:
    """A project, what runs before its command, and the environment of both."""

    folder: Path  # for what the environment needs beside the project
    root: Path
    before: list[str] = field(default_factory=list)
    variables: dict[str, str | None] = field(default_factory=dict)  # None: unset
    installed: bool = False  # with an environment of its own, where the path itself matters
    with_git: bool = True
    then: Callable[[], Path] | None = None  # what happens to the project after a first run; where it is then

    def write(self, stage: str) -> None:
        """The project's files; its graph ends with `stage`."""
        for room in CODE:
            shutil.copytree(ROOT / room, self.root / room, ignore=shutil.ignore_patterns("__pycache__"))
        for name in (*FILES, *INSTALL):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, self.root / name)
        train = {**PARAMS["train"], "epochs": 1, "closing_epochs": 0, "warmup_epochs": 0, "input_size": 64}
        data = {**PARAMS["data"], "synthetic": {"images": 16, "seed": 0}}
        augment = {**PARAMS["augment"], "multiscale": None}
        self.save("params.yaml", {**PARAMS, "train": train, "data": data, "augment": augment})
        graph = yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))
        names = list(graph["stages"])
        last = names.index("fingerprint" if stage == REFUSED else stage)
        graph = {"stages": {name: graph["stages"][name] for name in names[: last + 1]}}
        self.save("dvc.yaml", graph)
        if not self.with_git:
            return
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "start"]):
            subprocess.run([*git, *words], cwd=self.root, check=True, capture_output=True)

    def save(self, name: str, content: object) -> None:
        (self.root / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """This process's, with the shared or the project's own installation first."""
        kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "MAKEFLAGS", "CI")}
        kept |= {"YOLOX_GPU": "0", "PYTHONPATH": str(self.root), "PATH": f"{SHARED_BIN}{os.pathsep}{kept['PATH']}"}
        if self.installed:
            kept |= {"PATH": os.environ["PATH"]}
            del kept["PYTHONPATH"]
        for name, value in self.variables.items():
            if value is None:
                kept.pop(name, None)
            else:
                kept[name] = value
        return kept


@dataclass(frozen=True)
class Environment:
    """What is prepared, the stage to come to, and what this user must be allowed to do for it."""

    prepare: Callable[[Place], None]
    stage: str = "validate"
    quick: bool = False
    rights: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    name: str
    said: str
    seconds: float
    output: str = ""

    @property
    def is_well(self) -> bool:
        return self.said.startswith(("came to ", f"{REFUSED}: "))


def in_folder(name: str) -> Callable[[Place], None]:
    """The project below a folder of this name, installed there."""

    def prepare(place: Place) -> None:
        place.root = place.folder / name / "project"
        place.installed = True

    return prepare


def long_tmpdir(place: Place) -> None:
    (place.folder / ("t" * 80)).mkdir()
    place.variables["TMPDIR"] = str(place.folder / ("t" * 80))


def nameless(place: Place) -> None:
    place.before += NAMELESS
    place.variables |= dict.fromkeys(("USER", "LOGNAME", "USERNAME", "LNAME"))


def no_home(place: Place) -> None:
    nameless(place)
    place.variables["HOME"] = None


def read_only_home(place: Place) -> None:
    nameless(place)
    (place.folder / "home").mkdir(mode=0o555)
    place.variables["HOME"] = str(place.folder / "home")


def shell(script: str) -> Callable[[Place], None]:
    """A line of shell before the command."""

    def prepare(place: Place) -> None:
        place.before += ["sh", "-c", f'{script} && exec "$@"', "sh"]

    return prepare


def variables(**given: str) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        place.variables |= given

    return prepare


def small_shared_memory(place: Place) -> None:
    place.before += ["unshare", "--mount"]
    shell("mount -t tmpfs -o size=64m shm /dev/shm")(place)


def unknown_host(place: Place) -> None:
    place.before += ["unshare", "--uts"]
    shell("hostname no-such-host-here")(place)


def read_only_data(place: Place) -> None:
    """Someone else's images, which this user may read and no more."""
    names = {f"picture{at}": [("ring", 10, 10, 50, 40)] for at in range(12)}
    data = voc(place.folder / "images", names)
    for path in [*data.rglob("*"), data]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    nameless(place)
    place.variables["DATA"] = str(data)


def no_git(place: Place) -> None:
    """As unpacked from an archive; the program is not installed, either."""
    place.with_git = False
    programs = place.folder / "bin"
    programs.mkdir()
    for name in ("sh", "env", "cat", "id", "test", "rm", "make", "bash", "uname"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    place.variables["PATH"] = f"{SHARED_BIN}{os.pathsep}{programs}"


def moved(place: Place) -> None:
    place.then = lambda: place.root.rename(place.folder / "elsewhere")


def copied(place: Place) -> None:
    place.then = lambda: Path(shutil.copytree(place.root, place.folder / "copy", symlinks=True))


def linked(place: Place) -> None:
    def link() -> Path:
        (place.folder / "link").symlink_to(place.root)
        return place.folder / "link"

    place.then = link


NO_SUMMARY = "error: reports/metrics.json: no such file."  # of a graph that ends earlier
PROXY = "http://127.0.0.1:9"  # the discard port: refused at once
ENVIRONMENTS = {
    "a blank in the path": Environment(in_folder("a b"), "train"),
    "a dollar sign": Environment(in_folder("a$b"), "train"),
    "a quote": Environment(in_folder("it's"), "train", quick=True),
    "a double quote": Environment(in_folder('a"b'), "train"),
    "other letters": Environment(in_folder("grün 图"), "train"),
    "brackets": Environment(in_folder("a[b]"), "train"),
    "a hash": Environment(in_folder("a#b"), "register"),
    "a percent sign": Environment(in_folder("a%20b"), REFUSED, quick=True),
    "braces": Environment(in_folder("a{b}"), REFUSED),
    "a colon": Environment(in_folder("a:b"), REFUSED, quick=True),
    "a TMPDIR of 80 letters": Environment(long_tmpdir, "train"),
    "a user id without a name": Environment(nameless, "train", rights=("user-ids",)),
    "no HOME": Environment(no_home, quick=True, rights=("user-ids",)),
    "a read-only HOME": Environment(read_only_home, "report", rights=("user-ids",)),
    "no git": Environment(no_git, quick=True),
    "locale C": Environment(variables(LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"), "report"),
    "umask 077": Environment(shell("umask 077"), "register"),
    "read-only data": Environment(read_only_data, quick=True, rights=("user-ids",)),
    "64 MB of /dev/shm": Environment(small_shared_memory, "train", rights=("mounts",)),
    "256 open files": Environment(shell("ulimit -n 256"), "train"),
    "one CPU": Environment(shell("taskset -p -c 0 $$ >/dev/null"), "train"),
    "no CUDA devices": Environment(variables(CUDA_VISIBLE_DEVICES="", YOLOX_GPU="auto"), "train"),
    "an unknown host name": Environment(unknown_host, "train", rights=("host-names",)),
    "proxies": Environment(variables(**{f"{kind}_proxy": PROXY for kind in ("http", "https", "all")}), "train"),
    "moved": Environment(moved, "register"),
    "copied": Environment(copied, "register"),
    "linked": Environment(linked, "register"),
}


def run(name: str) -> Outcome:
    """Prepare the environment, run `make repro` in it, and say what came out."""
    environment = ENVIRONMENTS[name]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="env-", ignore_cleanup_errors=True) as made:
        folder = Path(made).resolve()
        folder.chmod(0o755)
        place = Place(folder, folder / "project")
        environment.prepare(place)
        place.root.mkdir(parents=True)
        place.write(environment.stage)
        said, output = _attempt(place, environment.stage)
        if place.then is not None and said.startswith("came to "):
            place.root = place.then()
            said, again = _attempt(place, environment.stage)
            output += again
    return Outcome(name, said, time.monotonic() - began, output)


def _attempt(place: Place, stage: str) -> tuple[str, str]:
    """What came out of `make repro`, and all that it printed."""
    installed = [] if place.installed else ["READY="]  # the installation that runs this
    words = [*place.before, "make", "repro", *installed]
    running = subprocess.Popen(
        words,
        cwd=place.root,
        env=place.environment() | {"PWD": str(place.root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        output = running.communicate(timeout=WITHIN_S)[0]
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        return f"did not end within {WITHIN_S:.0f} s", running.communicate()[0]
    if "Traceback (most recent call last)" in output:
        return f"ended with {running.returncode} and a traceback", output
    lines = [line for line in output.splitlines() if line.startswith(("error: ", "ERROR: "))]
    if stage == REFUSED and running.returncode == 2 and len(lines) == 1 and not (place.root / "dvc.lock").exists():
        return f"{REFUSED}: {lines[0]}", output
    if running.returncode and not (len(lines) == 1 and lines[0].startswith(NO_SUMMARY)):
        return f"ended with {running.returncode}: {lines[0] if lines else output[-200:]}", output
    lock = yaml.safe_load((place.root / "dvc.lock").read_text(encoding="utf-8"))
    return f"came to {stage}" if stage in lock["stages"] else f"ended well before {stage}", output


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.environments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ENVIRONMENTS))
    parser.add_argument("--quick", action="store_true", help="those of `make test`")
    parser.add_argument("--all", action="store_true", help="every one")
    parser.add_argument("--verbose", action="store_true", help="all that was printed, too")
    given = parser.parse_args()
    names = [
        name for name in ENVIRONMENTS if given.all or name in given.names or (given.quick and ENVIRONMENTS[name].quick)
    ]
    if unknown := set(given.names) - set(ENVIRONMENTS):
        parser.error(f"expected names of {', '.join(ENVIRONMENTS)}; got {', '.join(unknown)}")
    failed = 0
    for name in names:
        missing = [right for right in ENVIRONMENTS[name].rights if not RIGHTS[right]()]
        outcome = Outcome(name, f"not tried: this user may not ({', '.join(missing)})", 0.0) if missing else run(name)
        failed += not (outcome.is_well or missing)
        print(f"{name:26}  {outcome.seconds:5.0f} s  {outcome.said}", flush=True)
        if given.verbose:
            print(outcome.output)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
