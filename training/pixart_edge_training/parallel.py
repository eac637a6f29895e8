"""Several single-threaded processes on one machine, averaging their gradients once a step.

On a machine that others use too, this loses less than one process with many threads, which waits for its slowest thread
at every operation.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def from_first(value: float) -> float:
    """The first process's value, for decisions that all must take alike, such as when to stop."""
    if world() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(shared, 0)
    return float(shared[0])


def average_gradients(params: Iterable[nn.Parameter]) -> None:
    """Leaves the mean over processes in every `.grad`; all must hold gradients for the same parameters."""
    if world() == 1:
        return
    grads = [param.grad for param in params if param.grad is not None]
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    flat /= world()
    for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
        grad.copy_(part.view_as(grad))


def gather_rows(local: Tensor, count: int) -> Tensor:
    """Puts together the slices that `my_share` gave out. [count, ...]; every process gets the whole."""
    if world() == 1:
        return local
    widest = -(-count // world())
    padded = local.new_zeros((widest, *local.shape[1:]))
    padded[: len(local)] = local
    parts = [torch.empty_like(padded) for _ in range(world())]
    dist.all_gather(parts, padded.contiguous())
    return torch.cat(parts)[:count]


def my_share(count: int) -> slice:
    """The contiguous part of `count` items that falls to this process."""
    widest = -(-count // world())
    return slice(min(count, rank() * widest), min(count, (rank() + 1) * widest))


def _enter(index: int, processes: int, meeting: str, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=index, world_size=processes)
    try:
        work(*args)
    finally:
        dist.destroy_process_group()


def run_processes(processes: int, work: Callable[..., Any], *args: Any) -> None:
    """Runs `work(*args)` in that many processes, or right here when one is enough. An error in any stops all."""
    if processes <= 1:
        work(*args)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = os.path.join(folder, "meeting")
        mp.spawn(_enter, args=(processes, meeting, work, args), nprocs=processes, join=True)
