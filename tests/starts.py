"""What a test starts that takes its time, read from the test's own code, so that nobody has to remember a marker.

From a test and its fixtures the names in their code are followed through functions and classes below tests/. What goes
on in another process, or behind a command that is given as words, cannot be seen: such a test is marked by hand.
"""

import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

MARKERS = ("ray", "server", "training")
STARTERS = {
    "http.server.HTTPServer": "server",
    "http.server.ThreadingHTTPServer": "server",
    "pipeline.cluster.ray_cluster.cluster": "ray",
    "pipeline.study.executor.run_missing": "training",
    "tests.integration.cluster.cluster": "ray",
    "tests.integration.nodes.Nodes": "ray",
    "tests.integration.project.Project": "training",
    "tests.servers.running": "server",
    "uvicorn.server.Server": "server",
    "yolox_core.training.engine.train": "training",
}


def started_by(functions: Iterable[Any]) -> set[str]:
    """The markers of all that can be reached from these functions and classes."""
    waiting, seen, found = list(functions), set[int](), set[str]()
    while waiting:
        one = inspect.unwrap(waiting.pop())
        if id(one) in seen:
            continue
        seen.add(id(one))
        if marker := STARTERS.get(f"{getattr(one, '__module__', '')}.{getattr(one, '__qualname__', '')}"):
            found.add(marker)
        elif str(getattr(one, "__module__", "")).startswith("tests."):
            waiting += _named_in(one)
    return found


@cache
def _named_in(one: Any) -> tuple[Any, ...]:
    """The functions and classes that a function or class names."""
    if isinstance(one, type):
        own = (getattr(value, "__func__", getattr(value, "fget", value)) for value in vars(one).values())
        return (*one.__bases__, *filter(inspect.isfunction, own))
    if not isinstance(one, FunctionType):
        return ()
    names = set(_names(one.__code__))
    known = [one.__globals__[name] for name in names if name in one.__globals__]
    modules = [value for value in known if isinstance(value, ModuleType)]
    known += [vars(module)[name] for module in modules for name in names if name in vars(module)]
    return tuple(value for value in known if inspect.isclass(value) or inspect.isroutine(value))


def _names(code: CodeType) -> Iterator[str]:
    """The globals and attributes that some code names, inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
