"""Counter-based random numbers: the n-th draw of a stream is a pure function of (key, seed, n)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


@lru_cache(maxsize=256)
def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf8"), digest_size=8).digest(), "big")


def mix(value: int) -> int:
    """SplitMix64's output function (Steele, Lea & Flood 2014, fig. 16), on 64 bits."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


class RandomStream:
    """SplitMix64 started at a place that depends on the name of the stream and a seed."""

    __slots__ = ("_state",)

    def __init__(self, name: str, seed: int) -> None:
        self._state = mix((_key(name) ^ mix(seed & MASK)) & MASK)

    def bits(self) -> int:
        """Next 64 bits."""
        self._state = (self._state + GAMMA) & MASK
        return mix(self._state)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * ((self.bits() >> 11) / 9007199254740992.0)

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def choice(self, items: Sequence[T]) -> T:
        return items[int(self.uniform() * len(items))]

    def weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
        """One item with probability proportional to its weight."""
        point = self.uniform() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            point -= weight
            if point < 0:
                return item
        return items[-1]
