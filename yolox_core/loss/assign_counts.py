"""What assignment health counts, by name. assign_stats.py counts it; a report, which only reads, needs no PyTorch."""

from yolox_core.config import STRIDES

SIZES = ("small", "medium", "large")
SIZE_BOUNDS_PX2 = (32.0**2, 96.0**2)  # COCO's, in pixels of the network input
MOST_K = 10  # counts of k from here on are one
COUNTS = (
    *(f"objects/{size}" for size in SIZES),
    *(f"unmatched/{size}" for size in SIZES),
    *(f"positives/{size}" for size in SIZES),
    *(f"level/{stride}" for stride in STRIDES),
    *(f"k/{k}" for k in range(1, MOST_K + 1)),
)
