"""Reads exported weights, int8 or not, back into the libraries they came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, LCMScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from .checkpoints import save_checkpoint
from .data import SentencePieceTokens
from .errors import CheckpointMissingError
from .quantise import unpack
from .sampling import Networks

WEIGHTS = {
    "text_encoder": "text_encoder/model.safetensors",
    "transformer": "transformer/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "preview_decoder": "preview_decoder/diffusion_pytorch_model.safetensors",
}


def load_state(folder: Path, component: str) -> dict[str, Tensor]:
    """Float32 weights of one component. Raises CheckpointMissingError when the file is not there."""
    path = folder / WEIGHTS[component]
    if not path.is_file():
        raise CheckpointMissingError(f"{path} is not there", field=component)
    return unpack(load_file(path))


def load_joint_state(folder: Path) -> dict[str, Tensor]:
    """Text encoder and transformer under the names that training gives them, to go on from exported weights."""
    text = load_state(folder, "text_encoder")
    text["encoder.embed_tokens.weight"] = text["shared.weight"]
    state = {f"text_encoder.{name}": value for name, value in text.items()}
    return state | {f"transformer.{name}": value for name, value in load_state(folder, "transformer").items()}


def adopt_codec(folder: Path, work: Path, preset: str) -> None:
    """Makes an exported codec the one that training encodes with, unless the work folder has its own."""
    path = work / "vae.pt"
    if not path.is_file():
        save_checkpoint(path, stage="vae", preset=preset, state={"model": load_state(folder, "vae")})


def _config(folder: Path, component: str) -> dict[str, Any]:
    return json.loads((folder / component / "config.json").read_text())


def load_networks(folder: Path) -> Networks:
    """The exported networks for this package's own samplers."""
    transformer = PixArtTransformer2DModel.from_config(_config(folder, "transformer"))
    transformer.load_state_dict(load_state(folder, "transformer"))
    vae = AutoencoderKL.from_config(_config(folder, "vae"))
    vae.load_state_dict(load_state(folder, "vae"))
    text = load_state(folder, "text_encoder")
    text["encoder.embed_tokens.weight"] = text["shared.weight"]
    text_config = T5Config(**_config(folder, "text_encoder"))
    text_config._attn_implementation = "eager"
    text_encoder = T5EncoderModel(text_config)
    text_encoder.load_state_dict(text)
    for network in (transformer, vae, text_encoder):
        network.eval().requires_grad_(False)
    return Networks(text_encoder, transformer, vae, SentencePieceTokens(folder / "tokenizer" / "spiece.model"))


class _PipelineTokenizer:
    """What PixArtAlphaPipeline asks of a tokenizer, answered by the shipped SentencePiece model."""

    def __init__(self, tokens: SentencePieceTokens, max_length: int) -> None:
        self._tokens, self.model_max_length = tokens, max_length

    def __call__(self, text: str | list[str], *, padding: str, max_length: int | None = None, **_: object) -> Any:
        from transformers import BatchEncoding

        rows = self._tokens.encode([text] if isinstance(text, str) else text)
        limit = max_length if padding == "max_length" and max_length else max(len(row) for row in rows)
        ids, mask = torch.zeros(len(rows), limit, dtype=torch.int64), torch.zeros(len(rows), limit, dtype=torch.int64)
        for index, row in enumerate(rows):
            row = row if len(row) <= limit else [*row[: limit - 1], 1]
            ids[index, : len(row)], mask[index, : len(row)] = torch.tensor(row), 1
        return BatchEncoding({"input_ids": ids, "attention_mask": mask})

    def batch_decode(self, ids: Tensor) -> list[str]:
        return [str(row.tolist()) for row in ids]


def load_pipeline(folder: Path | str) -> PixArtAlphaPipeline:
    """The exported model as diffusers runs it, in float32.

    Call it with `use_resolution_binning=False, guidance_scale=0.0, max_sequence_length=64`.
    """
    folder = Path(folder)
    networks = load_networks(folder)
    limit = json.loads((folder / "pixart-edge.json").read_text())["max_sequence_length"]
    scheduler = LCMScheduler.from_config(json.loads((folder / "scheduler" / "scheduler_config.json").read_text()))
    tokenizer = _PipelineTokenizer(networks.tokens, limit)
    return PixArtAlphaPipeline(tokenizer, networks.text_encoder, networks.vae, networks.transformer, scheduler)
