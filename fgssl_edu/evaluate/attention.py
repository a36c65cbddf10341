"""Does a heat map lie on the parts that matter? Energy on true masks, its lift over their area, and the pointing game.

A map that says nothing (constant, or zero everywhere) has the masks' area as its energy, a lift of exactly 1, and
points at them as often as their area: chance is written into the score.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.evaluate.probe import LinearClassifier
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.gradcam import gradcam
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views import resized

BLOCK = 128  # images whose maps are held at mask size
NEAR = 1 - 1e-6  # share of the maximum that counts as it: interpolation leaves a constant map constant to rounding only


def part_mask(parts: Tensor, wanted: Tensor) -> Tensor:
    """(N, H, W) float, 1 on the wanted parts.

    Args:
        parts: (N, H, W) uint8 part index, 0 background.
        wanted: (N, P) bool, which of the P part names count for an image.
    """
    rows = torch.arange(len(parts), device=parts.device)[:, None, None]
    return wanted.to(parts.device)[rows, parts.long()].float()


def class_maps(
    encoder: Encoder,
    classifier: LinearClassifier,
    images: Tensor,
    target: Tensor,
    size: int | None = None,
    batch: int = 256,
) -> Tensor:
    """Grad-CAM of one class logit of a linear probe, for every image (arXiv 1610.02391).

    Args:
        encoder: frozen; left in the mode it was in.
        classifier: on pooled features.
        images: (N, 3, H, W) uint8.
        target: (N,) int64, the class whose logit is explained.
        size: side at which the encoder sees the images, pixels.
        batch: images a pass.

    Returns:
        (N, h, w) float, at least 0, on the CPU.
    """
    maps = []
    with frozen(encoder) as device, torch.enable_grad():
        for block, wanted in zip(images.split(batch), target.split(batch), strict=True):
            with torch.no_grad():
                feature_map = encoder.feature_map(resized(block, size, device))  # (b, C, h, w)
            feature_map.requires_grad_()
            logits = classifier(encoder.pool(feature_map))  # (b, K)
            score = logits.gather(1, wanted[:, None].to(device))[:, 0]
            maps.append(gradcam(score, feature_map, sign="score").float().cpu())
    return torch.cat(maps)


def _blocks(maps: Tensor, mask: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Maps at mask size with their masks; a map of zeros becomes one of ones, for it prefers no place."""
    for heat, area in zip(maps.split(BLOCK), mask.split(BLOCK), strict=True):
        if heat.numel() and float(heat.min()) < 0:
            raise ValueError(
                "a heat map has negative entries; rectify it first, for energy is a share of what is shown"
            )
        large = F.interpolate(heat[:, None].double(), area.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        blank = large.flatten(1).sum(dim=1) <= 0
        yield torch.where(blank[:, None, None], 1.0, large), area.double()


def _energy(maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Share of a map's sum on the mask, and of the picture that the mask takes, both (n,) for the n with a mask."""
    energy, area = [], []
    for heat, inside in _blocks(maps, mask):
        energy.append((heat * inside).sum(dim=(1, 2)) / heat.sum(dim=(1, 2)))
        area.append(inside.mean(dim=(1, 2)))
    seen = torch.cat(area) > 0
    if not seen.any():
        raise ValueError("no image shows any of the wanted parts: there is nothing to attend to")
    return torch.cat(energy)[seen], torch.cat(area)[seen]


def _protocol(metric: str, maps: Tensor, area: Tensor, **more: object) -> dict[str, object]:
    blank = int((maps.flatten(1).amax(dim=1) <= 0).sum())
    return {"metric": metric, "images": len(area), "dropped_images": len(maps) - len(area), "blank_maps": blank, **more}


def part_energy(maps: Tensor, parts: Tensor, wanted: Tensor) -> Score:
    """Share of a map's energy on the wanted parts, mean over images; chance is their mean area.

    Args:
        maps: (N, h, w), at least 0; enlarged to the parts' size.
        parts: (N, H, W) uint8 part index.
        wanted: (N, P) bool.

    Returns:
        A share 0..1; images that show no wanted part are dropped, and counted in the protocol.
    """
    energy, area = _energy(maps, part_mask(parts, wanted))
    return Score.of(energy, _protocol("energy on parts", maps, area, chance=float(area.mean())))


def part_lift(maps: Tensor, parts: Tensor, wanted: Tensor) -> Score:
    """Mean energy share on the wanted parts over their mean area; 1 for a uniform map.

    A ratio of means, so that images whose part is tiny do not rule.
    """
    energy, area = _energy(maps, part_mask(parts, wanted))
    return Score.of(
        energy, _protocol("lift of energy on parts over their area", maps, area, unit="ratio", chance=1.0), area
    )


def foreground_energy(maps: Tensor, foreground: Tensor) -> Score:
    """Share of a map's energy on the bird, mean over images; chance is the bird's mean area.

    Args:
        maps: (N, h, w), at least 0.
        foreground: (N, H, W) uint8, 255 where the bird covers the pixel.
    """
    energy, area = _energy(maps, foreground.float() / 255)
    return Score.of(energy, _protocol("energy on the foreground", maps, area, chance=float(area.mean())))


def foreground_lift(maps: Tensor, foreground: Tensor) -> Score:
    """`foreground_energy` over the bird's mean area, as a ratio of means; 1 for a uniform map."""
    energy, area = _energy(maps, foreground.float() / 255)
    return Score.of(
        energy, _protocol("lift of energy on the foreground over its area", maps, area, unit="ratio", chance=1.0), area
    )


def pointing(maps: Tensor, parts: Tensor, wanted: Tensor) -> Score:
    """Pointing game (arXiv 1608.00507): share of images whose map peaks on a wanted part, equal peaks by share."""
    mask = part_mask(parts, wanted)
    hits, area = [], []
    for heat, inside in _blocks(maps, mask):
        peak = (heat >= NEAR * heat.amax(dim=(1, 2), keepdim=True)).double()
        hits.append((peak * inside).sum(dim=(1, 2)) / peak.sum(dim=(1, 2)))
        area.append(inside.mean(dim=(1, 2)))
    share = torch.cat(area)
    seen = share > 0
    return Score.of(
        torch.cat(hits)[seen], _protocol("pointing game", maps, share[seen], chance=float(share[seen].mean()))
    )
