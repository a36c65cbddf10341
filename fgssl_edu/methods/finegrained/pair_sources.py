"""Where the second picture of a pair comes from, other than a learned decoder: a renderer, or the nearest real picture.

The learned decoder of Wang et al. (arXiv 2407.14676) has two controls. Above it, a renderer that knows the true factors
draws the same bird with all that does not tell its species drawn anew: what the idea could give. Beside it, the real
picture whose feature is nearest to the disturbed one: sharp, but of whatever bird that is.
"""

from __future__ import annotations

import hashlib

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.birds import Factors
from fgssl_edu.draws import uniform
from fgssl_edu.nets.memory import RingBuffer

REDRAWN = {  # what is taken from another bird of the set, group by group: each group from a bird of its own
    "surroundings": (("gain", "contrast", "light_angle", "shading"), ("grain_key",)),
    "all": (
        ("gain", "contrast", "light_angle", "shading"),
        ("grain_key",),
        ("angle", "scale", "shift", "mirrored"),
        ("shape", "tint"),
    ),
}


def redraw(
    factors: Factors, index: Tensor, seed: int, step: int, what: str = "surroundings", donors: Factors | None = None
) -> Factors:
    """The same birds with what does not tell their species drawn anew; genus and all attributes stay.

    The background is new (of any family, as strong as before). Light, and with "all" pose and individual build and
    colour, are those of random donors, so that they vary as the set does, and tell nothing of the species.

    Args:
        factors: of N birds.
        index: which of them, (B,) int64.
        seed: of the draws.
        step: other steps give other draws.
        what: "surroundings" (background, light, grain of the sensor), or "all": also pose and individual. Then only
            the species is left in common, and a pair tells what a label would.
        donors: the birds whose light, pose and build are taken; None: `factors`.

    Returns:
        B birds.
    """
    if what not in REDRAWN:
        raise ValueError(f"redraw={what!r} is unknown: use one of {', '.join(REDRAWN)}")
    key = int.from_bytes(hashlib.blake2b(f"{seed}|{step}".encode(), digest_size=6).digest(), "little")
    place = index.to(factors.species.device)
    birds = factors.subset(place).new_background(key)
    giving = donors or factors
    draw = uniform(seed, step, place, "pairs/redraw", len(REDRAWN["all"]))  # (B, groups)
    chosen = (draw * len(giving)).long().clamp(max=len(giving) - 1)
    for names, donor in zip(REDRAWN[what], chosen.T, strict=False):
        birds = birds.replace(**{name: getattr(giving, name)[donor] for name in names})
    return birds


def nearest(moved: Tensor, own: Tensor, memory: Tensor, places: Tensor) -> Tensor:
    """The stored pictures whose features are nearest to given ones by cosine, never an image's own.

    Args:
        moved: features to be met, (B, D).
        own: position of each image, (B,) int64.
        memory: features of stored pictures, (N, D).
        places: their positions, (N,) int64; one picture may be stored several times.

    Returns:
        Positions in the set, (B,) int64.
    """
    similarity = F.normalize(moved.float(), dim=1) @ F.normalize(memory.float(), dim=1).T  # (B, N)
    similarity = similarity.masked_fill(own[:, None] == places, -torch.inf)
    return places[similarity.argmax(dim=1)]


def fingerprint(factors: Factors | None) -> str:
    """Eight hex digits of what pictures were drawn from, "none" where that is not known."""
    if factors is None:
        return "none"
    rows = torch.stack([factors.species, factors.background_key, factors.grain_key]).cpu()
    return hashlib.sha256(rows.numpy().tobytes()).hexdigest()[:8]


class FeatureBank(RingBuffer):
    """The latest features of training pictures and which pictures they are of; the oldest are overwritten.

    Attributes:
        places: (size,) int64 position in the set; -1 where nothing has been written.
    """

    places: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__(size, dim)
        self.register_buffer("places", torch.full((size,), -1))

    @torch.no_grad()
    def store(self, features: Tensor, index: Tensor) -> None:
        """Write (n, D) features of the pictures at (n,) positions, the same on every process."""
        size = len(self.values)
        start, kept = self.pointer + max(0, len(index) - size), index[-size:]
        self.places[(start + torch.arange(len(kept), device=kept.device)) % size] = kept
        self.write(features)

    def with_new(self, features: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """The rows (n, D) and positions (n,) that the bank would hold after `store`, which is not done.

        The new rows last, before them the newest of the old ones.
        """
        size = len(self.values)
        new, index = features.detach().float()[-size:], index[-size:]
        kept = min(int(self.filled), size - len(new))  # waits for the device, once a step
        old = (self.pointer - kept + torch.arange(kept, device=new.device)) % size
        return torch.cat([self.values[old], new]), torch.cat([self.places[old], index])
