"""Giving a sprite another colour in OKLCH.

`hue` moves the pixels near the dominant hue, `tint` colours what is white or gray; both keep the shading.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .catalogue import Sprite
from .oklab import from_oklab, parse_hex, to_linear, to_oklab

LIGHTNESS = {"black": 0.27, "white": 0.95, "gray": 0.68, "yellow": 0.85}
"""Lightness to aim for where the palette's own leaves no room for shading."""

GRAYS = ("black", "white", "gray")


def recolour(rgb: Tensor, sprite: Sprite, colour: str, hex_colour: str) -> Tensor:
    """float `[..., 3]` sRGB, straight → the same in another colour, clamped to [0, 1].

    Raises `ValueError` when the sprite cannot be recoloured.
    """
    if sprite.recolour is None:
        raise ValueError(f"the {sprite.style} sprite cannot be recoloured")
    lab = to_oklab(rgb)
    lightness, a, b = lab.unbind(-1)
    chroma = torch.hypot(a, b)
    weight = _weight(lightness, torch.atan2(b, a), chroma, sprite)

    target = to_oklab(torch.tensor(parse_hex(hex_colour)))
    target_lightness = LIGHTNESS.get(colour, float(target[0]))
    target_chroma = float(torch.hypot(target[1], target[2]))
    target_hue = math.atan2(float(target[2]), float(target[1]))

    main_lightness, main_a, main_b = sprite.main
    new_lightness = _shift_lightness(lightness, main_lightness, target_lightness)
    if colour in GRAYS:
        new_chroma = torch.zeros_like(chroma)
        new_hue = torch.zeros_like(chroma)
    elif sprite.recolour == "tint":
        # The darker the shade, the fuller the colour; highlights stay near white.
        new_chroma = target_chroma * ((1 - new_lightness) / (1 - target_lightness)).clamp(0, 1.1)
        new_hue = torch.full_like(chroma, target_hue)
    else:
        main_hue = math.atan2(main_b, main_a)
        main_chroma = max(math.hypot(main_a, main_b), 0.05)
        new_chroma = chroma * (target_chroma / main_chroma)
        new_chroma = torch.minimum(new_chroma, torch.full_like(chroma, target_chroma * 1.25))
        new_hue = target_hue + 0.5 * _wrap(torch.atan2(b, a) - main_hue)
    moved = torch.stack([new_lightness, new_chroma * torch.cos(new_hue), new_chroma * torch.sin(new_hue)], dim=-1)
    mixed = lab + (moved - lab) * weight.unsqueeze(-1)
    return _into_gamut(mixed)


def _weight(lightness: Tensor, hue: Tensor, chroma: Tensor, sprite: Sprite) -> Tensor:
    """How much each pixel moves, 0–1, with soft edges so that no seam shows."""
    if sprite.recolour == "tint":
        is_gray = ((0.10 - chroma) / 0.04).clamp(0, 1)
        is_light = ((lightness - 0.36) / 0.12).clamp(0, 1)
        return is_gray * is_light
    assert sprite.hue is not None
    apart = _wrap(hue - math.radians(sprite.hue)).abs()
    near = ((math.radians(62) - apart) / math.radians(14)).clamp(0, 1)
    return near * ((chroma - 0.015) / 0.03).clamp(0, 1)


def _shift_lightness(lightness: Tensor, main: float, target: float) -> Tensor:
    """Moves the mean to the target; darker keeps black at black, lighter keeps white at white."""
    if target <= main:
        return lightness * (target / main)
    return 1 - (1 - lightness) * ((1 - target) / max(1 - main, 0.05))


def _wrap(angle: Tensor) -> Tensor:
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def _into_gamut(lab: Tensor) -> Tensor:
    """Lowers chroma in six halvings until the colour exists in sRGB."""
    low = torch.zeros_like(lab[..., :1])
    high = torch.ones_like(low)
    scale = torch.ones_like(low)
    for _ in range(6):
        linear = to_linear(torch.cat([lab[..., :1], lab[..., 1:] * scale], dim=-1))
        inside = ((linear > -0.001) & (linear < 1.008)).all(dim=-1, keepdim=True)
        low = torch.where(inside, scale, low)
        high = torch.where(inside, high, scale)
        scale = torch.where(inside & (scale >= 1), scale, (low + high) / 2)
    return from_oklab(torch.cat([lab[..., :1], lab[..., 1:] * low], dim=-1)).clamp(0, 1)
