"""sRGB ⇄ OKLab on tensors (Ottosson 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

_RGB_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_LMS_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_LAB_TO_LMS = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
_LMS_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


def to_oklab(rgb: Tensor) -> Tensor:
    """float `[..., 3]` sRGB in [0, 1] → float `[..., 3]` OKLab."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    lms = linear @ rgb.new_tensor(_RGB_TO_LMS).T
    lms = lms.sign() * lms.abs() ** (1 / 3)
    return lms @ rgb.new_tensor(_LMS_TO_LAB).T


def to_linear(lab: Tensor) -> Tensor:
    """float `[..., 3]` OKLab → float `[..., 3]` linear-light sRGB, outside [0, 1] where it does not exist."""
    lms = lab @ lab.new_tensor(_LAB_TO_LMS).T
    return (lms * lms * lms) @ lab.new_tensor(_LMS_TO_RGB).T


def from_oklab(lab: Tensor) -> Tensor:
    """float `[..., 3]` OKLab → float `[..., 3]` sRGB, not clamped."""
    linear = to_linear(lab)
    curve = 1.055 * linear.clamp_min(1e-9) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curve)


def parse_hex(hex_colour: str) -> tuple[float, float, float]:
    """`"#rrggbb"` → three floats in [0, 1]."""
    value = int(hex_colour[1:], 16)
    return (value >> 16) / 255, (value >> 8 & 255) / 255, (value & 255) / 255


def parse_lab(hex_colour: str) -> tuple[float, float, float]:
    """`"#rrggbb"` → its OKLab, as plain numbers."""
    lightness, a, b = to_oklab(torch.tensor(parse_hex(hex_colour), dtype=torch.float64)).tolist()
    return lightness, a, b
