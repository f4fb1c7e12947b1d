"""The report and the doctor's page as a person meets them: in Chromium, light and dark, on a phone, by keyboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli import doctor
from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.stages import report
from tests.browser import chromium, grave_findings
from tests.pipeline.data import folders
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


def test_the_doctors_page_can_be_used_by_all(tmp_path: Path) -> None:
    """With an error, a warning and notes, on a wide picture."""
    folders.voc(tmp_path / "set", {f"image{number}": [("cat", 10, 10, 30, 40)] for number in range(4)})
    folders.picture(tmp_path / "set" / "JPEGImages" / "image0.jpg", 1, (700, 1400))
    folders.voc_xml(tmp_path / "set" / "Annotations" / "image1.xml", [("cat", 10, 10, 10, 40), ("cat", 0, 0, 90, 50)])
    outputs = doctor.Outputs(html=tmp_path / "page.html")
    assert doctor.examine(str(tmp_path / "set"), input_size=320, outputs=outputs) == 1
    with chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, viewport=PHONE)
            page.goto((tmp_path / "page.html").as_uri())
            assert page.locator("section").count() >= 3 and page.locator("img").count() >= 2
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
            assert not grave_findings(page)
            page.close()
