"""Draws a sheet of unselected scenes with their captions: `python -m pixart_edge_training.contact_sheet`."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from .composition import MIXTURES
from .errors import TrainingError, ensure_writable
from .scene_list import load_scene_list
from .scenes import SceneBatch, SceneSampler
from .splits import SPLITS

COLUMNS = 10
CAPTION_LINES = 4
LINE_PIXELS = 11
LINE_CHARACTERS = 23
CHECKER_PIXELS = 8


def contact_sheet(batch: SceneBatch, columns: int = COLUMNS) -> Image.Image:
    """Scenes in reading order with captions below; transparent ones stand on a checkerboard."""
    count, _, size, _ = batch.images.shape
    cell = size + CAPTION_LINES * LINE_PIXELS + 4
    sheet = Image.new("RGB", (columns * size, -(-count // columns) * cell), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=10)
    pixels = _on_checkerboard((batch.images + 1) / 2)
    for i, caption in enumerate(batch.captions):
        x, y = i % columns * size, i // columns * cell
        picture = (pixels[i] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(picture), (x, y))
        for row, line in enumerate(textwrap.wrap(caption, LINE_CHARACTERS)[:CAPTION_LINES]):
            draw.text((x + 3, y + size + row * LINE_PIXELS), line, fill="black", font=font)
    return sheet


def _on_checkerboard(images: torch.Tensor) -> torch.Tensor:
    """float `[B, 4, H, W]` flattened on white → float `[B, 3, H, W]` where alpha shows a checkerboard."""
    rgb, alpha = images[:, :3], images[:, 3:]
    steps = torch.arange(images.shape[-1]) // CHECKER_PIXELS
    squares = ((steps[:, None] + steps[None, :]) % 2).float() * 0.14
    return (rgb - (1 - alpha) * squares).clamp(0, 1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="contact_sheet", description=__doc__)
    parser.add_argument("--pack", default="training/data/sprites", help="folder of the sprite pack")
    parser.add_argument("--out", default="docs/scenes.png", help="file to write")
    parser.add_argument("--split", default="train", choices=SPLITS)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--mixture", default="full", choices=MIXTURES)
    parser.add_argument("--list", help="draw the scenes of this file instead, one JSON spec a line")
    options = parser.parse_args(argv)
    try:
        ensure_writable(Path(options.out).parent)
        listed = load_scene_list(options.list, options.split) if options.list else None
        sampler = SceneSampler(options.pack, options.split, mixture=options.mixture)
        seeds = range(options.first_seed, options.first_seed + options.count)
        sheet = contact_sheet(sampler.batch(listed if listed is not None else seeds))
    except TrainingError as error:
        parser.exit(2, f"contact_sheet: {error}\n")
    sheet.save(options.out, optimize=True)
    print(f"{options.count} scenes of {options.split} in {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
