"""Which combinations training never sees, decided by a keyed hash anyone can recompute.

A cell is a tuple such as `("style", "cactus", "3d")`. It is held out when its hash, as a fraction of 1,
falls below the share of its kind, so the answer depends on nothing but the tuple.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from .errors import HeldOutSceneError

if TYPE_CHECKING:
    from .grammar import Scene

KEY = b"pixart-edge/splits/1"

SHARES = {
    "style": 0.10,
    "colour": 0.12,
    "template": 0.20,
    "synonym": 0.20,
    "mood": 0.15,
    "backdrop": 0.12,
    "count": 0.10,
    "accessory": 0.12,
    "pair": 0.40,
    "unpaired": 0.04,
}
"""Part of the cells of each kind that is held out; `unpaired` concepts never meet another one in training."""

STYLES_KEPT_MIN = 2
"""A concept is trained in at least this many styles, whatever the hash says."""

SINGLE_SPLITS = ("train", "validation", "heldout-style", "heldout-colour", "heldout-wording")
SPLITS = (*SINGLE_SPLITS, "heldout-mood", "heldout-backdrop", "heldout-count", "heldout-accessory", "heldout-pair")
"""`train` and `validation` hold seen cells only; each other split holds one kind of unseen cell. Those after the
first five are of the full mixture."""

Cell = tuple[str, ...]


class HeldOutError(HeldOutSceneError, ValueError):
    """A scene meant for training touches a held-out cell."""

    def __init__(self, cell: Cell, where: str | None = None) -> None:
        """`where` names the line of a list."""
        what = f"{' × '.join(cell[1:])} is a held-out {cell[0]} cell"
        super().__init__(what if where is None else f"{where}: {what}", field="scene")
        self.cell = cell


def fraction(cell: Cell) -> float:
    """Keyed hash of a cell as a number in [0, 1): 8 bytes of BLAKE2b, big-endian, over 2^64."""
    message = "\x1f".join(cell).encode("utf8")
    digest = hashlib.blake2b(message, digest_size=8, key=KEY).digest()
    return int.from_bytes(digest, "big") / 2**64


@lru_cache(maxsize=65536)
def is_held_out(kind: str, *parts: str) -> bool:
    """Whether the hash of `(kind, *parts)` falls into the held-out share of its kind."""
    return fraction((kind, *parts)) < SHARES[kind]


@lru_cache(maxsize=4096)
def held_out_styles(concept: str, styles: tuple[str, ...]) -> tuple[str, ...]:
    """Styles in which a concept is never trained; lowest hashes first where too many would go."""
    cells = sorted((fraction(("style", concept, style)), style) for style in styles)
    chosen = [style for value, style in cells if value < SHARES["style"]]
    return tuple(chosen[: max(0, len(styles) - STYLES_KEPT_MIN)])


def pair_is_held_out(first: str, second: str) -> bool:
    """Whether two concepts never meet in training, in this order."""
    return is_held_out("pair", first, second) or any(is_held_out("unpaired", concept) for concept in (first, second))


def held_out_cells(scene: Scene, styles: Sequence[str]) -> list[Cell]:
    """Every held-out cell that a scene touches."""
    cells: list[Cell] = []
    for thing in scene.things:
        if scene.style in held_out_styles(thing.concept, tuple(styles)):
            cells.append(("style", thing.concept, scene.style))
        if thing.name is not None and is_held_out("synonym", thing.concept, thing.name):
            cells.append(("synonym", thing.concept, thing.name))
        pairs = [
            ("colour", thing.colour),
            ("style", scene.effect),
            ("mood", thing.mood),
            ("accessory", thing.accessory),
        ]
        if scene.backdrop.variant is not None:
            pairs.append(("backdrop", scene.backdrop.kind))
        if scene.relation is None and len(scene.things) > 1:
            pairs.append(("count", str(len(scene.things))))
        cells += [
            (kind, thing.concept, value)
            for kind, value in pairs
            if value is not None and is_held_out(kind, thing.concept, value)
        ]
    if scene.relation is not None and pair_is_held_out(*(thing.concept for thing in scene.things)):
        cells.append(("pair", *(thing.concept for thing in scene.things)))
    if is_held_out("template", scene.wording.template):
        cells.append(("template", scene.wording.template))
    return list(dict.fromkeys(cells))


def assert_trainable(scene: Scene, styles: Sequence[str]) -> None:
    """Raises `HeldOutError`, naming the first cell, when a scene must not be trained on."""
    cells = held_out_cells(scene, styles)
    if cells:
        raise HeldOutError(cells[0])
