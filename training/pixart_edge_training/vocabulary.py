"""Writes `vocabulary.json`: the words the model was trained on, for the product's export."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .attributes import ACCESSORIES, EFFECTS, MOODS, NUMBERS, PATTERNS, PLACES, RELATIONS
from .captions import BACKDROP_PHRASES, COLOUR_WORDS, STYLE_PHRASES
from .catalogue import Catalogue, load_catalogue
from .composition import MIXTURES, check_mixture
from .errors import TrainingError, ensure_writable
from .grammar import SOFT_COLOURS


def vocabulary(catalogue: Catalogue, mixture: str = "single") -> dict[str, Any]:
    """Concepts with synonyms, styles, colours and backdrops, in the order of their ids.

    The full mixture adds its styles and backdrops, and numbers, moods, relations and accessories.
    """
    check_mixture(mixture)
    document = {
        "concepts": [
            {
                "id": concept.id,
                "name": concept.noun.name,
                "plural": concept.plural,
                "synonyms": [word.name for word in concept.synonyms],
                "group": concept.group,
            }
            for concept in catalogue.concepts
        ],
        "styles": [
            {"id": style, "phrases": sorted(set(STYLE_PHRASES.get(style, (f"{style} style",))))}
            for style in catalogue.styles
        ],
        "colours": [
            {"id": colour, "synonyms": list(COLOUR_WORDS.get(colour, (colour,))[1:])}
            for colour in catalogue.object_colours
        ],
        "backdrops": [
            {"id": kind, "phrases": sorted(set(phrases)), "colours": _colours(catalogue, kind)}
            for kind, phrases in BACKDROP_PHRASES.items()
        ],
    }
    if mixture == "single":
        return document
    document["styles"] += [{"id": name, "phrases": sorted(effect.phrases)} for name, effect in EFFECTS.items()]
    document["backdrops"] += [
        {"id": name, "phrases": sorted(phrases), "colours": list(catalogue.plain_colours)}
        for name, phrases in PATTERNS.items()
    ]
    document["backdrops"] += [
        {"id": name, "phrases": sorted([*place.where, *(f"{noun} background" for noun in place.noun)]), "colours": []}
        for name, place in PLACES.items()
    ]
    for name, words in (("counts", NUMBERS), ("moods", MOODS), ("relations", RELATIONS), ("accessories", ACCESSORIES)):
        document[name] = [{"id": str(entry), "phrases": list(phrases)} for entry, phrases in words.items()]
    return document


def _colours(catalogue: Catalogue, kind: str) -> list[str]:
    return {
        "plain": list(catalogue.plain_colours),
        "gradient": list(catalogue.palette),
        "soft": list(SOFT_COLOURS),
    }.get(kind, [])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="vocabulary", description="Write the model's vocabulary.")
    parser.add_argument("--pack", default="training/data/sprites", help="folder of the sprite pack")
    parser.add_argument("--out", default="training/data/vocabulary.json", help="file to write")
    parser.add_argument("--mixture", default="single", choices=MIXTURES)
    options = parser.parse_args(argv)
    try:
        ensure_writable(Path(options.out).parent)
        document = vocabulary(load_catalogue(options.pack), options.mixture)
    except TrainingError as error:
        parser.exit(2, f"vocabulary: {error}\n")
    Path(options.out).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
