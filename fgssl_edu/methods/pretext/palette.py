"""Which colours a set of pictures has: bins of the ab plane, how common each is, and what a mistake there weighs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.image_set import Images
from fgssl_edu.distributed import gather
from fgssl_edu.nets.norm import norm_layer
from fgssl_edu.views.color import as_float
from fgssl_edu.views.color_bins import gamut_bins, nearest_bin, rarity_weights, smoothed, soft_code
from fgssl_edu.views.lab import rgb_to_lab

CELL = 4  # pixels of a view's side that one answer stands for; a quarter of the input, as in the paper
GREY = 5.0  # units of ab: a picture without any larger |a| or |b| says nothing about colour (released code)
BATCH = 256  # images counted at a time


def cell_colors(images: Tensor, side: int) -> Tensor:
    """Lab of the picture made smaller, (B, 3, H, W) in [0, 1] -> (B, 3, side, side).

    Deviation: the paper takes every fourth pixel; a mean does not depend on which.
    """
    return rgb_to_lab(F.adaptive_avg_pool2d(images, side))


def places(size: int) -> int:
    """Answers along a view's side; ValueError where its pixels do not divide into cells."""
    if size % CELL:
        raise ValueError(f"size={size}: a view's side is a multiple of {CELL} px, the side of a cell; take 32 or 64")
    return size // CELL


class PlaceHead(nn.Module):
    """From the last map to an answer at every place, (B, dim, h, w) -> (B, out, side, side)."""

    def __init__(self, dim: int, hidden: int, out: int, batch_norm: bool = True) -> None:
        super().__init__()
        self.inside = nn.Conv2d(dim, hidden, 3, padding=1, bias=False)
        self.norm = norm_layer("batch" if batch_norm else "group", hidden)
        self.answer = nn.Conv2d(hidden, out, 1)

    def forward(self, maps: Tensor, side: int) -> Tensor:
        inside = F.relu(self.norm(self.inside(maps)))
        finer = F.interpolate(inside, (side, side), mode="bilinear", align_corners=False)
        answer: Tensor = self.answer(finer)
        return answer


class Palette(nn.Module):
    """Bins with their shares and weights, counted once over the training pictures; what is counted is state.

    Attributes:
        centers: of the bins, (Q, 2) a and b.
        shares: of the places whose colour is nearest to each bin, (Q,).
        rarity: `rarity_weights` of the smoothed shares, (Q,); the mean over the training pictures' places is 1.
        blind: loss of the best answer that is the same everywhere, (2,): as classes in nats, as regression.
    """

    centers: Tensor
    shares: Tensor
    rarity: Tensor
    blind: Tensor

    def __init__(
        self, spacing: float, soft_bins: int, sigma: float | None, rebalance: bool, mix: float, drop_grey: bool
    ) -> None:
        """Find the bins; arguments as `Colorization` takes them."""
        super().__init__()
        if isinstance(soft_bins, bool) or not isinstance(soft_bins, int) or soft_bins < 1:
            raise ValueError(f"soft_bins={soft_bins!r}: at least 1, the nearest bin alone; the paper has 5")
        if sigma is not None and not sigma > 0:
            raise ValueError(f"sigma={sigma!r}: above 0, in units of ab; None is half the spacing, as in the paper")
        self.spacing, self.soft_bins, self.drop_grey = spacing, soft_bins, drop_grey
        self.rebalance, self.mix = rebalance, mix
        self.sigma = spacing / 2 if sigma is None else sigma
        self.register_buffer("centers", gamut_bins(spacing).clone(), persistent=False)
        uniform = torch.full((len(self.centers),), 1 / len(self.centers))
        self.register_buffer("shares", uniform)
        self.register_buffer("rarity", rarity_weights(uniform, mix))
        self.register_buffer("blind", torch.zeros(2))

    def extra_repr(self) -> str:
        grid = f"spacing={self.spacing}, soft_bins={self.soft_bins}, sigma={self.sigma}"
        return f"{grid}, rebalance={self.rebalance}, mix={self.mix}, drop_grey={self.drop_grey}"

    @torch.no_grad()
    def count(self, images: Images, side: int) -> None:
        """Fill the buffers from all images, at `side` places each way; the same on every process."""
        rows = torch.zeros(len(self.centers), len(self.centers) + 3, dtype=torch.float64, device=self.centers.device)
        for batch in images.batches(BATCH):
            ab = cell_colors(as_float(batch.images), side)[:, 1:]  # (B, 2, h, w)
            ab = ab[self.told(ab)[:, 0, 0] > 0]
            sums = torch.cat([self.soft_code(ab), ab, ab.square().sum(dim=1, keepdim=True)], dim=1)
            rows.index_add_(0, self.nearest(ab).flatten(), sums.movedim(1, 3).flatten(0, 2).double())
        rows = gather(rows[None]).sum(dim=0)  # row q: sums over the places whose nearest bin is q
        counts = rows[:, :-3].sum(dim=1)
        if not counts.any():
            raise ValueError("all pictures are grey: there is no colour to predict; drop_grey=False trains on grey too")
        shares = counts / counts.sum()
        rarity = rarity_weights(smoothed(shares, self.centers, self.sigma), self.mix)
        self.shares.copy_(shares)
        self.rarity.copy_(rarity / (shares * rarity).sum())
        mean = (rows * self.weights[:, None]).sum(dim=0) / counts.sum()  # over places, as the loss weighs them
        code, middle, square = mean.split([len(shares), 2, 1])
        total = code.sum()
        self.blind[0] = -(code * (code / total).clamp(min=1e-12).log()).sum()
        self.blind[1] = (square[0] - middle.square().sum() / total) / 2

    @property
    def weights(self) -> Tensor:
        """What a place weighs in the loss by its bin, (Q,)."""
        return self.rarity if self.rebalance else torch.ones_like(self.rarity)

    def soft_code(self, ab: Tensor) -> Tensor:
        """(B, 2, h, w) -> (B, Q, h, w), see `views.color_bins`."""
        return soft_code(ab, self.centers, self.soft_bins, self.sigma)

    def nearest(self, ab: Tensor) -> Tensor:
        """(B, 2, h, w) -> (B, h, w) int64."""
        return nearest_bin(ab, self.centers)

    def told(self, ab: Tensor) -> Tensor:
        """1 at places that count, 0 in pictures that are grey throughout; (B, h, w) float."""
        colored = (ab.abs().flatten(1).amax(dim=1) > GREY) | (not self.drop_grey)
        return colored.to(ab)[:, None, None].expand(-1, *ab.shape[2:])

    def place_weights(self, ab: Tensor, nearest: Tensor) -> Tensor:
        """What each place weighs in the loss, v in the paper, (B, h, w); its mean over the training set is 1."""
        return self.told(ab) * self.weights[nearest]
