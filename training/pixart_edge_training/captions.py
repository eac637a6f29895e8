"""A caption from a scene: templates, synonyms, articles, plurals, numbers.

Knows nothing about pixels or splits; `grammar` picks the words, this module puts them together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .catalogue import Concept
    from .grammar import Scene, Thing

FORMS = {"short": 0.30, "plain": 0.50, "rich": 0.20}
"""How often each length of caption is written."""


@dataclass(frozen=True, slots=True)
class Template:
    """A caption with gaps.

    `{thing}` "a red apple", `{noun}` "red apple", `{adj}` "flat", `{style}` "flat style",
    `{on}` "on a blue background", `{backdrop}` "blue background", `{a_backdrop}` "a blue background".
    """

    text: str
    form: str

    @property
    def says_style(self) -> bool:
        return "{style}" in self.text or "{adj}" in self.text

    @property
    def says_backdrop(self) -> bool:
        return "{on}" in self.text or "backdrop}" in self.text


def _templates(form: str, *texts: str) -> tuple[Template, ...]:
    return tuple(Template(text, form) for text in texts)


TEMPLATES: tuple[Template, ...] = (
    # the thing alone
    *_templates("short", "{noun}", "{noun} icon", "{noun} sticker", "{noun} emoji"),
    *_templates("plain", "{thing}", "a picture of {thing}", "an icon of {thing}", "a drawing of {thing}"),
    *_templates("plain", "an image of {thing}", "draw {thing}", "a sticker of {thing}", "an emoji of {thing}"),
    *_templates("rich", "an illustration of {thing}", "please draw {thing}", "a clean illustration of {thing}"),
    *_templates("rich", "a picture that shows {thing}", "i want {thing}"),
    # with a style
    *_templates("short", "{adj} {noun}", "{noun}, {style}", "{noun} {adj}", "{style} {noun}", "{adj} {noun} icon"),
    *_templates("plain", "{thing}, {style}", "{thing} in {style}", "a {adj} {noun}", "a {adj} icon of {thing}"),
    *_templates("plain", "a {adj} drawing of {thing}", "{noun} in {style}", "a {adj} sticker of {thing}"),
    *_templates("rich", "a {adj} illustration of {thing}", "an illustration of {thing} in {style}"),
    *_templates("rich", "please draw {thing} in {style}", "a picture of {thing}, drawn in {style}"),
    # with a backdrop
    *_templates("short", "{noun}, {backdrop}", "{noun} {on}", "{noun} icon, {backdrop}", "{noun} sticker, {backdrop}"),
    *_templates("plain", "{thing} {on}", "{thing}, {backdrop}", "a picture of {thing} {on}", "an icon of {thing} {on}"),
    *_templates("plain", "draw {thing} {on}", "{thing} with {a_backdrop}", "a sticker of {thing} {on}"),
    *_templates("rich", "an illustration of {thing} {on}", "{thing} in front of {a_backdrop}"),
    *_templates("rich", "{on}, {thing}", "please draw {thing} {on}"),
    # with both
    *_templates("short", "{adj} {noun}, {backdrop}", "{noun}, {style}, {backdrop}", "{style} {noun} {on}"),
    *_templates("short", "{noun}, {backdrop}, {style}"),
    *_templates("plain", "{thing} {on}, {style}", "{thing}, {style}, {backdrop}", "a {adj} {noun} {on}"),
    *_templates("plain", "{thing} in {style} {on}", "a {adj} icon of {thing} {on}", "{adj} {noun} {on}"),
    *_templates("plain", "a {adj} sticker of {thing} {on}", "{thing} with {a_backdrop}, {style}"),
    *_templates("rich", "a {adj} illustration of {thing} {on}", "an illustration of {thing} {on}, {style}"),
    *_templates("rich", "{on}, {thing} in {style}", "please draw {thing} in {style} {on}"),
    *_templates("rich", "a picture of {thing} {on}, drawn in {style}"),
)

FULL_TEMPLATES: tuple[Template, ...] = (
    *TEMPLATES,
    *_templates("short", "{backdrop}, {noun}", "{backdrop}, {style}, {noun}"),
    *_templates("plain", "make {thing}", "give me {thing}", "just {thing}", "show me {thing}"),
    *_templates("plain", "{style}, {thing}", "make {thing} in {style}", "{style} of {thing}", "draw {thing}, {style}"),
    *_templates("plain", "make {thing} {on}", "give me {thing}, {backdrop}", "{backdrop} with {thing}"),
    *_templates("rich", "i would like {thing} {on}", "i would like {thing} in {style}", "{style}, {on}, {thing}"),
    *_templates("plain", "{thing} {on} in {style}", "make {thing} {on}, {style}"),
)
"""What the full mixture says: everything that "single" does, and more orders of words."""

_ONE_NOUN = ("{noun} icon", "{noun} sticker", "{noun} emoji", "{noun} {adj}")
_ONE_THING = ("{adj} {noun}", "{style} {noun}")


def suits(template: Template, *, plural: bool, phrase: bool) -> bool:
    """Whether a template reads well around "three cats" (plural) or "a cat left of a dog" (phrase)."""
    if plural and any(part in template.text for part in _ONE_THING):
        return False
    return not ((plural or phrase) and any(part in template.text for part in _ONE_NOUN))


STYLE_ADJECTIVES = {
    "3d": ("3d", "3d rendered", "3d"),
    "flat": ("flat", "flat vector", "flat"),
    "cartoon": ("cartoon", "glossy cartoon", "cartoon"),
}
STYLE_PHRASES = {
    "3d": ("3d style", "3d render style", "3d style"),
    "flat": ("flat style", "flat design style", "flat style"),
    "cartoon": ("cartoon style", "glossy cartoon style", "cartoon style"),
}

COLOUR_WORDS = {"gray": ("gray", "grey"), "purple": ("purple", "violet"), "teal": ("teal", "turquoise")}
"""Other spellings; the first one is the colour's name."""

BACKDROP_PHRASES = {
    "transparent": ("transparent background", "transparent background", "see-through background"),
    "white": ("white background", "plain white background", "white background"),
    "plain": ("{0} background", "plain {0} background", "solid {0} background", "{0} background"),
    "gradient": (
        "{0} to {1} gradient background",
        "gradient background from {0} to {1}",
        "{0} and {1} gradient background",
        "{0} to {1} gradient",
    ),
    "soft": ("soft {0} background", "pastel {0} background", "pale {0} background"),
}

FILLERS = ("cute", "simple", "lovely", "nice", "beautiful", "cool", "pretty", "adorable")
"""Words people type that change nothing in the picture."""


def article_for(phrase: str) -> str:
    """`an` before a vowel letter; colours and fillers have no misleading spellings. `8-bit` is spoken."""
    return "an" if phrase[0] in "aeiou8" else "a"


def noun_phrase(thing: Thing, concept: Concept) -> tuple[str, str]:
    """("a red apple", "red apple"): the thing with and without its article."""
    noun = concept.noun
    if thing.name is not None:
        noun = next(word for word in concept.synonyms if word.name == thing.name)
    before = [word for word in (thing.filler, thing.colour_word) if word is not None]
    phrase = " ".join([*before, noun.name])
    article = noun.article
    if article and before:
        article = article_for(phrase)
    if thing.mood_phrase is not None:
        phrase = thing.mood_phrase.format(phrase)
        if article and not thing.mood_phrase.startswith("{}"):
            article = article_for(phrase)
    if thing.accessory_phrase is not None:
        phrase = f"{phrase} {thing.accessory_phrase}"
    return (f"{article} {phrase}" if article else phrase), phrase


def subject(scene: Scene, concepts: Sequence[Concept]) -> tuple[str, str]:
    """What a picture shows, with and without its article: "a cat", "three red cars", "a cat next to a dog"."""
    first, wording = scene.things[0], scene.wording
    if scene.relation is not None:
        (thing, noun), (other, _) = (noun_phrase(*pair) for pair in zip(scene.things, concepts, strict=True))
        return f"{thing} {wording.relation_words} {other}", f"{noun} {wording.relation_words} {other}"
    if wording.number is not None:
        name = concepts[0].plural if len(scene.things) > 1 else concepts[0].noun.name
        words = [wording.number, *([first.colour_word] if first.colour_word else []), name]
        return " ".join(words), " ".join(words)
    return noun_phrase(first, concepts[0])


def backdrop_phrase(scene: Scene) -> str:
    return scene.wording.backdrop.format(*scene.wording.backdrop_colours)


def write_caption(scene: Scene, *concepts: Concept) -> str:
    """The caption of a scene, lower case; `concepts` are those of its things."""
    thing, noun = subject(scene, concepts)
    gaps = {"thing": thing, "noun": noun}
    template = scene.wording.template
    if scene.style_said:
        adjective = scene.wording.style_adjective
        gaps |= {"adj": adjective, "style": scene.wording.style_phrase}
        template = re.sub(r"\ba \{adj\}", f"{article_for(adjective)} {{adj}}", template)
    if scene.backdrop.said:
        backdrop = backdrop_phrase(scene)
        a_backdrop = f"{article_for(backdrop)} {backdrop}"
        where = scene.wording.place or f"on {a_backdrop}"
        gaps |= {"backdrop": backdrop, "a_backdrop": a_backdrop, "on": where}
    return template.format(**gaps)
