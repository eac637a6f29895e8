"""A small canvas for the drawings made here: antialiased shapes in the dialect of a drawn style.

`flat` fills shapes with one colour, `3d` shades them and lets them throw a soft shadow, `cartoon` outlines them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

OVERSAMPLING = 3

Point = tuple[float, float]
Colour = tuple[int, int, int]


def rgb(hex_colour: str) -> Colour:
    value = int(hex_colour[1:], 16)
    return value >> 16, value >> 8 & 255, value & 255


def mix(first: Colour, second: Colour, amount: float) -> Colour:
    """`first` with so much of `second` in it."""
    return tuple(round(x + (y - x) * amount) for x, y in zip(first, second, strict=True))  # type: ignore[return-value]


class Canvas:
    """RGBA, square; coordinates are parts of its side, y down."""

    def __init__(self, size: int, style: str) -> None:
        self.size, self.style = size, style
        self.side = size * OVERSAMPLING
        self.image = Image.new("RGBA", (self.side, self.side), (0, 0, 0, 0))

    def gradient(self, top: str, bottom: str, until: float = 1.0) -> None:
        """Fills the canvas from top to bottom; flat style uses only two bands of it."""
        rows = np.linspace(0, 1 / until, self.side).clip(0, 1)
        if self.style == "flat":
            rows = rows * 0.35
        colours = np.array(rgb(top)) + (np.array(rgb(bottom)) - np.array(rgb(top))) * rows[:, None]
        pixels = np.repeat(colours[:, None], self.side, axis=1).round().astype(np.uint8)
        self.image = Image.fromarray(pixels).convert("RGBA")

    def polygon(self, points: Sequence[Point], colour: str, **options: float) -> None:
        mask, draw = self._mask()
        draw.polygon([(x * self.side, y * self.side) for x, y in points], fill=255)
        self._fill(mask, colour, **options)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: str, **options: float) -> None:
        mask, draw = self._mask()
        draw.ellipse(self._box(x - rx, y - ry, x + rx, y + ry), fill=255)
        self._fill(mask, colour, **options)

    def ellipses(self, parts: Sequence[tuple[float, float, float, float]], colour: str, **options: float) -> None:
        """Several ellipses as one shape: a cloud, the crown of a tree."""
        mask, draw = self._mask()
        for x, y, rx, ry in parts:
            draw.ellipse(self._box(x - rx, y - ry, x + rx, y + ry), fill=255)
        self._fill(mask, colour, **options)

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: str, radius: float = 0.0, **options: float
    ) -> None:
        mask, draw = self._mask()
        draw.rounded_rectangle(self._box(left, top, right, bottom), radius * self.side, fill=255)
        self._fill(mask, colour, **options)

    def line(self, points: Sequence[Point], width: float, colour: str, **options: float) -> None:
        """A stroke with round ends and joints."""
        mask, draw = self._mask()
        scaled = [(x * self.side, y * self.side) for x, y in points]
        draw.line(scaled, fill=255, width=max(1, round(width * self.side)), joint="curve")
        half = width * self.side / 2
        for x, y in (scaled[0], scaled[-1]):
            draw.ellipse((x - half, y - half, x + half, y + half), fill=255)
        self._fill(mask, colour, **{"shade": 0.0, "outline": 0.0, **options})

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float, colour: str
    ) -> None:
        """Part of an ellipse's rim, from `start` to `end` in degrees clockwise from the right."""
        angles = np.radians(np.linspace(start, end, 24))
        self.line([(x + rx * np.cos(a), y + ry * np.sin(a)) for a in angles], width, colour)

    def pixels(self) -> np.ndarray:
        """uint8 `[size, size, 4]`, straight alpha."""
        return _premultiplied_resize(self.image, self.size)

    def _mask(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        mask = Image.new("L", (self.side, self.side), 0)
        return mask, ImageDraw.Draw(mask)

    def _box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return left * self.side, top * self.side, right * self.side, bottom * self.side

    def _fill(
        self,
        mask: Image.Image,
        colour: str,
        shade: float = 1.0,
        outline: float = 1.0,
        shadow: float = 1.0,
        opacity: float = 1.0,
    ) -> None:
        """`shade`, `outline` and `shadow` scale what the dialect adds; 0 leaves the shape plain."""
        found = mask.getbbox()
        if found is None:
            return
        # Everything below works on the part of the canvas that the shape and its shadow touch.
        reach = round(self.side * 0.05)
        window = (
            max(0, found[0] - reach),
            max(0, found[1] - reach),
            min(self.side, found[2] + reach),
            min(self.side, found[3] + reach),
        )
        mask = mask.crop(window)
        if opacity < 1:
            mask = mask.point(lambda value: round(value * opacity))
        part, fill = self.image.crop(window), rgb(colour)
        if self.style == "3d" and shade > 0:
            if shadow > 0:
                part = self._darkened(part, mask, shadow)
            part.paste(_shaded(mask, fill, shade), (0, 0), mask)
        else:
            part.paste((*fill, 255), (0, 0, *part.size), mask)
        if self.style == "cartoon" and outline > 0:
            thick = max(1, round(self.side * 0.007 * outline)) * 2 + 1
            rim = ImageChops.subtract(mask, mask.filter(ImageFilter.MinFilter(min(thick, 7))))
            part.paste((*mix(fill, (20, 16, 30), 0.42), 255), (0, 0, *part.size), rim)
        self.image.paste(part, window[:2])

    def _darkened(self, part: Image.Image, mask: Image.Image, shadow: float) -> Image.Image:
        """A soft shadow of the shape, which falls only on what is already painted."""
        soft = mask.filter(ImageFilter.BoxBlur(self.side * 0.016))
        soft = ImageChops.offset(soft, 0, round(self.side * 0.008)).point(lambda value: round(value * 0.22 * shadow))
        shadowed = Image.composite(Image.new("RGBA", part.size, (24, 18, 44, 255)), part, soft)
        shadowed.putalpha(part.getchannel("A"))
        return shadowed


def _shaded(mask: Image.Image, fill: Colour, shade: float) -> Image.Image:
    """The colour, lighter at the top of the shape and darker at its bottom."""
    _, top, _, bottom = mask.getbbox() or (0, 0, *mask.size)
    rows = ((np.arange(mask.height) - top) / max(1, bottom - top)).clip(0, 1)[:, None]
    light, dark = np.array(mix(fill, (255, 255, 255), 0.2 * shade)), np.array(mix(fill, (24, 16, 60), 0.2 * shade))
    column = (light + (dark - light) * rows).round().astype(np.uint8)[:, None]
    return Image.fromarray(column).resize(mask.size).convert("RGBA")


def _premultiplied_resize(image: Image.Image, size: int) -> np.ndarray:
    """Area average that does not mix the colour of transparent pixels in."""
    pixels = np.asarray(image, np.float32)
    side = pixels.shape[0] // size
    alpha = pixels[..., 3:]
    blocks = (
        np.concatenate([pixels[..., :3] * alpha, alpha], axis=-1).reshape(size, side, size, side, 4).mean(axis=(1, 3))
    )
    straight = blocks[..., :3] / np.maximum(blocks[..., 3:], 1e-6)
    return np.concatenate([straight, blocks[..., 3:]], axis=-1).round().clip(0, 255).astype(np.uint8)
