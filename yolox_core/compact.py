"""The few points of each image that matter, gathered to the front, so that work grows with them and not with the input.

Nothing here waits for a device: there the room for them is a bound known beforehand, on a CPU just what is needed.
Legend: B images, A anchor points, M chosen points of an image (padded).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Compact:
    """The chosen points of each image, in the order of the points."""

    index_BM: Tensor  # int64, index into A; 0 where not valid
    valid_BM: Tensor  # bool

    def of(self, values_BA: Tensor) -> Tensor:
        """The chosen rows of [B, A] or [B, A, n]: [B, M] or [B, M, n]."""
        if values_BA.dim() == 2:
            return values_BA.gather(1, self.index_BM)
        return values_BA.gather(1, self.index_BM[..., None].expand(-1, -1, values_BA.shape[2]))

    def spread(self, values_BM: Tensor, points: int, elsewhere: float) -> Tensor:
        """[B, A] of `points` points: the values at the chosen ones, `elsewhere` at the others."""
        place_BM = torch.where(self.valid_BM, self.index_BM, points)  # padding goes to a place that is cut off
        whole = values_BM.new_full((len(values_BM), points + 1), elsewhere)
        return whole.scatter_(1, place_BM, values_BM)[:, :points].contiguous()


def compact(chosen_BA: Tensor, most: int) -> Compact:
    """The indices of what is true, of which no image has more than `most`."""
    rank_BA = chosen_BA.cumsum(dim=1)
    count_B = rank_BA[:, -1]
    most = max(1, _room(count_B, most))
    place_BA = torch.where(chosen_BA, rank_BA - 1, most)
    all_A = torch.arange(chosen_BA.shape[1], device=chosen_BA.device)
    index_BM = place_BA.new_zeros(len(place_BA), most + 1).scatter_(1, place_BA, all_A.expand_as(place_BA))[:, :most]
    valid_BM = torch.arange(most, device=count_B.device) < count_B[:, None]
    return Compact(torch.where(valid_BM, index_BM, 0), valid_BM)


def _room(count_B: Tensor, most: int) -> int:
    """Places for the image that needs most; where asking would wait for the device, the bound must do."""
    if count_B.device.type != "cpu" or not len(count_B):
        return most
    return int(count_B.max())
