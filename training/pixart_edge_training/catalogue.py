"""The catalogue of drawings: what `training/sprites` packed, checked before anything is done with it.

Knows nothing about scenes or tensors; holds names, colours and where each sprite lies in the pack.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import TrainingError

FORMAT = 1
ACCEPTED_LICENCES = ("MIT", "Apache-2.0")

NATURAL = "natural"
"""The colour of a thing that keeps the drawing's own colours."""

Lab = tuple[float, float, float]


class CorpusError(TrainingError):
    """Something in the corpus is not as it must be; raised before any work is done."""

    code = "corpus_refused"


class PackError(CorpusError):
    """A file of the pack is missing, damaged or of another format."""

    code = "pack_damaged"


class LicenceError(CorpusError):
    """A set of drawings has a licence that training does not accept."""

    code = "licence_refused"


@dataclass(frozen=True, slots=True)
class Noun:
    """A name and the article it takes, `""` for none."""

    name: str
    article: str


@dataclass(frozen=True, slots=True)
class Sprite:
    style: str
    offset: int
    length: int
    recolour: str | None  # "hue", "tint" or None
    hue: float | None  # degrees in OKLCH
    main: Lab  # mean of what recolouring moves
    rim: Lab  # mean of the outermost pixels
    natural: str | None  # name of the drawing's own colour
    circle: tuple[float, float, float] = (0.0, 0.0, 0.0)  # x, y and radius of the largest circle inside, in pixels
    extent: tuple[int, int] | None = None  # width and height of the drawing, which lies in the middle, in pixels


@dataclass(frozen=True, slots=True)
class Concept:
    id: str
    noun: Noun
    plural: str
    synonyms: tuple[Noun, ...]
    group: str
    frequent: bool
    sprites: dict[str, Sprite]  # by style


@dataclass(frozen=True, slots=True)
class Catalogue:
    side: int  # pixels of a square sprite
    object_side: int  # longest side of the drawing in it
    palette: dict[str, str]  # colour name → "#rrggbb"
    styles: tuple[str, ...]
    concepts: tuple[Concept, ...]
    digest: str  # SHA-256 of the sprite pack

    @property
    def object_colours(self) -> tuple[str, ...]:
        """Colours a thing can be given; "light blue" is for backdrops only."""
        return tuple(name for name in self.palette if name != "light blue")

    @property
    def plain_colours(self) -> tuple[str, ...]:
        """Colours of plain backdrops; white is a backdrop of its own."""
        return tuple(name for name in self.palette if name != "white")

    def concept(self, concept_id: str) -> Concept:
        for concept in self.concepts:
            if concept.id == concept_id:
                return concept
        raise KeyError(concept_id)


def load_catalogue(pack_dir: Path | str) -> Catalogue:
    """Verifies every digest and licence, then reads `concepts.json`.

    Raises `PackError` for missing, damaged or foreign files and `LicenceError` for a set that is not
    MIT or Apache-2.0.
    """
    pack_dir = Path(pack_dir)
    digests = verify_digests(pack_dir)
    try:
        document = json.loads((pack_dir / "concepts.json").read_text("utf8"))
    except ValueError as cause:
        raise PackError(f"{pack_dir / 'concepts.json'} is not JSON: {cause}") from cause
    return parse_catalogue(document, digests["sprites.pack"])


def verify_digests(pack_dir: Path) -> dict[str, str]:
    """Compares the files with SHA256SUMS and returns the digests by file name."""
    sums = pack_dir / "SHA256SUMS"
    if not sums.is_file():
        raise PackError(f"{sums} is missing: run node training/sprites/main.ts --out {pack_dir}")
    digests: dict[str, str] = {}
    for line in sums.read_text("utf8").splitlines():
        expected, _, name = line.partition("  ")
        path = pack_dir / name
        if not name or "/" in name or not path.is_file():
            raise PackError(f"{path} is listed in SHA256SUMS but missing")
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
        if actual != expected:
            raise PackError(f"{path} has SHA-256 {actual}, SHA256SUMS says {expected}")
        digests[name] = actual
    for name in ("sprites.pack", "concepts.json"):
        if name not in digests:
            raise PackError(f"{sums} does not list {name}")
    return digests


def parse_catalogue(document: dict[str, Any], digest: str) -> Catalogue:
    """Turns the JSON of `concepts.json` into a `Catalogue`; raises `PackError` or `LicenceError`."""
    if document.get("format") != FORMAT:
        raise PackError(f"catalogue format is {document.get('format')}, supported is {FORMAT}")
    try:
        for drawing_set in document["sets"]:
            if drawing_set["license"] not in ACCEPTED_LICENCES:
                raise LicenceError(
                    f'{drawing_set["name"]} is licensed under "{drawing_set["license"]}"; '
                    f"accepted are {', '.join(ACCEPTED_LICENCES)}"
                )
        accepted = {drawing_set["name"] for drawing_set in document["sets"]}
        for concept in document["concepts"]:
            for sprite in concept["sprites"]:
                if sprite["set"] not in accepted:
                    raise LicenceError(f"{concept['id']} uses {sprite['set']}, which has no licence")
        return Catalogue(
            side=int(document["side"]),
            object_side=int(document["objectSide"]),
            palette=dict(document["palette"]),
            styles=tuple(document["styles"]),
            concepts=tuple(_parse_concept(concept) for concept in document["concepts"]),
            digest=digest,
        )
    except (KeyError, TypeError) as cause:
        raise PackError(f"catalogue lacks a field: {cause!r}") from cause


def _parse_concept(entry: dict[str, Any]) -> Concept:
    return Concept(
        id=entry["id"],
        noun=Noun(entry["name"], entry["article"]),
        plural=entry["plural"],
        synonyms=tuple(Noun(word["name"], word["article"]) for word in entry["synonyms"]),
        group=entry["group"],
        frequent=bool(entry["frequent"]),
        sprites={sprite["style"]: _parse_sprite(sprite) for sprite in entry["sprites"]},
    )


def _parse_sprite(entry: dict[str, Any]) -> Sprite:
    return Sprite(
        style=entry["style"],
        offset=int(entry["offset"]),
        length=int(entry["length"]),
        recolour=entry["recolour"],
        hue=entry["hue"],
        main=tuple(entry["main"]),
        rim=tuple(entry["rim"]),
        natural=entry["natural"],
        circle=_parse_circle(entry.get("circle")),
        extent=tuple(entry["extent"]) if "extent" in entry else None,
    )


def _parse_circle(entry: dict[str, float] | None) -> tuple[float, float, float]:
    return (0.0, 0.0, 0.0) if entry is None else (entry["x"], entry["y"], entry["radius"])
