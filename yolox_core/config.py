"""Every choice that changes a detector or its training, as frozen dataclasses.

They are checked once, when they are made; inside the package they are trusted. `Recipe` bundles what the engine
needs. Values follow the published recipe (YOLOX paper, arXiv 2107.08430, and Megvii-BaseDetection/YOLOX
yolox/exp/yolox_base.py at 6ddff48) unless the field says otherwise.
"""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast, get_args

from yolox_core.errors import InputError, nearest, require, require_kind

STRIDES = (8, 16, 32)  # px between anchor points, level by level
PAD_VALUE = 114  # grey of letterbox padding, as the published weights expect

# (width, depth, depthwise, input size in px): Megvii-BaseDetection/YOLOX README.md and exps/default/*.py
SIZES: Mapping[str, tuple[float, float, bool, int]] = {
    "nano": (0.25, 0.33, True, 416),
    "tiny": (0.375, 0.33, False, 416),
    "s": (0.50, 0.33, False, 640),
    "m": (0.75, 0.67, False, 640),
    "l": (1.00, 1.00, False, 640),
    "x": (1.25, 1.33, False, 640),
}

# of a released folder
SPEC_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
ONNX_FILE = "model.onnx"
ONNX_SPEC_KEY = "yolox_pipeline_model"  # metadata entry of an ONNX file that holds its model.json

AssignRule = Literal["yolox-2021", "yolox-2023"]
ASSIGN_RULES: tuple[AssignRule, ...] = ("yolox-2021", "yolox-2023")
RuntimeName = Literal["torch", "onnx", "openvino"]
RUNTIMES: tuple[RuntimeName, ...] = ("torch", "onnx", "openvino")
EXPORTED_RUNTIMES: tuple[RuntimeName, ...] = ("onnx", "openvino")  # for exported networks; the first is the default
AUTO = "auto"  # ONNX Runtime, or what was measured to be faster on this processor
Precision = Literal["auto", "float32", "bfloat16"]
Optimizer = Literal["sgd", "adamw"]


def _require_finite(config: object, where: str) -> None:
    for name, value in vars(config).items():
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if isinstance(number, float):
                require(math.isfinite(number), f"{where}.{name}", "a finite number", number)


def _probability(value: float, where: str) -> None:
    require(0.0 <= value <= 1.0, where, "a number from 0 to 1", value)


def _range(value: tuple[float, float], where: str, lowest: float) -> None:
    require(lowest < value[0] <= value[1], where, f"[low, high] with {lowest} < low <= high", list(value))


def bottlenecks(depth: float) -> int:
    """Bottlenecks of a CSP layer's base count at a depth factor: round(3 * depth), halves to even as Python rounds."""
    return round(3 * depth)


@dataclass(frozen=True)
class ModelConfig:
    """The network's architecture. Illegal factors are refused and the nearest legal ones named, never rounded."""

    num_classes: int
    width: float = 0.50  # channels as a share of YOLOX-l; a multiple of 1/64, so that backbone and neck agree
    depth: float = 0.33  # bottlenecks as a share of YOLOX-l; acts in steps of 1/3
    depthwise: bool = False  # depthwise-separable 3x3 convolutions (YOLOX-nano)

    def __post_init__(self) -> None:
        require(self.num_classes >= 1, "model.num_classes", "at least one class", self.num_classes)
        require(math.isfinite(self.width) and 0 < self.width <= 8, "model.width", "a factor in (0, 8]", self.width)
        steps = self.width * 64
        if steps != int(steps):
            low, high = math.floor(steps) / 64, math.ceil(steps) / 64
            legal = f"{low} or {high}" if low > 0 else f"{high}"
            require(False, "model.width", "a multiple of 1/64", self.width, f"Nearest legal: {legal}.")
        require(math.isfinite(self.depth) and 0 < self.depth <= 8, "model.depth", "a factor in (0, 8]", self.depth)
        require(
            bottlenecks(self.depth) >= 1,
            "model.depth",
            "round(3 * depth) of at least 1",
            self.depth,
            "Nearest legal: 0.33 (one bottleneck).",
        )

    @classmethod
    def of_size(cls, size: str, num_classes: int) -> "ModelConfig":
        """The published architecture called `size`: nano, tiny, s, m, l or x."""
        if size not in SIZES:
            raise InputError(f"model.size: expected one of {', '.join(SIZES)}, got {size!r}. {nearest(size, SIZES)}")
        width, depth, depthwise, _ = SIZES[size]
        return cls(num_classes=num_classes, width=width, depth=depth, depthwise=depthwise)


@dataclass(frozen=True)
class AssignConfig:
    """SimOTA: which anchor points are positives of which object (paper section 2.3)."""

    rule: AssignRule = "yolox-2023"  # yolox-2021: release 0.3.0 and all published weights; yolox-2023: since 14c62a7
    center_radius: float = 1.5  # strides from an object's centre within which a point is its candidate
    candidate_topk: int = 10  # how many of an object's largest IoUs are summed into its number of positives
    class_weight: float = 1.0  # weight of the class cost
    iou_weight: float = 3.0  # weight of the IoU cost

    def __post_init__(self) -> None:
        _require_finite(self, "assign")
        require(self.rule in ASSIGN_RULES, "assign.rule", f"one of {', '.join(ASSIGN_RULES)}", self.rule)
        require(self.center_radius > 0, "assign.center_radius", "more than 0 strides", self.center_radius)
        require(self.candidate_topk >= 1, "assign.candidate_topk", "at least 1", self.candidate_topk)
        require(self.class_weight >= 0, "assign.class_weight", "0 or more", self.class_weight)
        require(self.iou_weight >= 0, "assign.iou_weight", "0 or more", self.iou_weight)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss parts (yolo_head.py:401-413: 5, 1, 1, 1)."""

    iou: float = 5.0
    objectness: float = 1.0
    class_: float = 1.0  # called `class` in params.yaml
    l1: float = 1.0  # in the closing phase only

    def __post_init__(self) -> None:
        _require_finite(self, "loss")
        for name, value in vars(self).items():
            require(value >= 0, f"loss.{name.rstrip('_')}", "0 or more", value)


@dataclass(frozen=True)
class AugmentConfig:
    """How training images are varied. Probabilities are per sample."""

    mosaic: float = 1.0  # probability of composing four images
    mosaic_scale: tuple[float, float] = (0.5, 1.5)  # zoom of the composed image
    mosaic_pool: int | None = None  # a mosaic draws on so many neighbours in the epoch's order; None: on all images
    mixup: float = 0.0  # probability of blending another image into a mosaic
    mixup_scale: tuple[float, float] = (0.5, 1.5)  # size of the blended image relative to the input
    hsv: float = 1.0  # probability of shifting hue, saturation and value
    flip: float = 0.5  # probability of a horizontal mirror
    degrees: float = 10.0  # largest rotation of a mosaic
    translate: float = 0.1  # largest shift of a mosaic, as a share of the input
    shear: float = 2.0  # largest shear of a mosaic, degrees
    multiscale: tuple[int, int] | None = None  # smallest and largest training size in px, multiples of 32; None: one
    min_visibility: float = 0.1  # a box clipped to less than this share of its area is dropped from that sample
    min_box_px: float = 1.0  # a box narrower or lower than this after augmentation is dropped from that sample
    albumentations: tuple[Mapping[str, Any], ...] = ()  # [{name: ..., <argument>: ...}], applied before flip

    def __post_init__(self) -> None:
        _require_finite(self, "augment")
        for name in ("mosaic", "mixup", "hsv", "flip", "min_visibility"):
            _probability(getattr(self, name), f"augment.{name}")
        _range(self.mosaic_scale, "augment.mosaic_scale", 0)
        _range(self.mixup_scale, "augment.mixup_scale", 0)
        for name in ("degrees", "translate", "shear", "min_box_px"):
            require(getattr(self, name) >= 0, f"augment.{name}", "0 or more", getattr(self, name))
        if self.mosaic_pool is not None:
            require(self.mosaic_pool >= 4, "augment.mosaic_pool", "4 or more, or null", self.mosaic_pool)
        if self.multiscale is not None:
            _range(self.multiscale, "augment.multiscale", 31)
            for size in self.multiscale:
                require(size % 32 == 0, "augment.multiscale", "multiples of 32 px", list(self.multiscale))


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast and on what input size to train."""

    epochs: int = 300
    closing_epochs: int = 15  # last epochs: no mosaic, no mixup, L1 loss on, flat learning rate
    warmup_epochs: int = 5
    batch_size: int = 64  # images of one optimizer step, over all workers
    micro_batch_size: int | None = None  # images in memory at once, per worker; None: the worker's whole share
    input_size: tuple[int, int] = (640, 640)  # (height, width) px, multiples of 32
    learning_rate: float = 0.01  # peak, for the whole batch
    min_lr_ratio: float = 0.05  # learning rate of the closing phase, as a share of the peak
    optimizer: Optimizer = "sgd"  # sgd: with Nesterov momentum, as published; adamw: learns sooner from random weights
    momentum: float = 0.9  # for adamw the first of its two decay rates; the second is 0.999
    weight_decay: float = 5e-4  # on convolution weights only; for adamw 0.05 is usual
    ema_decay: float = 0.9998
    ema_warmup: int = 2000  # steps over which the decay approaches ema_decay
    clip_norm: float | None = None  # largest gradient norm; None: no clipping
    freeze: tuple[str, ...] = ()  # module prefixes that stay as they are, batch-norm statistics included
    freeze_batch_norm: bool = False  # batch norm everywhere uses its stored statistics
    patience: int | None = None  # evaluations without a better map before jumping to the closing phase; None: never
    evaluate_every: int = 1  # epochs between evaluations; always evaluated in the closing phase
    sync_batch_norm: Literal["auto", True, False] = "auto"  # statistics of all workers; auto: with several GPUs
    checkpoint_minutes: float = 10.0  # longest time between checkpoints, within epochs too; not what a run is
    threads: int | None = None  # CPU threads of a worker; None: all cores shared among the workers
    precision: Precision = "auto"  # auto: bfloat16 on CUDA, and on CPUs where it is faster
    deterministic: bool = False  # the same bits every time on CUDA too, more slowly; on a CPU they always are
    compile: bool = False  # the network by torch.compile: faster steps after a slow start

    def __post_init__(self) -> None:
        _require_finite(self, "train")
        for name in ("epochs", "batch_size", "evaluate_every"):
            require(getattr(self, name) >= 1, f"train.{name}", "at least 1", getattr(self, name))
        for name in ("micro_batch_size", "threads", "patience"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"train.{name}", "at least 1, or null", value)
        for name in ("closing_epochs", "warmup_epochs", "weight_decay"):
            require(getattr(self, name) >= 0, f"train.{name}", "0 or more", getattr(self, name))
        require(
            self.warmup_epochs + self.closing_epochs <= self.epochs,
            "train.epochs",
            f"at least warmup_epochs + closing_epochs = {self.warmup_epochs + self.closing_epochs}",
            self.epochs,
        )
        for side in self.input_size:
            require(side >= 32 and side % 32 == 0, "train.input_size", "multiples of 32 px", list(self.input_size))
        require(self.learning_rate > 0, "train.learning_rate", "more than 0", self.learning_rate)
        _probability(self.min_lr_ratio, "train.min_lr_ratio")
        require(0 <= self.momentum < 1, "train.momentum", "a number in [0, 1)", self.momentum)
        require(0 <= self.ema_decay < 1, "train.ema_decay", "a number in [0, 1)", self.ema_decay)
        require(self.ema_warmup >= 1, "train.ema_warmup", "at least 1 step", self.ema_warmup)
        require(self.clip_norm is None or self.clip_norm > 0, "train.clip_norm", "more than 0, or null", self.clip_norm)
        require(self.checkpoint_minutes > 0, "train.checkpoint_minutes", "more than 0", self.checkpoint_minutes)
        require(self.optimizer in get_args(Optimizer), "train.optimizer", "sgd or adamw", self.optimizer)
        known = self.precision in get_args(Precision)
        require(known, "train.precision", "auto, float32 or bfloat16", self.precision)


@dataclass(frozen=True)
class EvaluateConfig:
    """Which detections are measured."""

    confidence: float = 0.001  # lowest score (objectness x class) kept for measuring
    nms_iou: float = 0.65  # overlap above which the weaker of two boxes of one class is dropped

    def __post_init__(self) -> None:
        _probability(self.confidence, "evaluate.confidence")
        _probability(self.nms_iou, "evaluate.nms_iou")


BY_POSITION = "position"


@dataclass(frozen=True)
class Recipe:
    """All that decides what a training run computes, besides data and initial weights."""

    model: ModelConfig
    seed: int = 0
    assign: AssignConfig = field(default_factory=AssignConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    class_rows: str | None = None  # how class layers are taken from initial weights: BY_POSITION; None: by name

    def __post_init__(self) -> None:
        known = self.class_rows in (None, BY_POSITION)
        require(known, "model.class_rows", f"{BY_POSITION} or null", self.class_rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries, for JSON and checkpoints."""
        plain = asdict(self)
        del plain["train"]["checkpoint_minutes"]
        if self.class_rows is None:  # a run is what it was before there was a choice
            del plain["class_rows"]
        plain["augment"]["albumentations"] = [dict(entry) for entry in self.augment.albumentations]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Recipe":
        """The inverse of `to_dict`; lists (JSON has no tuples) become tuples again."""
        sections = {name: part for name, part in plain.items() if isinstance(part, Mapping)}
        parts = {name: {key: _frozen(value) for key, value in part.items()} for name, part in sections.items()}
        return cls(
            model=ModelConfig(**parts["model"]),
            seed=int(plain["seed"]),
            assign=AssignConfig(**parts["assign"]),
            loss=LossConfig(**parts["loss"]),
            augment=AugmentConfig(**parts["augment"]),
            train=TrainConfig(**parts["train"]),
            evaluate=EvaluateConfig(**parts["evaluate"]),
            class_rows=plain.get("class_rows"),
        )


def _frozen(value: Any) -> Any:
    return tuple(_frozen(entry) for entry in value) if isinstance(value, (list, tuple)) else value


LARGEST_SIDE_PX = 8192  # of a detector's input; what is larger is a slip, and would fill the memory


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list_of(value: Any, where: str) -> tuple[Any, ...]:
    require_kind(isinstance(value, (list, tuple)), where, "a list", value)
    return tuple(value)


def _number(value: Any, where: str) -> float:
    require_kind(_is_whole(value) or isinstance(value, float), where, "a number", value)
    return float(value)


@dataclass(frozen=True)
class DetectorSpec:
    """What a released model says of itself (`model.json`, ONNX metadata): enough to use it without its training."""

    model: ModelConfig
    class_names: tuple[str, ...]  # index = class of the network's output
    category_ids: tuple[int, ...]  # the data set's own ids, in the same order
    input_size: tuple[int, int]  # (height, width) px
    confidence: float = 0.25  # default score threshold for predicting
    nms_iou: float = 0.65
    # samples that are black and white where an image has more than 8 bits of them; None: as the image's file states it
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        count = self.model.num_classes
        names, ids, sides = self.class_names, self.category_ids, self.input_size
        require(len(names) == count, "class_names", f"{count} names", len(names))
        require_kind(all(isinstance(name, str) for name in names), "class_names", "texts", names)
        require(len(ids) == count, "category_ids", f"{count} ids", len(ids))
        different = all(map(_is_whole, ids)) and len(set(ids)) == count
        require_kind(different, "category_ids", "different whole numbers", ids)
        require_kind(
            len(sides) == 2
            and all(_is_whole(side) and 32 <= side <= LARGEST_SIDE_PX and side % 32 == 0 for side in sides),
            "input_size",
            f"[height, width], multiples of 32 px from 32 to {LARGEST_SIDE_PX}",
            list(sides),
        )
        _probability(self.confidence, "confidence")
        _probability(self.nms_iou, "nms_iou")
        span = self.value_range or (0.0, 1.0)
        is_span = len(span) == 2 and -math.inf < span[0] < span[1] < math.inf
        require_kind(is_span, "value_range", "[low, high], low < high", span)

    def to_dict(self) -> dict[str, Any]:
        """The content of `model.json`."""
        return {
            "format_version": 1,
            "architecture": asdict(self.model),
            "class_names": list(self.class_names),
            "category_ids": list(self.category_ids),
            "input_size": list(self.input_size),
            "thresholds": {"confidence": self.confidence, "nms_iou": self.nms_iou},
            "preprocessing": {
                "color": "BGR",
                "range": [0, 255],
                "letterbox": "top-left",
                "pad": PAD_VALUE,
                "interpolation": "bilinear",
                **({"value_range": list(self.value_range)} if self.value_range else {}),
            },
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], where: str = "model.json") -> "DetectorSpec":
        """The inverse of `to_dict`; InputError where something is missing, of another kind or format version."""
        require_kind(isinstance(plain, Mapping), where, "a model description (an object)", plain)
        version = plain.get("format_version")
        if not (_is_whole(version) and version == 1):
            got = reprlib.repr(version)[:200]
            raise InputError(f"{where}: format_version: expected 1, got {got}. It was written by another release.")
        try:
            return cls(
                model=_architecture(plain["architecture"]),
                class_names=_list_of(plain["class_names"], "class_names"),
                category_ids=_list_of(plain["category_ids"], "category_ids"),
                input_size=cast(tuple[int, int], _list_of(plain["input_size"], "input_size")),
                confidence=_number(plain["thresholds"]["confidence"], "thresholds.confidence"),
                nms_iou=_number(plain["thresholds"]["nms_iou"], "thresholds.nms_iou"),
                value_range=_value_range(plain.get("preprocessing")),
            )
        except InputError as wrong:
            raise InputError(f"{where}: {wrong}") from wrong
        except (KeyError, TypeError, ValueError, OverflowError) as wrong:
            raise InputError(
                f"{where}: not a complete model description: {wrong!r}. Release the model again."
            ) from wrong


def _value_range(preprocessing: Any) -> tuple[float, float] | None:
    """That of a model's description; those of earlier releases have none."""
    plain = preprocessing.get("value_range") if isinstance(preprocessing, Mapping) else None
    return plain and cast(Any, tuple(_number(value, "value_range") for value in _list_of(plain, "value_range")))


def _architecture(plain: Any) -> ModelConfig:
    """The network that `model.json` names; dataclasses take values of any kind, a file may hold any."""
    require_kind(isinstance(plain, Mapping), "architecture", "an object", plain)
    require_kind(_is_whole(plain["num_classes"]), "num_classes", "a whole number", plain["num_classes"])
    for name in ("width", "depth"):
        if name in plain:
            _number(plain[name], name)
    require_kind(isinstance(plain.get("depthwise", False), bool), "depthwise", "true or false", plain.get("depthwise"))
    return ModelConfig(**plain)
