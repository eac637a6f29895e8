"""Checkpoints as PixArt's own code saves them, small: `torch.save` of dictionaries of hash-filled tensors.

    python pth.py [OUT]
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import torch
from hash_tensor import hash_weight

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "golden"
WIDTH, CAPTIONS, LAYERS, CONTROL = 24, 32, 3, 2


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    base = base_shapes(micro=True)
    ema = {"x": torch.zeros(1)}
    torch.save({"state_dict": fill(base), "state_dict_ema": ema, "epoch": 3}, out / "pixart.pth")
    control = {f"base_model.{name}": shape for name, shape in base_shapes(micro=False).items()}
    for i in range(CONTROL):
        for name, shape in block_shapes().items():
            control[f"controlnet.{i}.copied_block.{name}"] = shape
        for name in ["before_proj", "after_proj"] if i == 0 else ["after_proj"]:
            control[f"controlnet.{i}.{name}.weight"] = (WIDTH, WIDTH)
            control[f"controlnet.{i}.{name}.bias"] = (WIDTH,)
    torch.save({"state_dict": fill(control)}, out / "control.pth")


def base_shapes(micro: bool) -> dict[str, tuple[int, ...]]:
    shapes = {
        "pos_embed": (1, 16, WIDTH),
        "x_embedder.proj.weight": (WIDTH, 4, 2, 2),
        "x_embedder.proj.bias": (WIDTH,),
        "y_embedder.y_embedding": (5, CAPTIONS),
    }
    embedders = {"t_embedder": WIDTH, **({"csize_embedder": WIDTH // 3, "ar_embedder": WIDTH // 3} if micro else {})}
    for name, size in embedders.items():
        linear(shapes, f"{name}.mlp.0", size, 256)
        linear(shapes, f"{name}.mlp.2", size, size)
    linear(shapes, "t_block.1", 6 * WIDTH, WIDTH)
    linear(shapes, "y_embedder.y_proj.fc1", WIDTH, CAPTIONS)
    linear(shapes, "y_embedder.y_proj.fc2", WIDTH, WIDTH)
    for i in range(LAYERS):
        for name, shape in block_shapes().items():
            shapes[f"blocks.{i}.{name}"] = shape
    shapes["final_layer.scale_shift_table"] = (2, WIDTH)
    linear(shapes, "final_layer.linear", 2 * 2 * 8, WIDTH)
    return shapes


def block_shapes() -> dict[str, tuple[int, ...]]:
    shapes = {"scale_shift_table": (6, WIDTH)}
    linear(shapes, "attn.qkv", 3 * WIDTH, WIDTH)
    linear(shapes, "attn.proj", WIDTH, WIDTH)
    linear(shapes, "cross_attn.q_linear", WIDTH, WIDTH)
    linear(shapes, "cross_attn.kv_linear", 2 * WIDTH, WIDTH)
    linear(shapes, "cross_attn.proj", WIDTH, WIDTH)
    linear(shapes, "mlp.fc1", 4 * WIDTH, WIDTH)
    linear(shapes, "mlp.fc2", WIDTH, 4 * WIDTH)
    return shapes


def linear(shapes: dict, name: str, outputs: int, inputs: int) -> None:
    shapes[f"{name}.weight"] = (outputs, inputs)
    shapes[f"{name}.bias"] = (outputs,)


def fill(shapes: dict[str, tuple[int, ...]]) -> OrderedDict[str, torch.Tensor]:
    return OrderedDict((name, hash_weight(name, shape).half()) for name, shape in shapes.items())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / "pth")
