"""What a person sees while images are predicted: what was found and what was passed over, besides the count."""

from pipeline.console.progress_bar import ImageCount


class PredictProgress(ImageCount):
    """Counts images, objects and what was passed over; use as a context. total: images to come, None: not known."""

    def __init__(self, total: int | None, shown: bool) -> None:
        super().__init__(total, shown)
        self.objects = self.skipped = self.failures = 0

    def seen(self, objects: int) -> None:
        """One image more."""
        self.objects += objects
        self.step()

    def refused(self, reason: Exception) -> None:
        """One image, or the rest of a clip, that cannot be read."""
        self.skipped += 1
        self.step()
        self.say(f"error: {reason}")

    def failed(self, reason: Exception) -> None:
        """One output that cannot be written any more."""
        self.failures += 1
        self.say(f"error: {reason}")

    def summary(self, ended: str) -> None:
        """The last line."""
        images = self.done - self.skipped
        skipped = f", {self.skipped:,} unreadable" if self.skipped else ""
        self.say(
            f"{images:,} images in {self.seconds():.1f} s ({images / max(self.seconds(), 1e-9):.1f} images/s): "
            f"{self.objects:,} objects{skipped}{ended}"
        )
