"""The few points of each image that matter, gathered to the front, so that work grows with them and not with the input.

Nothing here waits for a device: there the room for them is a bound known beforehand, on a CPU just what is needed.
Legend: B images, A anchor points, M chosen points of an image (padded).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GatherIndex:
    """The chosen points of each image, in the order of the points."""

    index_BM: Tensor  # int64, index into A; 0 where not valid
    valid_BM: Tensor  # bool
    place_BA: (
        Tensor  # int64, index into M of each point; M where it was not chosen, as for the one point beyond the last
    )

    def of(self, values_BA: Tensor) -> Tensor:
        """The chosen rows of [B, A] or [B, A, n]: [B, M] or [B, M, n]."""
        if values_BA.dim() == 2:
            return values_BA.gather(1, self.index_BM)
        images, points, width = values_BA.shape
        first_B = torch.arange(0, images * points, points, device=values_BA.device)
        row_BM = self.index_BM + first_B[:, None]
        return values_BA.reshape(-1, width).index_select(0, row_BM.flatten()).view(*row_BM.shape, width)

    def mark(self, index_BGN: Tensor) -> Tensor:
        """[B, G, M] bool: which chosen points row g of `index_BGN` names; A, the point beyond the last, names none."""
        images, rows, _ = index_BGN.shape
        place_BGN = self.place_BA.gather(1, index_BGN.flatten(1)).view_as(index_BGN)
        marked = torch.zeros(images, rows, self.index_BM.shape[1] + 1, dtype=torch.bool, device=index_BGN.device)
        return marked.scatter_(2, place_BGN, True)[..., :-1]

    def spread(self, point_BP: Tensor, wanted_BP: Tensor, values_BP: Tensor, elsewhere: float) -> Tensor:
        """[B, A]: the values at the chosen points `point_BP` (index into M) where wanted, `elsewhere` at all others."""
        total = self.place_BA.shape[1] - 1
        place_BP = torch.where(wanted_BP, self.index_BM.gather(1, point_BP), total)  # a place that is cut off
        whole = values_BP.new_full((len(values_BP), total + 1), elsewhere)
        return whole.scatter_(1, place_BP, values_BP)[:, :total].contiguous()


def gather_index(chosen_BA: Tensor, most: int) -> GatherIndex:
    """The indices of what is true, of which no image has more than `most`."""
    images, points = chosen_BA.shape
    rank_BA = chosen_BA.cumsum(dim=1)
    count_B = rank_BA[:, -1]
    most = max(1, _room(count_B, most))
    place_BA = rank_BA.new_full((images, points + 1), most)
    place_BA[:, :points] = torch.where(chosen_BA, rank_BA - 1, most)
    all_A = torch.arange(points, device=chosen_BA.device).expand_as(chosen_BA)
    index_BM = place_BA.new_zeros(images, most + 1).scatter_(1, place_BA[:, :points], all_A)[:, :most]
    valid_BM = torch.arange(most, device=count_B.device) < count_B[:, None]
    return GatherIndex(torch.where(valid_BM, index_BM, 0), valid_BM, place_BA)


def _room(count_B: Tensor, most: int) -> int:
    """Places for the image that needs most; where asking would wait for the device, the bound must do."""
    if count_B.device.type != "cpu" or not len(count_B):
        return most
    return int(count_B.max())
