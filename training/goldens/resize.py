"""Bilinear resizing and centre-cropping of a small picture as diffusers does it.

python resize.py [OUT]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from diffusers.image_processor import PixArtImageProcessor

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "golden"
SIZES = [(8, 8), (16, 16), (16, 8), (5, 11), (3, 3), (12, 7)]  # height × width


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator("cpu").manual_seed(0)
    source = torch.randint(0, 256, (1, 3, 8, 6), generator=generator).float()
    results = [
        {"height": h, "width": w, "data": nhwc(PixArtImageProcessor.resize_and_crop_tensor(source, w, h))}
        for h, w in SIZES
    ]
    golden = {"height": 8, "width": 6, "data": nhwc(source), "results": results}
    (out / "resize.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


def nhwc(image: torch.Tensor) -> list[float]:
    return [round(value, 3) for value in image[0].permute(1, 2, 0).flatten().tolist()]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / "resize")
