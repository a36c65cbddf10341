"""Multi-crop: a few large views and more small ones of each image (SwAV, arXiv 2006.09882, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import ViewPreset


@dataclass(frozen=True)
class MultiCrop:
    """Views of two sizes; small ones cost little and ask for the whole from a part.

    Attributes:
        large: presets of the large views, one a view.
        size: side of a large view in pixels.
        small: preset of the small views.
        small_size: side of a small view in pixels.
        count: of small views; 0 switches multi-crop off.
    """

    large: Sequence[ViewPreset]
    size: int
    small: ViewPreset
    small_size: int
    count: int

    def __call__(self, images: Tensor, seed: int, step: int, index: Tensor) -> tuple[Tensor, ...]:
        """The large views, then the small ones, each (B, 3, side, side) float in [0, 1].

        A view's draws do not depend on how many views there are.
        """
        large = [Augment(preset, self.size) for preset in self.large]
        small = [Augment(self.small, self.small_size)] * self.count
        views = [view(images, seed, step, index, f"view{i}") for i, view in enumerate(large)]
        views += [view(images, seed, step, index, f"small{i}") for i, view in enumerate(small)]
        return tuple(views)
