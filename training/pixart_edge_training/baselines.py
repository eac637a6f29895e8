"""What a model has to beat: pictures that need no model at all, only the training scenes."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import torch
from torch import Tensor

TRAINING_SCENES = 20_000


class TrainingScenes:
    """The first scenes of the training split with their captions, to be looked things up in."""

    def __init__(self, sampler: Any, spread: float, count: int = TRAINING_SCENES) -> None:
        """`sampler` is a `SceneSampler` of the training split."""
        self._sampler, self._spread = sampler, spread
        self._scenes = sampler.scenes(range(count))
        captions = [_words(sampler.grammar.caption(scene)) for scene in self._scenes]
        seen = Counter(word for words in captions for word in words)
        self._columns = {word: column for column, word in enumerate(seen)}
        self._weights = torch.log(count / torch.tensor([float(n) for n in seen.values()]))
        self._rows = self._matrix(captions)
        self._by_concept = defaultdict(list)
        for scene in self._scenes:
            self._by_concept[scene.things[0].concept].append(scene)

    def _matrix(self, captions: list[set[str]]) -> Tensor:
        """Unit rows of inverse-document-frequency weights. [captions, words]."""
        rows = torch.zeros(len(captions), len(self._columns))
        for row, words in enumerate(captions):
            for word in words & self._columns.keys():
                rows[row, self._columns[word]] = self._weights[self._columns[word]]
        return rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6)

    def nearest(self, captions: list[str]) -> Tensor:
        """Renders of the training scenes whose captions are most alike. [B, 4, H, W]."""
        found = (self._matrix([_words(caption) for caption in captions]) @ self._rows.T).argmax(dim=1)
        return self._draw([self._scenes[index] for index in found.tolist()])

    def same_concept(self, scenes: list[Any]) -> Tensor:
        """Renders of training scenes with the right concepts and whatever colour, style and backdrop. [B, 4, H, W]."""
        candidates = [self._by_concept[scene.things[0].concept] for scene in scenes]
        return self._draw([some[index % len(some)] for index, some in enumerate(candidates)])

    def _draw(self, scenes: list[Any]) -> Tensor:
        from .data import nearer_the_middle

        placed = [nearer_the_middle(scene, self._spread) for scene in scenes]
        return torch.cat([self._sampler.batch(placed[i : i + 64]).images for i in range(0, len(placed), 64)])


def _words(caption: str) -> set[str]:
    return set(caption.lower().replace(",", " ").split())
