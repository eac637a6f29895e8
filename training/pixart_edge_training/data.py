"""The face that training sees of the scenes: pictures, captions and what each picture is known to show.

The scenes themselves are made elsewhere; `SyntheticScenes` stands in for them in tests and smoke runs, so that no
stage needs the sprite pack to prove that it works.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from .attributes import PLACES
from .errors import HeldOutSceneError, TrainingError

IGNORED = -100  # a label that does not apply; torch's cross-entropy skips it


@dataclass
class SceneBatch:
    """Pictures in [-1, 1] with RGB flattened on white and alpha last; labels are indices into `Vocabulary`."""

    pictures: Tensor  # float32 [B, 4, H, W]
    captions: list[str]
    labels: dict[str, Tensor]  # head name -> int64 [B], IGNORED where it does not apply
    mask: Tensor  # float32 [B, 1, H, W], coverage of the thing drawn
    held_out: Tensor  # bool [B]


@dataclass(frozen=True)
class Vocabulary:
    """Every word a label can stand for. The first colour is "natural": the thing kept its own."""

    concepts: tuple[str, ...]
    styles: tuple[str, ...]
    colours: tuple[str, ...]
    backdrops: tuple[str, ...]
    counts: tuple[str, ...] = ()  # these four are empty unless scenes are of the full mixture
    moods: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    accessories: tuple[str, ...] = ()

    def heads(self) -> dict[str, int]:
        heads = {
            "concept": len(self.concepts),
            "style": len(self.styles),
            "colour": len(self.colours),
            "backdrop": len(self.backdrops),
        }
        if self.counts:
            heads |= {"count": len(self.counts), "mood": len(self.moods), "relation": len(self.relations)}
            heads |= {"other": len(self.concepts), "accessory": len(self.accessories)}
        return heads


class Scenes(Protocol):
    """A stream of scenes that is a pure function of its seed and the cursor."""

    vocabulary: Vocabulary

    def batch(self, cursor: int, count: int) -> SceneBatch: ...


class Tokens(Protocol):
    """Turns captions into ids, already ended with </s>."""

    vocab_size: int

    def encode(self, captions: list[str]) -> list[list[int]]: ...


def refuse_held_out(batch: SceneBatch) -> SceneBatch:
    """Every training step draws through this. Raises HeldOutSceneError naming the first offending caption."""
    if bool(batch.held_out.any()):
        index = int(batch.held_out.nonzero()[0])
        raise HeldOutSceneError(f"held-out scene in training: {batch.captions[index]!r}", field="scene")
    return batch


def pad_tokens(ids: list[list[int]], *, multiple: int = 4, limit: int = 64) -> tuple[Tensor, Tensor]:
    """Right-pads with 0 to the longest row, rounded up. int64 ids and bool mask, [B, L] each."""
    ids = [row if len(row) <= limit else [*row[: limit - 1], 1] for row in ids]
    length = -(-max(len(row) for row in ids) // multiple) * multiple
    padded = torch.zeros(len(ids), length, dtype=torch.int64)
    mask = torch.zeros(len(ids), length, dtype=torch.bool)
    for index, row in enumerate(ids):
        padded[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = True
    return padded, mask


_SYNTHETIC = Vocabulary(
    concepts=("disc", "square", "bar"),
    styles=("flat",),
    colours=("natural", "red", "green", "blue"),
    backdrops=("white", "black", "yellow"),
)
_INKS = torch.tensor([[-0.2, -0.2, -0.2], [0.8, -0.7, -0.7], [-0.7, 0.6, -0.6], [-0.6, -0.5, 0.9]])
_GROUNDS = torch.tensor([[1.0, 1.0, 1.0], [-0.9, -0.9, -0.9], [0.9, 0.8, -0.6]])


class SyntheticScenes:
    """Coloured discs, squares and bars on three grounds: enough to see a loss fall."""

    def __init__(self, seed: int = 0, size: int = 64, *, held_out_every: int = 0) -> None:
        self.vocabulary = _SYNTHETIC
        self._seed, self._size, self._held_out_every = seed, size, held_out_every

    def batch(self, cursor: int, count: int) -> SceneBatch:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + cursor)
        pick = {name: torch.randint(n, (count,), generator=generator) for name, n in self.vocabulary.heads().items()}
        radius = 0.35 + 0.3 * torch.rand(count, 1, 1, generator=generator)
        axis = torch.linspace(-1, 1, self._size)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        shapes = torch.stack(
            [
                (radius**2 > x**2 + y**2),
                (radius > torch.maximum(x.abs(), y.abs())),
                (radius > x.abs()) & (y.abs() < 0.3),
            ],
            dim=1,
        ).float()
        mask = shapes[torch.arange(count), pick["concept"]].unsqueeze(1)  # [B, 1, H, W]
        ink, ground = _INKS[pick["colour"]].view(-1, 3, 1, 1), _GROUNDS[pick["backdrop"]].view(-1, 3, 1, 1)
        rgb = mask * ink + (1 - mask) * ground
        words = self.vocabulary
        captions = [
            f"a {words.colours[c]} {words.concepts[k]} on a {words.backdrops[b]} background"
            for c, k, b in zip(pick["colour"], pick["concept"], pick["backdrop"], strict=True)
        ]
        positions = torch.arange(cursor, cursor + count)
        held = positions % self._held_out_every == 0 if self._held_out_every else torch.zeros(count, dtype=torch.bool)
        return SceneBatch(torch.cat([rgb, torch.ones_like(mask)], 1), captions, pick, mask, held)


class WordTokens:
    """One id per known word of the synthetic captions; 2 for the rest. 0 pads and 1 ends, as in T5."""

    _WORDS = "a on background disc square bar natural red green blue white black yellow".split()
    vocab_size = 16

    def encode(self, captions: list[str]) -> list[list[int]]:
        ids = {word: index + 3 for index, word in enumerate(self._WORDS)}
        return [[ids.get(word, 2) for word in caption.split()] + [1] for caption in captions]


_SEARCH_FROM, _SEARCH = 1 << 36, 64  # where scenes without a backdrop are looked for, and how many are looked at
_MIDDLE_SIZE = 0.84  # of the frame


def nearer_the_middle(scene: Any, spread: float) -> Any:
    """A lone thing before a simple backdrop nearer to the middle; others stand where their scene needs them."""
    thing = scene.things[0]
    if spread == 1.0 or len(scene.things) > 1 or thing.accessory is not None or scene.backdrop.kind in PLACES:
        return scene
    at = thing.placement
    moved = replace(
        at,
        x=0.5 + spread * (at.x - 0.5),
        y=0.5 + spread * (at.y - 0.5),
        size=_MIDDLE_SIZE + spread * (at.size - _MIDDLE_SIZE),
        tilt=spread * at.tilt,
    )
    return replace(scene, things=(replace(thing, placement=moved), *scene.things[1:]))


class CorpusScenes:
    """The real scenes of one split, seeds counted from `first_seed` on."""

    def __init__(
        self,
        pack: Path,
        split: str = "train",
        *,
        first_seed: int = 0,
        spread: float = 1.0,
        see_through: float = 0.0,
        mixture: str = "single",
        bank: Any = None,
    ) -> None:
        """`see_through` is the share of scenes that are looked for among those without a backdrop. `spread` below 1 draws every thing's place, size and tilt that much nearer to the middle of their ranges.

        A generator that trains for an hour learns edges sooner when things keep still.
        """
        from .scenes import SceneSampler

        self.sampler = SceneSampler(pack, split, mixture=mixture, bank=bank)
        self.vocabulary = Vocabulary(**asdict(self.sampler.vocabulary))
        self._first_seed, self._spread, self._see_through = first_seed, spread, see_through
        self._held_out = split.startswith("heldout")

    def _scene(self, seed: int) -> Any:
        scene = self.sampler.scenes([seed])[0]
        if seed * 0.6180339887 % 1.0 >= self._see_through:
            return scene
        for other in range(_SEARCH_FROM + seed * _SEARCH, _SEARCH_FROM + (seed + 1) * _SEARCH):
            if scene.backdrop.kind == "transparent":
                break
            scene = self.sampler.scenes([other])[0]
        return scene

    def batch(self, cursor: int, count: int) -> SceneBatch:
        start = self._first_seed + cursor
        scenes = [self._scene(seed) for seed in range(start, start + count)]
        drawn = self.sampler.batch([nearer_the_middle(scene, self._spread) for scene in scenes])
        labels = {name: getattr(drawn, f"{name}_ids") for name in self.vocabulary.heads()}
        held_out = torch.full((count,), self._held_out)
        return SceneBatch(drawn.images, drawn.captions, labels, drawn.object_mask, held_out)


class MixedScenes:
    """Several streams side by side: every batch holds the given share of each, the first takes what rounding leaves."""

    def __init__(self, first: Scenes, *others: tuple[Scenes, float]) -> None:
        self.vocabulary = first.vocabulary
        self._first, self._others = first, others

    def batch(self, cursor: int, count: int) -> SceneBatch:
        counts = [round(share * count) for _, share in self._others]
        parts = [self._first.batch(cursor, count - sum(counts))]
        parts += [scenes.batch(cursor, part) for (scenes, _), part in zip(self._others, counts, strict=True) if part]
        return SceneBatch(
            torch.cat([part.pictures for part in parts]),
            [caption for part in parts for caption in part.captions],
            {name: torch.cat([part.labels[name] for part in parts]) for name in parts[0].labels},
            torch.cat([part.mask for part in parts]),
            torch.cat([part.held_out for part in parts]),
        )


class SentencePieceTokens:
    """The shipped tokenizer: lower-cased and stripped text, ended with </s>."""

    def __init__(self, model: Path) -> None:
        import sentencepiece

        if not model.is_file():
            raise TrainingError(f"{model} is not there; train the tokenizer first", field="tokenizer")
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self.vocab_size: int = self._processor.get_piece_size()

    def encode(self, captions: list[str]) -> list[list[int]]:
        return [[*self._processor.encode(caption.lower().strip()), 1] for caption in captions]
