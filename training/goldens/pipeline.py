"""Pictures and intermediate tensors of a checkpoint in this repository's format, by diffusers.

    python pipeline.py CHECKPOINT OUT

The integer weights are expanded to float32 and run by PixArtAlphaPipeline with LCMScheduler: no caption cleaning, no
resolution binning, no guidance. The digest of the checkpoint is stored with the values, so that a test can tell a
stale golden from a wrong picture.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))

from pixart_edge_training.loader import load_pipeline  # noqa: E402

COMPONENTS = ("scheduler", "text_encoder", "tokenizer", "transformer", "vae")
CASES = [
    {"prompt": "a happy cactus in the desert", "seed": 0, "steps": 4},
    {"prompt": "a red apple, 3d render, on a white background", "seed": 42, "steps": 2},
    {"prompt": "a blue whale, flat style, on a transparent background", "seed": 4_294_967_295, "steps": 8},
    {"prompt": "  Two Golden CATS and a dog ", "seed": 7, "steps": 1},
]


def checkpoint_digest(folder: Path) -> str:
    """SHA-256 over the sorted paths of the components' files and the SHA-256 of each."""
    total = hashlib.sha256()
    paths = sorted(
        path.relative_to(folder).as_posix()
        for name in COMPONENTS
        for path in (folder / name).rglob("*")
        if path.is_file()
    )
    for path in paths:
        total.update(f"{path}\n{hashlib.sha256((folder / path).read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


@torch.no_grad()
def main(checkpoint: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(os.environ.get("GOLDEN_THREADS", "1")))
    digest = checkpoint_digest(checkpoint)
    pipeline = load_pipeline(checkpoint)
    pipeline.register_modules(tokenizer=pipeline.tokenizer)
    pipeline.set_progress_bar_config(disable=True)
    edge = json.loads((checkpoint / "pixart-edge.json").read_text())
    width, height = edge["native_size"] if isinstance(edge["native_size"], list) else [edge["native_size"]] * 2
    max_length = edge["max_sequence_length"]

    cases, tensors = [], []
    for index, case in enumerate(CASES):
        embeds, mask, _, _ = pipeline.encode_prompt(
            case["prompt"], do_classifier_free_guidance=False, clean_caption=False, max_sequence_length=max_length
        )
        tokens = int(mask[0].sum())
        latents = pipeline(
            prompt=case["prompt"],
            num_inference_steps=case["steps"],
            guidance_scale=0.0,
            generator=torch.Generator("cpu").manual_seed(case["seed"]),
            height=height,
            width=width,
            output_type="latent",
            clean_caption=False,
            use_resolution_binning=False,
            max_sequence_length=max_length,
        ).images
        sample = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
        image = pipeline.image_processor.postprocess(sample, output_type="np")[0]
        Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(out / f"picture-{index}.png")
        generator = torch.Generator("cpu").manual_seed(case["seed"])
        noise = torch.randn(latents.shape, generator=generator)
        first = pipeline.transformer(
            noise,
            encoder_hidden_states=embeds,
            encoder_attention_mask=mask,
            timestep=torch.tensor([999]),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample[:, : latents.shape[1]]
        cases.append({**case, "width": width, "height": height})
        tensors.append(
            {
                "prompt_embeds": rounded(embeds[0, :tokens]),
                "first_noise_pred": rounded(first),
                "latents": rounded(latents),
            }
        )
    golden = {
        "checkpoint_digest": digest,
        "made_with": {
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        },
        "cases": cases,
    }
    (out / "golden.json").write_text(json.dumps(golden, indent=2) + "\n")
    text = json.dumps(tensors, separators=(",", ":"))
    (out / "tensors.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def rounded(tensor: torch.Tensor) -> list[float]:
    """Six significant digits: a tenth of the smallest tolerance that reads them."""
    return [float(f"{value:.6g}") for value in tensor.flatten().tolist()]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
