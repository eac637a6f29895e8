"""Noise schedules and LCM steps by diffusers, and random numbers by PyTorch.

python schedulers.py [OUT]
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch
from diffusers import LCMScheduler

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "golden"


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write(out / "random.json", random_numbers())
    write(out / "noise-schedule.json", [noise_schedule(kind) for kind in ("linear", "scaled_linear")])
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


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / "schedulers")
