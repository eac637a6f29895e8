"""The "full" mixture: counts, moods, relations, accessories, places, patterns and procedural styles.

A kind of scene is drawn first and kept, so the shares below are the shares of the corpus; only then are words and
cells drawn again until none of them is held out (or, for a held-out split, until one of its kind is).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from . import captions
from .anchors import (
    FACE_INK_DISTANCE_MIN,
    FACE_RADIUS_MIN,
    FACELESS,
    HATS,
    HEADS,
    accessory_spot,
)
from .attributes import (
    ACCESSORIES,
    COLOURLESS,
    EFFECTS,
    MOODS,
    MOODS_AFTER,
    NUMBERS,
    PAPER,
    PAPERED,
    PATTERNS,
    PLACES,
    RELATIONS,
    UNLIT,
    WHITE_ONLY,
)
from .catalogue import Catalogue, Concept, Lab, PackError, Sprite
from .grammar import (
    BACKDROP_SAID,
    CONTRAST_MIN,
    FREQUENT_WEIGHT,
    NATURAL_SAID,
    RECOLOURED,
    STYLE_SAID,
    UNSAID_BACKDROPS,
    UNSAID_STYLES,
    VERSION,
    Backdrop,
    Grammar,
    GrammarError,
    Placement,
    Scene,
    Thing,
    Wording,
    distance,
    pick_colour_word,
    pick_placement,
    pick_synonym,
)
from .layouts import SIDE_BY_SIDE, Extent, Seat, copies, pair
from .oklab import parse_lab
from .places import AIRBORNE, GROUND, HORIZON_GROUND, PLACE_COLOURS, PREFERRED
from .random_stream import RandomStream
from .splits import (
    SINGLE_SPLITS,
    SPLITS,
    assert_trainable,
    held_out_cells,
    held_out_styles,
    is_held_out,
    pair_is_held_out,
)

MIXTURES = ("single", "full")

KINDS = {"thing": 0.44, "place": 0.15, "mood": 0.11, "accessory": 0.06, "count": 0.12, "relation": 0.12}
"""What part of the scenes of the full mixture is of each kind."""

KIND_OF_SPLIT = {
    "heldout-style": "thing",
    "heldout-colour": "thing",
    "heldout-mood": "mood",
    "heldout-backdrop": "place",
    "heldout-count": "count",
    "heldout-accessory": "accessory",
    "heldout-pair": "relation",
}

EFFECT_SHARE = {"thing": 0.30, "place": 0.15, "mood": 0.20, "accessory": 0.15, "count": 0.15, "relation": 0.12}
SAID_BACKDROPS = {"plain": 0.30, "gradient": 0.24, "white": 0.13, "transparent": 0.12, "soft": 0.07, "pattern": 0.14}
PLACE_SHARE = 0.2  # of the scenes with a mood, an accessory, a count or a relation
PREFERRED_SHARE = 0.35  # of the places are one where the thing is at home
COUNT_WEIGHTS = {1: 1.0, 2: 2.0, 3: 2.4, 4: 2.0, 5: 1.7, 6: 1.5}
NUMBER_WORD, NUMBER_DIGIT = 0.62, 0.26  # the rest is "a group of three"
MOOD_BEFORE = 0.72
PLACE_VARIANTS = 8
PATTERN_VARIANTS = 6
PLACE_CONTRAST_MIN = 0.075
FILLERS = tuple(word for word in captions.FILLERS if word not in MOODS)  # "cool" is a mood here
FACE_INK = parse_lab("#2b2024")
ATTEMPTS = 400


def grammar_for(catalogue: Catalogue, mixture: str = "single", frequent_weight: float = FREQUENT_WEIGHT) -> Grammar:
    """Raises `GrammarError` for a mixture that does not exist."""
    check_mixture(mixture)
    return (Grammar if mixture == "single" else FullGrammar)(catalogue, frequent_weight)


def check_mixture(mixture: str, split: str = "train") -> None:
    """Raises `GrammarError` for a mixture that does not exist or a split that it does not have."""
    if mixture not in MIXTURES:
        raise GrammarError(f"mixture is {mixture!r}, known are {', '.join(MIXTURES)}")
    splits = SINGLE_SPLITS if mixture == "single" else SPLITS
    if split not in splits:
        raise GrammarError(f"split is {split!r}, known for {mixture} are {', '.join(splits)}")


def _refuse_without_extents(catalogue: Catalogue) -> None:
    """Things could not be stood on the ground or on one another."""
    for concept in catalogue.concepts:
        if any(sprite.extent is None for sprite in concept.sprites.values()):
            raise PackError(f"{concept.id} has no extent in this pack: make it again with training/sprites/main.ts")


class _Again(Exception):
    """This draw met a held-out cell or nothing fits; another one may."""


class FullGrammar(Grammar):
    """Makes scenes of the full mixture."""

    def __init__(self, catalogue: Catalogue, frequent_weight: float = FREQUENT_WEIGHT) -> None:
        super().__init__(catalogue, frequent_weight)
        _refuse_without_extents(catalogue)
        self._faceless = [c for c in catalogue.concepts if any(has_room_for_a_face(c, s) for s in catalogue.styles)]
        self._headed = [c for c in catalogue.concepts if any((c.id, style) in HEADS for style in catalogue.styles)]
        self._order = {concept.id: i for i, concept in enumerate(catalogue.concepts)}
        self._kinds = {
            kind: share
            for kind, share in KINDS.items()
            if (kind != "mood" or self._faceless) and (kind != "accessory" or self._headed)
        }

    def scene(self, split: str, seed: int) -> Scene:
        """The scene of a seed, a pure function of `(split, seed)` and the catalogue.

        Raises `HeldOutError` should a scene for training touch a held-out cell, and `GrammarError` for an
        unknown split or one without cells.
        """
        if split not in SPLITS:
            raise GrammarError(f"split is {split!r}, known are {', '.join(SPLITS)}")
        random = RandomStream(f"scene/{VERSION}/full/{split}", seed)
        kind = KIND_OF_SPLIT.get(split) or random.weighted(list(self._kinds), list(self._kinds.values()))
        if kind not in self._kinds:
            raise GrammarError(f"the catalogue has no cell for {split}")
        for _ in range(ATTEMPTS):
            try:
                scene = _Draw(self, split, seed, random, kind).scene()
            except _Again:
                continue
            cells = {cell[0] for cell in held_out_cells(scene, self.catalogue.styles)}
            if self._accepts(split, cells):
                if split in ("train", "validation"):
                    assert_trainable(scene, self.catalogue.styles)
                return scene
        raise GrammarError(f"the catalogue has no cell for {split} of kind {kind}")

    @staticmethod
    def _accepts(split: str, cells: set[str]) -> bool:
        if split in ("train", "validation"):
            return not cells
        if split == "heldout-wording":
            return "template" in cells and cells <= {"template", "synonym"}
        return cells == {split.removeprefix("heldout-")}

    def lab(self, colour: str) -> Lab:
        return self._labs[colour]

    def weight_of(self, concepts: Sequence[Concept]) -> list[float]:
        return [self._weights[self._order[concept.id]] for concept in concepts]


class _Draw:
    """One attempt at a scene of a kind."""

    def __init__(self, grammar: FullGrammar, split: str, seed: int, random: RandomStream, kind: str) -> None:
        self.grammar, self.split, self.seed, self.random, self.kind = grammar, split, seed, random, kind
        self.catalogue = grammar.catalogue

    def scene(self) -> Scene:
        random = self.random
        concepts = self._concepts()
        effect = self._effect()
        style, style_said = self._style(concepts, effect)
        things = [self._thing(concept, style, effect) for concept in concepts]
        if self.kind == "mood":
            things[0] = self._with_mood(things[0], concepts[0].sprites[style])
        elif self.kind == "accessory":
            things[0] = self._with_accessory(things[0], style)
        backdrop = self._backdrop(concepts, style, things, effect)
        relation = random.choice(list(RELATIONS)) if self.kind == "relation" else None
        things = self._placed(concepts, style, things, relation, backdrop)
        return Scene(
            version=VERSION,
            split=self.split,
            seed=self.seed,
            style=style,
            style_said=style_said,
            things=tuple(things),
            relation=relation,
            backdrop=backdrop,
            effect=effect,
            wording=self._wording(style, style_said, effect, backdrop, relation, len(things)),
            mixture="full",
        )

    def _concepts(self) -> list[Concept]:
        grammar, random = self.grammar, self.random
        of_kind = {"mood": grammar._faceless, "accessory": grammar._headed}.get(self.kind, self.catalogue.concepts)
        first = random.weighted(of_kind, grammar.weight_of(of_kind))
        if self.kind != "relation":
            return [first]
        held_out = self.split == "heldout-pair"
        for _ in range(50):
            second = random.weighted(self.catalogue.concepts, grammar.weight_of(self.catalogue.concepts))
            if second is not first and pair_is_held_out(first.id, second.id) == held_out:
                return [first, second]
        raise _Again

    def _effect(self) -> str | None:
        if self.split == "heldout-colour" or not self.random.chance(EFFECT_SHARE[self.kind]):
            return None
        effect = self.random.choice(list(EFFECTS))
        if self.kind == "place" and effect in (*PAPERED, *WHITE_ONLY):
            raise _Again
        if self.kind in ("mood", "accessory") and effect == "silhouette":
            raise _Again  # the face or the glasses would not show
        return effect

    def _style(self, concepts: Sequence[Concept], effect: str | None) -> tuple[str, bool]:
        """(drawn style, whether a style is said); a procedure is always named."""
        random, styles = self.random, self.catalogue.styles
        said = random.chance(STYLE_SAID) or effect is not None
        held_out = {style for concept in concepts for style in held_out_styles(concept.id, styles)}
        if self.split == "heldout-style" and effect is None:
            if not held_out:
                raise _Again
            return random.choice(sorted(held_out)), True
        allowed = [style for style in styles if style not in held_out and self._suits(concepts, style)]
        if not allowed:
            raise _Again
        named = said and effect is None
        weights = [1.0 if named else UNSAID_STYLES.get(style, 0.25) for style in allowed]
        return random.weighted(allowed, weights), said

    def _suits(self, concepts: Sequence[Concept], style: str) -> bool:
        if self.kind == "mood":
            return has_room_for_a_face(concepts[0], style)
        return self.kind != "accessory" or (concepts[0].id, style) in HEADS

    def _thing(self, concept: Concept, style: str, effect: str | None) -> Thing:
        random, sprite = self.random, concept.sprites[style]
        colour, recoloured, said = (None, False, False) if effect in COLOURLESS else self._coloured(concept, sprite)
        if effect == "neon" and colour in UNLIT:
            colour, recoloured, said = None, False, False
        thing = Thing(
            concept=concept.id,
            colour=colour,
            recoloured=recoloured,
            placement=pick_placement(random),
            colour_word=pick_colour_word(random, colour) if said and colour else None,
            name=None if self.kind == "count" else pick_synonym(self.split, random, concept),
            filler=random.choice(FILLERS) if self.kind in ("thing", "place") and random.chance(0.1) else None,
        )
        if thing.colour_word == (thing.name or concept.noun.name):
            thing = replace(thing, colour_word=None)
        return replace(thing, filler=None) if self.split == "heldout-wording" else thing

    def _coloured(self, concept: Concept, sprite: Sprite) -> tuple[str | None, bool, bool]:
        if self.split == "heldout-colour" and not self.grammar._colours(self.split, concept, sprite.style):
            raise _Again
        if self.kind == "thing":
            return self.grammar._colour(self.split, self.random, concept, sprite)
        # Other kinds name a colour less often: there is enough to learn in them.
        colours = self.grammar._colours(self.split, concept, sprite.style)
        if colours and self.random.chance(RECOLOURED / 2):
            return self.random.choice(colours), True, True
        natural = sprite.natural
        if natural is not None and not is_held_out("colour", concept.id, natural) and self.random.chance(NATURAL_SAID):
            return natural, False, True
        return None, False, False

    def _with_mood(self, thing: Thing, sprite: Sprite) -> Thing:
        random = self.random
        behind = self.grammar.lab(thing.colour) if thing.recoloured else sprite.main
        if distance(behind, FACE_INK) < FACE_INK_DISTANCE_MIN:
            raise _Again
        mood = random.choice(list(MOODS))
        word = random.choice(MOODS[mood])
        before = random.chance(MOOD_BEFORE)
        after = MOODS_AFTER.get(mood) or f"with {captions.article_for(word)} {word} face"
        return replace(thing, mood=mood, mood_phrase=f"{word} {{}}" if before else f"{{}} {after}")

    def _with_accessory(self, thing: Thing, style: str) -> Thing:
        random = self.random
        head = HEADS[thing.concept, style]
        accessory = random.choice([name for name in ACCESSORIES if accessory_spot(head, name) is not None])
        verb = random.choice(("wearing", "with", "in") if accessory in HATS else ("wearing", "with"))
        phrase = f"{verb} {random.choice(ACCESSORIES[accessory])}"
        return replace(thing, accessory=accessory, accessory_phrase=phrase)

    # Backdrops

    def _backdrop(
        self, concepts: Sequence[Concept], style: str, things: Sequence[Thing], effect: str | None
    ) -> Backdrop:
        random = self.random
        in_front = [
            lab
            for concept, thing in zip(concepts, things, strict=True)
            for lab in ([self.grammar.lab(thing.colour)] if thing.recoloured else self._labs(concept, style))
        ]
        if effect in PAPERED:
            return Backdrop(PAPER, (), False)
        if effect in WHITE_ONLY:
            said = random.chance(0.4)
            return Backdrop("transparent" if said and random.chance(0.3) else "white", (), said)
        if effect == "silhouette":
            in_front = [self.grammar.lab("black")]
        is_place = self.kind == "place" or (self.kind != "thing" and random.chance(PLACE_SHARE))
        if is_place:
            return self._place(concepts[0], in_front)
        said = random.chance(BACKDROP_SAID)
        kinds = SAID_BACKDROPS if said else UNSAID_BACKDROPS
        kind = random.weighted(list(kinds), list(kinds.values()))
        if kind == "transparent":
            return Backdrop(kind, (), True)
        if effect == "sticker" and kind == "white":
            kind = "soft"  # its white border would be lost
        if kind == "pattern":
            kind = random.choice(list(PATTERNS))
        # The kind stays, its colours are drawn again: a kind that is hard to fit keeps its share.
        for _ in range(24):
            colours = (
                (random.choice(self.catalogue.plain_colours),)
                if kind in PATTERNS
                else self.grammar._backdrop_colours(random, kind)
            )
            behind = [self.grammar._behind(kind, name) for name in colours] or [self.grammar.lab("white")]
            least = CONTRAST_MIN / 2 if kind == "soft" else CONTRAST_MIN
            front = in_front if said or kind != "white" else in_front[:1]
            if min(distance(x, y) for x in front for y in behind) >= least:
                variant = int(random.uniform() * PATTERN_VARIANTS) if kind in PATTERNS else None
                return Backdrop(kind, colours, said, variant)
        raise _Again

    @staticmethod
    def _labs(concept: Concept, style: str) -> list[Lab]:
        return [concept.sprites[style].rim, concept.sprites[style].main]

    def _place(self, concept: Concept, in_front: Sequence[Lab]) -> Backdrop:
        random = self.random
        held_out = self.split == "heldout-backdrop"
        at_home = PREFERRED.get(concept.id, ())
        allowed = [name for name in PLACES if is_held_out("backdrop", concept.id, name) == held_out]
        preferred = [name for name in at_home if name in allowed]
        if not allowed:
            raise _Again
        place = random.choice(preferred if preferred and random.chance(PREFERRED_SHARE) else allowed)
        if min(distance(in_front[0], behind) for behind in PLACE_COLOURS[place]) < PLACE_CONTRAST_MIN:
            raise _Again
        said = True  # who does not ask for a place does not get one
        return Backdrop(place, (), said, int(random.uniform() * PLACE_VARIANTS))

    # Placement

    def _placed(
        self,
        concepts: Sequence[Concept],
        style: str,
        things: list[Thing],
        relation: str | None,
        backdrop: Backdrop,
    ) -> list[Thing]:
        random = self.random
        if self.kind == "count":
            number = random.weighted(list(COUNT_WEIGHTS), list(COUNT_WEIGHTS.values()))
            return [replace(things[0], placement=_placement(seat)) for seat in copies(random, number)]
        extents = [_extent(concept.sprites[style], self.catalogue.object_side) for concept in concepts]
        if relation is not None:
            seats = pair(random, relation, *extents)
            if relation in SIDE_BY_SIDE and backdrop.kind in GROUND:
                seats = tuple(
                    seat if concept.id in AIRBORNE else replace(seat, y=HORIZON_GROUND - seat.size * extent.y)
                    for seat, concept, extent in zip(seats, concepts, extents, strict=True)
                )
            return [replace(thing, placement=_placement(seat)) for thing, seat in zip(things, seats, strict=True)]
        if backdrop.kind in PLACES:
            things[0] = replace(things[0], placement=self._stand(concepts[0], extents[0], backdrop.kind))
        if things[0].accessory in (*HATS, "bow"):
            things[0] = replace(things[0], placement=_under_a_hat(things[0].placement))
        return things

    def _stand(self, concept: Concept, extent: Extent, place: str) -> Placement:
        """On the ground where the place has one; in the air for what flies."""
        random = self.random
        size = random.uniform(0.5, 0.66)
        x = 0.5 + random.uniform(-0.09, 0.09)
        tilt = random.uniform(-5.0, 5.0)
        if place in GROUND and concept.id not in AIRBORNE:
            bottom = HORIZON_GROUND + random.uniform(0.0, 0.05)
            return _placement(Seat(x, bottom - size * extent.y, size, tilt * 0.3))
        return _placement(Seat(x, 0.48 + random.uniform(-0.07, 0.03), size, tilt))

    # Words

    def _wording(
        self, style: str, style_said: bool, effect: str | None, backdrop: Backdrop, relation: str | None, count: int
    ) -> Wording:
        random = self.random
        adjectives, phrases = (
            (EFFECTS[effect].adjectives, EFFECTS[effect].phrases)
            if effect is not None
            else (captions.STYLE_ADJECTIVES[style], captions.STYLE_PHRASES[style])
        )
        place = PLACES.get(backdrop.kind)
        said = backdrop.said
        if place is not None:
            phrase = random.choice([f"{noun} background" for noun in place.noun] + [f"{place.noun[0]} scene"])
        elif said:
            phrase = random.choice(PATTERNS.get(backdrop.kind) or captions.BACKDROP_PHRASES[backdrop.kind])
        else:
            phrase = None
        number = self._number(count) if self.kind == "count" else None
        return Wording(
            template=self._template(style_said, said, plural=number is not None),
            style_adjective=random.choice(adjectives) if style_said else None,
            style_phrase=random.choice(phrases) if style_said else None,
            backdrop=phrase,
            backdrop_colours=tuple(pick_colour_word(random, name) for name in backdrop.colours) if said else (),
            place=random.choice(place.where) if place is not None else None,
            number=number,
            relation_words=random.choice(RELATIONS[relation]) if relation is not None else None,
        )

    def _number(self, count: int) -> str:
        word, digit, group = NUMBERS[count]
        point = self.random.uniform()
        return word if point < NUMBER_WORD else digit if point < NUMBER_WORD + NUMBER_DIGIT else group

    def _template(self, says_style: bool, says_backdrop: bool, *, plural: bool) -> str:
        phrase = self.kind in ("relation", "accessory", "mood")
        held_out = self.split == "heldout-wording"
        form = self.random.weighted(list(captions.FORMS), list(captions.FORMS.values()))
        fitting = _templates(says_style, says_backdrop, plural, phrase, form, held_out)
        if not fitting:
            raise _Again
        return self.random.choice(fitting)


@lru_cache(maxsize=256)
def _templates(
    says_style: bool, says_backdrop: bool, plural: bool, phrase: bool, form: str, held_out: bool
) -> tuple[str, ...]:
    """Templates that say exactly this and read well; of any form where the wished one has none."""
    fitting = [
        template
        for template in captions.FULL_TEMPLATES
        if (template.says_style, template.says_backdrop) == (says_style, says_backdrop)
        and is_held_out("template", template.text) == held_out
        and captions.suits(template, plural=plural, phrase=phrase)
    ]
    of_form = [template for template in fitting if template.form == form]
    return tuple(template.text for template in of_form or fitting)


def has_room_for_a_face(concept: Concept, style: str) -> bool:
    return style in FACELESS.get(concept.id, ()) and concept.sprites[style].circle[2] >= FACE_RADIUS_MIN


def _placement(seat: Seat) -> Placement:
    return Placement(x=round(seat.x, 4), y=round(seat.y, 4), size=round(seat.size, 4), tilt=round(seat.tilt, 2))


def _extent(sprite: Sprite, longest: int) -> Extent:
    width, height = sprite.extent or (longest, longest)
    return Extent(width / 2 / longest, height / 2 / longest)


def _under_a_hat(placement: Placement) -> Placement:
    """Smaller and lower, so that what sticks out above the head stays in the frame."""
    size = min(placement.size, 0.66)
    return replace(
        placement, size=size, y=round(max(placement.y, 0.99 - size / 2 - 0.02), 4), tilt=round(placement.tilt / 3, 2)
    )
