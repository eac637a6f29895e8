"""Where a face or an accessory goes on a drawing: which things can take one, and at which pixels of the sprite.

Found by looking at the drawings. Coordinates are pixels of the 160-pixel sprite, x to the right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

SPRITE_SIDE = 160
OBJECT_SIDE = 148

FACE_RADIUS_MIN = 26.0
"""Pixels of the 160 that the inscribed circle must have, so that eyes and mouth can be told apart at 128."""

FACE_INK_DISTANCE_MIN = 0.28
"""Least OKLab distance between a face's ink and what it is drawn on."""

FACELESS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("apple", "pear", "orange", "lemon", "peach", "tomato", "eggplant", "taco"), ("3d", "flat", "cartoon")
    ),
    **dict.fromkeys(("loaf-of-bread", "ice-cream-cone", "carrot", "cactus"), ("3d", "flat", "cartoon")),
    **dict.fromkeys(("star", "cloud", "tree", "heart", "balloon", "bell"), ("3d", "flat", "cartoon")),
    **dict.fromkeys(("light-bulb", "book", "t-shirt"), ("3d", "flat", "cartoon")),
    **dict.fromkeys(("fire", "broccoli", "television", "laptop"), ("3d", "flat")),
}
"""Things without a face and without busy texture, and the styles in which that is true of the drawing."""


@dataclass(frozen=True, slots=True)
class Head:
    """A face seen from the front: its eyes, the top of the skull between the ears, and where a collar would sit."""

    x: float
    eyes: float  # y
    apart: float  # between the eyes' centres
    top: float | None  # y; None where ears or horns leave no room for a hat
    neck: float = 146.0  # y
    width: float = 64.0  # of a hat


HEADS: dict[tuple[str, str], Head] = {
    ("cat", "3d"): Head(80, 84, 46, 46),
    ("cat", "flat"): Head(80, 84, 46, 46),
    ("cat", "cartoon"): Head(81, 88, 56, 42),
    ("dog", "3d"): Head(80, 60, 34, 14),
    ("dog", "flat"): Head(80, 60, 34, 14),
    ("dog", "cartoon"): Head(79, 83, 52, 15),
    ("fox", "3d"): Head(79, 93, 38, 46),
    ("fox", "flat"): Head(79, 93, 38, 46),
    ("fox", "cartoon"): Head(80, 91, 38, 44),
    ("panda", "3d"): Head(80, 73, 40, 14),
    ("panda", "flat"): Head(79, 72, 40, 14),
    ("panda", "cartoon"): Head(81, 75, 54, 13),
    ("bear", "3d"): Head(80, 74, 44, 17),
    ("bear", "flat"): Head(80, 74, 44, 17),
    ("bear", "cartoon"): Head(80, 75, 53, 14),
    ("koala", "3d"): Head(80, 84, 68, 17),
    ("koala", "flat"): Head(80, 90, 64, 17),
    ("koala", "cartoon"): Head(80, 73, 64, 16),
    ("lion", "3d"): Head(80, 83, 37, 10),
    ("lion", "flat"): Head(80, 83, 37, 10),
    ("lion", "cartoon"): Head(80, 62, 38, 12),
    ("tiger", "3d"): Head(80, 78, 42, 14),
    ("tiger", "flat"): Head(80, 78, 42, 14),
    ("tiger", "cartoon"): Head(80, 54, 57, 10),
    ("rabbit", "3d"): Head(79, 92, 43, None),
    ("rabbit", "flat"): Head(79, 92, 43, None),
    ("rabbit", "cartoon"): Head(78, 102, 36, None),
    ("mouse", "3d"): Head(80, 102, 42, 56),
    ("mouse", "flat"): Head(80, 102, 42, 56),
    ("mouse", "cartoon"): Head(80, 94, 48, 46),
    ("cow", "3d"): Head(80, 70, 38, None),
    ("cow", "flat"): Head(80, 70, 38, None),
    ("cow", "cartoon"): Head(79, 67, 50, None),
    ("pig", "3d"): Head(78, 73, 43, 16),
    ("pig", "flat"): Head(78, 69, 40, 16),
    ("pig", "cartoon"): Head(80, 81, 64, 24),
    ("monkey", "3d"): Head(80, 68, 36, 22),
    ("monkey", "flat"): Head(80, 68, 36, 22),
    ("monkey", "cartoon"): Head(80, 74, 42, 19),
    ("wolf", "3d"): Head(79, 77, 40, 39),
    ("wolf", "flat"): Head(79, 77, 40, 39),
    ("wolf", "cartoon"): Head(80, 74, 51, 34),
    ("raccoon", "3d"): Head(80, 54, 40, 28),
    ("raccoon", "flat"): Head(80, 54, 40, 28),
    ("penguin", "3d"): Head(79, 34, 24, 10, neck=62, width=48),
    ("penguin", "flat"): Head(79, 34, 24, 10, neck=62, width=48),
    ("owl", "3d"): Head(80, 44, 66, 20, neck=82, width=58),
    ("owl", "flat"): Head(80, 44, 66, 20, neck=82, width=58),
    ("owl", "cartoon"): Head(78, 50, 38, 24, neck=80, width=48),
    ("teddy-bear", "3d"): Head(80, 38, 24, 10, neck=66, width=44),
    ("teddy-bear", "flat"): Head(80, 38, 24, 10, neck=66, width=44),
    ("teddy-bear", "cartoon"): Head(79, 40, 32, 12, neck=72, width=46),
    ("robot", "3d"): Head(79, 68, 54, 18),
    ("robot", "flat"): Head(79, 68, 54, 18),
    ("robot", "cartoon"): Head(80, 83, 55, None),
    ("alien", "3d"): Head(80, 76, 66, 10, width=70),
    ("alien", "flat"): Head(80, 76, 66, 10, width=70),
    ("alien", "cartoon"): Head(79, 90, 64, 8, width=66),
}

HATS = ("top-hat", "crown", "party-hat", "cap")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an overlay lies on a sprite: its centre and longest side in pixels of the sprite, its tilt in degrees."""

    x: float
    y: float
    size: float
    tilt: float = 0.0


def accessory_spot(head: Head, accessory: str) -> Spot | None:
    """Where an accessory lies on a head, or None where it has no room. Overlays fill 148 of their 160 pixels."""
    if accessory in ("sunglasses", "glasses"):
        return Spot(head.x, head.eyes + 1, max(head.apart, 30.0) * 1.95)
    if accessory == "bow-tie":
        return Spot(head.x, head.neck, head.width * 0.72)
    if accessory == "scarf":
        return Spot(head.x, head.neck + 1, head.width * 1.3)
    if head.top is None:
        return None
    if accessory == "bow":
        return Spot(head.x + head.width * 0.34, head.top + 6, head.width * 0.62, 14.0)
    rise = {"top-hat": 0.36, "crown": 0.22, "party-hat": 0.42, "cap": 0.16}[accessory]
    size = head.width * {"top-hat": 1.0, "crown": 0.86, "party-hat": 0.92, "cap": 1.05}[accessory]
    return Spot(head.x, head.top + 6 - rise * size, size)
