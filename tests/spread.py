"""How the tests are spread over processes by pytest-xdist: file by file, but for files that share what takes long."""

from xdist.scheduler import LoadFileScheduling

TOGETHER = {
    "tests/integration/": "integration",  # one finished pipeline, and never two Ray clusters at once
    "tests/compatibility/test_project.py": "integration",  # a Ray cluster
    "tests/pipeline/registry/": "registry",  # one training
}


class Spread(LoadFileScheduling):
    """A unit of work is a file, or what has one name above."""

    def _split_scope(self, nodeid: str) -> str:
        together = (unit for place, unit in TOGETHER.items() if nodeid.startswith(place))
        return next(together, super()._split_scope(nodeid))
