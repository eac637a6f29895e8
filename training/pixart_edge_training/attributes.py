"""What a scene of the "full" mixture can have beyond a colour, and the words that say it.

Each table goes from an id, which labels and held-out cells use, to the words captions use. The order is the order of
label ids: new entries go to the end.
"""

from __future__ import annotations

from dataclasses import dataclass

NUMBERS = {
    1: ("one", "1", "a single"),
    2: ("two", "2", "a couple of"),
    3: ("three", "3", "a group of three"),
    4: ("four", "4", "a group of four"),
    5: ("five", "5", "a group of five"),
    6: ("six", "6", "half a dozen"),
}
"""Words that stand before a plural; those of 1 before a singular."""

MOODS = {
    "happy": ("happy", "smiling", "cheerful"),
    "sad": ("sad", "unhappy", "gloomy"),
    "angry": ("angry", "mad", "furious"),
    "surprised": ("surprised", "shocked", "amazed"),
    "sleepy": ("sleepy", "sleeping", "tired"),
    "winking": ("winking",),
    "crying": ("crying", "weeping", "tearful"),
    "in-love": ("lovestruck", "in-love", "heart-eyed"),
    "scared": ("scared", "frightened", "terrified"),
    "cool": ("cool",),
}

MOODS_AFTER = {"in-love": "in love", "cool": "with cool shades"}
"""How some moods are said behind the noun; the others are "with a … face"."""

RELATIONS = {
    "left-of": ("to the left of", "left of", "on the left of"),
    "right-of": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over", "floating above"),
    "below": ("below", "under", "beneath"),
    "on-top-of": ("on top of", "sitting on", "standing on"),
    "next-to": ("next to", "beside", "and"),
    "in-front-of": ("in front of",),
    "behind": ("behind",),
}

ACCESSORIES = {
    "sunglasses": ("sunglasses", "dark sunglasses", "shades"),
    "glasses": ("glasses", "round glasses"),
    "top-hat": ("a top hat", "a black top hat"),
    "crown": ("a crown", "a golden crown"),
    "party-hat": ("a party hat", "a birthday hat"),
    "cap": ("a cap", "a baseball cap"),
    "bow": ("a bow", "a hair bow"),
    "bow-tie": ("a bow tie", "a bowtie"),
    "scarf": ("a scarf", "a warm scarf"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A backdrop that is a place: how it is said after the thing and before "background"."""

    where: tuple[str, ...]  # "in the desert"
    noun: tuple[str, ...]  # "desert", of "desert background"


PLACES = {
    "desert": Place(("in the desert", "in a desert"), ("desert", "sandy desert")),
    "beach": Place(("at the beach", "on the beach", "on a sandy beach"), ("beach", "sunny beach")),
    "meadow": Place(("in a meadow", "on a meadow", "on the grass"), ("meadow", "grass")),
    "night-sky": Place(("at night", "under the stars", "in the night sky"), ("night sky", "starry night")),
    "snow": Place(("in the snow", "in a snowy landscape"), ("snow", "snowy", "winter")),
    "city": Place(("in the city", "in a city"), ("city", "city skyline")),
    "space": Place(("in space", "in outer space"), ("space", "outer space")),
    "underwater": Place(("underwater", "under the sea", "in the ocean"), ("underwater", "ocean")),
    "forest": Place(("in the forest", "in a forest", "in the woods"), ("forest",)),
    "mountains": Place(("in the mountains", "in front of mountains"), ("mountains", "mountain")),
    "sunset": Place(("at sunset", "in the sunset"), ("sunset", "evening sky")),
    "rain": Place(("in the rain", "on a rainy day"), ("rain", "rainy")),
    "room": Place(("in a room", "in the living room"), ("room", "living room")),
    "farm": Place(("on a farm", "on the farm"), ("farm",)),
    "road": Place(("on the road", "on a road"), ("road", "street")),
    "volcano": Place(("in front of a volcano", "by a volcano"), ("volcano",)),
}

PATTERNS = {
    "dots": ("{0} polka dot background", "{0} dotted background", "{0} background with dots"),
    "stripes": ("{0} striped background", "{0} stripes background", "{0} background with stripes"),
    "checks": ("{0} checkered background", "{0} checked background", "{0} background with checks"),
    "rays": ("{0} sunburst background", "{0} sun rays background", "{0} background with rays"),
}
"""Backdrops of one colour and a paler one; `{0}` is the colour."""


DRAWN_STYLES = ("3d", "flat", "cartoon")
"""Styles that people drew; the sprites of a pack come in these."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A style made by a procedure out of a drawn one."""

    adjectives: tuple[str, ...]  # "pixel art", of "a pixel art cat"
    phrases: tuple[str, ...]  # "pixel art style", of "a cat, pixel art style"


EFFECTS = {
    "outline": Effect(("outlined cartoon", "bold outline"), ("outlined cartoon style", "bold outline style")),
    "sticker": Effect(("die-cut sticker", "sticker style"), ("sticker style", "die-cut sticker style")),
    "pixel": Effect(("pixel art", "8-bit", "pixelated"), ("pixel art style", "8-bit style", "pixel art")),
    "line-art": Effect(("line art", "black and white line art"), ("line art style", "line art", "line drawing style")),
    "silhouette": Effect(("silhouette", "black silhouette"), ("silhouette style", "black silhouette style")),
    "neon": Effect(("neon", "glowing neon"), ("neon style", "neon sign style")),
    "blueprint": Effect(("blueprint",), ("blueprint style", "technical blueprint style")),
    "chalk": Effect(("chalk", "chalkboard"), ("chalk style", "chalk drawing style", "chalkboard style")),
    "paper-cut": Effect(("paper cut", "papercut"), ("paper cut style", "papercut style")),
    "pencil": Effect(("pencil", "pencil sketch"), ("pencil sketch style", "pencil drawing style")),
    "mosaic": Effect(("mosaic", "tile mosaic"), ("mosaic style", "mosaic tile style")),
}

PAPERED = ("neon", "blueprint", "chalk")
"""Effects that bring their own backdrop, which no caption names."""

COLOURLESS = ("line-art", "silhouette", "blueprint", "chalk", "pencil")
"""Effects that keep nothing of a thing's colour, so none is given or said."""

UNLIT = ("brown", "black", "white", "gray")
"""Colours that no neon tube has."""

WHITE_ONLY = ("line-art", "pencil")
"""Effects drawn on white paper or on nothing."""

PAPER = "paper"
"""The backdrop kind of `PAPERED` effects."""
