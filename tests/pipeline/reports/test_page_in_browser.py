"""The report as a person meets it: in Chromium, light and dark, on a phone, by keyboard, on paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.settings import Settings
from pipeline.stages import report
from tests.browser import chromium, grave_findings
from tests.pipeline.reports.page_project import make
from yolox_core.config import TrainConfig

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module", params=["three classes", "eighty classes"])
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("report"))
        if request.param == "three classes":
            make()
        else:
            make(tuple(f"class {number}" for number in range(80)), images=50)
        report.run(Settings(train=TrainConfig(epochs=6, warmup_epochs=1, closing_epochs=2)))
        yield paths.REPORT.resolve()


def test_the_page_can_be_used_by_all(page_file: Path) -> None:
    """One browser for all of it: to start one takes seconds."""
    with chromium() as browser:
        colours = set()
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme)
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(page_file.as_uri())
            assert not grave_findings(page)
            assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
            colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            page.close()
        assert len(colours) == 2

        page = browser.new_page(viewport=PHONE)
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        assert not grave_findings(page)

        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#classes"

        page.emulate_media(media="print")
        assert page.evaluate("document.querySelector('details table').getBoundingClientRect().height") > 0
        assert not page.locator("nav").is_visible()
