"""A decoder for looking on: no norms, no attention, a small part of the codec's arithmetic, diffusers' `AutoencoderTiny`.

It learns from pictures and the codec's latents of them, disturbed a little, since it is to decode what a denoiser has only
begun to draw. The encoder half of the class is not trained and not shipped.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor, nn

from . import parallel
from .checkpoints import load_checkpoint, save_checkpoint
from .config import Preset, PreviewTraining, VaeTraining
from .data import Scenes, refuse_held_out
from .optim import Budget, Ema, Muon, learning_rate_scale, scale_learning_rates
from .progress import RunLog, write_sheet
from .vae import build_vae, decode, encode, psnr, reconstruction_loss

STAGE = "preview-decoder"


def build_preview_decoder(preset: Preset) -> AutoencoderTiny:
    """Decodes [B, latent channels, H / 8, W / 8] to [B, channels, H, W] in [-1, 1] with `.decode(latents).sample`."""
    shape = preset.preview
    widths = (shape.width,) * len(shape.blocks)
    return AutoencoderTiny(
        in_channels=preset.vae.channels,
        out_channels=preset.vae.channels,
        latent_channels=preset.vae.latent_channels,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=tuple(reversed(shape.blocks)),
        num_decoder_blocks=shape.blocks,
        scaling_factor=1.0,
    )


def optimizers_for(decoder: nn.Module, config: PreviewTraining) -> list[torch.optim.Optimizer]:
    """Muon for the convolutions between hidden layers, AdamW for the two ends and the biases."""
    matrices = [name for name, param in decoder.named_parameters() if param.ndim > 1]
    ends = (matrices[0], matrices[-1])
    hidden = [param for name, param in decoder.named_parameters() if param.ndim > 1 and name not in ends]
    rest = [param for name, param in decoder.named_parameters() if param.ndim == 1 or name in ends]
    adam = torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    return [Muon(hidden, lr=config.muon_learning_rate), adam]


@torch.no_grad()
def compare_decoders(vae: AutoencoderKL, preview: AutoencoderTiny, pictures: Tensor) -> dict[str, float]:
    """Decibels of both decoders against real pictures, from the same latents."""
    latents = torch.cat([encode(vae, part)[0] for part in pictures.split(32)])
    full = torch.cat([decode(vae, part) for part in latents.split(32)])
    fast = torch.cat([preview.decode(part).sample for part in latents.split(32)])
    return {"full_psnr": psnr(full[:, :3], pictures[:, :3]), "preview_psnr": psnr(fast[:, :3], pictures[:, :3])}


def train_preview_decoder(
    scenes: Scenes,
    validation: Scenes,
    preset: Preset,
    config: PreviewTraining,
    budget: Budget,
    folder: Path,
    *,
    resume: bool = False,
    save_every_seconds: float = 300,
    quiet: bool = False,
) -> AutoencoderTiny:
    """Trains until the budget is spent and leaves `preview-decoder.pt`, whose average is what gets shipped."""
    rank, world = parallel.rank(), parallel.world()
    torch.manual_seed(config.seed)
    vae = build_vae(preset.vae)
    vae.load_state_dict(load_checkpoint(folder / "vae.pt", stage="vae", preset=preset.name)["model"])
    vae.requires_grad_(False)
    preview = build_preview_decoder(preset)
    preview.encoder.requires_grad_(False)
    optimizers, ema = optimizers_for(preview.decoder, config), Ema(preview.decoder, config.ema)
    step = samples = cursor = 0
    path = folder / f"{STAGE}.pt"
    if resume:
        state = load_checkpoint(path, stage=STAGE, preset=preset.name)
        preview.decoder.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step, samples, cursor, budget.spent = state["step"], state["samples"], state["cursor"], state["seconds"]

    def save(scores: dict[str, float] | None = None) -> None:
        state = {"model": preview.decoder.state_dict(), "ema": ema.state_dict(), "scores": scores or {}}
        state |= {"optimizers": [o.state_dict() for o in optimizers], "step": step, "samples": samples}
        save_checkpoint(
            path, stage=STAGE, preset=preset.name, state=state | {"cursor": cursor, "seconds": budget.elapsed()}
        )

    log = RunLog(folder, STAGE, quiet=quiet or rank > 0)
    saved_at, local = budget.elapsed(), config.batch_size // world
    while (progress := parallel.from_first(budget.progress(step))) < 1:
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 64 + rank)
        pictures = refuse_held_out(scenes.batch(config.first_cursor + cursor + rank * local, local)).pictures
        cursor += local * world
        rate = learning_rate_scale(
            step, progress, warm_up=config.warm_up, decay_from=config.decay_from, decay_to=config.decay_to
        )
        scale_learning_rates(optimizers, rate)
        with torch.no_grad():
            mean, _ = encode(vae, pictures)
            amount = config.noise * torch.rand(len(mean), 1, 1, 1, generator=generator)
            latents = mean + amount * torch.randn(mean.shape, generator=generator)
        loss, _ = reconstruction_loss(preview.decode(latents).sample, pictures, VaeTraining())
        loss.backward()
        parallel.average_gradients(preview.decoder.parameters())
        nn.utils.clip_grad_norm_(preview.decoder.parameters(), config.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        ema.update(preview.decoder)
        step, samples = step + 1, samples + local * world
        if rank == 0 and step % 20 == 0:
            log.report(step, samples, budget.elapsed(), progress, {"loss": loss.item(), "rate": rate})
        if parallel.from_first(budget.elapsed() - saved_at) > save_every_seconds:
            saved_at = budget.elapsed()
            if rank == 0:
                save()
    log.close()
    if rank == 0:
        last = {name: value.clone() for name, value in preview.decoder.state_dict().items()}
        preview.decoder.load_state_dict(ema.shadow)
        shown = validation.batch(0, 64 if preset.vae.sample_size >= 128 else 16).pictures
        scores = compare_decoders(vae, preview, shown)
        print(f"\n{STAGE}: {step} steps, {samples} pictures, {scores}", flush=True)
        with torch.no_grad():
            out = preview.decode(encode(vae, shown[:32])[0]).sample
        write_sheet(folder / f"{STAGE}-sheet.png", torch.stack([shown[:32], out], 1).flatten(0, 1))
        preview.decoder.load_state_dict(last)
        save(scores)
        preview.decoder.load_state_dict(ema.shadow)
    return preview


def trained_preview_decoder(preset: Preset, folder: Path) -> AutoencoderTiny | None:
    """The averaged weights, or None where the stage has not run."""
    path = folder / f"{STAGE}.pt"
    if not path.is_file():
        return None
    preview = build_preview_decoder(preset)
    preview.decoder.load_state_dict(load_checkpoint(path, stage=STAGE, preset=preset.name)["ema"]["shadow"])
    return preview.eval().requires_grad_(False)
