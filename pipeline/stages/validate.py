"""DVC stage `validate`: check every image and box, and drop what cannot be used."""

from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.data.checks.text_report import print_findings
from pipeline.data.checks.validate import validate
from pipeline.stages.entrypoint import stage_main

SHOWN = 20  # findings printed; the report has all


def run(settings: Settings) -> None:
    """Write data/valid and the two reports, and print the first findings."""
    counts, findings = validate(settings.data)
    print_findings(findings, SHOWN, f"see {paths.VALIDATION}")
    print(f"validate: {counts['images']} images and {counts['boxes']} boxes can be used; {len(findings)} findings")


if __name__ == "__main__":
    stage_main(run)
