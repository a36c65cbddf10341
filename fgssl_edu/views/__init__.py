"""Views: what a self-supervised method is shown of an image. A batch in, a changed batch out."""

from __future__ import annotations

from fgssl_edu.views.aberration import aberrate, channel_shifts
from fgssl_edu.views.augment import (
    Augment,
    crop_boxes,
    draw_channel,
    draw_cutout,
    draw_noise,
    draw_quarter_turns,
)
from fgssl_edu.views.background import BackgroundSwap
from fgssl_edu.views.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    as_float,
    color_drop,
    grayscale,
    solarize,
)
from fgssl_edu.views.color_bins import annealed_mean, gamut_bins, nearest_bin, rarity_weights, soft_code
from fgssl_edu.views.filters import gaussian_blur, gaussian_noise, sobel
from fgssl_edu.views.geometry import crop_resize, cutout, flip, quarter_turn, resized
from fgssl_edu.views.lab import lab_to_rgb, rgb_to_lab
from fgssl_edu.views.masks import MASKS, draw_mask, visible
from fgssl_edu.views.multicrop import MultiCrop
from fgssl_edu.views.patches import Tiling, cut_tiles, drop_colors, normalize_tiles, tile_corners
from fgssl_edu.views.permutations import permutation_set
from fgssl_edu.views.presets import VIEWS, ViewPreset, scaled
from fgssl_edu.views.turns import lit_from_above, turned

__all__ = [
    "MASKS",
    "VIEWS",
    "Augment",
    "BackgroundSwap",
    "MultiCrop",
    "Tiling",
    "ViewPreset",
    "aberrate",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "annealed_mean",
    "as_float",
    "channel_shifts",
    "color_drop",
    "crop_boxes",
    "crop_resize",
    "cut_tiles",
    "cutout",
    "draw_channel",
    "draw_cutout",
    "draw_mask",
    "draw_noise",
    "draw_quarter_turns",
    "drop_colors",
    "flip",
    "gamut_bins",
    "gaussian_blur",
    "gaussian_noise",
    "grayscale",
    "lab_to_rgb",
    "lit_from_above",
    "nearest_bin",
    "normalize_tiles",
    "permutation_set",
    "quarter_turn",
    "rarity_weights",
    "resized",
    "rgb_to_lab",
    "scaled",
    "sobel",
    "soft_code",
    "solarize",
    "tile_corners",
    "turned",
    "visible",
]
