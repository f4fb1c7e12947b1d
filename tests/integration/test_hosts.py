"""A cluster whose hosts share nothing: a laptop reaches it, and it loses and regains its parts."""

import shutil
import time
from collections.abc import Iterator

import pytest
import yaml

from tests.hosts import Command
from tests.integration.cluster import Cluster, cluster
from tests.integration.laptop import ALONE, LaptopProject, finish
from tests.needs import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1800)]

WITHIN_S = 120.0
LONG_EPOCHS = 16
AWAY_S = 60.0
# a task on each worker says where it runs, whose code it has, and whether it sees what the laptop has
JOB = """
import socket, subprocess, sys
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

@ray.remote
def look():
    import pipeline
    help = subprocess.run(["yolox", "--help"], capture_output=True, text=True).stdout
    seen = subprocess.run(["ls", *sys.argv[1:]], capture_output=True, text=True).stdout
    return socket.gethostname(), pipeline.__file__, "Usage: yolox" in help, seen

ray.init()
there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in ray.nodes() if node["Alive"]]
for said in ray.get([look.options(scheduling_strategy=one).remote() for one in there]):
    print("SAID", *said, flush=True)
"""
PUT = "import fsspec; fsspec.open('s3://bucket/probe/file', 'w').open().close(); print('written')"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def said_by_nodes(there: Cluster) -> dict[str, list[str]]:
    """What a job that the laptop submits hears from each node."""
    project = there.laptop.home / "project"
    there.laptop.here(project).mkdir(exist_ok=True)
    there.laptop.here(project / "job.py").write_text(JOB)
    words = ("ray", "job", "submit", "--address", there.client["YOLOX_SUBMIT"], "--working-dir", ".", "--")
    words += ("python", "job.py", str(ROOT), str(project))
    printed = there.laptop.output(*words, folder=project)
    lines = [line.split()[1:] for line in printed.splitlines() if line.startswith("SAID ")]
    return {name: rest for name, *rest in lines}


def test_the_laptop_reaches_all_that_it_needs_and_none_sees_its_project(there: Cluster) -> None:
    for host, port in ((there.head, 8265), (there.store, 9000), (there.tracking, 5000)):
        assert there.laptop.answers(host.address, port)
        assert there.workers[0].answers(host.address, port)
    project = there.laptop.home / "project"
    there.laptop.here(project).mkdir(exist_ok=True)
    assert there.laptop.run("ls", str(project)).returncode == 0
    there.none_sees(ROOT, project)


def test_the_store_asks_for_keys(there: Cluster) -> None:
    assert there.laptop.output("python", "-c", PUT).strip() == "written"
    assert there.objects("probe/") == {"probe/file": 0}
    done = there.laptop.run("python", "-c", PUT, AWS_SECRET_ACCESS_KEY="wrong")
    assert done.returncode and "PermissionError" in done.stdout


def test_a_number_from_the_laptop_is_in_mlflow(there: Cluster) -> None:
    write = "import mlflow; mlflow.start_run(); mlflow.log_metric('loss', 0.25); mlflow.log_text('a', 'a.txt')"
    there.laptop.output("python", "-c", write)
    read = "import mlflow; [run] = mlflow.search_runs(output_format='list'); print(run.data.metrics['loss'])"
    assert there.workers[0].output("python", "-c", read, **there.client).split()[-1] == "0.25"


def test_a_job_from_the_laptop_runs_on_every_node(there: Cluster) -> None:
    said = said_by_nodes(there)
    assert set(said) == {"head", "worker1", "worker2", "worker3"}
    for name, (file, has_program, *seen) in said.items():
        assert file.startswith(f"/opt/{name}/lib/") and has_program == "True" and not seen


def test_the_store_is_away_for_a_while(there: Cluster) -> None:
    with there.store_away():
        assert not there.laptop.answers(there.store.address, 9000)
        assert there.laptop.answers(there.tracking.address, 5000)
    assert there.laptop.output("python", "-c", PUT).strip() == "written"


@pytest.fixture(scope="module")
def project(there: Cluster) -> LaptopProject:
    """Prepared on the laptop, and trained nowhere."""
    return LaptopProject.make(there, epochs=2)


def test_the_whole_pipeline_runs_there_and_comes_home_with_the_bits_of_one_machine(
    there: Cluster, project: LaptopProject
) -> None:
    """Training, evaluation, export and registration; two workers on two nodes that see nothing of the project."""
    there.none_sees(ROOT, project.folder)
    alone, mine = project.copy("alone"), project.copy("mine")
    command = mine.submit("--stage", "all")
    printed = finish(command)
    assert command.returncode == 0, printed[-6000:]
    assert "Traceback" not in printed, printed[-6000:]
    assert mine.rows() == 2 and mine.read("reports/metrics.json")["images"] > 0
    assert mine.read("reports/training.json")["epochs"] == 2
    registered = mine.read("reports/registration.json")
    read = "import mlflow; print(mlflow.MlflowClient().get_model_version(*__import__('sys').argv[1:]).status)"
    assert there.laptop.output("python", "-c", read, registered["name"], registered["version"]).split()[-1] == "READY"
    alone.output("yolox", "train", **ALONE)
    assert mine.weights() == alone.weights()
    again = mine.submit()  # the run is complete, and is only released again
    assert "submit: job" not in finish(again) and again.returncode == 0


def refused(command: Command) -> str:
    """The only line of a command that was refused."""
    printed = finish(command)
    assert command.returncode == 2 and "Traceback" not in printed, printed[-6000:]
    lines = [line for line in printed.splitlines() if line.startswith("error: ")]
    return lines[0]


def test_a_cluster_that_is_too_small_says_what_is_there(project: LaptopProject) -> None:
    small = project.copy("small")
    line = refused(small.submit(YOLOX_WORKERS="8", RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S="3"))
    assert "expected for 8 workers 16 CPUs, got 8 on 4 nodes, for 3 s. Add nodes, or lower YOLOX_WORKERS" in line


def test_an_mlflow_that_the_cluster_cannot_reach_is_told_before_the_training(
    there: Cluster, project: LaptopProject
) -> None:
    apart = project.copy("apart")
    there.lan.cut(there.head, there.tracking)
    try:
        line = refused(apart.submit("--stage", "all"))
    finally:
        there.lan.heal()
    assert (
        there.client["MLFLOW_TRACKING_URI"] in line
        and "This is head, a node of the cluster, which has to reach it" in line
    )
    assert not apart.epochs_in_store()


@pytest.fixture(scope="module")
def long(there: Cluster, project: LaptopProject) -> LaptopProject:
    """The same with more epochs, trained on the laptop alone: what others are compared with."""
    long = project.copy("long", epochs=LONG_EPOCHS)
    long.output("yolox", "train", **ALONE)
    return long


def test_the_store_is_away_twice_while_training_and_nothing_is_lost(there: Cluster, long: LaptopProject) -> None:
    away = long.copy("away")
    away.forget()
    command = away.submit()
    until(lambda: away.epochs_in_store() > 2, 300, every_s=1)
    for _ in range(2):
        with there.store_away():
            time.sleep(AWAY_S)  # several epochs end meanwhile
        before = away.epochs_in_store()
        until(lambda before=before: away.epochs_in_store() > before or command.poll() is not None, 120, every_s=1)
    printed = finish(command)
    assert command.returncode == 0, printed[-6000:]
    assert "resuming" not in printed and "Traceback" not in printed, printed[-6000:]
    assert away.weights() == long.weights() and away.rows() == LONG_EPOCHS


def test_four_trials_of_a_sweep_run_there(there: Cluster, project: LaptopProject) -> None:
    sweep = project.copy("sweep")
    space = {"search": "grid", "space": {"train.learning_rate": [0.01, 0.02], "loss.class": [1.0, 2.0]}}
    plain = yaml.safe_load((sweep.root / "params.yaml").read_text(encoding="utf-8"))
    sweep.set_params({**plain, "sweep": {**space, "finalists": 1, "seeds": 2, "early_stopping": False}})
    printed = there.laptop.output(
        *("yolox", "sweep", "--submit"), folder=sweep.folder, **sweep.store, YOLOX_TRIALS="2", YOLOX_GPU="0"
    )
    assert "trial 4 of 4: " in printed and "Traceback" not in printed, printed[-6000:]
    trials = (sweep.root / "reports/sweep/trials.csv").read_text(encoding="utf-8").splitlines()
    assert len(trials) == 1 + 4 and sum(",finished," in line for line in trials) == 4
    assert set(yaml.safe_load((sweep.root / "reports/sweep/best.yaml").read_text())["params"]) == set(space["space"])


def test_the_head_is_killed_and_the_same_command_goes_on_from_the_store(there: Cluster, long: LaptopProject) -> None:
    """On a cluster that was started anew: less than an epoch is done again, and the bits are the same."""
    killed = long.copy("killed")
    killed.forget()
    command = killed.submit()
    until(lambda: killed.epochs_in_store() > 2, 300, every_s=1)
    there.head.kill()
    for worker in there.workers:  # without a head they would go on for a minute or more
        worker.kill()
        shutil.rmtree(worker.here(worker.home) / ".cache", ignore_errors=True)  # its disk, too
    printed = finish(command)
    assert command.returncode == 2 and "Traceback" not in printed, printed[-6000:]
    sent = killed.epochs_in_store()
    assert 2 < sent < LONG_EPOCHS
    there.start_head()
    for worker in there.workers:
        there.start_worker(worker)
    command = killed.submit()
    printed = finish(command)
    assert command.returncode == 0, printed[-6000:]
    assert f"resuming after epoch {sent - 1}" in printed, printed[-6000:]
    assert killed.weights() == long.weights() and killed.rows() == LONG_EPOCHS


def test_the_head_is_lost_and_one_more_worker_joins(there: Cluster) -> None:
    """Ray's own: without a head's memory elsewhere its workers end, and are started again."""
    there.head.kill()
    assert not there.laptop.answers(there.head.address, 8265)
    for worker in there.workers:
        worker.kill()
    there.start_head()
    for host in (there.workers[0], there.lan.add("worker4")):
        there.start_worker(host)
    until(lambda: there.laptop.answers(there.head.address, 8265), WITHIN_S)
    assert set(said_by_nodes(there)) == {"head", "worker1", "worker4"}
