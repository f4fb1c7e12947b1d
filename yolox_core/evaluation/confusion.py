"""Which class is taken for which: counts of objects by their class and the class they were found as.

Classes do not matter for who belongs to whom here: best first, each detection takes the free object that it overlaps
most, at IoU .5 or more; of objects with equal boxes one of its own class. What is left on either side stands against
the background.
"""

from collections.abc import Sequence

import numpy as np

from yolox_core.evaluation.matching import NOTHING, MatchedImage, greedy
from yolox_core.structures import IntArray


def confusion(matched: Sequence[MatchedImage], classes: int, score: float) -> IntArray:
    """[classes + 1, classes + 1] truth by detection, of those that score at least `score`; the background is last."""
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    for image in (image.above(score) for image in matched):
        any_DG = np.ones(image.overlap_DG.shape, np.bool_)
        taken_D = greedy(image.overlap_DG, any_DG, image.ignore_G, image.labels_D[:, None] == image.labels_G)
        hit_D = taken_D >= 0
        np.add.at(counts, (image.labels_G[taken_D[hit_D]], image.labels_D[hit_D]), 1)
        counts[classes] += np.bincount(image.labels_D[taken_D == NOTHING], minlength=classes + 1)
        missed_G = ~image.ignore_G
        missed_G[taken_D[hit_D]] = False
        counts[:, classes] += np.bincount(image.labels_G[missed_G], minlength=classes + 1)
    return counts
