"""How a model is served: what `yolox serve` and a Kubernetes RayService (infra/kuberay) may say."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yolox_core.config import AUTO, RUNTIMES
from yolox_core.errors import InputError, nearest

SHUTDOWN_TIMEOUT_S = 30  # for requests under way when a process is told to stop
TOKEN = "YOLOX_SERVE_TOKEN"  # environment: what clients must send; secrets are no options, these are shown
LARGEST = 1e9  # of any limit: more is no limit, and overflows where OpenCV counts pixels


@dataclass(frozen=True)
class Limits:
    """What a request may ask for."""

    max_bytes: int = 20 * 2**20  # of a body
    max_pixels: int = 50_000_000  # of an image: 150 MB decoded
    max_pixels_together: int = 200_000_000  # of the images of all requests under way; an image alone is always taken
    max_waiting: int = 64  # requests at once; more are told to come again
    sent_within_s: float = 30.0  # a body; who sends nothing keeps others out


@dataclass(frozen=True)
class Options:
    """Each may stand in a RayService's `args` under its name."""

    model: str  # a model reference; models:/name@alias is looked up again and again
    runtime: str | None = AUTO  # onnx, openvino, torch; auto or None: what the file asks for
    device: str = "cpu"  # of torch: cpu, cuda
    replicas: int = 1
    threads: int = 1  # CPU cores of a replica, or of a process under uvicorn
    watch_s: float = 10.0  # between two looks at an alias
    max_mib: float = 20.0  # of a request
    max_megapixels: float = 50.0  # of an image
    total_megapixels: float = 200.0  # of all images under way at a replica or process; more are answered 503
    queue: int = 64  # requests at once at a replica or process; more are answered 503
    require_token: bool = False  # a replica whose environment has no TOKEN does not start

    def __post_init__(self) -> None:
        known = (AUTO, *RUNTIMES)
        if self.runtime not in (None, *known):
            near = nearest(str(self.runtime), known)
            raise InputError(f"--runtime: expected one of {', '.join(known)}, got {self.runtime!r}. {near}")
        if self.device not in ("cpu", "cuda"):
            raise InputError(f"--device: expected cpu or cuda, got {self.device!r}.")
        if self.device == "cuda" and self.runtime not in (None, AUTO, "torch"):
            raise InputError(f"--device cuda: expected --runtime torch with it, got {self.runtime}.")
        for name, lowest in (("replicas", 1), ("threads", 1), ("queue", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < lowest:
                raise InputError(f"--{name}: expected a whole number of at least {lowest}, got {value!r}.")
        for name in ("watch_s", "max_mib", "max_megapixels", "total_megapixels"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < LARGEST):
                raise InputError(
                    f"--{name.replace('_', '-')}: expected a number above 0 and below {LARGEST:g}, got {value!r}."
                )

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> "Options":
        """From a RayService's `args`; InputError where a name is unknown or `model` is missing."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise InputError(f"args: {name}: no such option. {nearest(name, known)}")
        if "model" not in given:
            raise InputError("args: expected `model`, got none. Name a model: models:/yolox-detector@champion.")
        return cls(**given)

    @property
    def limits(self) -> Limits:
        """Of a request, in bytes and pixels."""
        pixels, together = round(self.max_megapixels * 1e6), round(self.total_megapixels * 1e6)
        return Limits(round(self.max_mib * 2**20), pixels, together, self.queue)
