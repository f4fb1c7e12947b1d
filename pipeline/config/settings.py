"""params.yaml as typed, frozen settings: the one place where a user's parameters are read and checked.

An unknown key is refused with the nearest name; a value of another type is refused with what was expected.
The detector's own sections are the dataclasses of yolox_core.config, so that each rule stands once.
"""

import dataclasses
import hashlib
import math
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.config import paths
from pipeline.config.params_file import read_params
from pipeline.config.source_spec import SYNTHETIC, SourceSettings, sources_of, unique_names
from pipeline.config.typed_mapping import shown, typed
from yolox_core.config import (
    AssignConfig,
    AugmentConfig,
    EvaluateConfig,
    LossConfig,
    ModelConfig,
    Recipe,
    TrainConfig,
)
from yolox_core.errors import InputError

Objective = Literal["map", "parameters", "gflops", "latency_ms"]
LARGEST_SEED = 2**63 - 1  # what fits PyTorch's and NumPy's generators alike
DEMONSTRATION = "detector"  # yolox-detector holds models of the embedded data set
LONGEST_DATA_NAME = 60  # characters; run folders carry it, and a file name has 255 at most
MOST_FOLDS = 100


@dataclass(frozen=True)
class SplitSettings:
    """Shares of the images that are held out, where the data set brings no split of its own."""

    val: float = 0.0  # 0: no validation split, the last EMA is released
    test: float = 0.2
    honour: bool = True  # use the split that the data set brings
    background: float | None = None  # largest share of training images without objects; null: all are taken
    rare: float | None = None  # images of classes that fewer than this share holds are seen more often; null: no
    # cross-validation: of so many runs each tests on another part, and a split of the data set's own does not count
    folds: int | None = None
    fold: int = 0  # which of them this is, from 0

    def __post_init__(self) -> None:
        if self.background is not None and not 0 <= self.background < 1:
            raise InputError(f"data.split.background: expected null or a share in [0, 1), got {self.background!r}.")
        if self.rare is not None and not 0 < self.rare <= 1:
            raise InputError(f"data.split.rare: expected null or a share in (0, 1], got {self.rare!r}.")
        if self.folds is not None and not 2 <= self.folds <= MOST_FOLDS:
            raise InputError(f"data.split.folds: expected null or 2 to {MOST_FOLDS}, got {self.folds}.")
        if not 0 <= self.fold < (self.folds or 1):
            raise InputError(f"data.split.fold: expected 0 to {(self.folds or 1) - 1}, got {self.fold}.")
        for name in ("val", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"data.split.{name}: expected a share in [0, 1), got {getattr(self, name)!r}.")
        if self.val + self.test >= 1:
            held_out = self.val + self.test
            raise InputError(f"data.split: expected val + test below 1, got {held_out}. Nothing is left to train on.")


@dataclass(frozen=True)
class SyntheticSettings:
    """The embedded data set of rendered scenes (`data.source: synthetic`)."""

    images: int = 700
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images < 10:
            raise InputError(f"data.synthetic.images: expected at least 10, got {shown(self.images)}.")
        _require_seed(self.seed, "data.synthetic.seed")


@dataclass(frozen=True)
class DataSettings:
    """Which images, and how they are split."""

    # a folder, an archive, an address, or `synthetic`; the same with what is known of it; or a list of both
    source: str | SourceSettings | tuple[str | SourceSettings, ...] = SYNTHETIC
    format: str = "auto"  # or a name of pipeline/data/formats/annotation_formats.py, which checks it
    split: SplitSettings = field(default_factory=SplitSettings)
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)
    # samples that become black and white in images of more than 8 bits; null: as each file states it, else all 16 bits
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        sources_of(self.source)
        if self.range is not None and not -math.inf < self.range[0] < self.range[1] < math.inf:
            raise InputError(f"data.range: expected [low, high] with low < high, or null, got {list(self.range)}.")

    @property
    def sources(self) -> tuple[SourceSettings, ...]:
        """Where the images come from; empty for the embedded data set."""
        return sources_of(self.source)

    @property
    def shown(self) -> str:
        """The sources on one line, for messages and records."""
        return ", ".join(source.shown for source in self.sources) or SYNTHETIC


@dataclass(frozen=True)
class ModelSettings:
    """Which network, and what it starts from."""

    size: str = "nano"  # nano, tiny, s, m, l or x; the three factors below override what it implies
    width: float | None = None
    depth: float | None = None
    depthwise: bool | None = None
    weights: str | None = None  # a model reference to start from; null: random weights
    class_rows: str | None = None  # position: class layers are taken by position; null: by the classes' names

    def architecture(self, num_classes: int) -> ModelConfig:
        """The network for `num_classes` classes; InputError on an illegal factor."""
        base = ModelConfig.of_size(self.size, num_classes)
        given = {
            name: getattr(self, name) for name in ("width", "depth", "depthwise") if getattr(self, name) is not None
        }
        return dataclasses.replace(base, **given)


@dataclass(frozen=True)
class ExportSettings:
    """Which forms the released model takes, and what each must hold to (docs/export.md)."""

    formats: tuple[str, ...] = ("onnx",)  # of yolox_core/export/formats.py, which checks them
    max_difference: float = 0.5  # px or probability: largest difference of an output from PyTorch, float32 forms
    max_map_loss: float = 0.005  # largest fall of the test map from PyTorch, forms in float32
    max_map_loss_int8: float = 0.02  # the same, forms in integers
    int8_images: int = 100  # training images whose values set the integers' ranges

    def __post_init__(self) -> None:
        for name in ("max_map_loss", "max_map_loss_int8"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"export.{name}: expected a fraction from 0 to 1, got {getattr(self, name)!r}.")
        if not self.max_difference >= 0:
            raise InputError(f"export.max_difference: expected 0 px or more, got {self.max_difference!r}.")
        if self.int8_images < 1:
            raise InputError(f"export.int8_images: expected at least 1, got {shown(self.int8_images)}.")
        if "onnx" not in self.formats or len(set(self.formats)) != len(self.formats):
            raise InputError(f"export.formats: expected onnx and others, each once, got {shown(list(self.formats))}.")


@dataclass(frozen=True)
class RegistrySettings:
    """The name in the MLflow model registry."""

    name: str = "auto"  # auto: yolox-detector for the embedded data set, yolox-<folder> for other data

    def __post_init__(self) -> None:
        # mlflow/utils/validation.py refuses a blank name, '/' and ':'; '@' begins the alias of a reference
        if not self.name.strip() or set(self.name) & set("/:@"):
            raise InputError(f"registry.name: expected a name without '/', ':' and '@', got {shown(self.name)}.")
        if len(self.name) > 200:
            raise InputError(f"registry.name: expected at most 200 characters, got {len(self.name)}.")


@dataclass(frozen=True)
class StudySettings:
    """Which study `dvc repro pipeline/study/dvc.yaml` runs."""

    file: str = "pipeline/study/planted.yaml"
    data: Mapping[str, str] = field(default_factory=dict)  # folders by the study's names of data sets


@dataclass(frozen=True)
class SweepSettings:
    """What `yolox sweep` tries, and how it chooses (docs/sweeps.md). pipeline/sweep/read_space.py checks the space."""

    search: str = "grid"  # of pipeline/sweep/algorithms.py, which checks it
    samples: int = 20  # trials of random and tpe; a grid has as many as its product
    space: Mapping[str, Any] = field(default_factory=dict)  # parameter -> [values], or {low, high, log}
    base: Mapping[str, Any] = field(default_factory=dict)  # parameter -> its value in every trial
    early_stopping: bool = True  # ASHA
    grace_epochs: int | None = None  # epochs that every trial gets; null: warm-up and two more
    reduction: int = 3  # one of so many goes on at each rung
    val: float = 0.25  # share of the training images to measure on, where `prepare` held out none
    objectives: tuple[Objective, ...] = ("map", "gflops")  # of the front; the first one ranks
    finalists: int = 3  # trained again with other seeds
    seeds: int = 3  # so many
    workers_per_trial: int = 1

    def __post_init__(self) -> None:
        for name, lowest in (
            ("samples", 1),
            ("reduction", 2),
            ("finalists", 1),
            ("seeds", 2),
            ("workers_per_trial", 1),
        ):
            if getattr(self, name) < lowest:
                raise InputError(f"sweep.{name}: expected at least {lowest}, got {shown(getattr(self, name))}.")
        if not 0 < self.val < 1:
            raise InputError(f"sweep.val: expected a share in (0, 1), got {self.val!r}.")
        if self.objectives[:1] != ("map",) or len(set(self.objectives)) != len(self.objectives):
            raise InputError(f"sweep.objectives: expected map first, each once, got {shown(list(self.objectives))}.")

    @property
    def cost(self) -> Objective:
        """What decides between equals: the second objective."""
        return self.objectives[1] if len(self.objectives) > 1 else "gflops"


@dataclass(frozen=True)
class Settings:
    """All of params.yaml."""

    seed: int = 0
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    assign: AssignConfig = field(default_factory=AssignConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportSettings = field(default_factory=ExportSettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    sweep: SweepSettings = field(default_factory=SweepSettings)
    study: StudySettings = field(default_factory=StudySettings)

    def __post_init__(self) -> None:
        _require_seed(self.seed, "seed")
        self.model.architecture(num_classes=1)

    def recipe(self, num_classes: int) -> Recipe:
        """What the engine needs, for a data set of `num_classes` classes."""
        return Recipe(
            model=self.model.architecture(num_classes),
            seed=self.seed,
            assign=self.assign,
            loss=self.loss,
            augment=self.augment,
            train=self.train,
            evaluate=self.evaluate,
            class_rows=self.model.class_rows,
        )

    @property
    def registered_name(self) -> str:
        """The registry's name for this data, so that a demonstration never serves as someone's champion."""
        if self.registry.name != "auto":
            return self.registry.name
        return f"yolox-{self.data_name}" if self.data.sources else f"yolox-{DEMONSTRATION}"

    @property
    def data_name(self) -> str:
        """A short name of the data: `synthetic`, or the names of folder, archive or address with plain characters.

        Where nothing plain is left, where it is too long or means the demonstration, a hash tells it from others.
        """
        sources = self.data.sources
        if not sources:
            return SYNTHETIC
        plain = "-".join(unique_names(sources)) if len(sources) > 1 else sources[0].short_name
        if plain and plain != DEMONSTRATION and len(plain) <= LONGEST_DATA_NAME:
            return plain
        digest = hashlib.sha256(os.fsencode("\n".join(source.last_name for source in sources))).hexdigest()[:8]
        return f"{plain[: LONGEST_DATA_NAME - len(digest) - 1] or 'data'}-{digest}"


def load_settings(path: Path = paths.PARAMS) -> Settings:
    """Read and check params.yaml; InputError names the key, what was expected and what to do."""
    return settings_from(read_params(path))


def settings_from(plain: Mapping[str, Any]) -> Settings:
    """Check a params.yaml that has been read already."""
    return typing.cast(Settings, typed(Settings, plain, ""))


def _require_seed(seed: int, where: str) -> None:
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"{where}: expected a number from 0 to {LARGEST_SEED}, got {shown(seed)}.")
