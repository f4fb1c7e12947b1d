"""How a step's images are cut: into the workers' shares, and these into what is computed at once."""

from yolox_core.config import Recipe, TrainConfig
from yolox_core.data.epoch_plan import training_sizes
from yolox_core.errors import InputError

LARGEST_STRIDE = 32  # px; an image of this side is one value a channel there


def images_at_once(train: TrainConfig, workers: int) -> tuple[int, int]:
    """How many images a worker computes on at once: most of the time, and at a step's end."""
    share = train.batch_size // workers
    most = min(train.micro_batch_size or share, share)
    return most, share % most or most


def check_batch(recipe: Recipe, workers: int) -> None:
    """InputError where the workers cannot share a batch evenly, or batch norm would get a single value a channel."""
    train = recipe.train
    if train.batch_size % workers:
        raise InputError(f"train.batch_size: expected a multiple of the {workers} workers, got {train.batch_size}.")
    sizes = training_sizes(train.input_size, recipe.augment.multiscale)
    is_smallest = (LARGEST_STRIDE, LARGEST_STRIDE) in {sizes.closing, *sizes.drawn}
    if is_smallest and 1 in images_at_once(train, workers) and not train.freeze_batch_norm:
        raise InputError(
            f"train.batch_size: expected two images at once or more at {LARGEST_STRIDE} x {LARGEST_STRIDE} px, for "
            f"batch norm, got one (of {train.batch_size}; micro_batch_size, workers). Raise it, or train.input_size."
        )
