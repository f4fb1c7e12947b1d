"""The machine's own Chromium, without a window, for the tests that look at a page as people do.

Playwright drives it and fetches none; axe-core says what a screen reader or a keyboard would stumble over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests import needs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# a container has no sandbox of its own, and nothing is to be asked of anybody's servers
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
GRAVE = ("serious", "critical")


@contextmanager
def chromium() -> "Iterator[Browser]":
    """A running browser; skips where there is no Chromium or no Playwright."""
    program = needs.chromium()
    needs.module("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def grave_findings(page: "Page") -> list[str]:
    """What axe finds serious or critical on the page as it stands, a line each; skips where axe is not installed."""
    needs.module("axe_playwright_python")
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{finding['id']}: {finding['help']}: {', '.join(node['html'][:120] for node in finding['nodes'][:3])}"
        for finding in Axe().run(page).response["violations"]
        if finding["impact"] in GRAVE
    ]
