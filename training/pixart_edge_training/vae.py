"""The picture codec: an f8 AutoencoderKL for RGBA art, and its training.

Colour comes first. Convolutions this small find edges by themselves; what they get wrong is saturated colour, so block
means and chroma weigh more than detail. When training ends, the per-channel mean and deviation of the latents are
folded into the two 1x1 convolutions beside the latent, so that latents are unit normal and `scaling_factor` is 1.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from . import parallel
from .checkpoints import load_checkpoint, save_checkpoint
from .config import Preset, VaeShape, VaeTraining
from .data import Scenes, refuse_held_out
from .optim import Budget, Ema, Muon, learning_rate_scale, scale_learning_rates
from .progress import RunLog, write_sheet


def build_vae(shape: VaeShape) -> AutoencoderKL:
    count = len(shape.block_out_channels)
    return AutoencoderKL(
        in_channels=shape.channels,
        out_channels=shape.channels,
        down_block_types=("DownEncoderBlock2D",) * count,
        up_block_types=("UpDecoderBlock2D",) * count,
        block_out_channels=shape.block_out_channels,
        layers_per_block=shape.layers_per_block,
        latent_channels=shape.latent_channels,
        norm_num_groups=shape.norm_num_groups,
        sample_size=shape.sample_size,
        scaling_factor=1.0,
    )


def encode(vae: AutoencoderKL, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of the latents, [B, 4, H/8, W/8] each, float32."""
    moments = vae.quant_conv(vae.encoder(pictures)).float()
    mean, logvar = moments.chunk(2, dim=1)
    return mean, logvar.clamp(-30, 20)


def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    return vae.decoder(vae.post_quant_conv(latents)).float()


def _haar_details(x: Tensor) -> Tensor:
    """The three detail bands of one Haar level, side by side in the channel dimension."""
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    return torch.cat([a + b - c - d, a - b + c - d, a - b - c + d], dim=1) / 4


def _chroma(x: Tensor) -> Tensor:
    red, green, blue = x[:, 0:1], x[:, 1:2], x[:, 2:3]
    return torch.cat([red - green, blue - green, red - blue], dim=1)


def reconstruction_loss(out: Tensor, target: Tensor, config: VaeTraining) -> tuple[Tensor, dict[str, Tensor]]:
    parts = {
        "l1": F.l1_loss(out, target),
        "block": F.l1_loss(F.avg_pool2d(out, 8), F.avg_pool2d(target, 8)),
        "chroma": F.l1_loss(_chroma(out), _chroma(target)),
        "haar": out.new_zeros(()),
        "alpha": F.l1_loss(out[:, 3:], target[:, 3:])
        + F.l1_loss(F.avg_pool2d(out[:, 3:], 16), F.avg_pool2d(target[:, 3:], 16)),
    }
    fine_out, fine_target = out, target
    for _ in range(3):
        parts["haar"] = parts["haar"] + F.l1_loss(_haar_details(fine_out), _haar_details(fine_target))
        fine_out, fine_target = F.avg_pool2d(fine_out, 2), F.avg_pool2d(fine_target, 2)
    total = (
        parts["l1"]
        + config.block_mean_weight * parts["block"]
        + config.chroma_weight * parts["chroma"]
        + config.haar_weight * parts["haar"]
        + config.alpha_weight * parts["alpha"]
    )
    return total, parts


def random_crops(pictures: Tensor, size: int, per_picture: int, generator: torch.Generator) -> Tensor:
    """`per_picture` square crops of every picture. [B * per_picture, C, size, size]."""
    height, width = pictures.shape[-2:]
    crops = []
    for picture in pictures:
        for _ in range(per_picture):
            y = int(torch.randint(height - size + 1, (), generator=generator))
            x = int(torch.randint(width - size + 1, (), generator=generator))
            crops.append(picture[:, y : y + size, x : x + size])
    return torch.stack(crops)


def permute_primaries(crops: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Swaps red, green and blue at random in a share of the crops: rare hues are seen as often as common ones; white stays white."""
    orders = torch.stack([torch.cat([torch.randperm(3, generator=generator), torch.tensor([3])]) for _ in crops])
    orders[torch.rand(len(crops), generator=generator) >= share] = torch.arange(4)
    return crops.gather(1, orders[:, :, None, None].expand_as(crops))


@torch.no_grad()
def fold_latent_statistics(vae: AutoencoderKL, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Makes the latents of `pictures` zero mean and unit deviation per channel without changing what is decoded.

    Returns the mean and deviation that were folded away, [4] each.
    """
    mean, logvar = encode(vae, pictures)
    variance = mean.var(dim=(0, 2, 3)) + logvar.exp().mean(dim=(0, 2, 3))
    shift, scale = mean.mean(dim=(0, 2, 3)), variance.sqrt()
    channels = len(shift)
    vae.post_quant_conv.bias += vae.post_quant_conv.weight.flatten(1) @ shift
    vae.post_quant_conv.weight *= scale.view(1, -1, 1, 1)
    vae.quant_conv.bias[:channels] = (vae.quant_conv.bias[:channels] - shift) / scale
    vae.quant_conv.weight[:channels] /= scale.view(-1, 1, 1, 1)
    vae.quant_conv.bias[channels:] -= 2 * scale.log()
    return shift, scale


def psnr(out: Tensor, target: Tensor) -> float:
    """Decibels between pictures in [-1, 1], clamped as they are when shown."""
    error = (out.clamp(-1, 1) - target).float().square().mean() / 4
    return float(-10 * torch.log10(error.clamp_min(1e-12)))


def reduced_precision() -> torch.autocast:
    """bfloat16 where the processor multiplies it natively; elsewhere float32, which is a hundred times faster there."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


@torch.no_grad()
def round_trip(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    with reduced_precision():
        return torch.cat([decode(vae, encode(vae, part)[0]) for part in pictures.split(32)])


def optimizers_for(vae: nn.Module, config: VaeTraining) -> list[torch.optim.Optimizer]:
    """Muon for convolutions between hidden layers, AdamW for the ends, the norms and the biases."""
    ends = ("conv_in", "conv_out", "quant_conv")
    hidden, rest = [], []
    for name, param in vae.named_parameters():
        if param.requires_grad:
            (hidden if param.ndim > 1 and not any(end in name for end in ends) else rest).append(param)
    adam = torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    return [Muon(hidden, lr=config.muon_learning_rate), adam]


def train_vae(
    scenes: Scenes,
    validation: Scenes,
    preset: Preset,
    config: VaeTraining,
    budget: Budget,
    folder: Path,
    *,
    resume: bool = False,
    decoder_only: bool = False,
    save_every_seconds: float = 300,
    quiet: bool = False,
) -> AutoencoderKL:
    """Trains until the budget is spent, folds the statistics, writes `vae.pt` and returns the averaged model.

    `decoder_only` starts from a finished `vae.pt` and leaves its latents as they are.
    """
    torch.manual_seed(config.seed)
    vae = build_vae(preset.vae)
    stage = "vae-decoder" if decoder_only else "vae"
    if decoder_only:
        vae.load_state_dict(load_checkpoint(folder / "vae.pt", stage="vae", preset=preset.name)["model"])
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
        config = replace(
            config,
            whole_from=0.0,
            learning_rate=config.learning_rate * 0.4,
            muon_learning_rate=config.muon_learning_rate * 0.4,
            warm_up=15,
            decay_from=0.3,
        )
    else:
        with torch.no_grad():
            vae.quant_conv.bias[preset.vae.latent_channels :] = config.logvar_bias
    optimizers, ema = optimizers_for(vae, config), Ema(vae, config.ema)
    step = samples = cursor = 0
    path = folder / f"{stage}-run.pt"
    if resume:
        state = load_checkpoint(path, stage=stage, preset=preset.name)
        vae.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step, samples, cursor, budget.spent = state["step"], state["samples"], state["cursor"], state["seconds"]

    def save() -> None:
        state = {"model": vae.state_dict(), "ema": ema.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}
        state |= {"step": step, "samples": samples, "cursor": cursor, "seconds": budget.elapsed()}
        save_checkpoint(path, stage=stage, preset=preset.name, state=state)

    shown = validation.batch(0, 64 if preset.vae.sample_size >= 128 else 16).pictures
    log = RunLog(folder, stage, quiet=quiet or parallel.rank() > 0)
    crop = min(config.crop, shown.shape[-1] // 2)
    saved_at, whole_pictures = budget.elapsed(), False
    world = parallel.world()
    while (progress := parallel.from_first(budget.progress(step))) < 1:
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 64 + parallel.rank())
        whole = progress >= config.whole_from
        count = (config.whole_batch_size if whole else -(-config.batch_size // config.crops_per_picture)) // world
        pictures = refuse_held_out(scenes.batch(cursor + parallel.rank() * count, count)).pictures
        cursor += count * world
        if not whole:
            pictures = random_crops(pictures, crop, config.crops_per_picture, generator)
            pictures = permute_primaries(pictures, config.permuted_share, generator)
        rate = learning_rate_scale(
            step, progress, warm_up=config.warm_up, decay_from=config.decay_from, decay_to=config.decay_to
        )
        scale_learning_rates(optimizers, rate)
        with reduced_precision():
            mean, logvar = encode(vae, pictures)
            noise = torch.randn(mean.shape, generator=generator)
            if decoder_only:
                amount = config.decoder_noise * torch.rand(len(mean), 1, 1, 1, generator=generator)
                latents = mean + amount * noise
            else:
                latents = mean + (logvar / 2).exp() * noise
            out = decode(vae, latents)
        loss, parts = reconstruction_loss(out, pictures, config)
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum() / len(pictures)
        (loss + config.kl_weight * kl).backward()
        parallel.average_gradients(vae.parameters())
        nn.utils.clip_grad_norm_(vae.parameters(), config.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        ema.update(vae)
        step, samples = step + 1, samples + len(pictures) * world
        if parallel.rank() > 0:
            continue
        if step % 20 == 0:
            values = {"loss": loss.item(), **{k: v.item() for k, v in parts.items()}, "kl": kl.item(), "rate": rate}
            log.report(step, samples, budget.elapsed(), progress, values)
        if budget.elapsed() - saved_at > save_every_seconds or (whole and not whole_pictures):
            saved_at, whole_pictures = budget.elapsed(), whole
            save()
            averaged = build_vae(preset.vae)
            averaged.load_state_dict(ema.shadow)
            out = round_trip(averaged, shown)
            print(
                f"\n{stage}: step {step}, {psnr(out[:, :3], shown[:, :3]):.2f} dB on {len(shown)} unseen scenes",
                flush=True,
            )
            write_sheet(folder / f"{stage}-sheet.png", torch.stack([shown[:32], out[:32]], 1).flatten(0, 1))
    if parallel.rank() > 0:
        return vae
    save()
    log.close()
    vae.load_state_dict(ema.shadow)
    if not decoder_only:
        statistics = torch.cat(
            [scenes.batch(cursor + 64 * i, 64).pictures for i in range(8 if preset.name == "nano" else 1)]
        )
        fold_latent_statistics(vae, statistics)
    out = round_trip(vae, shown)
    score = psnr(out[:, :3], shown[:, :3])
    print(f"\n{stage}: done after {step} steps, {samples} pictures, {score:.2f} dB", flush=True)
    write_sheet(folder / f"{stage}-sheet.png", torch.stack([shown[:32], out[:32]], 1).flatten(0, 1))
    if decoder_only:
        save_checkpoint(
            folder / "vae-before-decoder.pt",
            stage="vae",
            preset=preset.name,
            state={"model": load_checkpoint(folder / "vae.pt", stage="vae", preset=preset.name)["model"]},
        )
    save_checkpoint(
        folder / "vae.pt", stage="vae", preset=preset.name, state={"model": vae.state_dict(), "psnr": score}
    )
    return vae
