"""StickerBench: prompts as people write them, each with what a picture of it must show.

Written by hand before there was a model to try them on, and never tuned on: only `evaluate` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .attributes import ACCESSORIES, DRAWN_STYLES, EFFECTS, MOODS, NUMBERS, PATTERNS, PLACES, RELATIONS
from .catalogue import CorpusError

KINDS = ("single", "count", "mood", "relation", "scene")
SIMPLE_BACKDROPS = ("transparent", "white", "plain", "gradient", "soft")
COLOURED_BACKDROPS = {"plain": (1,), "gradient": (2,), "soft": (1,), "dots": (0, 1), "stripes": (0, 1)}
COLOURED_BACKDROPS |= {"checks": (0, 1), "rays": (0, 1)}


class BenchError(CorpusError):
    """A line of StickerBench is not what it must be; names the line and the field."""


@dataclass(frozen=True, slots=True)
class BenchPrompt:
    """One prompt; None where it leaves an attribute unsaid."""

    prompt: str
    kind: str
    concept: str
    colour: str | None = None
    count: int | None = None
    style: str | None = None
    backdrop: str | None = None
    backdrop_colours: tuple[str, ...] = ()
    mood: str | None = None
    relation: str | None = None
    other: str | None = None  # the second concept of a relation
    other_colour: str | None = None
    accessory: str | None = None
    said: Mapping[str, str] = field(default_factory=dict)  # attribute → the prompt's words, where no caption says it so


def load_sticker_bench(path: Path, concepts: Collection[str], colours: Collection[str]) -> list[BenchPrompt]:
    """Raises `BenchError` for an unreadable file, an unknown field or a label outside the vocabulary."""
    known = {
        "kind": KINDS,
        "concept": concepts,
        "other": concepts,
        "colour": colours,
        "other_colour": colours,
        "count": NUMBERS,
        "style": (*DRAWN_STYLES, *EFFECTS),
        "backdrop": (*SIMPLE_BACKDROPS, *PATTERNS, *PLACES),
        "mood": MOODS,
        "relation": RELATIONS,
        "accessory": ACCESSORIES,
    }
    try:
        lines = path.read_text("utf8").splitlines()
    except OSError as cause:
        raise BenchError(f"{path} cannot be read: {cause}") from cause
    return [_parse(line, f"{path.name}:{number}", known, colours) for number, line in enumerate(lines, 1)]


def _parse(line: str, where: str, known: Mapping[str, Collection[Any]], colours: Collection[str]) -> BenchPrompt:
    try:
        document = json.loads(line)
        prompt = BenchPrompt(**{**document, "backdrop_colours": tuple(document.get("backdrop_colours", ()))})
    except (ValueError, TypeError) as cause:
        raise BenchError(f"{where}: not a prompt: {cause}") from cause
    for name, values in known.items():
        value = getattr(prompt, name)
        if value is not None and value not in values:
            raise BenchError(f"{where}: {name} is {value!r}, which is not in the vocabulary")
    if (prompt.relation is None) != (prompt.other is None):
        raise BenchError(f"{where}: relation and other belong together")
    if not set(prompt.said) <= {entry.name for entry in fields(BenchPrompt)}:
        raise BenchError(f"{where}: said names no attribute: {sorted(prompt.said)}")
    counts = COLOURED_BACKDROPS.get(prompt.backdrop or "", (0,))
    if len(prompt.backdrop_colours) not in counts or not set(prompt.backdrop_colours) <= set(colours):
        raise BenchError(f"{where}: backdrop_colours of {prompt.backdrop} is {list(prompt.backdrop_colours)}")
    return prompt
