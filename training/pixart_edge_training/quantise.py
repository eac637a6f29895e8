"""Int8 with one scale per row, and back.

A row is everything that feeds one output. Its scale is searched for the least squared error: cutting a lone large weight
often costs less than coarse steps for all the others.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

FAN_IN_MIN = 64
SCALE_SUFFIX = ".scale"
_CANDIDATES = torch.linspace(0.6, 1.0, 21)


def is_quantised(name: str, tensor: Tensor) -> bool:
    """Linear, convolution and embedding weights with at least 64 inputs; tables, norms and biases stay float16."""
    table = name.endswith("scale_shift_table") or "relative_attention_bias" in name
    return tensor.ndim >= 2 and name.endswith("weight") and not table and prod(tensor.shape[1:]) >= FAN_IN_MIN


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """float [out, ...] -> int8 of the same shape and float32 scales [out]; weight is about q * scale."""
    rows = weight.detach().float().flatten(1)
    widest = rows.abs().amax(1).clamp_min(1e-12) / 127
    best_error = torch.full((len(rows),), torch.inf)
    best_scale = widest.clone()
    for share in _CANDIDATES:
        scale = widest * share
        error = ((rows / scale[:, None]).round().clamp(-127, 127) * scale[:, None] - rows).square().sum(1)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_scale = torch.where(better, scale, best_scale)
    q = (rows / best_scale[:, None]).round().clamp(-127, 127).to(torch.int8)
    return q.view(weight.shape), best_scale


def pack(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict as it is shipped: I8 with `<name>.scale` F32 beside it, everything else F16."""
    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if is_quantised(name, tensor):
            packed[name], packed[name + SCALE_SUFFIX] = quantise_rows(tensor)
        else:
            packed[name] = tensor.detach().to(torch.float16).contiguous()
    return packed


def unpack(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The shipped state dict expanded to float32. Exact: the same numbers every reader gets."""
    state: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(SCALE_SUFFIX) and name.removesuffix(SCALE_SUFFIX) in packed:
            continue
        if tensor.dtype == torch.int8:
            scale = packed[name + SCALE_SUFFIX]
            state[name] = tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        else:
            state[name] = tensor.float()
    return state
