"""Noise schedules and sampler steps by diffusers, and random numbers by PyTorch.

python schedulers.py [OUT]
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, LCMScheduler, SASolverScheduler

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "golden"

STEP_COUNTS = (1, 2, 4, 14, 20, 50)
BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
UNCLIPPED = {"clip_sample": False}
#: name of the sampler, its class, and configurations beside the first, which is run with every step count
SAMPLERS = [
    ("dpm-solver++", DPMSolverMultistepScheduler, {}, [{"solver_type": "heun"}, {"final_sigmas_type": "sigma_min"}]),
    ("sa-solver", SASolverScheduler, {}, [{"timestep_spacing": "trailing"}]),
    ("ddim", DDIMScheduler, UNCLIPPED, [{"clip_sample": True}, {**UNCLIPPED, "set_alpha_to_one": False}]),
    ("ddpm", DDPMScheduler, UNCLIPPED, [{**UNCLIPPED, "variance_type": "learned_range"}]),
]
SPACINGS = ("linspace", "leading", "trailing")


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write(out / "random.json", random_numbers())
    write(out / "noise-schedule.json", [noise_schedule(kind) for kind in ("linear", "scaled_linear")])
    write_compressed(out / "samplers.json.gz", sampler_runs())
    write_compressed(out / "iddpm.json.gz", [iddpm_run(steps) for steps in (2, 4, 14, 20, 50, 100)])
    write(out / "lcm.json", [lcm_run(kind, n) for kind in ("epsilon", "v_prediction", "sample") for n in (1, 2, 4, 8)])


def random_numbers() -> list[dict]:
    """Streams of draws of several lengths: whole runs of 16, incomplete ones, and fewer than 16."""
    runs = []
    for seed, lengths in [(0, [256, 16]), (42, [20, 5, 3, 16, 31]), (4_294_967_295, [15, 17]), (2**32 + 7, [33])]:
        generator = torch.Generator("cpu").manual_seed(seed)
        draws = [torch.randn(n, generator=generator).tolist() for n in lengths]
        runs.append({"seed": seed, "draws": draws})
    return runs


def noise_schedule(kind: str) -> dict:
    scheduler = LCMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule=kind)
    values = scheduler.alphas_cumprod.numpy().astype("<f4")
    return {
        "beta_schedule": kind,
        "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        "alphas_cumprod": {str(i): float(values[i]) for i in (0, 19, 39, 259, 499, 759, 979, 999)},
    }


def lcm_run(prediction_type: str, steps: int) -> dict:
    """One run on 16 values; every step keeps what went in and what came out."""
    scheduler = LCMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", prediction_type=prediction_type)
    scheduler.set_timesteps(steps)
    generator = torch.Generator("cpu").manual_seed(steps)
    sample = torch.randn(16, generator=generator)
    index = torch.arange(16, dtype=torch.float32)
    trace = []
    for timestep in scheduler.timesteps:
        noise_pred = 0.3 * sample + 0.5 * torch.sin(0.01 * timestep + index)
        state = generator.get_state()
        result = scheduler.step(noise_pred, timestep, sample, generator=generator)
        drawn = not torch.equal(state, generator.get_state())
        generator.set_state(state)
        noise = torch.randn(16, generator=generator).tolist() if drawn else None
        trace.append(
            {
                "timestep": int(timestep),
                "sample": sample.tolist(),
                "noise_pred": noise_pred.tolist(),
                "noise": noise,
                "prev_sample": result.prev_sample.tolist(),
                "denoised": result.denoised.tolist(),
            }
        )
        sample = result.prev_sample
    return {"prediction_type": prediction_type, "steps": steps, "trace": trace}


def sampler_runs() -> list[dict]:
    runs = []
    for name, kind, usual, others in SAMPLERS:
        for prediction_type in ("epsilon", "v_prediction"):
            config = {**BETAS, **usual, "prediction_type": prediction_type}
            runs += [sampler_run(name, kind, config, steps) for steps in STEP_COUNTS]
        runs.append(sampler_run(name, kind, {**BETAS, **usual, "prediction_type": "sample"}, 4))
        runs += [sampler_run(name, kind, {**BETAS, **other}, 6) for other in others]
        runs += [sampler_run(name, kind, {**BETAS, **usual, "timestep_spacing": spacing}, 6) for spacing in SPACINGS]
        runs += [sampler_run(name, kind, {**BETAS, **usual}, steps, strength) for steps, strength in ((10, 0.5), (14, 0.7), (20, 0.05))]
    runs += [sampler_run("lcm", LCMScheduler, BETAS, steps, strength) for steps, strength in ((4, 0.5), (4, 0.8), (8, 0.3))]
    return runs


def sampler_run(name: str, kind: type, config: dict, steps: int, strength: float = 1.0) -> dict:
    """One run on 16 values, from noise, or with a strength from noised values of another stream."""
    scheduler = kind(**config)
    if name == "lcm":
        scheduler.set_timesteps(steps, strength=strength)
        first = 0
    else:
        scheduler.set_timesteps(steps)
        first = steps - min(int(steps * strength), steps)
    timesteps = scheduler.timesteps[first:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    generator = torch.Generator("cpu").manual_seed(steps)
    shape = (1, 1, 4, 4)
    sample = torch.randn(shape, generator=generator)
    if strength < 1:
        image = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(1000))
        sample = scheduler.add_noise(image, sample, timesteps[:1])
    start = sample
    index = torch.arange(16, dtype=torch.float32).reshape(shape)
    samples = []
    for timestep in timesteps:
        output = 0.3 * sample + 0.5 * torch.sin(0.01 * timestep + index)
        if config.get("variance_type") == "learned_range":
            output = torch.cat([output, torch.cos(0.02 * timestep + index)], dim=1)
        sample = scheduler.step(output, timestep, sample, generator=generator).prev_sample
        samples.append(sample.flatten().tolist())
    return {
        "sampler": name,
        "config": config,
        "steps": steps,
        "strength": strength,
        "timesteps": timesteps.tolist(),
        "start": start.flatten().tolist(),
        "samples": samples,
    }


def iddpm_run(steps: int) -> dict:
    """Improved DDPM in float64, from the paper's formulas: a respaced chain with a variance between beta and beta tilde."""
    betas = np.linspace(1e-4, 0.02, 1000, dtype=np.float64)
    alphas_cumprod = np.cumprod(1.0 - betas)
    kept, position = [], 0.0
    while len(kept) < steps:
        kept.append(round(position))
        position += 999 / (steps - 1)
    cumprod = alphas_cumprod[kept]
    below = np.concatenate([[1.0], cumprod[:-1]])
    beta = 1.0 - cumprod / below
    beta_tilde = beta * (1.0 - below) / (1.0 - cumprod)
    beta_tilde[0] = beta_tilde[1]
    generator = torch.Generator("cpu").manual_seed(steps)
    draw = lambda: torch.randn(16, generator=generator).numpy().astype(np.float64)  # noqa: E731
    index = np.arange(16)
    start = sample = draw()
    samples = []
    for i in reversed(range(steps)):
        epsilon = 0.3 * sample + 0.5 * np.sin(0.01 * kept[i] + index)
        fraction = (np.cos(0.02 * kept[i] + index) + 1) / 2
        log_variance = fraction * np.log(beta[i]) + (1 - fraction) * np.log(beta_tilde[i])
        image = (sample - np.sqrt(1 - cumprod[i]) * epsilon) / np.sqrt(cumprod[i])
        weight = beta[i] * np.sqrt(below[i]) / (1 - cumprod[i])
        rest = np.sqrt(1 - beta[i]) * (1 - below[i]) / (1 - cumprod[i])
        sample = weight * image + rest * sample
        if i > 0:
            sample = sample + np.exp(log_variance / 2) * draw()
        samples.append([float(f"{value:.9g}") for value in sample])
    return {
        "sampler": "iddpm",
        "config": BETAS,
        "steps": steps,
        "strength": 1,
        "timesteps": kept[::-1],
        "start": start.tolist(),
        "samples": samples,
    }


def write_compressed(path: Path, value: object) -> None:
    text = json.dumps(value, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / "schedulers")
