"""Patterned backdrops of one colour and a paler one: how much of the colour each pixel has."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .random_stream import RandomStream

PALER = 0.5
"""Part of white in the second colour of a pattern."""


def pattern_mask(pattern: str, variant: int, size: int = 128) -> Tensor:
    """float `[size, size]` in [0, 1], antialiased: 1 where the colour is full, 0 where it is pale."""
    random = RandomStream(f"pattern/{pattern}", variant)
    axis = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return _PATTERNS[pattern](x, y, random, size)


def _edge(distance: Tensor, size: int) -> Tensor:
    """Signed distance in parts of the frame → coverage of a pixel."""
    return (0.5 + distance * size).clamp(0, 1)


def _dots(x: Tensor, y: Tensor, random: RandomStream, size: int) -> Tensor:
    step = random.uniform(0.15, 0.2)
    u, v = (x + y) / math.sqrt(2) + random.uniform(), (x - y) / math.sqrt(2) + random.uniform()
    u, v = (u / step) % 1 - 0.5, (v / step) % 1 - 0.5
    return 1 - _edge(0.26 * step - torch.hypot(u, v) * step, size)


def _stripes(x: Tensor, y: Tensor, random: RandomStream, size: int) -> Tensor:
    step = random.uniform(0.15, 0.22)
    angle = math.radians(random.choice((0, 45, 90, 135)))
    across = (x * math.cos(angle) + y * math.sin(angle)) / step + random.uniform()
    return _edge((0.25 - (across % 1 - 0.5).abs()) * step, size)


def _checks(x: Tensor, y: Tensor, random: RandomStream, size: int) -> Tensor:
    step = 1 / random.choice((4, 5, 6, 8))
    u, v = ((axis / step) % 2 - 1 for axis in (x, y))
    return _edge((0.5 - u.abs()) * step, size) * _edge((0.5 - v.abs()) * step, size) + (
        1 - _edge((0.5 - u.abs()) * step, size)
    ) * (1 - _edge((0.5 - v.abs()) * step, size))


def _rays(x: Tensor, y: Tensor, random: RandomStream, size: int) -> Tensor:
    count = random.choice((8, 10, 12, 14))
    u, v = x - 0.5, y - 0.5 - random.uniform(0.0, 0.1)
    turn = torch.atan2(v, u) / (2 * math.pi) * count + random.uniform()
    away = torch.hypot(u, v) * 2 * math.pi / count
    return _edge((0.25 - (turn % 1 - 0.5).abs()) * away, size)


_PATTERNS = {"dots": _dots, "stripes": _stripes, "checks": _checks, "rays": _rays}
