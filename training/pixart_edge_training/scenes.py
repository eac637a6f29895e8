"""Pictures of scenes: sprites placed by an affine map over a backdrop, a batch at a time.

Knows nothing about captions' grammar or networks. The same code runs on CPU and GPU. Things lie in layers: the first
of every scene, then whatever covers it (another thing, a face, a hat).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .accessories import draw_accessory
from .anchors import HEADS, OBJECT_SIDE, SPRITE_SIDE, Spot, accessory_spot
from .attributes import ACCESSORIES, COLOURLESS, EFFECTS, MOODS, NUMBERS, PATTERNS, PLACES, RELATIONS
from .catalogue import NATURAL, Catalogue
from .composition import check_mixture, grammar_for
from .effects import Layers, apply_effect
from .faces import draw_face
from .grammar import FREQUENT_WEIGHT, SOFTNESS, Placement, Scene, Thing
from .layouts import SIDE_BY_SIDE
from .oklab import from_oklab, parse_hex, to_oklab
from .patterns import PALER, pattern_mask
from .places import AIRBORNE, GROUND, paint_place
from .splits import assert_trainable
from .sprites import SpriteBank, load_sprites

BACKDROPS_BEFORE_PLAIN = ("transparent", "white")
BACKDROPS_AFTER_PLAIN = ("gradient", "soft")
SOFT_LIGHT_END = 0.93
"""Part of white in the lighter end of a soft backdrop."""


IGNORED = -100
"""The id where a label does not apply; torch's cross-entropy skips it."""

MINIFIED = (1.75, 3.5)
"""From how many sprite pixels to one picture pixel on the half and the quarter of a sprite are sampled instead."""

NONE = "none"


@dataclass(frozen=True)
class Vocabulary:
    """The words behind the ids of a batch. The last four are empty unless the mixture is "full"."""

    concepts: tuple[str, ...]
    styles: tuple[str, ...]
    colours: tuple[str, ...]  # id 0 is "natural"
    backdrops: tuple[str, ...]  # transparent, white, the plain colours, gradient, soft, then patterns and places
    counts: tuple[str, ...] = ()  # "1" to "6"
    moods: tuple[str, ...] = ()  # id 0 is "none"
    relations: tuple[str, ...] = ()  # id 0 is "none"
    accessories: tuple[str, ...] = ()  # id 0 is "none"


@dataclass(frozen=True)
class SceneBatch:
    images: Tensor  # float32 [B, 4, H, W] in [-1, 1]: RGB flattened on white, then alpha
    captions: list[str]
    scenes: list[Scene]
    object_mask: Tensor  # float32 [B, 1, H, W] in [0, 1]
    concept_ids: Tensor  # int64 [B]
    style_ids: Tensor  # int64 [B]
    colour_ids: Tensor  # int64 [B], 0 for the drawing's own colours
    backdrop_ids: Tensor  # int64 [B], IGNORED for what an effect is drawn on
    count_ids: Tensor  # int64 [B], IGNORED where two different things stand
    mood_ids: Tensor  # int64 [B], 0 for none
    relation_ids: Tensor  # int64 [B], 0 for none
    other_ids: Tensor  # int64 [B], the second concept of a relation, IGNORED without one
    accessory_ids: Tensor  # int64 [B], 0 for none


def vocabulary_of(catalogue: Catalogue, mixture: str = "single") -> Vocabulary:
    """Ids of "single" are the first ids of "full", so that labels of both agree."""
    single = Vocabulary(
        concepts=tuple(concept.id for concept in catalogue.concepts),
        styles=catalogue.styles,
        colours=(NATURAL, *catalogue.object_colours),
        backdrops=(*BACKDROPS_BEFORE_PLAIN, *catalogue.plain_colours, *BACKDROPS_AFTER_PLAIN),
    )
    if mixture == "single":
        return single
    return replace(
        single,
        styles=(*single.styles, *EFFECTS),
        backdrops=(*single.backdrops, *PATTERNS, *PLACES),
        counts=tuple(str(count) for count in NUMBERS),
        moods=(NONE, *MOODS),
        relations=(NONE, *RELATIONS),
        accessories=(NONE, *ACCESSORIES),
    )


@dataclass(frozen=True)
class _Piece:
    """One sprite or overlay of a scene: its pixels and where they go in the frame."""

    pixels: Tensor  # uint8 `[4, side, side]`, premultiplied
    at: Placement


class SceneSampler:
    """Scenes of one split as tensors: `SceneSampler(pack_dir, "train").batch(range(64))`."""

    def __init__(
        self,
        pack_dir: Path | str,
        split: str = "train",
        size: int = 128,
        *,
        mixture: str = "single",
        frequent_weight: float = FREQUENT_WEIGHT,
        bank: SpriteBank | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """`bank` shares loaded sprites between samplers; otherwise the pack is checked and loaded.

        `mixture` chooses the scenes: "single" (one thing, simple backdrops) or "full". Raises `GrammarError` for
        another, and `PackError` or `LicenceError` for a pack that is not as it must be, before any work.
        """
        check_mixture(mixture, split)
        self.bank = bank if bank is not None else load_sprites(pack_dir)
        self.catalogue = self.bank.catalogue
        self.grammar = grammar_for(self.catalogue, mixture, frequent_weight)
        self.split = split
        self.mixture = mixture
        self.size = size
        self.device = torch.device(device)
        self.vocabulary = vocabulary_of(self.catalogue, mixture)
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
        self._painted: dict[tuple[str, ...], Tensor] = {}

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
        images, mask = self._pictures(drawn)
        ids = self._ids
        return SceneBatch(
            images=images,
            captions=[self.grammar.caption(scene) for scene in drawn],
            scenes=drawn,
            object_mask=mask,
            concept_ids=self._tensor([ids["concept"][s.things[0].concept] for s in drawn]),
            style_ids=self._tensor([ids["style"][s.effect or s.style] for s in drawn]),
            colour_ids=self._tensor([_colour_id(s, ids["colour"]) for s in drawn]),
            backdrop_ids=self._tensor([ids["backdrop"].get(_backdrop_name(s), IGNORED) for s in drawn]),
            count_ids=self._tensor([len(s.things) - 1 if s.relation is None else IGNORED for s in drawn]),
            mood_ids=self._tensor([_index(MOODS, s.things[0].mood) for s in drawn]),
            relation_ids=self._tensor([_index(RELATIONS, s.relation) for s in drawn]),
            other_ids=self._tensor([ids["concept"][s.things[1].concept] if s.relation else IGNORED for s in drawn]),
            accessory_ids=self._tensor([_index(ACCESSORIES, s.things[0].accessory) for s in drawn]),
        )

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self.device)

    def _pictures(self, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """(pictures `[B, 4, H, W]` in [-1, 1], masks `[B, 1, H, W]`)."""
        things, mask = self._things(scenes)
        see_through = torch.tensor([scene.backdrop.kind == "transparent" for scene in scenes], device=self.device)
        behind = self._backdrops(scenes).unsqueeze(-1)  # [B, 3, H, 1]
        if any(scene.backdrop.variant is not None or scene.effect is not None for scene in scenes):
            behind = behind.repeat(1, 1, 1, self.size)
            self._decorate(scenes, behind)
        rgb = things + behind * (1 - mask)
        alpha = torch.where(see_through.view(-1, 1, 1, 1), mask, torch.ones_like(mask))
        for effect in sorted({scene.effect for scene in scenes if scene.effect is not None}):
            at = self._tensor([i for i, scene in enumerate(scenes) if scene.effect == effect])
            noise = torch.stack([self._noise_of(scenes[i].seed) for i in at.tolist()])
            layers = Layers(things[at], mask[at], behind[at], see_through[at], noise)
            rgb[at], alpha[at], mask[at] = apply_effect(effect, layers)
        return (torch.cat([rgb, alpha], dim=1) * 2 - 1).clamp_(-1, 1), mask

    def _things(self, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """(premultiplied RGB `[B, 3, H, W]`, alpha `[B, 1, H, W]`) of all things, in their places."""
        stacks = [self._pieces(scene) for scene in scenes]
        out = self._sampled([pieces[0] for pieces in stacks])
        for layer in range(1, max(len(pieces) for pieces in stacks)):
            rows = [i for i, pieces in enumerate(stacks) if len(pieces) > layer]
            above = self._sampled([stacks[i][layer] for i in rows])
            at = self._tensor(rows)
            out[at] = above + out[at] * (1 - above[:, 3:])
        return out[:, :3], out[:, 3:]

    def _pieces(self, scene: Scene) -> list[_Piece]:
        """From back to front. The first thing of a relation is in front, unless it is said to be behind."""
        order = scene.things if scene.relation == "behind" else reversed(scene.things)
        pieces = []
        for thing in order:
            row = self.bank.index[thing.concept, scene.style, thing.colour if thing.recoloured else None]
            pieces.append(_Piece(self._pixels[row], thing.placement))
            if thing.mood is not None:
                circle = self.catalogue.concept(thing.concept).sprites[scene.style].circle
                x, y, radius = (value * SPRITE_SIDE / self.catalogue.side for value in circle)
                face = self._overlay("face", thing.mood, scene.style)
                pieces.append(_Piece(face, _on(thing.placement, Spot(x, y, min(2 * radius, 118.0) * 0.86))))
            if thing.accessory is not None:
                spot = accessory_spot(HEADS[thing.concept, scene.style], thing.accessory)
                worn = self._overlay("accessory", thing.accessory, scene.style)
                pieces.append(_Piece(worn, _on(thing.placement, spot)))
        return pieces

    def _overlay(self, kind: str, name: str, style: str) -> Tensor:
        """uint8 `[4, side, side]`, premultiplied; drawn the first time it is asked for."""
        key = (kind, name, style)
        if key not in self._painted:
            drawn = (draw_face if kind == "face" else draw_accessory)(name, style, self.catalogue.side)
            pixels = torch.from_numpy(drawn).float()
            pixels[..., :3] *= pixels[..., 3:] / 255
            self._painted[key] = pixels.round().to(torch.uint8).permute(2, 0, 1).contiguous().to(self.device)
        return self._painted[key]

    def _sampled(self, pieces: Sequence[_Piece]) -> Tensor:
        """float `[N, 4, H, W]`: each piece in its place on an empty frame."""
        placed = [(piece.at.x, piece.at.y, piece.at.size, piece.at.tilt) for piece in pieces]
        if self.mixture == "single":
            return self._sampled_at([piece.pixels for piece in pieces], placed, 0)
        levels = [self._level(size) for _, _, size, _ in placed]
        out = torch.empty(len(pieces), 4, self.size, self.size, device=self.device)
        for level in sorted(set(levels)):
            rows = [i for i, value in enumerate(levels) if value == level]
            out[rows] = self._sampled_at([pieces[i].pixels for i in rows], [placed[i] for i in rows], level)
        return out

    def _level(self, size: float) -> int:
        """How often a sprite is halved before it is sampled, so that small things do not alias."""
        minified = self.catalogue.object_side / (size * self.size)
        return sum(minified >= least for least in MINIFIED)

    def _sampled_at(
        self, pixels: Sequence[Tensor], placed: Sequence[tuple[float, float, float, float]], level: int
    ) -> Tensor:
        sprites = torch.stack(list(pixels)).float() / 255  # [N, 4, side, side]
        if level:
            sprites = F.avg_pool2d(sprites, 2**level)
        x, y, size, tilt = torch.tensor(placed, device=self.device).unbind(1)
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
        )  # [N, 2, 3]
        grid = F.affine_grid(theta, [len(placed), 4, self.size, self.size], align_corners=False)
        return F.grid_sample(sprites, grid, mode="bilinear", align_corners=False)

    def _decorate(self, scenes: Sequence[Scene], behind: Tensor) -> None:
        """Paints patterns and places over the plain backdrops, and shadows under what stands in a place."""
        for i, scene in enumerate(scenes):
            backdrop = scene.backdrop
            if backdrop.kind in PATTERNS:
                full = behind[i, :, :1, :1].clone()
                share = self._pattern(backdrop.kind, backdrop.variant or 0)
                behind[i] = full + (1 - full) * (PALER * (1 - share))
            elif backdrop.kind in PLACES:
                behind[i] = self._place(backdrop.kind, scene.style, backdrop.variant or 0).float() / 255
                stand = len(scene.things) == 1 or scene.relation in SIDE_BY_SIDE
                for thing in scene.things:
                    if stand and backdrop.kind in GROUND and thing.concept not in AIRBORNE:
                        behind[i] *= 1 - self._shadow(thing, scene.style)

    def _pattern(self, kind: str, variant: int) -> Tensor:
        key = ("pattern", kind, str(variant))
        if key not in self._painted:
            self._painted[key] = pattern_mask(kind, variant, self.size).to(self.device)
        return self._painted[key]

    def _place(self, place: str, style: str, variant: int) -> Tensor:
        """uint8 `[3, H, W]`; painted the first time it is asked for."""
        key = ("place", place, style, str(variant))
        if key not in self._painted:
            painted = torch.from_numpy(paint_place(place, style, variant, self.size).copy())
            self._painted[key] = painted.permute(2, 0, 1).contiguous().to(self.device)
        return self._painted[key]

    def _shadow(self, thing: Thing, style: str) -> Tensor:
        """float `[H, W]`: a soft ellipse at the foot of the thing."""
        sprite = self.catalogue.concept(thing.concept).sprites[style]
        longest, at = self.catalogue.object_side, thing.placement
        width, height = sprite.extent or (longest, longest)
        half, foot = at.size * width / longest * 0.42, at.y + at.size * height / longest / 2 - 0.012
        axis = (torch.arange(self.size, device=self.device) + 0.5) / self.size
        away = ((axis[None, :] - at.x) / half) ** 2 + ((axis[:, None] - foot) / (half * 0.2)) ** 2
        return (1 - away).clamp(0, 1).sqrt() * 0.34

    @cached_property
    def _noise(self) -> Tensor:
        return torch.rand(1, self.size, self.size, generator=torch.Generator().manual_seed(17)).to(self.device)

    def _noise_of(self, seed: int) -> Tensor:
        """float `[1, H, W]`: the same field of noise, moved by the seed."""
        return self._noise.roll((seed * 37 % self.size, seed * 91 % self.size), (1, 2))

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


def _on(at: Placement, spot: Spot) -> Placement:
    """Where something that lies on a sprite lies in the frame."""
    scale = at.size / OBJECT_SIDE
    dx, dy = (spot.x - SPRITE_SIDE / 2) * scale, (spot.y - SPRITE_SIDE / 2) * scale
    angle = math.radians(at.tilt)
    x = at.x + dx * math.cos(angle) - dy * math.sin(angle)
    y = at.y + dx * math.sin(angle) + dy * math.cos(angle)
    return Placement(x, y, spot.size * scale, at.tilt + spot.tilt)


def _index(names: Mapping[str, object], name: str | None) -> int:
    return 0 if name is None else 1 + list(names).index(name)


def _colour_id(scene: Scene, ids: Mapping[str, int]) -> int:
    """The drawn colour of the first thing; an effect that keeps no colour has none."""
    thing = scene.things[0]
    if scene.effect in COLOURLESS:
        return IGNORED
    return ids[thing.colour if thing.recoloured and thing.colour is not None else NATURAL]


def _backdrop_name(scene: Scene) -> str:
    backdrop = scene.backdrop
    return backdrop.colours[0] if backdrop.kind == "plain" else backdrop.kind
