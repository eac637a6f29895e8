"""PixArt-delta: distils the trained denoiser into one that draws in four steps without guidance.

The teacher takes one guided DDIM step of a fiftieth of the way; the student has to say the same clean picture before and
after that step, the "after" being said by a slow average of itself. The text encoder stays as it is.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from diffusers import PixArtTransformer2DModel
from torch import Tensor, nn

from . import parallel
from .checkpoints import load_checkpoint, save_checkpoint
from .config import LcmTraining, Preset
from .data import Scenes, Tokens, pad_tokens
from .diffusion import add_noise, alphas_cumprod, lcm_boundary, x0_and_noise
from .latents import LatentPool
from .optim import Budget, Ema, learning_rate_scale, scale_learning_rates
from .progress import RunLog, write_sheet
from .sampling import Networks, sample_lcm, to_images
from .text_encoder import encode_text
from .train_transformer import joint, trained_networks
from .transformer import forward

STAGE = "lcm"


def distillation_timesteps(count: int, config: LcmTraining, generator: torch.Generator) -> Tensor:
    """Points of the DDIM grid, with a share of the draws at the times a four-step sampler visits. int64 [count]."""
    skip = 1000 // config.ddim_points
    grid = torch.randint(1, config.ddim_points + 1, (count,), generator=generator) * skip - 1
    visited = torch.tensor(config.visited)[torch.randint(len(config.visited), (count,), generator=generator)]
    return torch.where(torch.rand(count, generator=generator) < config.visited_share, visited, grid)


@torch.no_grad()
def guided_ddim_step(
    teacher: PixArtTransformer2DModel,
    acp: Tensor,
    x: Tensor,
    t: Tensor,
    earlier: Tensor,
    conditioned: tuple[Tensor, Tensor],
    empty: tuple[Tensor, Tensor],
    guidance: float,
) -> Tensor:
    """Where a guided teacher says x will be at `earlier`. `conditioned` and `empty` are text and mask."""
    v = forward(teacher, x, t, *conditioned)
    if guidance != 1:
        v_empty = forward(teacher, x, t, *empty)
        v = v_empty + guidance * (v - v_empty)
    x0, noise = x0_and_noise(acp, x, v, t)
    return add_noise(acp, x0, noise, earlier)


def consistency(
    model: PixArtTransformer2DModel, acp: Tensor, x: Tensor, t: Tensor, text: Tensor, mask: Tensor
) -> Tensor:
    """The clean latents a consistency model names: itself at t = 0, the prediction everywhere else."""
    x0, _ = x0_and_noise(acp, x, forward(model, x, t, text, mask), t)
    c_skip, c_out = lcm_boundary(t)
    return c_out * x0 + c_skip * x


def pseudo_huber(difference: Tensor, c: float) -> Tensor:
    return ((difference.square() + c * c).sqrt() - c).mean()


def blended_networks(preset: Preset, tokens: Tokens, folder: Path, blend: float) -> Networks:
    """Weights part of the way from the teacher (0) to the student (1), both averaged over training.

    A short distillation makes edges sharp and things rough; between the two lie weights that keep most of both. Wortsman and
    others, "Robust fine-tuning of zero-shot models" (2022), do so for classifiers.
    """
    networks = trained_networks(preset, tokens, folder)
    student = load_checkpoint(folder / f"{STAGE}.pt", stage=STAGE, preset=preset.name)["ema"]["shadow"]
    with torch.no_grad():
        for name, value in joint(networks).state_dict().items():
            if value.is_floating_point():
                value.lerp_(student[name], blend)
    return networks


def train_lcm(
    scenes: Scenes,
    tokens: Tokens,
    preset: Preset,
    config: LcmTraining,
    budget: Budget,
    folder: Path,
    prompts: list[str],
    *,
    resume: bool = False,
    save_every_seconds: float = 240,
    quiet: bool = False,
) -> Networks:
    """Trains until the budget is spent and leaves `lcm.pt`, whose average is what gets shipped."""
    rank, world = parallel.rank(), parallel.world()
    networks = trained_networks(preset, tokens, folder)
    networks.text_encoder.requires_grad_(False)
    student, acp = networks.transformer, alphas_cumprod()
    teacher, target = copy.deepcopy(student).requires_grad_(False), copy.deepcopy(student).requires_grad_(False)
    optimizer = torch.optim.AdamW(student.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    ema = Ema(joint(networks), config.ema)
    pool = LatentPool(
        networks.vae,
        scenes,
        tokens,
        config.pool // world,
        max_length=preset.text.max_length,
        cursor=10_000_000 + rank * 20_000_000,
    )
    step = samples = 0
    path, pool_path = folder / f"{STAGE}.pt", folder / f"{STAGE}-pool{rank}.pt"
    if resume:
        state = load_checkpoint(path, stage=STAGE, preset=preset.name)
        student.load_state_dict(state["student"])
        target.load_state_dict(state["target"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        step, samples, budget.spent = state["step"], state["samples"], state["seconds"]
        if pool_path.is_file():
            pool.load_state_dict(load_checkpoint(pool_path, stage=STAGE, preset=preset.name)["pool"])

    def save() -> None:
        save_checkpoint(pool_path, stage=STAGE, preset=preset.name, state={"pool": pool.state_dict()})
        if rank == 0:
            state = {"student": student.state_dict(), "target": target.state_dict(), "ema": ema.state_dict()}
            state |= {
                "optimizer": optimizer.state_dict(),
                "step": step,
                "samples": samples,
                "seconds": budget.elapsed(),
            }
            save_checkpoint(path, stage=STAGE, preset=preset.name, state=state)

    while len(pool) < config.first_fill // world:
        pool.refresh(min(32, config.first_fill // world))
    empty_ids, empty_mask = pad_tokens(tokens.encode([""]))
    empty_text = encode_text(networks.text_encoder, empty_ids, empty_mask)
    local = config.batch_size // world
    empty = (empty_text.expand(local, -1, -1), empty_mask.expand(local, -1))
    fresh = max(1, round(4 * local / config.uses_per_latent))
    log = RunLog(folder, STAGE, quiet=quiet or rank > 0)
    saved_at, recent = budget.elapsed(), []
    while (progress := parallel.from_first(budget.progress(step))) < 1:
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 64 + rank)
        if step % 4 == 0:
            pool.refresh(fresh)
        rate = learning_rate_scale(
            step, progress, warm_up=config.warm_up, decay_from=config.decay_from, decay_to=config.decay_to
        )
        scale_learning_rates([optimizer], rate)
        latents, ids, mask = pool.draw(local, generator)
        t = distillation_timesteps(local, config, generator)
        earlier = (t - 1000 // config.ddim_points).clamp_min(0)
        x = add_noise(acp, latents, torch.randn(latents.shape, generator=generator), t)
        with torch.no_grad():
            text = encode_text(networks.text_encoder, ids, mask)
            x_earlier = guided_ddim_step(teacher, acp, x, t, earlier, (text, mask), empty, config.guidance)
            wanted = consistency(target, acp, x_earlier, earlier, text, mask)
        loss = pseudo_huber(consistency(student, acp, x, t, text, mask) - wanted, config.huber)
        loss.backward()
        parallel.average_gradients(student.parameters())
        nn.utils.clip_grad_norm_(student.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(list(target.parameters()), list(student.parameters()), 1 - config.target_ema)
        step, samples = step + 1, samples + local * world
        recent.append(loss.item())
        if rank == 0:
            ema.update(joint(networks))
            if step % 5 == 0:
                log.report(step, samples, budget.elapsed(), progress, {"loss": sum(recent) / len(recent), "rate": rate})
                recent = []
        if parallel.from_first(budget.elapsed() - saved_at) > save_every_seconds:
            saved_at = budget.elapsed()
            save()
    save()
    log.close()
    if rank == 0:
        joint(networks).load_state_dict(ema.shadow)
        write_sheet(folder / f"{STAGE}-sheet.png", to_images(networks, sample_lcm(networks, prompts)), labels=prompts)
    return networks
