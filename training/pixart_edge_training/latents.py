"""A rolling store of encoded scenes, so that a picture is encoded once and used several times while it is fresh."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .data import Scenes, Tokens, pad_tokens, refuse_held_out
from .vae import encode


class LatentPool:
    """Latents and token ids of the last `capacity` scenes of a stream. The first filling is smaller, to start soon."""

    def __init__(
        self, vae: AutoencoderKL, scenes: Scenes, tokens: Tokens, capacity: int, *, max_length: int, cursor: int = 0
    ) -> None:
        self._vae, self._scenes, self._tokens = vae, scenes, tokens
        self._capacity, self._max_length = capacity, max_length
        self.cursor = cursor
        # Latents of another codec look alike and mean something else.
        self._codec = sum(float(param.detach().double().sum()) for param in vae.parameters())
        self._latents: Tensor | None = None  # float32 [filled, 4, h, w]
        self._ids: list[list[int]] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._ids)

    @torch.no_grad()
    def refresh(self, count: int) -> None:
        """Encodes the next `count` scenes; the oldest make room once the pool is full."""
        batch = refuse_held_out(self._scenes.batch(self.cursor, count))
        self.cursor += count
        mean, _ = encode(self._vae, batch.pictures * 1.0)
        ids = self._tokens.encode(batch.captions)
        for latent, row in zip(mean, ids, strict=True):
            if self._latents is None:
                self._latents = torch.zeros(self._capacity, *latent.shape)
            if len(self._ids) < self._capacity:
                self._latents[len(self._ids)] = latent
                self._ids.append(row)
            else:
                self._latents[self._next] = latent
                self._ids[self._next] = row
                self._next = (self._next + 1) % self._capacity

    def draw(self, count: int, generator: torch.Generator, *, dropout: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """Random latents with their token ids and mask; with chance `dropout` the caption is empty."""
        assert self._latents is not None
        picks = torch.randint(len(self._ids), (count,), generator=generator)
        dropped = torch.rand(count, generator=generator) < dropout
        ids = [[1] if drop else self._ids[pick] for pick, drop in zip(picks.tolist(), dropped.tolist(), strict=True)]
        return self._latents[picks], *pad_tokens(ids, limit=self._max_length)

    def state_dict(self) -> dict[str, Any]:
        latents = self._latents[: len(self)] if self._latents is not None else None
        return {
            "codec": self._codec,
            "cursor": self.cursor,
            "next": self._next,
            "ids": self._ids,
            "latents": latents,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken; of a pool that another codec encoded only the cursor is kept."""
        if state["codec"] != self._codec:
            self.cursor = state["cursor"]
            return
        self.cursor, self._next, self._ids = state["cursor"], state["next"], [list(row) for row in state["ids"]]
        if state["latents"] is not None:
            self._latents = torch.zeros(self._capacity, *state["latents"].shape[1:])
            self._latents[: len(self._ids)] = state["latents"]
