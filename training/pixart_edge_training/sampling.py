"""Draws pictures with the training forward: DDIM with guidance for the teacher, LCM steps for the student."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from torch import Tensor
from transformers import T5EncoderModel

from .data import Tokens, pad_tokens
from .diffusion import alphas_cumprod, lcm_boundary, lcm_timesteps, x0_and_noise
from .text_encoder import encode_text
from .transformer import forward
from .vae import decode


@dataclass
class Networks:
    """What it takes to draw."""

    text_encoder: T5EncoderModel
    transformer: PixArtTransformer2DModel
    vae: AutoencoderKL
    tokens: Tokens


def initial_noise(networks: Networks, count: int, seed: int) -> Tensor:
    config = networks.transformer.config
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, config.in_channels, config.sample_size, config.sample_size, generator=generator)


@torch.no_grad()
def sample_ddim(
    networks: Networks, captions: list[str], *, seed: int = 0, steps: int = 20, guidance: float = 2.0
) -> Tensor:
    """Latents [B, 4, H, W]. `guidance` 1 needs one pass a step, anything else two."""
    acp = alphas_cumprod()
    ids, mask = pad_tokens(networks.tokens.encode(captions))
    text = encode_text(networks.text_encoder, ids, mask)
    empty_ids, empty_mask = pad_tokens(networks.tokens.encode([""]))
    empty = encode_text(networks.text_encoder, empty_ids, empty_mask).expand(len(captions), -1, -1)
    empty_mask = empty_mask.expand(len(captions), -1)
    x = initial_noise(networks, len(captions), seed)
    times = lcm_timesteps(steps)
    for index, time in enumerate(times):
        t = torch.full((len(captions),), time)
        v = forward(networks.transformer, x, t, text, mask)
        if guidance != 1:
            v_empty = forward(networks.transformer, x, t, empty, empty_mask)
            v = v_empty + guidance * (v - v_empty)
        x0, noise = x0_and_noise(acp, x, v, t)
        if index + 1 == len(times):
            return x0
        a = acp[times[index + 1]]
        x = a.sqrt() * x0 + (1 - a).sqrt() * noise
    return x


@torch.no_grad()
def sample_lcm(networks: Networks, captions: list[str], *, seed: int = 0, steps: int = 4) -> Tensor:
    """Latents [B, 4, H, W], as LCMScheduler makes them without guidance."""
    acp = alphas_cumprod()
    generator = torch.Generator().manual_seed(seed + 1)
    ids, mask = pad_tokens(networks.tokens.encode(captions))
    text = encode_text(networks.text_encoder, ids, mask)
    x = initial_noise(networks, len(captions), seed)
    times = lcm_timesteps(steps)
    for index, time in enumerate(times):
        t = torch.full((len(captions),), time)
        x0, _ = x0_and_noise(acp, x, forward(networks.transformer, x, t, text, mask), t)
        c_skip, c_out = lcm_boundary(t)
        denoised = c_out * x0 + c_skip * x
        if index + 1 == len(times):
            return denoised
        a = acp[times[index + 1]]
        x = a.sqrt() * denoised + (1 - a).sqrt() * torch.randn(x.shape, generator=generator)
    return x


@torch.no_grad()
def to_images(networks: Networks, latents: Tensor) -> Tensor:
    """Pictures in [-1, 1], [B, 4, H, W]."""
    return torch.cat([decode(networks.vae, part).clamp(-1, 1) for part in latents.split(16)])
