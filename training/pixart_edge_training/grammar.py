"""A scene from a split and a seed: what stands where, in which style, in front of what, said how.

A `Scene` is plain data, written as JSON and hashed; the same mixture, split, seed and catalogue always give the
same one. `Grammar` makes the "single" mixture: one thing, perhaps recoloured, before a simple backdrop.
`composition` adds counts, moods, relations, accessories, places and more styles. Fields only those use are left
out of the JSON when they are empty, so scenes of "single" keep their hashes.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from . import captions
from .catalogue import Catalogue, Concept, CorpusError, Lab, Sprite
from .oklab import parse_hex, to_oklab
from .random_stream import RandomStream
from .splits import (
    SINGLE_SPLITS,
    assert_trainable,
    held_out_cells,
    held_out_styles,
    is_held_out,
)

VERSION = 1

FREQUENT_WEIGHT = 2.0
"""Frequent concepts are drawn this many times as often as the others."""

STYLE_SAID = 0.6
UNSAID_STYLES = {"3d": 0.5, "cartoon": 0.25, "flat": 0.25}
RECOLOURED = 0.40
NATURAL_SAID = 0.15
BACKDROP_SAID = 0.72
SAID_BACKDROPS = {"plain": 0.42, "gradient": 0.24, "white": 0.14, "transparent": 0.13, "soft": 0.07}
UNSAID_BACKDROPS = {"white": 0.65, "soft": 0.35}
SOFT_COLOURS = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")
SYNONYM_USED = 0.45
FILLER_USED = 0.12

SIZE_RANGE = (0.72, 0.92)  # longest side of the thing, as a part of the frame
TILT_MAX_DEGREES = 10.0
SHIFT_MAX = 0.04  # of the frame
FRAME_FILL_MAX = 0.98  # a tilted thing still fits into this much of the frame

CONTRAST_MIN = 0.17
"""Least OKLab distance between a thing (rim and main colour) and the backdrop behind it."""


class GrammarError(CorpusError):
    """No scene satisfies the split's conditions, or what is asked for does not exist."""

    code = "no_such_scene"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a thing lies: centre and longest side as parts of the frame, tilt in degrees clockwise."""

    x: float
    y: float
    size: float
    tilt: float
    flip: bool = False


@dataclass(frozen=True, slots=True)
class Thing:
    concept: str
    colour: str | None  # drawn in this colour; None keeps the drawing's own
    recoloured: bool  # False where the drawing has the colour by nature
    placement: Placement
    colour_word: str | None = None  # as the caption says it; None leaves it unsaid
    name: str | None = None  # a synonym; None says the concept's own name
    filler: str | None = None
    mood: str | None = None
    mood_phrase: str | None = None  # with a gap for the noun: "happy {}", "{} in love"
    accessory: str | None = None
    accessory_phrase: str | None = None  # "wearing a top hat"


@dataclass(frozen=True, slots=True)
class Backdrop:
    """`transparent`, `white`, `plain` (1 colour), `gradient` (2, top to bottom) or `soft` (1, paler).

    The full mixture also has patterns (1 colour), places and `paper`, what an effect is drawn on.
    """

    kind: str
    colours: tuple[str, ...]
    said: bool
    variant: int | None = None  # which drawing of a pattern or place


@dataclass(frozen=True, slots=True)
class Wording:
    template: str
    style_adjective: str | None
    style_phrase: str | None
    backdrop: str | None
    backdrop_colours: tuple[str, ...]
    place: str | None = None  # "in the desert", where the backdrop is a place
    number: str | None = None  # "three"; None leaves the count unsaid
    relation_words: str | None = None  # "to the left of"


@dataclass(frozen=True, slots=True)
class Scene:
    version: int
    split: str
    seed: int
    style: str
    style_said: bool
    things: tuple[Thing, ...]
    relation: str | None
    backdrop: Backdrop
    effect: str | None
    wording: Wording
    mixture: str = "single"

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no blanks, later fields only where they are used."""
        return json.dumps(_without_unused(asdict(self)), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Scene:
        """Raises `GrammarError` for another version or missing fields."""
        try:
            document = json.loads(text)
            if document["version"] != VERSION:
                raise GrammarError(f"scene version is {document['version']}, supported is {VERSION}")
            return _scene_from(document)
        except (KeyError, TypeError, ValueError) as cause:
            raise GrammarError(f"not a scene: {cause!r}") from cause


LATER_FIELDS = {
    "mood_phrase": None,
    "accessory": None,
    "accessory_phrase": None,
    "variant": None,
    "place": None,
    "number": None,
    "relation_words": None,
    "mixture": "single",
}
"""Fields that came after the first scenes were hashed, and the value at which they are left out."""


def _without_unused(node: Any) -> Any:
    if isinstance(node, (list, tuple)):
        return [_without_unused(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _without_unused(value)
        for name, value in node.items()
        if not (name in LATER_FIELDS and value == LATER_FIELDS[name])
    }


def _scene_from(document: dict[str, Any]) -> Scene:
    things = tuple(Thing(**{**thing, "placement": Placement(**thing["placement"])}) for thing in document["things"])
    backdrop = document["backdrop"]
    wording = document["wording"]
    return Scene(
        **{
            **document,
            "things": things,
            "backdrop": Backdrop(**{**backdrop, "colours": tuple(backdrop["colours"])}),
            "wording": Wording(**{**wording, "backdrop_colours": tuple(wording["backdrop_colours"])}),
        }
    )


def scene_hash(scene: Scene) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(scene.to_json().encode("utf8")).hexdigest()


class Grammar:
    """Makes scenes out of a catalogue."""

    def __init__(self, catalogue: Catalogue, frequent_weight: float = FREQUENT_WEIGHT) -> None:
        self.catalogue = catalogue
        self._concepts = {concept.id: concept for concept in catalogue.concepts}
        self._weights = [frequent_weight if c.frequent else 1.0 for c in catalogue.concepts]
        self._labs = {name: _lab(value) for name, value in catalogue.palette.items()}

    def scene(self, split: str, seed: int) -> Scene:
        """The scene of a seed, a pure function of `(split, seed)` and the catalogue.

        Raises `HeldOutError` should a scene for training touch a held-out cell, and `GrammarError` for an
        unknown split or one without cells.
        """
        if split not in SINGLE_SPLITS:
            raise GrammarError(f"split is {split!r}, known are {', '.join(SINGLE_SPLITS)}")
        random = RandomStream(f"scene/{VERSION}/{split}", seed)
        concept, style, style_said = self._concept_and_style(split, random)
        sprite = concept.sprites[style]
        colour, recoloured, colour_said = self._colour(split, random, concept, sprite)
        backdrop = self._backdrop(random, sprite, colour if recoloured else None)
        thing = Thing(
            concept=concept.id,
            colour=colour,
            recoloured=recoloured,
            placement=pick_placement(random),
            colour_word=pick_colour_word(random, colour) if colour_said and colour else None,
            name=pick_synonym(split, random, concept),
            filler=pick_filler(random),
        )
        if thing.colour_word == (thing.name or concept.noun.name):
            thing = replace(thing, colour_word=None)  # "an orange", not "an orange orange"
        if thing.filler is not None and split == "heldout-wording":
            thing = replace(thing, filler=None)
        scene = Scene(
            version=VERSION,
            split=split,
            seed=seed,
            style=style,
            style_said=style_said,
            things=(thing,),
            relation=None,
            backdrop=backdrop,
            effect=None,
            wording=_wording(split, random, style if style_said else None, backdrop),
        )
        if split in ("train", "validation"):
            assert_trainable(scene, self.catalogue.styles)
        elif not held_out_cells(scene, self.catalogue.styles):
            raise GrammarError(f"seed {seed} of {split} touches no held-out cell")
        return scene

    def caption(self, scene: Scene) -> str:
        return captions.write_caption(scene, *(self._concepts[thing.concept] for thing in scene.things))

    def _concept_and_style(self, split: str, random: RandomStream) -> tuple[Concept, str, bool]:
        styles = self.catalogue.styles
        for _ in range(1000):
            concept = random.weighted(self.catalogue.concepts, self._weights)
            held_out = held_out_styles(concept.id, styles)
            said = random.chance(STYLE_SAID)
            if split == "heldout-style":
                if held_out:
                    return concept, random.choice(held_out), True
                continue
            allowed = [style for style in styles if style not in held_out]
            weights = [1.0 if said else UNSAID_STYLES.get(style, 0.25) for style in allowed]
            style = random.weighted(allowed, weights)
            if split == "heldout-colour" and not self._colours(split, concept, style):
                continue
            return concept, style, said
        raise GrammarError(f"the catalogue has no cell for {split}")

    def _colours(self, split: str, concept: Concept, style: str) -> list[str]:
        """Colours that a thing can be given in a split; its natural one is not among them."""
        sprite = concept.sprites[style]
        if sprite.recolour is None:
            return []
        held_out = split == "heldout-colour"
        return [
            colour
            for colour in self.catalogue.object_colours
            if colour != sprite.natural and is_held_out("colour", concept.id, colour) == held_out
        ]

    def _colour(
        self, split: str, random: RandomStream, concept: Concept, sprite: Sprite
    ) -> tuple[str | None, bool, bool]:
        """(colour, recoloured, said)."""
        colours = self._colours(split, concept, sprite.style)
        if split == "heldout-colour" or (colours and random.chance(RECOLOURED)):
            return random.choice(colours), True, True
        natural = sprite.natural
        nameable = natural is not None and not is_held_out("colour", concept.id, natural)
        if nameable and random.chance(NATURAL_SAID):
            return natural, False, True
        return None, False, False

    def _backdrop(self, random: RandomStream, sprite: Sprite, colour: str | None) -> Backdrop:
        said = random.chance(BACKDROP_SAID)
        kinds = SAID_BACKDROPS if said else UNSAID_BACKDROPS
        for _ in range(100):
            kind = random.weighted(list(kinds), list(kinds.values()))
            if kind == "transparent":
                return Backdrop(kind, (), said)
            colours = self._backdrop_colours(random, kind)
            behind = [self._behind(kind, name) for name in colours] or [self._labs["white"]]
            in_front = [sprite.rim, sprite.main] if colour is None else [self._labs[colour]]
            if kind == "white" and not said:
                in_front = in_front[:1]  # what matters is that the outline shows
            apart = min(distance(x, y) for x in in_front for y in behind)
            if apart >= (CONTRAST_MIN if kind != "soft" else CONTRAST_MIN / 2):
                return Backdrop(kind, colours, said)
        return Backdrop("transparent", (), True)

    def _backdrop_colours(self, random: RandomStream, kind: str) -> tuple[str, ...]:
        if kind == "plain":
            return (random.choice(self.catalogue.plain_colours),)
        if kind == "soft":
            return (random.choice(SOFT_COLOURS),)
        if kind == "gradient":
            names = list(self.catalogue.palette)
            first = random.choice(names)
            rest = [n for n in names if distance(self._labs[n], self._labs[first]) > 0.15]
            return first, random.choice(rest)
        return ()

    def _behind(self, kind: str, name: str) -> Lab:
        return soften(self._labs[name]) if kind == "soft" else self._labs[name]


SOFTNESS = 0.72
"""Part of white in the darker end of a soft backdrop."""


def soften(lab: Lab) -> Lab:
    """The darker end of a soft backdrop: the colour mixed with white in OKLab."""
    lightness, a, b = lab
    return lightness + (1 - lightness) * SOFTNESS, a * (1 - SOFTNESS), b * (1 - SOFTNESS)


@lru_cache(maxsize=64)
def _lab(hex_colour: str) -> Lab:
    lightness, a, b = to_oklab(torch.tensor(parse_hex(hex_colour), dtype=torch.float64)).tolist()
    return lightness, a, b


def distance(x: Lab, y: Lab) -> float:
    return math.dist(x, y)


def pick_placement(random: RandomStream) -> Placement:
    """Tilt is the sum of two draws, so upright is most common; the tilted square stays in the frame."""
    half = TILT_MAX_DEGREES / 2
    tilt = random.uniform(-half, half) + random.uniform(-half, half)
    spread = math.cos(math.radians(tilt)) + abs(math.sin(math.radians(tilt)))
    size = min(random.uniform(*SIZE_RANGE), FRAME_FILL_MAX / spread)
    room = min(SHIFT_MAX, (1 - size * spread) / 2)
    x = 0.5 + random.uniform(-room, room)
    y = 0.5 + random.uniform(-room, room)
    return Placement(x=round(x, 4), y=round(y, 4), size=round(size, 4), tilt=round(tilt, 2))


def pick_colour_word(random: RandomStream, colour: str) -> str:
    words = captions.COLOUR_WORDS.get(colour, (colour,))
    return words[0] if len(words) == 1 or random.chance(0.75) else random.choice(words[1:])


def pick_synonym(split: str, random: RandomStream, concept: Concept) -> str | None:
    names = [word.name for word in concept.synonyms]
    held_out = [name for name in names if is_held_out("synonym", concept.id, name)]
    if split == "heldout-wording":
        return random.choice(held_out) if held_out else None
    allowed = [name for name in names if name not in held_out]
    return random.choice(allowed) if allowed and random.chance(SYNONYM_USED) else None


def pick_filler(random: RandomStream) -> str | None:
    return random.choice(captions.FILLERS) if random.chance(FILLER_USED) else None


def _wording(split: str, random: RandomStream, style: str | None, backdrop: Backdrop) -> Wording:
    held_out = split == "heldout-wording"
    form = random.weighted(list(captions.FORMS), list(captions.FORMS.values()))
    template = random.choice(_templates(style is not None, backdrop.said, form, held_out))
    return Wording(
        template=template,
        style_adjective=random.choice(captions.STYLE_ADJECTIVES[style]) if style else None,
        style_phrase=random.choice(captions.STYLE_PHRASES[style]) if style else None,
        backdrop=random.choice(captions.BACKDROP_PHRASES[backdrop.kind]) if backdrop.said else None,
        backdrop_colours=tuple(pick_colour_word(random, name) for name in backdrop.colours) if backdrop.said else (),
    )


@lru_cache(maxsize=64)
def _templates(says_style: bool, says_backdrop: bool, form: str, held_out: bool) -> tuple[str, ...]:
    """Templates that say exactly this; of any form where the wished one has none."""
    fitting = [
        template
        for template in captions.TEMPLATES
        if (template.says_style, template.says_backdrop) == (says_style, says_backdrop)
        and is_held_out("template", template.text) == held_out
    ]
    of_form = [template for template in fitting if template.form == form]
    return tuple(template.text for template in of_form or fitting)
