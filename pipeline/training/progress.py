"""What a person sees while training runs: a live bar on a terminal, a line an epoch elsewhere."""

from typing import Any

from pipeline.console.progress_bar import ProgressBar
from yolox_core.errors import on_one_line
from yolox_core.evaluation.detection_limit import UNLIMITED
from yolox_core.training.reports import EpochReport, Started, StepReport

SHORT = {"loss/objectness": "obj", "loss/class": "cls"}  # of parts of the loss; others by their own names


class TrainingProgress(ProgressBar):
    """Shows the engine's reports."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        super().__init__(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}"),
            task="starting",
            total=None,
            figures="",
        )
        self._epochs = 0

    def show(self, report: Any) -> None:
        """One report of the engine."""
        if isinstance(report, Started):
            self._started(report)
        elif isinstance(report, StepReport):
            self._step(report)
        elif isinstance(report, EpochReport):
            self.console.print(self._epoch_line(report), highlight=False)

    def _started(self, report: Started) -> None:
        for note in report.notes:
            self.console.print(on_one_line(note), markup=False, highlight=False)
        if report.epoch:
            self.console.print(f"resuming after epoch {report.epoch - 1}", highlight=False)
        if report.load_report:
            for line in report.load_report.lines():
                self.console.print(on_one_line(line), markup=False, highlight=False)

    def _step(self, report: StepReport) -> None:
        self._epochs = report.last_epoch + 1
        parts = {name: value for name, value in report.losses.items() if name.startswith("loss/")}
        losses = " ".join(f"{SHORT.get(name, name.removeprefix('loss/'))} {parts[name]:.2f}" for name in parts)
        self._bar.update(
            self._task,
            description=f"epoch {report.epoch + 1}/{self._epochs}",
            completed=report.epoch * report.steps_per_epoch + report.step_in_epoch,
            total=self._epochs * report.steps_per_epoch,
            figures=f"{report.images_per_second:.0f} images/s  {losses}",
        )

    def _epoch_line(self, report: EpochReport) -> str:
        row = report.row
        measured = "".join(f"  {name} {row[name]:.3f}" for name in ("map", UNLIMITED, "map_50") if name in row)
        rate, seconds = report.timing["images_per_second"], report.timing["train_s"]
        of = f"/{self._epochs}" if self._epochs else ""
        waited = report.timing["share/data"]
        return (
            f"epoch {row['epoch'] + 1}{of}  loss {row['loss']:.3f}{measured}  {rate:.0f} images/s  {seconds:.1f} s, "
            f"{waited:.0%} waiting for data{'  best so far' if report.is_best else ''}"
        )
