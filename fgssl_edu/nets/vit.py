"""Vision transformers: a picture as patches that look at each other (Dosovitskiy et al., arXiv 2010.11929).

Initialised as in DINO (arXiv 2104.14294), with timm's shapes and LayerNorm epsilon, so that weights go from one to the
other (`to_timm`, `from_timm`). Deviation: no stochastic depth, which DINO gives its student at rate .1; runs of minutes
do not overfit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.nets.encoder import Encoder

EPSILON = 1e-6  # of LayerNorm, as in timm and DINO; torch's default is 1e-5
INIT_STD = 0.02  # of linear weights, positions and CLS (DINO; a cut at 2, which none reaches)
OURS = ("mean", "std", "mask_token")  # of a state, what timm's model does not have


@dataclass(frozen=True)
class ViTShape:
    """Form of a transformer; the first layer of each block's MLP is four times as wide as a token."""

    patch: int  # px, side of a patch
    dim: int  # D of a token
    depth: int  # blocks
    heads: int
    size: int  # px, side of the picture whose positions are learned; others are interpolated


VITS = {
    "vit_mini": ViTShape(patch=4, dim=96, depth=4, heads=3, size=32),  # 64 tokens at 32 px, .46 M parameters
    "vit_tiny": ViTShape(patch=16, dim=192, depth=12, heads=3, size=224),  # 196 tokens, 5.5 M (DeiT-Ti)
    "vit_small": ViTShape(patch=16, dim=384, depth=12, heads=6, size=224),  # 196 tokens, 21.7 M (DINO's ViT-S/16)
    "vit_base": ViTShape(patch=16, dim=768, depth=12, heads=12, size=224),  # 196 tokens, 85.8 M (MAE's ViT-B/16)
}


class Attention(nn.Module):
    """Every token asks (query) all tokens (key) what they say (value), `heads` times side by side."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, D) -> queries, keys and values, (3, B, heads, N, D / heads)."""
        return self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self._split(x)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B, heads, N, D / heads)
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor) -> Tensor:
        """How much each token takes from each, (B, heads, N, N); the fused product above never shows it."""
        query, key, _ = self._split(x)
        return (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(dim=3)


class TransformerBlock(nn.Module):
    """Attention, then an MLP of each token alone; both normalise first and are added to what comes in."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, eps=EPSILON), Attention(dim, heads)
        layers = {"fc1": nn.Linear(dim, 4 * dim), "act": nn.GELU(), "fc2": nn.Linear(4 * dim, dim)}
        self.norm2, self.mlp = nn.LayerNorm(dim, eps=EPSILON), nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(Encoder):
    """A ViT as an encoder: its map holds the patch tokens after the last norm, its features are their mean.

    DINO's papers read the CLS token instead (`cls`); the mean keeps `pool(feature_map(x)) == features(x)`, so that
    Grad-CAM works. It has LayerNorm only: no image depends on its batch.

    Attributes:
        patch: side of a patch in pixels; pictures of any size that it divides will do.
        heads: of each block's attention.
        mask_token: (1, 1, D), what stands for a masked patch; a method that masks sets `requires_grad` on it.
    """

    def __init__(self, name: str, shape: ViTShape) -> None:
        entry = nn.Conv2d(3, shape.dim, shape.patch, shape.patch)
        blocks = [TransformerBlock(shape.dim, shape.heads) for _ in range(shape.depth)]
        super().__init__(name, f"{shape.patch}x{shape.patch} patches, stride {shape.patch}", entry, blocks, shape.dim)
        self.patch, self.heads, self.grid = shape.patch, shape.heads, shape.size // shape.patch
        self.cls_token = nn.Parameter(torch.empty(1, 1, shape.dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.grid**2, shape.dim))
        self.mask_token = nn.Parameter(torch.empty(1, 1, shape.dim), requires_grad=False)
        self.norm = nn.LayerNorm(shape.dim, eps=EPSILON)
        linear = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        for weight in (self.cls_token, self.pos_embed, self.mask_token, *(layer.weight for layer in linear)):
            nn.init.trunc_normal_(weight, std=INIT_STD)
        for layer in linear:
            nn.init.zeros_(layer.bias)

    def positions(self, height: int, width: int) -> Tensor:
        """Position embeddings of CLS and a grid of patches, (1, 1 + height * width, D); bicubic to other grids.

        Deviation: DINO's code adds .1 to the grid before it divides, a guard against rounding; here sizes are exact.
        """
        if (height, width) == (self.grid, self.grid):
            return self.pos_embed
        square = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid))  # (1, D, grid, grid)
        resized = F.interpolate(square.float(), (height, width), mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2).to(square.dtype)], dim=1)

    def grid_of(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns of patches of (B, 3, H, W); ValueError where they do not come out even."""
        height, width = images.shape[-2:]
        if height % self.patch or width % self.patch or not height or not width:
            raise ValueError(
                f"pictures of {height} x {width} px do not part into patches of {self.patch}: {self.name} takes sides "
                f"that are multiples of {self.patch} (image_size, crop_size, eval_size)"
            )
        return height // self.patch, width // self.patch

    def embed(self, images: Tensor, keep: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """What enters the first block, (B, 1 + n, D): CLS and patches in rows, with their positions."""
        rows, columns = self.grid_of(images)
        patches = self.entry(self._normalize(images)).flatten(2).transpose(1, 2)  # (B, n, D)
        if mask is not None:
            if mask.dtype != torch.bool or mask.shape != patches.shape[:2]:
                raise ValueError(f"mask: {mask.dtype} {tuple(mask.shape)}; it is bool, {tuple(patches.shape[:2])}")
            patches = torch.where(mask[:, :, None], self.mask_token.to(patches.dtype), patches)
        positions = self.positions(rows, columns)
        patches = patches + positions[:, 1:]
        if keep is not None:
            patches = patches.gather(1, keep[:, :, None].expand(-1, -1, self.dim))  # (B, m, D)
        cls = (self.cls_token + positions[:, :1]).expand(len(images), -1, -1)
        return torch.cat([cls.to(patches.dtype), patches], dim=1)

    def tokens(self, images: Tensor, keep: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """CLS and patch tokens after the last norm.

        Args:
            images: (B, 3, H, W) float in [0, 1].
            keep: (B, m) int64 positions of the patches that are seen, row by row, in the order they shall have; the
                others do not enter at all (MAE).
            mask: (B, n) bool, patches whose content is replaced by the mask token; all enter (SimMIM).

        Returns:
            (B, 1 + n, D), with `keep` (B, 1 + m, D); row 0 is CLS.
        """
        x = self.embed(images, keep, mask)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def cls(self, images: Tensor) -> Tensor:
        """The CLS token, (B, D): what DINO trains and its papers evaluate."""
        return self.tokens(images)[:, 0]

    def attention(self, images: Tensor) -> Tensor:
        """Of the last block, (B, heads, 1 + n, 1 + n): row i is what token i looks at, and sums to 1."""
        x = self.embed(images)
        for block in self.blocks[:-1]:
            x = block(x)
        last = self.blocks[-1]
        assert isinstance(last, TransformerBlock)
        return last.attn.weights(last.norm1(x))

    def stages(self, images: Tensor) -> list[Tensor]:
        """The patch tokens after each block, through the last norm as in DINO's evaluation, each (B, D, h, w)."""
        grid, maps, x = self.grid_of(images), [], self.embed(images)
        for block in self.blocks:
            x = block(x)
            maps.append(self.norm(x)[:, 1:].transpose(1, 2).unflatten(2, grid))
        return maps

    def feature_map(self, images: Tensor) -> Tensor:
        """The patch tokens after the last norm where they lie in the picture, (B, D, h, w)."""
        return self.tokens(images)[:, 1:].transpose(1, 2).unflatten(2, self.grid_of(images))


def to_timm(encoder: VisionTransformer) -> dict[str, Tensor]:
    """The state that timm's VisionTransformer of the same shape, with num_classes=0, loads strictly."""
    state = encoder.state_dict()
    return {key.replace("entry.", "patch_embed.proj."): state[key] for key in state if key not in OURS}


def from_timm(encoder: VisionTransformer, state: Mapping[str, Tensor]) -> None:
    """Load the state of timm's VisionTransformer of the same shape, with num_classes=0; our own buffers stay.

    timm's models expect pictures normalised as their configuration says; `mean` and `std` here are ImageNet's.
    """
    own = {key: value for key, value in encoder.state_dict().items() if key in OURS}
    encoder.load_state_dict({key.replace("patch_embed.proj.", "entry."): state[key] for key in state} | own)
