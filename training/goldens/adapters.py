"""Low-rank adapters by PEFT on diffusers' transformer.

    python adapters.py [OUT]

Base and adapters are hash-filled under their names, so the outputs are all that is kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from diffusers import PixArtTransformer2DModel
from hash_tensor import fill, hash_input, hash_weight, summary
from peft import LoraConfig, get_peft_model

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "golden"

CONFIG = {
    "sample_size": 8, "num_layers": 2, "patch_size": 2, "num_attention_heads": 3, "attention_head_dim": 8,
    "caption_channels": 32, "cross_attention_dim": 24, "in_channels": 4, "out_channels": 8,
    "interpolation_scale": 1, "use_additional_conditions": True,
}
# What PixArt's LoRA script names; matched by suffix.
TARGETS = [
    "to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "proj", "linear",
    "linear_1", "linear_2",
]
ATTENTION = ["to_q", "to_k", "to_v"]
# An update is small beside the weights, or the network amplifies the rounding of every sum.
B_SCALE = 0.125
RESOLUTION = torch.tensor([[768.0, 1344.0]])
RATIO = torch.tensor([[768 / 1344]])


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    cases = {
        "none": [],
        "peft": [("style", 4, 8, TARGETS, False, 1.0)],
        "half": [("style", 4, 8, TARGETS, False, 0.5)],
        "rslora": [("style", 4, 4, TARGETS, True, 1.0)],
        "attention": [("touch", 2, 2, ATTENTION, False, 1.0)],
        "both": [("style", 4, 8, TARGETS, False, 0.7), ("touch", 2, 2, ATTENTION, False, -0.5)],
    }
    results = {name: summary(run(adapters)) for name, adapters in cases.items()}
    (out / "lora.json").write_text(json.dumps(results, indent=1) + "\n")


def run(adapters: list[tuple]) -> torch.Tensor:
    base = PixArtTransformer2DModel(**CONFIG)
    fill(base)
    model = base
    for name, rank, alpha, targets, rslora, _ in adapters:
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, use_rslora=rslora)
        if model is base:
            model = get_peft_model(base, config, adapter_name=name)
        else:
            model.add_adapter(name, config)
    if adapters:
        for key, value in model.state_dict().items():
            for name, *_ in adapters:
                if f".{name}." in key:
                    # As the file of that adapter alone names it.
                    plain = key.replace(f".{name}.", ".").removeprefix("base_model.model.")
                    scale = B_SCALE if ".lora_B." in plain else 1.0
                    value.copy_(hash_weight(f"{name}.{plain}", tuple(value.shape)) * scale)
        model.base_model.set_adapter([name for name, *_ in adapters])
        for name, *_, weight in adapters:
            for module in model.modules():
                if hasattr(module, "scaling") and name in getattr(module, "scaling", {}):
                    module.scaling[name] *= weight
    model.eval()
    with torch.no_grad():
        return model(
            hash_input("hidden_states", (1, 4, 8, 8)),
            encoder_hidden_states=hash_input("encoder_hidden_states", (1, 3, 32)),
            timestep=torch.tensor([999]),
            encoder_attention_mask=torch.ones(1, 3),
            added_cond_kwargs={"resolution": RESOLUTION, "aspect_ratio": RATIO},
            return_dict=False,
        )[0][:, :4]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / "adapters")
