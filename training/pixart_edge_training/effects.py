"""Eleven styles made by procedure out of the drawn ones, a batch at a time.

Each takes a `Layers` of scenes that share the style and returns their pictures; nothing here looks at a scene.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

INK = 0.1  # gray of outlines


@dataclass(frozen=True)
class Layers:
    """What a style is made from. Colours are sRGB in [0, 1]."""

    things: Tensor  # float `[B, 3, H, W]`, premultiplied
    mask: Tensor  # float `[B, 1, H, W]`, coverage of the things
    behind: Tensor  # float `[B, 3, H, W]`
    see_through: Tensor  # bool `[B]`: no backdrop
    noise: Tensor  # float `[B, 1, H, W]` in [0, 1], white, fixed by the seed of each scene


Pictures = tuple[Tensor, Tensor, Tensor]
"""RGB flattened on white `[B, 3, H, W]`, alpha and the things' mask `[B, 1, H, W]`."""


def plain(layers: Layers) -> Pictures:
    """No effect: things over their backdrop."""
    return _over(layers, layers.things, layers.mask)


def apply_effect(effect: str, layers: Layers) -> Pictures:
    return _EFFECTS[effect](layers)


def _over(layers: Layers, things: Tensor, mask: Tensor, behind: Tensor | None = None) -> Pictures:
    """Premultiplied things over their backdrop, which is white and without alpha for see-through scenes."""
    behind = layers.behind if behind is None else behind
    rgb = things + behind * (1 - mask)
    alpha = torch.where(layers.see_through.view(-1, 1, 1, 1), mask, torch.ones_like(mask))
    return rgb, alpha, mask


def _unit(layers: Layers) -> int:
    """Pixels of one 128th of the frame, at least 1: widths scale with the picture."""
    return max(1, round(layers.mask.shape[-1] / 128))


def _grown(mask: Tensor, radius: int) -> Tensor:
    """Dilated by about a disc: a square and a diamond take turns."""
    for step in range(radius):
        if step % 2:
            mask = F.max_pool2d(mask, 3, 1, 1)
        else:
            wide = F.max_pool2d(mask, (1, 3), 1, (0, 1))
            mask = torch.maximum(wide, F.max_pool2d(mask, (3, 1), 1, (1, 0)))
    return mask


def _blurred(picture: Tensor, radius: int) -> Tensor:
    """Two box blurs, near enough to a Gaussian."""
    if radius < 1:
        return picture
    for _ in range(2):
        padded = F.pad(picture, (radius, radius, radius, radius), mode="replicate")
        picture = F.avg_pool2d(padded, 2 * radius + 1, 1)
    return picture


def _moved(picture: Tensor, dy: int, dx: int) -> Tensor:
    """Shifted down and right; what comes in is empty."""
    height, width = picture.shape[-2:]
    return F.pad(picture, (dx, 0, dy, 0))[..., :height, :width]


def _gray(rgb: Tensor) -> Tensor:
    return (rgb * rgb.new_tensor((0.3, 0.59, 0.11)).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _straight(layers: Layers) -> Tensor:
    return layers.things / layers.mask.clamp_min(1e-3)


def _edges(layers: Layers) -> Tensor:
    """Lines `[B, 1, H, W]` in [0, 1] where colours meet inside things, and around them."""
    flat = layers.things + (1 - layers.mask)
    flat = _blurred(flat, _unit(layers) // 2)
    dx = (flat[..., :, 1:] - flat[..., :, :-1]).abs().amax(1, keepdim=True)
    dy = (flat[..., 1:, :] - flat[..., :-1, :]).abs().amax(1, keepdim=True)
    slope = torch.maximum(F.pad(dx, (0, 1, 0, 0)), F.pad(dy, (0, 0, 0, 1)))
    inside = ((slope - 0.07) / 0.1).clamp(0, 1) * layers.mask
    rim = (_grown(layers.mask, _unit(layers)) - layers.mask).clamp(0, 1)
    return torch.maximum(inside, rim)


def _outline(layers: Layers) -> Pictures:
    unit = _unit(layers)
    hard = ((layers.mask - 0.35) / 0.3).clamp(0, 1)
    grown = _grown(hard, 2 * unit)
    colour = _straight(layers)
    steps = 5.0
    flat = ((colour * steps).round() / steps).clamp(0, 1)
    colour = (0.35 * colour + 0.65 * flat).clamp(0, 1)
    inner = _edges(layers) * hard * 0.55
    things = (colour * (1 - inner) + INK * inner) * hard + INK * (grown - hard).clamp(0, 1)
    return _over(layers, things, torch.maximum(grown, hard))


def _sticker(layers: Layers) -> Pictures:
    unit = _unit(layers)
    border = _blurred(_grown(layers.mask, 4 * unit), unit)
    border = ((border - 0.4) / 0.2).clamp(0, 1)
    shadow = _moved(_blurred(border, 2 * unit), 2 * unit, unit) * 0.32
    behind = layers.behind * (1 - shadow)
    things = layers.things + (border - layers.mask).clamp(0, 1) * 0.995
    cover = torch.maximum(border, layers.mask)
    rgb = things + behind * (1 - cover)
    alpha = torch.where(layers.see_through.view(-1, 1, 1, 1), torch.maximum(cover, shadow), torch.ones_like(cover))
    return rgb, alpha, cover


def _pixel(layers: Layers) -> Pictures:
    size = layers.mask.shape[-1]
    block = 4 * _unit(layers)

    def blocks(picture: Tensor) -> Tensor:
        return F.avg_pool2d(picture, block)

    mask = blocks(layers.mask)
    solid = (mask > 0.45).float()
    colour = blocks(layers.things) / mask.clamp_min(1e-3)
    colour = ((colour * 7).round() / 7).clamp(0, 1)
    behind = ((blocks(layers.behind) * 10).round() / 10).clamp(0, 1)
    behind = torch.where(layers.see_through.view(-1, 1, 1, 1), torch.ones_like(behind), behind)
    rim = F.max_pool2d(1 - solid, 3, 1, 1) * solid
    colour = colour * (1 - 0.45 * rim)
    large = [F.interpolate(part, size=(size, size), mode="nearest") for part in (colour * solid, solid, behind)]
    return _over(layers, large[0], large[1], large[2])


def _line_art(layers: Layers) -> Pictures:
    lines = _edges(layers).clamp(0, 1)
    inside = torch.maximum(layers.mask, lines)
    things = inside - lines * (1 - INK)
    return _over(layers, things.expand(-1, 3, -1, -1), inside)


def _silhouette(layers: Layers) -> Pictures:
    hard = ((layers.mask - 0.3) / 0.4).clamp(0, 1)
    return _over(layers, (hard * 0.09).expand(-1, 3, -1, -1), hard)


def _neon(layers: Layers) -> Pictures:
    unit = _unit(layers)
    lines = _edges(layers)
    colour = _straight(layers) * layers.mask + _blurred(layers.things, 2 * unit) * (1 - layers.mask)
    strongest = colour.amax(1, keepdim=True).clamp_min(0.05)
    weakest = colour.amin(1, keepdim=True)
    # Dull colours become full ones; grays glow in pale blue.
    vivid = ((colour - 0.85 * weakest) / (strongest - 0.85 * weakest).clamp_min(0.05)).clamp(0, 1)
    is_gray = (1 - (strongest - weakest) / 0.12).clamp(0, 1)
    vivid = vivid * (1 - is_gray) + vivid.new_tensor((0.45, 0.85, 1.0)).view(1, 3, 1, 1) * is_gray
    light = lines * vivid
    glow = _blurred(light, 2 * unit) * 1.0 + _blurred(light, 5 * unit) * 0.9
    core = lines * (0.35 + 0.65 * vivid)
    night = vivid.new_tensor((0.05, 0.045, 0.13)).view(1, 3, 1, 1)
    rgb = (night + core + glow).clamp(0, 1)
    return rgb, torch.ones_like(layers.mask), layers.mask


def _blueprint(layers: Layers) -> Pictures:
    unit, size = _unit(layers), layers.mask.shape[-1]
    lines = _edges(layers)
    axis = torch.arange(size, device=lines.device)
    fine, coarse = ((axis % step < unit).float() for step in (8 * unit, 32 * unit))
    grid = 0.10 * torch.maximum(fine[:, None], fine[None, :]) + 0.12 * torch.maximum(coarse[:, None], coarse[None, :])
    paper = lines.new_tensor((0.09, 0.29, 0.62)).view(1, 3, 1, 1) + grid * (1 - 0.7 * layers.mask)
    rgb = paper * (1 - lines) + 0.95 * lines + 0.06 * layers.mask
    return rgb.clamp(0, 1), torch.ones_like(layers.mask), layers.mask


def _grain(layers: Layers, radius: int) -> Tensor:
    """Blotches in [0, 1] of about `radius` pixels."""
    soft = _blurred(layers.noise, radius)
    low, high = soft.amin((2, 3), keepdim=True), soft.amax((2, 3), keepdim=True)
    return (soft - low) / (high - low).clamp_min(1e-4)


def _diagonal(layers: Layers, period: float, direction: int = 1) -> Tensor:
    """Hatching `[H, W]` in [0, 1]."""
    axis = torch.arange(layers.mask.shape[-1], device=layers.mask.device).float() / _unit(layers)
    across = axis[:, None] + direction * axis[None, :]
    return 0.5 + 0.5 * torch.cos(across * (6.2832 / period))


def _chalk(layers: Layers) -> Pictures:
    rough = _grain(layers, 0) * 0.65 + _grain(layers, 1) * 0.35
    lines = _grown(_edges(layers), 1)
    stroke = lines * ((rough - 0.12) / 0.3).clamp(0, 1)
    bright = _gray(_straight(layers).clamp(0, 1))
    hatch = layers.mask * _diagonal(layers, 5.0) * (0.12 + 0.3 * bright) * (0.4 + 0.6 * rough)
    board = layers.mask.new_tensor((0.13, 0.25, 0.2)).view(1, 3, 1, 1) + (_grain(layers, 4) - 0.5) * 0.06
    chalk = torch.maximum(stroke * 0.95, hatch)
    return (board * (1 - chalk) + 0.96 * chalk).clamp(0, 1), torch.ones_like(layers.mask), layers.mask


def _paper_cut(layers: Layers) -> Pictures:
    unit = _unit(layers)
    hard = ((_blurred(layers.mask, unit) - 0.4) / 0.2).clamp(0, 1)
    colour = _blurred(layers.things, 2 * unit) / _blurred(layers.mask, 2 * unit).clamp_min(1e-3)
    flat = ((colour * 4).round() / 4 * 0.92 + 0.04).clamp(0, 1)
    # Steps of colour are layers of paper: each is lit at its upper left edge and dark at its lower right one.
    relief = _gray(flat)
    slope = relief - _moved(relief, unit, unit)
    fibre = (_grain(layers, 0) - 0.5) * 0.05
    colour = (flat + slope.clamp(-0.2, 0.2) * 0.5 + fibre).clamp(0, 1)
    rim = (hard - _moved(hard, unit, unit)).clamp(0, 1) * 0.5
    colour = colour * (1 - rim) + rim
    shadow = _moved(_blurred(hard, 2 * unit), 3 * unit, 2 * unit) * 0.42
    behind = (layers.behind + fibre) * (1 - shadow)
    things = colour * hard
    rgb = things + behind.clamp(0, 1) * (1 - hard)
    alpha = torch.where(layers.see_through.view(-1, 1, 1, 1), torch.maximum(hard, shadow), torch.ones_like(hard))
    rgb = torch.where(layers.see_through.view(-1, 1, 1, 1), things + (1 - shadow) * (1 - hard), rgb)
    return rgb, alpha, hard


def _pencil(layers: Layers) -> Pictures:
    rough = _grain(layers, 0)
    lines = _edges(layers) * (0.55 + 0.45 * rough)
    dark = (1 - _gray(_straight(layers).clamp(0, 1))) * layers.mask
    first, second = _diagonal(layers, 4.0), _diagonal(layers, 4.0, -1)
    hatch = ((dark - 0.12).clamp(0, 1) * (0.35 + 0.65 * first) + (dark - 0.5).clamp(0, 1) * second) * (
        0.65 + 0.35 * rough
    )
    ink = torch.maximum(lines * 0.82, (hatch * 0.95).clamp(0, 0.85))
    cover = torch.maximum(layers.mask, lines)
    return _over(layers, (cover * (0.99 - 0.86 * ink)).expand(-1, 3, -1, -1), cover)


def _mosaic(layers: Layers) -> Pictures:
    unit, size = _unit(layers), layers.mask.shape[-1]
    tile = 6 * unit
    pad = -size % tile
    padding = (0, pad, 0, pad)

    def tiles(picture: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(picture, padding, mode="replicate"), tile)

    def large(picture: Tensor) -> Tensor:
        return F.interpolate(picture, scale_factor=tile, mode="nearest")[..., :size, :size]

    mask = tiles(layers.mask)
    solid = (mask > 0.5).float()
    shade = (tiles(layers.noise) - 0.5) * 0.4
    colour = (tiles(layers.things) / mask.clamp_min(1e-3) + shade).clamp(0, 1)
    behind = (tiles(layers.behind) + shade * 0.6).clamp(0, 1)
    axis = torch.arange(size, device=mask.device) % tile
    gap = (axis < unit).float()
    grout = torch.maximum(gap[:, None], gap[None, :]) * 0.5
    light = (axis == unit).float()
    bevel = torch.maximum(light[:, None], light[None, :]) * (grout == 0) * 0.1
    things = (large(colour) + bevel).clamp(0, 1) * (1 - grout) + 0.78 * grout
    ground = (large(behind) + bevel).clamp(0, 1) * (1 - grout) + 0.78 * grout
    cover = large(solid)
    ground = torch.where(layers.see_through.view(-1, 1, 1, 1), torch.ones_like(ground), ground)
    return _over(layers, things * cover, cover, ground)


_EFFECTS: dict[str, Callable[[Layers], Pictures]] = {
    "outline": _outline,
    "sticker": _sticker,
    "pixel": _pixel,
    "line-art": _line_art,
    "silhouette": _silhouette,
    "neon": _neon,
    "blueprint": _blueprint,
    "chalk": _chalk,
    "paper-cut": _paper_cut,
    "pencil": _pencil,
    "mosaic": _mosaic,
}
