"""DVC stage `export`: the trained model in the forms that people serve, each held to PyTorch on the test images."""

from pipeline.config.settings import Settings
from pipeline.registry.export import export
from pipeline.stages.entrypoint import stage_main


def run(settings: Settings) -> None:
    """Write models/released and reports/export.json, and say how good and how fast each form is."""
    forms = export(settings)["forms"]
    maps = [f"{form} {row['map']:.4f} ({row['ms_one_thread']:.1f} ms)" for form, row in forms.items()]
    print(f"export: map and time of an image on one thread: {', '.join(maps)}")


if __name__ == "__main__":
    stage_main(run)
