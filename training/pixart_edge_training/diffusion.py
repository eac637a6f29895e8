"""The noise schedule and the algebra of v-prediction, on plain tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import Diffusion, LcmTraining, TransformerTraining


def alphas_cumprod() -> Tensor:
    """Cumulative products of 1 - beta for linear betas, as diffusers computes them. float32 [T]."""
    config = Diffusion()
    betas = torch.linspace(config.beta_start, config.beta_end, config.num_train_timesteps, dtype=torch.float32)
    return torch.cumprod(1.0 - betas, dim=0)


def _signal_and_noise(acp: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    a = acp[t].view(-1, 1, 1, 1)  # [B, 1, 1, 1]
    return a.sqrt(), (1.0 - a).sqrt()


def add_noise(acp: Tensor, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    signal, sigma = _signal_and_noise(acp, t)
    return signal * x0 + sigma * noise


def velocity(acp: Tensor, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """v = sqrt(a) * noise - sqrt(1 - a) * x0."""
    signal, sigma = _signal_and_noise(acp, t)
    return signal * noise - sigma * x0


def x0_and_noise(acp: Tensor, x: Tensor, v: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The clean latents and the noise that a velocity stands for."""
    signal, sigma = _signal_and_noise(acp, t)
    return signal * x - sigma * v, sigma * x + signal * v


def training_timesteps(count: int, config: TransformerTraining, generator: torch.Generator) -> Tensor:
    """Mostly logit-normal, partly uniform, so that both ends of the schedule are still met. int64 [count]."""
    logit = torch.randn(count, generator=generator) * config.logit_normal_std + config.logit_normal_mean
    uniform = torch.rand(count, generator=generator)
    normal = torch.rand(count, generator=generator) < config.logit_normal_share
    return (torch.where(normal, torch.sigmoid(logit), uniform) * 1000).long().clamp(0, 999)


def lcm_boundary(t: Tensor) -> tuple[Tensor, Tensor]:
    """c_skip and c_out of LCMScheduler (timestep_scaling 10, sigma_data 0.5). [B, 1, 1, 1] each."""
    u = (t.float() * 10.0).view(-1, 1, 1, 1)
    return 0.25 / (u**2 + 0.25), u / (u**2 + 0.25).sqrt()


def lcm_timesteps(steps: int, ddim_points: int = LcmTraining.ddim_points) -> list[int]:
    """The times LCMScheduler visits, first to last. Four steps of fifty points: 999, 759, 499, 259."""
    skip = 1000 // ddim_points
    origin = [skip * i - 1 for i in range(1, ddim_points + 1)][::-1]
    return [origin[int(i * ddim_points / steps)] for i in range(steps)]
