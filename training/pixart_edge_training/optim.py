"""Muon for hidden matrices, AdamW for everything else, and the learning-rate shape of a budgeted run.

Muon: Keller Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024). The momentum of a
matrix is replaced by the nearest orthogonal matrix, found by a few Newton-Schulz steps. Processes share that work: each
orthogonalises a part of the matrices and they exchange the results.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .parallel import gather_rows, my_share


def orthogonalise(matrices: Tensor, steps: int = 4) -> Tensor:
    """Nearest orthogonal matrices, roughly: singular values land in about 0.7..1.2. [N, rows, cols] in and out."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if torch.cpu._is_avx512_bf16_supported() else matrices.float()
    wide = x.shape[1] > x.shape[2]
    if wide:
        x = x.mT
    x = x / (x.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = a * x + torch.bmm(b * gram + c * torch.bmm(gram, gram), x)
    return (x.mT if wide else x).float()


class Muon(torch.optim.Optimizer):
    """Takes parameters of two or more dimensions; more than two are flattened to [out, rest]."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, steps: int = 4) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "steps": steps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(param)
                moment = state["momentum"].lerp_(param.grad, 1 - group["momentum"])
                update = param.grad.lerp(moment, group["momentum"])
                matrix = update.flatten(1)
                by_shape[(matrix.shape[0], matrix.shape[1])].append((param, matrix))
            for (rows, cols), entries in by_shape.items():
                mine = [matrix for _, matrix in entries][my_share(len(entries))]
                local = torch.stack(mine) if mine else torch.empty(0, rows, cols)
                updates = gather_rows(orthogonalise(local, group["steps"]) if mine else local, len(entries))
                scale = max(1.0, rows / cols) ** 0.5
                for (param, _), update in zip(entries, updates, strict=True):
                    param.add_(update.view_as(param), alpha=-group["lr"] * scale)


@dataclass
class Budget:
    """How far a run has come: by wall clock when given minutes, by steps when given steps.

    `spent` carries the seconds of earlier sittings of the same run, so that a resumed run goes on where it was.
    """

    minutes: float | None = None
    steps: int | None = None
    spent: float = 0.0

    def __post_init__(self) -> None:
        self._started = time.monotonic()

    def elapsed(self) -> float:
        return self.spent + time.monotonic() - self._started

    def progress(self, step: int) -> float:
        if self.steps is not None:
            return step / self.steps
        return self.elapsed() / (60.0 * (self.minutes or 1.0))


def learning_rate_scale(step: int, progress: float, *, warm_up: int, decay_from: float, decay_to: float) -> float:
    """Linear warm-up in steps, then constant, then a line down to `decay_to` at the end of the budget."""
    warm = min(1.0, (step + 1) / max(1, warm_up))
    if progress <= decay_from:
        return warm
    along = min(1.0, (progress - decay_from) / max(1e-9, 1.0 - decay_from))
    return warm * (1.0 + (decay_to - 1.0) * along)


def scale_learning_rates(optimizers: Iterable[torch.optim.Optimizer], scale: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("base_lr", group["lr"]) * scale


class Ema:
    """A running average of a module's parameters, with a warm-up so that the first steps do not haunt it."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.shadow = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        names, values = zip(*((n, v) for n, v in module.state_dict().items() if v.is_floating_point()), strict=True)
        torch._foreach_lerp_([self.shadow[name] for name in names], list(values), 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "shadow": self.shadow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.shadow = {name: value.clone() for name, value in state["shadow"].items()}
