"""A random small PixArt by a seed, and the pictures that diffusers draws with it.

    python random_model.py SEED OUT

Draws layers, heads, widths, text encoder, VAE, sizes and prediction type by the seed, writes the checkpoint in
diffusers' layout to OUT/checkpoint, and runs every sampler with and without guidance on a square and another size, and
from a picture with and without a mask. `bench/random-parity.ts` converts the checkpoint and draws the same pictures.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    LCMScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    SASolverScheduler,
)
from PIL import Image
from transformers import T5Config, T5EncoderModel

ROOT = Path(__file__).resolve().parents[2]
SPIECE = ROOT / "tests/fixtures/golden/tokenizer/spiece.model"
PROMPT = "a small cactus with a happy face in the desert"
NEGATIVE = "blurry, a dog"
SEED = 11
STRENGTH = 0.6
SEAM = 4
UNCLIPPED = {"clip_sample": False}
#: name of the sampler: class, what its configuration needs beside that of the checkpoint, steps
SAMPLERS = {
    "lcm": (LCMScheduler, UNCLIPPED, 4),
    "dpm-solver++": (DPMSolverMultistepScheduler, {}, 8),
    "sa-solver": (SASolverScheduler, {"algorithm_type": "data_prediction"}, 8),
    "ddim": (DDIMScheduler, UNCLIPPED, 8),
    "ddpm": (DDPMScheduler, UNCLIPPED, 8),
    "iddpm": (None, {}, 8),
}


class Model:
    """The networks of one random configuration."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        torch.manual_seed(seed)
        micro = draw.random() < 0.5
        heads = 3 if micro else draw.choice([1, 2, 3, 4])
        width = heads * (size := draw.choice([8, 16, 24]))
        text = draw.choice([24, 32, 48])
        channels = draw.choice([[16, 32], [32, 32], [16, 32, 32]])
        self.learned_variance = draw.random() < 0.75
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(SPIECE))
        self.pieces = pieces
        self.text_encoder = T5EncoderModel(
            T5Config(
                vocab_size=len(pieces),
                d_model=text,
                d_kv=draw.choice([8, 16]),
                num_heads=draw.choice([2, 4]),
                d_ff=draw.choice([48, 64]),
                num_layers=draw.choice([1, 2, 3]),
                feed_forward_proj="gated-gelu",
                relative_attention_num_buckets=32,
                dropout_rate=0.0,
            )
        ).eval()
        self.transformer = PixArtTransformer2DModel(
            num_attention_heads=heads,
            attention_head_dim=size,
            in_channels=4,
            out_channels=8 if self.learned_variance else 4,
            num_layers=draw.choice([1, 2, 3]),
            cross_attention_dim=width,
            caption_channels=text,
            sample_size=128 if micro else draw.choice([8, 16, 32]),
            use_additional_conditions=micro,
            num_embeds_ada_norm=1000,
        ).eval()
        self.vae = AutoencoderKL(
            in_channels=3,
            out_channels=3,
            latent_channels=4,
            block_out_channels=channels,
            layers_per_block=draw.choice([1, 2]),
            norm_num_groups=16,
            down_block_types=["DownEncoderBlock2D"] * len(channels),
            up_block_types=["UpDecoderBlock2D"] * len(channels),
            scaling_factor=draw.choice([0.18215, 0.5]),
        ).eval()
        factor = 2 ** (len(channels) - 1)
        side = factor * 2 * draw.choice([4, 6, 8])
        side = max(64, side // 16 * 16)
        self.sizes = [(side, side), (side + 16 * draw.choice([1, 2]), side)]
        self.scheduler_config = {
            "_class_name": "DPMSolverMultistepScheduler",
            "num_train_timesteps": 1000,
            "beta_start": 1e-4,
            "beta_end": 0.02,
            "beta_schedule": "linear",
            "prediction_type": draw.choice(["epsilon", "v_prediction"]),
            "timestep_spacing": draw.choice(["linspace", "leading", "trailing"]),
        }

    def describe(self) -> dict:
        config = self.transformer.config
        return {
            "layers": config.num_layers,
            "heads": config.num_attention_heads,
            "width": config.num_attention_heads * config.attention_head_dim,
            "micro_conditions": config.use_additional_conditions,
            "learned_variance": self.learned_variance,
            "vae": list(self.vae.config.block_out_channels),
            "prediction_type": self.scheduler_config["prediction_type"],
            "timestep_spacing": self.scheduler_config["timestep_spacing"],
        }

    def save(self, folder: Path) -> None:
        self.text_encoder.save_pretrained(folder / "text_encoder")
        self.transformer.save_pretrained(folder / "transformer")
        self.vae.save_pretrained(folder / "vae")
        for name in ("scheduler", "tokenizer"):
            (folder / name).mkdir()
        shutil.copy(SPIECE, folder / "tokenizer" / "spiece.model")
        (folder / "scheduler/scheduler_config.json").write_text(json.dumps(self.scheduler_config))
        (folder / "model_index.json").write_text(json.dumps({"_class_name": "PixArtAlphaPipeline"}))
        steps = {"min": 2, "max": 100, "default": 8}
        edge = {
            "id": "parity/random",
            "license": "Apache-2.0",
            "clean_caption": False,
            "native_size": self.sizes[0],
            "sizes": self.sizes,
            "samplers": {name: {"steps": steps} for name in self.samplers()},
            "default_sampler": "ddim",
            "guidance": {"min": 0, "max": 20, "default": 0},
        }
        (folder / "pixart-edge.json").write_text(json.dumps(edge))

    def samplers(self) -> list[str]:
        return [name for name in SAMPLERS if name != "iddpm" or self.learned_variance]

    def embed(self, text: str) -> torch.Tensor:
        ids = [*self.pieces.encode(text.lower().strip()), 1]
        return self.text_encoder(torch.tensor([ids])).last_hidden_state

    def predict(self, latents: torch.Tensor, timestep: int, embeds: torch.Tensor) -> torch.Tensor:
        """All output channels for one prompt."""
        height, width = (side * 2 ** (len(self.vae.config.block_out_channels) - 1) for side in latents.shape[2:])
        conditions = {"resolution": None, "aspect_ratio": None}
        if self.transformer.config.use_additional_conditions:
            conditions = {
                "resolution": torch.tensor([[float(height), float(width)]]),
                "aspect_ratio": torch.tensor([[height / width]]),
            }
        return self.transformer(
            latents,
            encoder_hidden_states=embeds,
            timestep=torch.tensor([int(timestep)]),
            added_cond_kwargs=conditions,
        ).sample

    def guided(self, latents: torch.Tensor, timestep: int, scale: float) -> torch.Tensor:
        positive = self.predict(latents, timestep, self.embed(PROMPT))[:, :4]
        if scale <= 1:
            return positive
        negative = self.predict(latents, timestep, self.embed(NEGATIVE))[:, :4]
        return negative + scale * (positive - negative)

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        sample = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        picture = (sample / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0).numpy()
        return np.rint(picture * 255).astype(np.uint8)

    def scheduler(self, name: str):
        kind, own, _ = SAMPLERS[name]
        return kind.from_config({**self.scheduler_config, **own})


def from_text(model: Model, sampler: str, size: tuple[int, int], scale: float) -> np.ndarray:
    if sampler == "iddpm":
        return model.decode(iddpm(model, size, scale))
    pipeline = PixArtAlphaPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=model.vae,
        transformer=model.transformer,
        scheduler=model.scheduler(sampler),
    )
    pipeline.set_progress_bar_config(disable=True)
    embeds = [model.embed(PROMPT), model.embed(NEGATIVE)]
    longest = max(e.shape[1] for e in embeds)
    padded = [torch.cat([e, torch.zeros(1, longest - e.shape[1], e.shape[2])], dim=1) for e in embeds]
    masks = [torch.arange(longest)[None] < e.shape[1] for e in embeds]
    guided = {"negative_prompt_embeds": padded[1], "negative_prompt_attention_mask": masks[1].long()}
    latents = pipeline(
        negative_prompt=None,
        prompt_embeds=padded[0],
        prompt_attention_mask=masks[0].long(),
        **(guided if scale > 1 else {}),
        num_inference_steps=SAMPLERS[sampler][2],
        guidance_scale=scale,
        width=size[0],
        height=size[1],
        generator=torch.Generator("cpu").manual_seed(SEED),
        use_resolution_binning=False,
        output_type="latent",
    ).images
    return model.decode(latents)


def iddpm(model: Model, size: tuple[int, int], scale: float) -> torch.Tensor:
    """Improved DDPM in float64; guidance on three channels, as the original code has it."""
    steps = SAMPLERS["iddpm"][2]
    cumprod = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
    kept = [round(i * 999 / (steps - 1)) for i in range(steps)]
    here = cumprod[kept]
    below = np.concatenate([[1.0], here[:-1]])
    beta = 1 - here / below
    low = beta * (1 - below) / (1 - here)
    low[0] = low[1]
    factor = 2 ** (len(model.vae.config.block_out_channels) - 1)
    shape = (1, 4, size[1] // factor, size[0] // factor)
    generator = torch.Generator("cpu").manual_seed(SEED)
    sample = torch.randn(shape, generator=generator).double()
    for i in reversed(range(steps)):
        output = model.predict(sample.float(), kept[i], model.embed(PROMPT)).double()
        if scale > 1:
            other = model.predict(sample.float(), kept[i], model.embed(NEGATIVE)).double()
            output[:, :3] = other[:, :3] + scale * (output[:, :3] - other[:, :3])
        prediction, share = output[:, :4], (output[:, 4:] + 1) / 2
        if model.scheduler_config["prediction_type"] == "epsilon":
            image = (sample - np.sqrt(1 - here[i]) * prediction) / np.sqrt(here[i])
        else:
            image = np.sqrt(here[i]) * sample - np.sqrt(1 - here[i]) * prediction
        mean = beta[i] * np.sqrt(below[i]) / (1 - here[i]) * image
        mean = mean + np.sqrt(1 - beta[i]) * (1 - below[i]) / (1 - here[i]) * sample
        sample = mean
        if i > 0:
            logarithm = share * np.log(beta[i]) + (1 - share) * np.log(low[i])
            sample = mean + torch.exp(logarithm / 2) * torch.randn(shape, generator=generator).double()
    return sample.float()


def from_picture(
    model: Model, sampler: str, picture: np.ndarray, mask: np.ndarray | None, strength: float, scale: float
) -> np.ndarray:
    scheduler = model.scheduler(sampler)
    steps = SAMPLERS[sampler][2]
    if sampler == "lcm":
        scheduler.set_timesteps(steps, strength=strength)
        first = 0
    else:
        scheduler.set_timesteps(steps)
        first = steps - min(int(steps * strength), steps)
    timesteps = scheduler.timesteps[first:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    generator = torch.Generator("cpu").manual_seed(SEED)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255 * 2 - 1
    posterior = model.vae.encode(pixels).latent_dist
    image = posterior.sample(generator=generator) * model.vae.config.scaling_factor
    noise = torch.randn(image.shape, generator=generator)
    latents = noise if strength == 1 else scheduler.add_noise(image, noise, timesteps[:1])
    cells = None
    if mask is not None:
        cells = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None].float(), size=image.shape[2:])
    for i, timestep in enumerate(timesteps):
        prediction = model.guided(latents, timestep, scale)
        keywords = {} if sampler in ("dpm-solver++",) else {"generator": generator}
        latents = scheduler.step(prediction, timestep, latents, **keywords).prev_sample
        if cells is not None:
            rest = timesteps[i + 1 : i + 2]
            reference = scheduler.add_noise(image, noise, rest) if len(rest) else image
            latents = (1 - cells) * reference + cells * latents
    drawn = model.decode(latents)
    if mask is None:
        return drawn
    share = np.clip(2 * box_blur(mask) - 1, 0, 1)[..., None] * mask[..., None]
    return np.rint(picture + (drawn.astype(np.float64) - picture) * share).astype(np.uint8)


def box_blur(mask: np.ndarray) -> np.ndarray:
    for axis in (1, 0):
        padded = np.pad(mask, [(SEAM, SEAM) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        parts = [np.take(padded, range(i, i + mask.shape[axis]), axis) for i in range(2 * SEAM + 1)]
        mask = np.mean(parts, axis=0)
    return mask


@torch.no_grad()
def main(seed: int, out: Path) -> None:
    torch.set_num_threads(1)
    out.mkdir(parents=True)
    model = Model(seed)
    model.save(out / "checkpoint")
    cases = []

    def keep(picture: np.ndarray, **case: object) -> None:
        name = f"{len(cases)}.png"
        Image.fromarray(picture).save(out / name)
        cases.append({"picture": name, **case})

    shared = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": SEED}
    for sampler in model.samplers():
        for scale in (0, 4):
            for size in model.sizes:
                case = {**shared, "sampler": sampler, "steps": SAMPLERS[sampler][2], "guidance": scale, "size": size}
                keep(from_text(model, sampler, size, scale), **case)
    width, height = model.sizes[1]
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.stack([rows * 3 % 256, columns * 2 % 256, (rows + columns) % 256], axis=2).astype(np.uint8)
    mask = ((columns > width // 3) & (rows > height // 4)).astype(np.float64)
    Image.fromarray(picture).save(out / "image.png")
    Image.fromarray((mask * 255).astype(np.uint8)).save(out / "mask.png")
    for sampler in (name for name in model.samplers() if name != "iddpm"):
        for masked in (False, True):
            strength = 1 if masked and sampler == "ddim" else STRENGTH
            drawn = from_picture(model, sampler, picture, mask if masked else None, strength, 3)
            case = {**shared, "sampler": sampler, "steps": SAMPLERS[sampler][2], "guidance": 3, "size": model.sizes[1]}
            keep(drawn, **case, image="image.png", strength=strength, **({"mask": "mask.png"} if masked else {}))
    (out / "cases.json").write_text(json.dumps({"model": model.describe(), "cases": cases}, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(int(sys.argv[1]), Path(sys.argv[2]))
