"""Tensors filled by a hash of their name, as tests/helpers/hash-tensor.ts fills them."""

from __future__ import annotations

import math

import numpy as np
import torch


def uniform(name: str, count: int) -> np.ndarray:
    """r of every element in [-1/2, 1/2), float64."""
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    mask = np.uint64(0xFFFFFFFF)
    u = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B1) + np.uint64(h * 0x85EBCA6B & 0xFFFFFFFF)) & mask
    u ^= u >> np.uint64(16)
    u = (u * np.uint64(0x7FEB352D)) & mask
    u ^= u >> np.uint64(15)
    u = (u * np.uint64(0x846CA68B)) & mask
    u ^= u >> np.uint64(16)
    return u.astype(np.float64) / 2**32 - 0.5


def hash_input(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Unit variance."""
    return filled(name, shape, math.sqrt(12))


def hash_weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Matrices r·√(12 / fan-in), vectors named `….weight` 1 + 0.2r, all else 0.2r."""
    if not name.endswith(".weight"):
        return filled(name, shape, 0.2)
    if len(shape) < 2:
        return filled(name, shape, 0.2, 1.0)
    return filled(name, shape, math.sqrt(12 / math.prod(shape[1:])))


def filled(name: str, shape: tuple[int, ...], scale: float, offset: float = 0.0) -> torch.Tensor:
    values = uniform(name, math.prod(shape)) * scale + offset
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def fill(module: torch.nn.Module, prefix: str = "") -> None:
    """Every parameter of a module by the name that it has in a checkpoint."""
    state = {name: hash_weight(prefix + name, tuple(value.shape)) for name, value in module.state_dict().items()}
    module.load_state_dict(state)
    module.eval()


def summary(output: torch.Tensor) -> dict:
    """What a test compares: the ends, and figures of the whole."""
    flat = output.detach().flatten().double()
    return {
        "first": [float(value) for value in flat[:12]],
        "last": [float(value) for value in flat[-12:]],
        "mean": float(flat.mean()),
        "mean_magnitude": float(flat.abs().mean()),
    }
