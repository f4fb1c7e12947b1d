"""How the tests are spread over processes by pytest-xdist: file by file, but for files that share what takes long."""

from xdist.scheduler import LoadFileScheduling

TOGETHER = (
    "tests/integration/",  # one finished pipeline, and never two Ray clusters at once
    "tests/pipeline/registry/",  # one training
)


class Spread(LoadFileScheduling):
    """A unit of work is a file, or one of the folders above."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), super()._split_scope(nodeid))
