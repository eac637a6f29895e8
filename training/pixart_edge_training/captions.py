"""A caption from a scene: templates, synonyms, articles, plurals.

Knows nothing about pixels or splits; `grammar` picks the words, this module puts them together.
"""

from __future__ import annotations

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
    """`an` before a vowel letter; colours and fillers have no misleading spellings."""
    return "an" if phrase[0] in "aeiou" else "a"


def noun_phrase(thing: Thing, concept: Concept) -> tuple[str, str]:
    """("a red apple", "red apple"): the thing with and without its article."""
    noun = concept.noun
    if thing.name is not None:
        noun = next(word for word in concept.synonyms if word.name == thing.name)
    before = [word for word in (thing.filler, thing.colour_word) if word is not None]
    phrase = " ".join([*before, noun.name])
    if not noun.article:
        return phrase, phrase
    article = article_for(phrase) if before else noun.article
    return f"{article} {phrase}", phrase


def backdrop_phrase(scene: Scene) -> str:
    return scene.wording.backdrop.format(*scene.wording.backdrop_colours)


def write_caption(scene: Scene, concept: Concept) -> str:
    """The caption of a scene of one thing, lower case."""
    thing, noun = noun_phrase(scene.things[0], concept)
    gaps = {"thing": thing, "noun": noun}
    if scene.style_said:
        gaps |= {"adj": scene.wording.style_adjective, "style": scene.wording.style_phrase}
    if scene.backdrop.said:
        backdrop = backdrop_phrase(scene)
        a_backdrop = f"{article_for(backdrop)} {backdrop}"
        gaps |= {"backdrop": backdrop, "a_backdrop": a_backdrop, "on": f"on {a_backdrop}"}
    return scene.wording.template.format(**gaps)
