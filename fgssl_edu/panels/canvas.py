"""What the panels' pictures are made of: tiles, text, heat maps and outlines, composed with Pillow in milliseconds.

A matplotlib figure takes 60 to 400 ms to draw; a picture that follows a slider has 100 ms for everything.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

WIDTH = 1000  # pixels of every panel's picture
MARGIN = 10  # pixels between tiles
TEXT, SMALL, TITLE = 18, 16, 21  # font sizes in pixels
QUALITY = 90  # of the JPEG; with full chroma resolution, so that thin coloured lines stay sharp
INK, QUIET, PAPER, RULE = (34, 34, 34), (95, 95, 95), (255, 255, 255), (215, 215, 215)
# Colour-blind safe (Okabe and Ito 2008); each always comes with a symbol or a word
GREEN, AMBER, RED, BLUE = (0, 128, 96), (230, 159, 0), (200, 70, 0), (0, 114, 178)
Color = tuple[int, int, int]  # RGB, 0..255
HEAT_OPACITY = 0.75  # of the hottest place of a heat map


@lru_cache(maxsize=32)
def font(size: int = TEXT, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib brings it: the same picture on every machine, and it has the symbols."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


@lru_cache(maxsize=1)
def _heat_colours() -> NDArray[np.float32]:
    """(256, 3) inferno: lightness rises with value, so it also reads in grey."""
    import matplotlib

    return (matplotlib.colormaps["inferno"](np.linspace(0.05, 1, 256))[:, :3] * 255).astype(np.float32)


def to_array(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) uint8, or float in [0, 1], as an (H, W, 3) uint8 array."""
    if image.dtype != torch.uint8:
        image = (image.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return image.permute(1, 2, 0).cpu().contiguous().numpy()


def tile(image: Tensor, side: int) -> Image.Image:
    """A (3, H, W) picture enlarged or reduced to a square of `side` pixels."""
    return Image.fromarray(to_array(image)).resize((side, side), Image.Resampling.BICUBIC)


def heat_tile(image: Tensor, heat: Tensor, side: int) -> Image.Image:
    """The picture in grey under its heat map.

    Args:
        image: (3, H, W) uint8 or float in [0, 1].
        heat: (h, w) in [0, 1]; smoothly enlarged.
        side: pixels.
    """
    grey = np.asarray(tile(image, side).convert("L"), dtype=np.float32)[..., None] * 0.85
    values = Image.fromarray(heat.detach().cpu().float().numpy()).resize((side, side), Image.Resampling.BICUBIC)
    level = np.clip(np.asarray(values), 0, 1)  # (side, side); bicubic overshoots
    colours = _heat_colours()[(level * 255).astype(np.uint8)]  # (side, side, 3)
    opacity = HEAT_OPACITY * np.sqrt(level)[..., None]
    return Image.fromarray((grey * (1 - opacity) + colours * opacity).astype(np.uint8))


def matrix_tile(values: Tensor, width: int, height: int) -> Image.Image:
    """A (rows, columns) matrix of values in [0, 1] as cells coloured like a heat map."""
    colours = _heat_colours()[(values.detach().clamp(0, 1) * 255).long().cpu().numpy()].astype(np.uint8)
    return Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)


def outline(picture: Image.Image, mask: Tensor, inner: Color = (0, 230, 255)) -> Image.Image:
    """Draw the border of a (H, W) mask: a light line on a dark one, seen on any ground."""
    enlarged = Image.fromarray(mask.cpu().to(torch.uint8).numpy() * 255).resize(picture.size, Image.Resampling.BICUBIC)
    inside = np.asarray(enlarged) > 127
    pixels = np.asarray(picture).copy()
    pixels[_grown(inside, 3) & ~inside] = (0, 0, 0)
    pixels[_grown(inside, 2) & ~inside] = inner
    return Image.fromarray(pixels)


def _grown(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """The mask and everything within `steps` pixels of it."""
    for _ in range(steps):
        wide = mask.copy()
        wide[1:] |= mask[:-1]
        wide[:-1] |= mask[1:]
        wide[:, 1:] |= mask[:, :-1]
        wide[:, :-1] |= mask[:, 1:]
        mask = wide
    return mask


def _lines(rows: list[tuple[str, list[str]]], top: int) -> list[tuple[str, list[str], int, int]]:
    return [(words, numbers, top + 28 * line, SMALL) for line, (words, numbers) in enumerate(rows)]


class Canvas:
    """A white picture to put tiles and words on.

    Args:
        height, width: pixels.
    """

    def __init__(self, height: int, width: int = WIDTH) -> None:
        self.picture = Image.new("RGB", (width, height), PAPER)
        self.pen = ImageDraw.Draw(self.picture)

    def put(self, image: Image.Image, x: int, y: int, frame: Color | None = None, thick: int = 5) -> None:
        """Place a tile; a frame is drawn around it, outwards, within `thick` pixels."""
        if frame is not None:
            right, bottom = x + image.width + thick - 1, y + image.height + thick - 1
            self.pen.rectangle((x - thick, y - thick, right, bottom), fill=frame)
        self.picture.paste(image, (x, y))

    def write(
        self,
        words: str,
        x: float,
        y: float,
        size: int = TEXT,
        colour: Color = INK,
        bold: bool = False,
        anchor: str = "la",
        room: int | None = None,
    ) -> None:
        """Write one line, shortened to `room` pixels; `anchor` as in Pillow: "la" left top, "ma" middle, "ra" right."""
        face = font(size, bold)
        if room is not None and face.getlength(words) > room:
            while words and face.getlength(words + "…") > room:
                words = words.rpartition(" ")[0] or words[:-1]
            words += "…"
        self.pen.text((x, y), words, fill=colour, font=face, anchor=anchor)

    def write_lines(self, words: str, x: int, y: int, room: int, size: int = TEXT, bold: bool = False) -> int:
        """Write words over as many lines as they need; returns the y below them."""
        lines = [""]
        for word in words.split():
            longer = f"{lines[-1]} {word}".strip()
            fits = not lines[-1] or font(size, bold).getlength(longer) <= room
            lines = [*lines[:-1], longer] if fits else [*lines, word]
        for line in lines:
            self.write(line, x, y, size, bold=bold, room=room)
            y += size + 6
        return y

    def table(self, left: int, top: int, title: str, rows: list[tuple[str, list[str]]], *notes: str) -> None:
        """Up to four lines of words with two numbers each, for A and B, and notes below."""
        columns = (self.picture.width - 80, self.picture.width - MARGIN)
        for words, numbers, y, size in [(title, ["A", "B"], top, TEXT), *_lines(rows, top + 32)]:
            self.write(words, left, y, size, bold=size == TEXT)
            for number, x in zip(numbers, columns, strict=True):
                self.write(number, x, y, size, bold=size == TEXT, anchor="ra")
        for line, words in enumerate(notes):
            self.write(words, left, top + 152 + 24 * line, SMALL, QUIET)

    def rule(self, y: int, left: int = MARGIN, right: int | None = None) -> None:
        """A thin grey line across."""
        self.pen.line((left, y, (right or self.picture.width - MARGIN), y), fill=RULE, width=1)

    def array(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        return np.asarray(self.picture)


def encode(pixels: NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """An (H, W, 3) uint8 array as JPEG bytes: a fifth of PNG's time."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
