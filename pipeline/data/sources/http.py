"""Files from web servers: bounded in size and time, gone on with where a connection was cut, and compared.

Proxies of the environment are used. Only http and https are spoken, whatever a redirect says.
"""

import http.client
import time
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from pipeline.config.digests import file_sha256
from pipeline.config.source_spec import WEB
from pipeline.console.progress_bar import Transfer
from pipeline.data.sources.limits import LARGER_DISK, Budget
from yolox_core.errors import InputError, reason

TIMEOUT_S = 60.0  # without a byte
TRIES = 4
PAUSE_S = 1.0  # before the second try; doubles
CHUNK = 2**20  # bytes
SENT_AS_THEY_ARE = "%/:=&?~#+!$,;'@()*[]"  # in an address; % since it may be encoded already
LASTING = (400, 401, 403, 404, 405, 410, 451)  # statuses that another try would not change
NO_ADDRESS = (http.client.InvalidURL, UnicodeError)  # a port that is no number, a name that is too long
CUT = (OSError, http.client.HTTPException, *NO_ADDRESS)  # URLError and time-outs are OSErrors


@dataclass(frozen=True)
class WebFile:
    """A file at an address, how to tell that it is the one meant, and what to say where it is not."""

    address: str
    shown: str  # the same for messages, without what may be a secret
    sha256: tuple[str, ...]  # any of these
    kind: str  # what it is: "an archive"
    if_other: str  # what to do where another file lies there
    if_unreached: str = "Check address and network."
    if_full: str = LARGER_DISK


def download(file: WebFile, path: Path) -> None:
    """Bring the file to `path`, which may hold a first part of it. InputError where it is not the one meant."""
    anew = not path.exists()
    for attempt in range(1, TRIES + 1):
        if path.exists() and file_sha256(path) in file.sha256:
            return
        try:
            anew = _fetch(file, path) or anew
        except CUT as failed:
            if attempt == TRIES or _is_lasting(failed):
                raise _unreached(file, path, failed) from failed
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
            continue
        found = file_sha256(path)
        if found in file.sha256:
            return
        path.unlink()
        if anew or attempt == TRIES:
            raise another(file, found)
        anew = True  # the first part may have been another file's


def _is_lasting(failed: Exception) -> bool:
    """Whether a retry would fail the same way."""
    return isinstance(failed, NO_ADDRESS) or (isinstance(failed, urllib.error.HTTPError) and failed.code in LASTING)


def _encoded(address: str) -> str:
    """The address as it is sent: non-ASCII characters of its path and query percent-encoded."""
    parts = urlsplit(address)
    path, query = (quote(part, safe=SENT_AS_THEY_ARE) for part in (parts.path, parts.query))
    return parts._replace(path=path, query=query).geturl()


def another(file: WebFile, found: str) -> InputError:
    """What to say of a file that is not the one whose sha256 was written down."""
    return InputError(f"{file.shown}: expected {file.kind} of sha256 {file.sha256[0]}, got {found}. {file.if_other}")


def _fetch(file: WebFile, path: Path) -> bool:
    """Append what is missing of `path`; whether it began at the start."""
    held = path.stat().st_size if path.exists() else 0
    address = _encoded(file.address)
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={held}-"} if held else {})}
    try:
        answer = _opener(file).open(urllib.request.Request(address, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as refused:
        if refused.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        path.unlink()  # longer than what lies there, so of another file
        raise ConnectionError("the part that was held is of another file") from refused
    with closing(answer):
        goes_on = answer.status == http.client.PARTIAL_CONTENT
        length = answer.headers.get("Content-Length")
        total = (held if goes_on else 0) + int(length) if length and length.isdecimal() else None
        with path.open("ab" if goes_on else "wb") as target:
            _copy(answer, target, file, path, held if goes_on else 0, total)
    return not goes_on


def _copy(answer: IO[bytes], target: IO[bytes], file: WebFile, path: Path, held: int, total: int | None) -> None:
    budget = Budget(path.parent, file.shown, if_full=file.if_full)
    if total is not None:
        budget.spend(total - held)  # said before the first byte
        budget = Budget(path.parent, file.shown, if_full=file.if_full)
    with Transfer(file.shown, held, total) as transfer:
        while chunk := answer.read(CHUNK):
            budget.spend(len(chunk), files=0)
            target.write(chunk)
            transfer.advance(len(chunk))
        if total is not None and target.tell() < total:
            raise ConnectionError(f"cut at {target.tell()} of {total} bytes")  # inside: it was not fetched


class _WebOnly(urllib.request.HTTPRedirectHandler):
    def __init__(self, file: WebFile) -> None:
        self._file = file

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        target = headers.get("Location") or headers.get("URI") or ""
        scheme = urlsplit(target).scheme
        if scheme and f"{scheme.lower()}://" not in WEB:
            raise InputError(
                f"{self._file.shown}: expected to be sent on to http or https, got {scheme!r}. Check the address."
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(file: WebFile) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()  # none of the handlers for files and ftp that build_opener adds
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _WebOnly(file),
    ):
        opener.add_handler(handler)
    return opener


def _unreached(file: WebFile, path: Path, failed: Exception) -> InputError:
    held = path.stat().st_size if path.exists() else 0
    kept = f"{held} bytes are kept; the next try resumes there. " if held else ""
    return InputError(
        f"{file.shown}: expected {file.kind}, got {type(failed).__name__} ({reason(failed)}). {kept}{file.if_unreached}"
    )
