"""A cluster whose hosts share nothing: a laptop reaches it, and it loses and regains its parts."""

from collections.abc import Iterator

import pytest

from tests.integration.cluster import Cluster, cluster
from tests.integration.laptop import ALONE, LaptopProject, finish
from tests.needs import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]

WITHIN_S = 120.0
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
    alone = project.copy("alone")
    command = project.submit("--stage", "all")
    printed = finish(command)
    assert command.returncode == 0, printed[-6000:]
    assert "Traceback" not in printed, printed[-6000:]
    assert project.rows() == 2 and project.read("reports/metrics.json")["images"] > 0
    assert project.read("reports/training.json")["epochs"] == 2
    registered = project.read("reports/registration.json")
    read = "import mlflow; print(mlflow.MlflowClient().get_model_version(*__import__('sys').argv[1:]).status)"
    assert there.laptop.output("python", "-c", read, registered["name"], registered["version"]).split()[-1] == "READY"
    alone.output("yolox", "train", **ALONE)
    assert project.weights() == alone.weights()
    again = project.submit()  # the run is complete, and is only released again
    assert "submit: job" not in finish(again) and again.returncode == 0


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
