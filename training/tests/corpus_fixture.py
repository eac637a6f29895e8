"""A sprite pack of six concepts drawn with three shapes, small enough to make anew for every test."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

SIDE, OBJECT_SIDE = 32, 28

PALETTE = {
    "red": "#e53935",
    "orange": "#fb8c00",
    "yellow": "#fdd835",
    "green": "#43a047",
    "teal": "#14a3a0",
    "blue": "#1e88e5",
    "purple": "#8e44c8",
    "pink": "#f277b0",
    "brown": "#8d5b3a",
    "black": "#1b1b1f",
    "white": "#ffffff",
    "gray": "#9aa0a6",
    "light blue": "#a8d8f8",
}

RED_LAB = [0.6122, 0.186, 0.1032]
"""OKLab of #e53935."""

WORDS = {
    "apple": ("an", "apples", [("apple fruit", "an"), ("ripe apple", "a")]),
    "owl": ("an", "owls", [("night owl", "a"), ("wise owl", "a")]),
    "cat": ("a", "cats", [("kitty", "a"), ("kitten", "a"), ("tabby cat", "a")]),
    "broccoli": ("", "broccoli", [("broccoli floret", "a"), ("head of broccoli", "a")]),
    "mouse": ("a", "mice", [("mouse face", "a"), ("little mouse", "a")]),
    "ufo": ("a", "ufos", [("flying saucer", "a"), ("alien ship", "an")]),
}

STYLES = ("3d", "flat", "cartoon")


def catalogue_document(offsets: list[tuple[int, int]] | None = None) -> dict[str, Any]:
    """What the sprites stage would write; every thing is a red shape."""
    ranges = iter(offsets or [(0, 1)] * (len(WORDS) * len(STYLES)))
    concepts = []
    for index, (name, (article, plural, synonyms)) in enumerate(WORDS.items()):
        sprites = []
        for style in STYLES:
            offset, length = next(ranges)
            sprites.append(
                {
                    "style": style,
                    "set": f"set-{style}",
                    "offset": offset,
                    "length": length,
                    "hue": 29.0,
                    "hueShare": 1.0,
                    "recolour": None if name == "ufo" else "hue",
                    "main": RED_LAB,
                    "rim": RED_LAB,
                    "natural": "red",
                    "coverage": 0.5,
                    "circle": {"x": 16, "y": 16, "radius": 10},
                    "extent": [OBJECT_SIDE, OBJECT_SIDE],
                }
            )
        concepts.append(
            {
                "id": name,
                "name": name,
                "article": article,
                "plural": plural,
                "synonyms": [{"name": word, "article": word_article} for word, word_article in synonyms],
                "group": "thing",
                "emoji": "x",
                "frequent": index == 0,
                "sprites": sprites,
            }
        )
    return {
        "format": 1,
        "side": SIDE,
        "objectSide": OBJECT_SIDE,
        "palette": PALETTE,
        "styles": list(STYLES),
        "sets": [
            {"name": f"set-{style}", "version": "1.0.0", "license": "MIT", "licenseSha256": "0" * 64}
            for style in STYLES
        ],
        "concepts": concepts,
    }


def write_pack(folder: Path, document: dict[str, Any] | None = None) -> Path:
    """Writes a whole pack with true digests; `document` replaces the catalogue."""
    folder.mkdir(parents=True, exist_ok=True)
    pack, offsets = b"", []
    for _ in WORDS:
        for style in STYLES:
            webp = _draw(style)
            offsets.append((len(pack), len(webp)))
            pack += webp
    files = {
        "sprites.pack": pack,
        "concepts.json": json.dumps(document or catalogue_document(offsets)).encode(),
        "words.json": json.dumps({"animal": 9, "wonderful": 2, "saxophone": 1}).encode(),
    }
    sums = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}")
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return folder


def _draw(style: str) -> bytes:
    image = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    box = (2, 2, SIDE - 3, SIDE - 3)
    if style == "flat":
        draw.rectangle(box, fill="#e53935")
    else:
        draw.ellipse(box, fill="#e53935")
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()
