"""What methods without negatives share: layered heads, and two views that may be made in two ways."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch
from fgssl_edu.methods.base import Method, augmentation
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.views.presets import ViewPreset


def mlp(widths: Sequence[int], batch_norm: bool = True, bias: bool = False) -> nn.Sequential:
    """Linear layers with norm and ReLU between them, (B, widths[0]) -> (B, widths[-1]); the last layer is bare.

    Args:
        widths: of the input, the hidden layers and the output.
        batch_norm: False takes LayerNorm, so that no image depends on its batch; ours, for encoders that have none.
        bias: of the last layer; the others' would be cancelled by the norm.
    """
    layers: list[nn.Module] = []
    for entering, leaving in zip(widths[:-2], widths[1:-1], strict=True):
        norm = nn.BatchNorm1d(leaving) if batch_norm else nn.LayerNorm(leaving)
        layers += [nn.Linear(entering, leaving, bias=False), norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1], bias=bias))


def check_widths(**widths: int) -> None:
    """Refuse layers of no width; `out` is the embeddings' and needs two dimensions."""
    for name, value in widths.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1 + (name == "out"):
            raise ValueError(f"{name}={value!r}: a width is a whole number, at least 1, and 2 for embeddings")


def check_weights(**weights: float) -> None:
    """Refuse weights of a loss's terms below 0, and a loss without any term."""
    for name, value in weights.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ValueError(f"{name}={value!r}: the weight of a term is a number, 0 (switched off) or more")
    if not any(weights.values()):
        raise ValueError(f"{', '.join(weights)} are all 0: nothing is left to learn from")


class TwoViews(Method):
    """A method that sees each image in two views, the second perhaps made in another way than the first."""

    def __init__(
        self, encoder: Encoder, views: str | ViewPreset, other_views: str | ViewPreset | None, size: int, seed: int
    ) -> None:
        super().__init__()
        self.encoder, self.seed = encoder, seed
        self.augment = augmentation(views, size)
        self.augment_other = self.augment if other_views is None else augmentation(other_views, size)

    def extra_repr(self) -> str:
        presets = f"views={self.augment.preset}, other_views={self.augment_other.preset}"
        return f"seed={self.seed}, size={self.augment.size}, {presets}"

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Two views, each (B, 3, size, size)."""
        makers = (self.augment, self.augment_other)
        return tuple(make(batch.images, self.seed, step, batch.index, f"view{i}") for i, make in enumerate(makers))
