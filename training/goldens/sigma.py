"""A small transformer as PixArt-Σ configures it: positions of 1024 px, no micro-conditions, long texts.

    python sigma.py [OUT]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from diffusers import PixArtTransformer2DModel
from hash_tensor import fill, hash_input, summary

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "golden"
TOKENS = 260


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model = PixArtTransformer2DModel(
        sample_size=128, num_layers=2, patch_size=2, num_attention_heads=3, attention_head_dim=8, caption_channels=32,
        cross_attention_dim=24, in_channels=4, out_channels=8, interpolation_scale=2, use_additional_conditions=False,
    )
    fill(model)
    with torch.no_grad():
        output = model(
            hash_input("hidden_states", (1, 4, 8, 12)),
            encoder_hidden_states=hash_input("encoder_hidden_states", (1, TOKENS, 32)),
            timestep=torch.tensor([500]),
            encoder_attention_mask=torch.ones(1, TOKENS),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0][:, :4]
    (out / "sigma.json").write_text(json.dumps(summary(output), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / "sigma")
