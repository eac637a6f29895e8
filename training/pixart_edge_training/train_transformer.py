"""Trains the denoiser and the text encoder together on latents of a finished VAE."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from . import parallel
from .checkpoints import load_checkpoint, save_checkpoint
from .config import Preset, TransformerTraining
from .data import Scenes, Tokens
from .diffusion import add_noise, alphas_cumprod, training_timesteps, velocity
from .latents import LatentPool
from .optim import Budget, Ema, Muon, learning_rate_scale, scale_learning_rates
from .progress import RunLog, write_sheet
from .sampling import Networks, sample_ddim, sample_lcm, to_images
from .text_encoder import build_text_encoder, encode_text
from .transformer import build_transformer, forward, initialise
from .vae import build_vae

STAGE = "transformer"


def build_networks(preset: Preset, tokens: Tokens, folder: Path) -> Networks:
    """Fresh denoiser and text encoder beside the VAE that the first stage left in `folder`."""
    vae = build_vae(preset.vae)
    vae.load_state_dict(load_checkpoint(folder / "vae.pt", stage="vae", preset=preset.name)["model"])
    vae.requires_grad_(False)
    text_encoder = build_text_encoder(preset.text, tokens.vocab_size)
    transformer = build_transformer(
        preset.transformer, latent_channels=preset.vae.latent_channels, caption_channels=preset.text.d_model
    )
    initialise(transformer)
    return Networks(text_encoder, transformer, vae, tokens)


def trained_networks(preset: Preset, tokens: Tokens, folder: Path, *, stage: str = STAGE) -> Networks:
    """The averaged weights that a finished or running stage left behind."""
    networks = build_networks(preset, tokens, folder)
    state = load_checkpoint(folder / f"{stage}.pt", stage=stage, preset=preset.name)
    joint(networks).load_state_dict(state["ema"]["shadow"])
    return networks


def joint(networks: Networks) -> nn.ModuleDict:
    """The two networks that train together, under one roof for optimizers, averages and checkpoints."""
    return nn.ModuleDict({"text_encoder": networks.text_encoder, "transformer": networks.transformer})


def optimizers_for(model: nn.Module, config: TransformerTraining) -> list[torch.optim.Optimizer]:
    """Muon for the denoiser's hidden matrices, AdamW for the rest, gently inside the text encoder.

    T5 divides its attention scores by nothing and normalises no update: with Muon its scores saturate within a few hundred
    steps and the words of a prompt become one. Queries and keys of cross-attention read an unnormalised stream and are
    kept from it for the same reason.
    """
    hidden, text, rest = [], [], []
    for name, param in model.named_parameters():
        if "encoder.block" in name:
            text.append(param)
        elif (
            "transformer_blocks" in name
            and name.endswith("weight")
            and ".attn2.to_q." not in name
            and ".attn2.to_k." not in name
        ):
            hidden.append(param)
        else:
            rest.append(param)
    groups = [
        {"params": rest, "lr": config.learning_rate},
        {"params": text, "lr": config.text_learning_rate},
    ]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(hidden, lr=config.muon_learning_rate, momentum=config.muon_momentum), adam]


def denoising_loss(
    networks: Networks,
    pool: LatentPool,
    acp: torch.Tensor,
    count: int,
    config: TransformerTraining,
    generator: torch.Generator,
) -> torch.Tensor:
    """Mean squared error of the velocity, on `count` fresh draws."""
    latents, ids, mask = pool.draw(count, generator, dropout=config.caption_dropout)
    t = training_timesteps(count, config, generator)
    noise = torch.randn(latents.shape, generator=generator)
    text = encode_text(networks.text_encoder, ids, mask)
    v = forward(networks.transformer, add_noise(acp, latents, noise, t), t, text, mask)
    return F.mse_loss(v, velocity(acp, latents, noise, t))


def draw_sheets(networks: Networks, prompts: list[str], folder: Path, stage: str) -> None:
    for name, latents in (
        ("ddim10-cfg2", sample_ddim(networks, prompts, steps=10, guidance=2.0)),
        ("lcm4", sample_lcm(networks, prompts)),
    ):
        write_sheet(folder / f"{stage}-sheet-{name}.png", to_images(networks, latents), labels=prompts)


def train_transformer(
    scenes: Scenes,
    tokens: Tokens,
    preset: Preset,
    config: TransformerTraining,
    budget: Budget,
    folder: Path,
    prompts: list[str],
    *,
    resume: bool = False,
    initial: dict[str, torch.Tensor] | None = None,
    save_every_seconds: float = 300,
    quiet: bool = False,
) -> Networks:
    """Trains until the budget is spent and leaves `transformer.pt`. `initial` starts from given weights instead of noise."""
    rank, world = parallel.rank(), parallel.world()
    torch.manual_seed(config.seed)
    networks = build_networks(preset, tokens, folder)
    model, acp = joint(networks), alphas_cumprod()
    if initial is not None:
        model.load_state_dict(initial)
    optimizers, ema = optimizers_for(model, config), Ema(model, config.ema)
    pool = LatentPool(
        networks.vae, scenes, tokens, config.pool // world, max_length=preset.text.max_length, cursor=rank * 20_000_000
    )
    step = samples = 0
    path, pool_path = folder / f"{STAGE}.pt", folder / f"{STAGE}-pool{rank}.pt"
    if resume:
        state = load_checkpoint(path, stage=STAGE, preset=preset.name)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step, samples, budget.spent = state["step"], state["samples"], state["seconds"]
        if pool_path.is_file():
            pool.load_state_dict(load_checkpoint(pool_path, stage=STAGE, preset=preset.name)["pool"])

    def save() -> None:
        save_checkpoint(pool_path, stage=STAGE, preset=preset.name, state={"pool": pool.state_dict()})
        if rank == 0:
            state = {
                "model": model.state_dict(),
                "ema": ema.state_dict(),
                "optimizers": [o.state_dict() for o in optimizers],
            }
            state |= {"step": step, "samples": samples, "seconds": budget.elapsed()}
            save_checkpoint(path, stage=STAGE, preset=preset.name, state=state)

    def show() -> None:
        averaged = Networks(*_copies(preset, tokens, ema), networks.vae, tokens)
        draw_sheets(averaged, prompts, folder, STAGE)

    while len(pool) < config.first_fill // world:
        pool.refresh(min(32, config.first_fill // world))
    log = RunLog(folder, STAGE, quiet=quiet or rank > 0)
    saved_at, recent = budget.elapsed(), []
    while (progress := parallel.from_first(budget.progress(step))) < 1:
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 64 + rank)
        local = (config.batch_size if progress < config.later_from else config.later_batch_size) // world
        if step % 4 == 0:  # for four steps at once: small convolution batches are slow
            pool.refresh(max(1, round(4 * local / config.uses_per_latent)))
        rate = learning_rate_scale(
            step, progress, warm_up=config.warm_up, decay_from=config.decay_from, decay_to=config.decay_to
        )
        scale_learning_rates(optimizers, rate)
        loss = denoising_loss(networks, pool, acp, local, config, generator)
        loss.backward()
        parallel.average_gradients(model.parameters())
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step, samples = step + 1, samples + local * world
        recent.append(loss.item())
        if rank == 0:
            ema.update(model)
            if step % 10 == 0:
                log.report(step, samples, budget.elapsed(), progress, {"loss": sum(recent) / len(recent), "rate": rate})
                recent = []
        if parallel.from_first(budget.elapsed() - saved_at) > save_every_seconds:
            saved_at = budget.elapsed()
            save()
            if rank == 0:
                show()
    save()
    log.close()
    if rank == 0:
        show()
    return networks


def _copies(preset: Preset, tokens: Tokens, ema: Ema) -> tuple[nn.Module, nn.Module]:
    text_encoder = build_text_encoder(preset.text, tokens.vocab_size)
    transformer = build_transformer(
        preset.transformer, latent_channels=preset.vae.latent_channels, caption_channels=preset.text.d_model
    )
    nn.ModuleDict({"text_encoder": text_encoder, "transformer": transformer}).load_state_dict(ema.shadow)
    return text_encoder, transformer
