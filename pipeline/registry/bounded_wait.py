"""Waiting for what may never come: with a line that says for what, and with an end."""

import sys
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Answer = TypeVar("Answer")


class NoAnswer(OSError):
    """What was waited for did not come in time."""


def answer_within(limit_s: float, ask: Callable[[], Answer], waiting: str = "", silent_s: float = 0.0) -> Answer:
    """What `ask` returns or raises; NoAnswer after `limit_s`, however slowly bytes still come.

    After `silent_s` the line `waiting` is printed, with the time that is left. A thread runs `ask`, as a socket's own
    limit begins anew with each byte; one that is late is left alone, and does not keep the process from ending.
    """
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(ask())
        except BaseException as failed:  # is raised where it is waited for
            future.set_exception(failed)

    Thread(target=run, name="wait", daemon=True).start()
    if waiting:
        if _is_done(future, silent_s):
            return future.result()
        print(f"note: {waiting}, for at most {limit_s - silent_s:g} s", file=sys.stderr, flush=True)
    if not _is_done(future, limit_s - silent_s if waiting else limit_s):
        raise NoAnswer(f"no whole answer within {limit_s:g} s")
    return future.result()


def _is_done(future: "Future[Answer]", within_s: float) -> bool:
    try:
        future.exception(timeout=within_s)
    except TimeoutError:
        return future.done()
    return True
