"""Writes the trained networks as a diffusers folder small enough to live in a repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor, nn

from .config import Diffusion, LcmTraining, Preset
from .data import Scenes
from .errors import ExportError
from .loader import WEIGHTS, load_networks
from .quantise import pack
from .sampling import Networks, sample_lcm, to_images
from .vae import encode, psnr, round_trip

FILE_BYTES_MAX = 15 * 10**6
FOLDER_BYTES_MAX = 16 * 10**6
DIFFUSERS_VERSION = "0.30.0"


def export_networks(
    networks: Networks,
    preset: Preset,
    scenes: Scenes,
    data: Path,
    out: Path,
    *,
    preview: AutoencoderTiny | None = None,
) -> None:
    """Writes the whole folder. Raises ExportError, before anything is replaced, when a file would be too large."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    text = {k: v for k, v in networks.text_encoder.state_dict().items() if k != "encoder.embed_tokens.weight"}
    components: dict[str, dict[str, Tensor]] = {
        "text_encoder": text,
        "transformer": networks.transformer.state_dict(),
        "vae": networks.vae.state_dict(),
    }
    if preview is not None:
        components["preview_decoder"] = {f"decoder.{k}": v for k, v in preview.decoder.state_dict().items()}
        _write_json(partial / "preview_decoder" / "config.json", _diffusers_config(preview))
    for name, state in components.items():
        (partial / name).mkdir(parents=True, exist_ok=True)
        save_file(pack(state), partial / WEIGHTS[name], metadata={"format": "pt"})
    _write_json(partial / "text_encoder" / "config.json", _text_config(networks.text_encoder))
    for name in ("transformer", "vae"):
        _write_json(partial / name / "config.json", _diffusers_config(getattr(networks, name)))
    _write_json(partial / "scheduler" / "scheduler_config.json", scheduler_config())
    _write_tokenizer(partial / "tokenizer", data, preset.text.max_length)
    _write_json(partial / "model_index.json", MODEL_INDEX)
    factors, bias = latent_rgb(networks, scenes)
    side = preset.vae.sample_size
    _write_json(
        partial / "pixart-edge.json",
        {
            "id": "pixart-edge/stickers-nano",
            "license": "Apache-2.0",
            "max_sequence_length": preset.text.max_length,
            "clean_caption": False,
            "native_size": [side, side],
            "sizes": [[side, side]],
            "alpha": preset.vae.channels == 4,
            "samplers": {"lcm": {"steps": {"min": 1, "max": 8, "default": 4}}},
            "default_sampler": "lcm",
            "guidance": {"min": 0, "max": 0, "default": 0},
            "latent_rgb_factors": factors,
            "latent_rgb_bias": bias,
            "vocabulary": vocabulary(data / "vocabulary.json"),
        },
    )
    for path in partial.rglob("*"):
        if path.is_file() and path.stat().st_size > FILE_BYTES_MAX:
            raise ExportError(f"{path.name} has {path.stat().st_size} bytes, limit {FILE_BYTES_MAX}", field=path.name)
    total = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    if total > FOLDER_BYTES_MAX:
        raise ExportError(f"{total} bytes in all, limit {FOLDER_BYTES_MAX}", field="out")
    if out.exists():
        for kept in ("README.md", "NOTICE", "ATTRIBUTION.md", "scores.json"):
            if (out / kept).is_file():
                shutil.copy(out / kept, partial / kept)
        shutil.rmtree(out)
    partial.replace(out)


MODEL_INDEX = {
    "_class_name": "PixArtAlphaPipeline",
    "_diffusers_version": DIFFUSERS_VERSION,
    "scheduler": ["diffusers", "LCMScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "transformer": ["diffusers", "PixArtTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def scheduler_config() -> dict[str, Any]:
    noise = Diffusion()
    return {
        "_class_name": "LCMScheduler",
        "_diffusers_version": DIFFUSERS_VERSION,
        "beta_end": noise.beta_end,
        "beta_schedule": "linear",
        "beta_start": noise.beta_start,
        "clip_sample": False,
        "clip_sample_range": 1.0,
        "dynamic_thresholding_ratio": 0.995,
        "num_train_timesteps": noise.num_train_timesteps,
        "original_inference_steps": LcmTraining.ddim_points,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": False,
        "sample_max_value": 1.0,
        "set_alpha_to_one": True,
        "steps_offset": 0,
        "thresholding": False,
        "timestep_scaling": 10.0,
        "timestep_spacing": "leading",
        "trained_betas": None,
    }


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def _diffusers_config(module: nn.Module) -> dict[str, Any]:
    config = {
        key: value for key, value in dict(module.config).items() if key not in ("_use_default_values", "_name_or_path")
    }
    return {**config, "_class_name": type(module).__name__, "_diffusers_version": DIFFUSERS_VERSION}


def _text_config(encoder: nn.Module) -> dict[str, Any]:
    config = encoder.config
    names = (
        "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets",
        "relative_attention_max_distance", "dropout_rate", "layer_norm_epsilon", "pad_token_id", "eos_token_id",
    )  # fmt: skip
    shape = {name: getattr(config, name) for name in names}
    fixed = {
        "architectures": ["T5EncoderModel"],
        "model_type": "t5",
        "feed_forward_proj": "gated-gelu",
        "is_gated_act": True,
        "dense_act_fn": "gelu_new",
        "is_encoder_decoder": False,
        "tie_word_embeddings": False,
        "use_cache": False,
        "torch_dtype": "float32",
    }
    return {**shape, **fixed}


def _write_tokenizer(folder: Path, data: Path, max_length: int) -> None:
    folder.mkdir(parents=True)
    shutil.copy(data / "tokenizer" / "spiece.model", folder / "spiece.model")
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        {
            **special,
            "extra_ids": 0,
            "additional_special_tokens": [],
            "model_max_length": max_length,
            "tokenizer_class": "T5Tokenizer",
        },
    )


def vocabulary(path: Path) -> dict[str, list[str]]:
    """Words a prompt can use: names of concepts, ids of the rest, and every colour a plain backdrop can have."""
    document = json.loads(path.read_text())
    backdrops = []
    for backdrop in document["backdrops"]:
        plain = backdrop["id"] == "plain"
        backdrops.extend(backdrop["colours"] if plain else [backdrop["id"]])
    return {
        "concepts": [concept["name"] for concept in document["concepts"]],
        "styles": [style["id"] for style in document["styles"]],
        "colours": [colour["id"] for colour in document["colours"]],
        "backdrops": backdrops,
    }


@torch.no_grad()
def latent_rgb(networks: Networks, scenes: Scenes) -> tuple[list[list[float]], list[float]]:
    """Least-squares map from a latent pixel to the mean RGB in [-1, 1] of its 8 x 8 block: a preview without a decoder."""
    pictures = scenes.batch(0, 128).pictures
    latents = torch.cat([encode(networks.vae, part)[0] for part in pictures.split(32)])
    small = F.interpolate(pictures[:, :3], size=latents.shape[-2:], mode="area")
    x = latents.permute(0, 2, 3, 1).flatten(0, 2)
    y = small.permute(0, 2, 3, 1).flatten(0, 2)
    solution = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], 1), y).solution
    rounded = [[round(value, 5) for value in row] for row in solution.tolist()]
    return rounded[:-1], rounded[-1]


@torch.no_grad()
def compare(original: Networks, folder: Path, scenes: Scenes, captions: list[str]) -> dict[str, float]:
    """What int8 costs: shipped weights against training weights, from the same noise. Decibels, higher is nearer."""
    shipped = load_networks(folder)
    pictures = scenes.batch(0, 64).pictures
    before, after = sample_lcm(original, captions), sample_lcm(shipped, captions)
    return {
        "pictures_psnr": psnr(to_images(shipped, after)[:, :3], to_images(original, before)[:, :3]),
        "vae_psnr_training": psnr(round_trip(original.vae, pictures)[:, :3], pictures[:, :3]),
        "vae_psnr_shipped": psnr(round_trip(shipped.vae, pictures)[:, :3], pictures[:, :3]),
    }
