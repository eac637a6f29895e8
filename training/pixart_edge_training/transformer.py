"""The denoiser: diffusers' PixArtTransformer2DModel, run through a forward of our own that trains faster on a CPU.

Attention is written out: at 64 tokens the backward of the fused kernel costs more than the matrices it saves. Parameters
stay where diffusers keeps them, so a state dict moves across unchanged; a test holds the two forwards together.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers import PixArtTransformer2DModel
from torch import Tensor, nn

from .config import TransformerShape


def build_transformer(
    shape: TransformerShape, *, latent_channels: int, caption_channels: int
) -> PixArtTransformer2DModel:
    return PixArtTransformer2DModel(
        num_attention_heads=shape.num_attention_heads,
        attention_head_dim=shape.attention_head_dim,
        in_channels=latent_channels,
        out_channels=latent_channels,
        num_layers=shape.num_layers,
        cross_attention_dim=shape.width,
        caption_channels=caption_channels,
        sample_size=shape.sample_size,
        patch_size=shape.patch_size,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        interpolation_scale=1,
        use_additional_conditions=False,
    )


@torch.no_grad()
def initialise(model: PixArtTransformer2DModel) -> None:
    """PixArt's start: Xavier everywhere, quiet conditioning, and cross-attention and output that begin at zero."""
    width = model.config.num_attention_heads * model.config.attention_head_dim
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    projection = model.pos_embed.proj
    nn.init.xavier_uniform_(projection.weight.view(projection.weight.shape[0], -1))
    nn.init.zeros_(projection.bias)
    embedder = model.adaln_single.emb.timestep_embedder
    for linear in (embedder.linear_1, embedder.linear_2, model.adaln_single.linear):
        nn.init.normal_(linear.weight, std=0.02)
    for block in model.transformer_blocks:
        nn.init.zeros_(block.attn2.to_out[0].weight)
        nn.init.normal_(block.scale_shift_table, std=width**-0.5)
    nn.init.zeros_(model.proj_out.weight)
    nn.init.normal_(model.scale_shift_table, std=width**-0.5)


def timestep_features(t: Tensor) -> Tensor:
    """[B] -> [B, 256]: cosines first."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float32) / 128)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """[B, heads, N, d] x [B, heads, M, d] -> [B, N, heads * d]."""
    scores = q @ k.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    out = scores.softmax(-1) @ v
    return out.transpose(1, 2).flatten(2)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _block(block: nn.Module, x: Tensor, y: Tensor, t6: Tensor, bias: Tensor, heads: int) -> Tensor:
    width = x.shape[-1]
    scale = (width // heads) ** -0.5
    shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (
        (block.scale_shift_table + t6).unsqueeze(2).unbind(1)
    )  # [B, 1, D]

    a, own = block.attn1, block.attn2
    h = torch.addcmul(shift_a, F.layer_norm(x, (width,), eps=1e-6), 1 + scale_a)
    weight = torch.cat([a.to_q.weight * scale, a.to_k.weight, a.to_v.weight])
    bias_qkv = torch.cat([a.to_q.bias * scale, a.to_k.bias, a.to_v.bias])
    q, k, v = F.linear(h, weight, bias_qkv).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    x = torch.addcmul(x, gate_a, a.to_out[0](_attend(q, k, v, None)))

    q = _heads(F.linear(x, own.to_q.weight * scale, own.to_q.bias * scale), heads)
    k, v = _heads(own.to_k(y), heads), _heads(own.to_v(y), heads)
    x = x + own.to_out[0](_attend(q, k, v, bias))

    h = torch.addcmul(shift_f, F.layer_norm(x, (width,), eps=1e-6), 1 + scale_f)
    h = block.ff.net[2](F.gelu(block.ff.net[0].proj(h), approximate="tanh"))
    return torch.addcmul(x, gate_f, h)


def forward(model: PixArtTransformer2DModel, x: Tensor, t: Tensor, text: Tensor, mask: Tensor) -> Tensor:
    """Latents [B, 4, H, W], times [B], text [B, L, C] and its mask [B, L] -> prediction [B, 4, H, W]."""
    config = model.config
    patch, heads, width = config.patch_size, config.num_attention_heads, model.inner_dim
    rows, columns = x.shape[-2] // patch, x.shape[-1] // patch
    tokens = (
        F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2)
    )  # [B, N, C * p * p], the order of a flattened kernel
    projection = model.pos_embed.proj
    h = F.linear(tokens, projection.weight.flatten(1), projection.bias) + model.pos_embed.pos_embed
    embedder = model.adaln_single.emb.timestep_embedder
    e = embedder.linear_2(F.silu(embedder.linear_1(timestep_features(t))))  # [B, D]
    t6 = model.adaln_single.linear(F.silu(e)).unflatten(-1, (6, -1))  # [B, 6, D]
    caption = model.caption_projection
    y = caption.linear_2(F.gelu(caption.linear_1(text), approximate="tanh"))
    bias = torch.where(mask, 0.0, -10000.0)[:, None, None, :]
    for block in model.transformer_blocks:
        h = _block(block, h, y, t6, bias, heads)
    shift, scale = (model.scale_shift_table + e[:, None]).unsqueeze(2).unbind(1)
    h = model.proj_out(torch.addcmul(shift, F.layer_norm(h, (width,), eps=1e-6), 1 + scale))  # [B, N, p * p * C]
    h = h.view(len(x), rows, columns, patch, patch, -1).permute(0, 5, 1, 3, 2, 4)
    return h.reshape(len(x), -1, rows * patch, columns * patch)
