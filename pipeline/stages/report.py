"""DVC stage `report`: write the HTML report."""

from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.config.stage_params import check_recorded_params
from pipeline.reports.report import write_report
from pipeline.stages.entrypoint import stage_main


def run(settings: Settings) -> None:
    """Write the page."""
    check_recorded_params()
    page = write_report(settings)
    print(f"{paths.REPORT}: written, {len(page) // 1024} KiB")


if __name__ == "__main__":
    stage_main(run)
