"""Pictures of scenes: sprites placed by an affine map over a backdrop, a batch at a time.

Knows nothing about captions' grammar or networks. The same code runs on CPU and GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .catalogue import NATURAL, Catalogue
from .grammar import FREQUENT_WEIGHT, SOFTNESS, Grammar, Scene
from .oklab import from_oklab, parse_hex, to_oklab
from .splits import assert_trainable
from .sprites import SpriteBank, load_sprites

BACKDROPS_BEFORE_PLAIN = ("transparent", "white")
BACKDROPS_AFTER_PLAIN = ("gradient", "soft")
SOFT_LIGHT_END = 0.93
"""Part of white in the lighter end of a soft backdrop."""


@dataclass(frozen=True)
class Vocabulary:
    """The words behind the ids of a batch."""

    concepts: tuple[str, ...]
    styles: tuple[str, ...]
    colours: tuple[str, ...]  # id 0 is "natural"
    backdrops: tuple[str, ...]  # transparent, white, the plain colours, gradient, soft


@dataclass(frozen=True)
class SceneBatch:
    images: Tensor  # float32 [B, 4, H, W] in [-1, 1]: RGB flattened on white, then alpha
    captions: list[str]
    scenes: list[Scene]
    object_mask: Tensor  # float32 [B, 1, H, W] in [0, 1]
    concept_ids: Tensor  # int64 [B]
    style_ids: Tensor  # int64 [B]
    colour_ids: Tensor  # int64 [B], 0 for the drawing's own colours
    backdrop_ids: Tensor  # int64 [B]


def vocabulary_of(catalogue: Catalogue) -> Vocabulary:
    return Vocabulary(
        concepts=tuple(concept.id for concept in catalogue.concepts),
        styles=catalogue.styles,
        colours=(NATURAL, *catalogue.object_colours),
        backdrops=(*BACKDROPS_BEFORE_PLAIN, *catalogue.plain_colours, *BACKDROPS_AFTER_PLAIN),
    )


class SceneSampler:
    """Scenes of one split as tensors: `SceneSampler(pack_dir, "train").batch(range(64))`."""

    def __init__(
        self,
        pack_dir: Path | str,
        split: str = "train",
        size: int = 128,
        *,
        frequent_weight: float = FREQUENT_WEIGHT,
        bank: SpriteBank | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """`bank` shares loaded sprites between samplers; otherwise the pack is checked and loaded."""
        self.bank = bank if bank is not None else load_sprites(pack_dir)
        self.catalogue = self.bank.catalogue
        self.grammar = Grammar(self.catalogue, frequent_weight)
        self.split = split
        self.size = size
        self.device = torch.device(device)
        self.vocabulary = vocabulary_of(self.catalogue)
        self._pixels = self.bank.pixels.to(self.device)
        names = list(self.catalogue.palette)
        rgb = torch.tensor([parse_hex(self.catalogue.palette[name]) for name in names])
        self._labs = dict(zip(names, to_oklab(rgb), strict=True))
        self._ids = {
            "concept": {name: i for i, name in enumerate(self.vocabulary.concepts)},
            "style": {name: i for i, name in enumerate(self.vocabulary.styles)},
            "colour": {name: i for i, name in enumerate(self.vocabulary.colours)},
            "backdrop": {name: i for i, name in enumerate(self.vocabulary.backdrops)},
        }

    def scenes(self, seeds: Sequence[int]) -> list[Scene]:
        """The scenes of some seeds, without pictures."""
        return [self.grammar.scene(self.split, seed) for seed in seeds]

    def batch(self, scenes: Sequence[Scene] | Sequence[int]) -> SceneBatch:
        """Draws scenes, or the scenes of seeds.

        Raises `HeldOutError` when the split is `train` and a scene touches a held-out cell.
        """
        drawn = [self.grammar.scene(self.split, scene) if isinstance(scene, int) else scene for scene in scenes]
        if self.split == "train":
            for scene in drawn:
                assert_trainable(scene, self.catalogue.styles)
        sprites, mask = self._objects(drawn)
        images = self._compose(drawn, sprites, mask)
        ids = self._ids
        return SceneBatch(
            images=images,
            captions=[self.grammar.caption(scene) for scene in drawn],
            scenes=drawn,
            object_mask=mask,
            concept_ids=self._tensor([ids["concept"][s.things[0].concept] for s in drawn]),
            style_ids=self._tensor([ids["style"][s.style] for s in drawn]),
            colour_ids=self._tensor([ids["colour"][_drawn_colour(s)] for s in drawn]),
            backdrop_ids=self._tensor([ids["backdrop"][_backdrop_name(s)] for s in drawn]),
        )

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self.device)

    def _objects(self, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """(premultiplied RGB `[B, 3, H, W]`, alpha `[B, 1, H, W]`) of the things, in their places."""
        things = [scene.things[0] for scene in scenes]
        rows = [
            self.bank.index[t.concept, s.style, t.colour if t.recoloured else None]
            for s, t in zip(scenes, things, strict=True)
        ]
        index = self._tensor(rows)
        sprites = self._pixels[index].float() / 255  # [B, 4, side, side]
        placed = torch.tensor(
            [[t.placement.x, t.placement.y, t.placement.size, t.placement.tilt] for t in things],
            device=self.device,
        )
        x, y, size, tilt = placed.unbind(1)
        # From a point of the picture back to a point of the sprite, both in [-1, 1].
        zoom = self.catalogue.object_side / self.catalogue.side / size
        cos = torch.cos(torch.deg2rad(tilt)) * zoom
        sin = torch.sin(torch.deg2rad(tilt)) * zoom
        cx, cy = 2 * x - 1, 2 * y - 1
        theta = torch.stack(
            [
                torch.stack([cos, sin, -(cos * cx + sin * cy)], dim=1),
                torch.stack([-sin, cos, -(-sin * cx + cos * cy)], dim=1),
            ],
            dim=1,
        )  # [B, 2, 3]
        grid = F.affine_grid(theta, [len(scenes), 4, self.size, self.size], align_corners=False)
        out = F.grid_sample(sprites, grid, mode="bilinear", align_corners=False)
        return out[:, :3], out[:, 3:]

    def _compose(self, scenes: Sequence[Scene], rgb: Tensor, mask: Tensor) -> Tensor:
        behind = self._backdrops(scenes).unsqueeze(-1)  # [B, 3, H, 1]
        flattened = rgb + behind * (1 - mask)
        is_transparent = torch.tensor(
            [scene.backdrop.kind == "transparent" for scene in scenes], device=self.device
        ).view(-1, 1, 1, 1)
        alpha = torch.where(is_transparent, mask, torch.ones_like(mask))
        return (torch.cat([flattened, alpha], dim=1) * 2 - 1).clamp_(-1, 1)

    def _backdrops(self, scenes: Sequence[Scene]) -> Tensor:
        """float `[B, 3, H]`: backdrops change from top to bottom only, straight through OKLab."""
        white = self._labs["white"]
        ends = []
        for scene in scenes:
            colours = [self._labs[name] for name in scene.backdrop.colours] or [white]
            if scene.backdrop.kind == "soft":
                ends.append(_mix(colours[0], white, SOFT_LIGHT_END, SOFTNESS))
            else:
                ends.append(torch.stack([colours[0], colours[-1]]))
        labs = torch.stack(ends).to(self.device)  # [B, 2, 3]
        steps = torch.linspace(0, 1, self.size, device=self.device).view(1, -1, 1)
        blend = labs[:, :1] + (labs[:, 1:] - labs[:, :1]) * steps  # [B, H, 3]
        return from_oklab(blend).clamp(0, 1).permute(0, 2, 1)


def _mix(colour: Tensor, white: Tensor, top: float, bottom: float) -> Tensor:
    return torch.stack([colour + (white - colour) * top, colour + (white - colour) * bottom])


def _drawn_colour(scene: Scene) -> str:
    thing = scene.things[0]
    return thing.colour if thing.recoloured and thing.colour is not None else NATURAL


def _backdrop_name(scene: Scene) -> str:
    backdrop = scene.backdrop
    return backdrop.colours[0] if backdrop.kind == "plain" else backdrop.kind
