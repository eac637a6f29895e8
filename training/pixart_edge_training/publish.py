"""Draws the sheet and the curves and writes the model card, from the exported weights and what the stages logged."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

from .evaluate import table
from .loader import load_networks
from .progress import plot_curves, write_sheet
from .sampling import sample_lcm, to_images

CURVES = (
    ("Codec", "vae", "loss"),
    ("Denoiser", "transformer", "loss"),
    ("Distillation", "lcm", "loss"),
    ("Decoder alone", "vae-decoder", "loss"),
    ("Evaluator", "evaluator", "concept"),
    ("Second evaluator", "second-evaluator", "concept"),
)


def publish(model: Path, work: Path, data: Path, docs: Path, prompts: list[str]) -> None:
    networks = load_networks(model)
    write_sheet(docs / "samples.png", to_images(networks, sample_lcm(networks, prompts)), labels=prompts)
    panels = [(title, work / f"{stage}-curve.csv", column) for title, stage, column in CURVES]
    plot_curves(docs / "training-curves.png", [panel for panel in panels if panel[1].is_file()])
    shutil.copy(data / "sprites" / "ATTRIBUTION.md", model / "ATTRIBUTION.md")
    shutil.copy(Path(__file__).with_name("notice.txt"), model / "NOTICE")
    (model / "README.md").write_text(model_card(model, work))


def _last_row(path: Path) -> dict[str, str] | None:
    if not path.is_file():
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return rows[-1] if rows else None


def _cost(work: Path) -> str:
    lines = ["| stage | minutes | pictures seen | steps |", "| --- | --- | --- | --- |"]
    for title, stage, _ in CURVES:
        row = _last_row(work / f"{stage}-curve.csv")
        if row is not None:
            lines.append(
                f"| {title} | {float(row['seconds']) / 60:.1f} | {int(row['samples']):,} | {int(row['step']):,} |"
            )
    return "\n".join(lines)


def _sizes(model: Path) -> str:
    paths = sorted(path for path in model.rglob("*.safetensors"))
    return ", ".join(f"`{path.relative_to(model)}` {path.stat().st_size / 1e6:.2f} MB" for path in paths)


def _results(model: Path) -> str:
    path = model / "scores.json"
    if not path.is_file():
        return "Not scored yet."
    report: dict[str, Any] = json.loads(path.read_text())
    judged = _accuracies(report["evaluator"])
    second = report.get("second-evaluator")
    confirmed = (
        f" A second judge of another build (right to: {_accuracies(second)}) gives *concept_second*." if second else ""
    )
    frechet = ", ".join(f"{name} {value:.3f}" for name, value in report["frechet"].items())
    missed = "\n".join(f"- {line}" for line in report["misses"]) or "- none"
    return f"""{table(report["splits"])}

`real` is the ceiling: the same scenes rendered from the drawings. `lcm-4` is what is served; `lcm-2` draws in two steps.
Three things to beat: *nearest caption*, the render of the training scene with the most similar caption; *concept only*, the
right thing with whatever style, colour and backdrop; *teacher lcm-4*, the undistilled weights in the same four steps. *concept*, *style*, *colour* and *backdrop* are named by the evaluator, which sees only
real renders in training and names unseen ones right to: {judged}.{confirmed} *colour_pixels* asks whether the named colour is among the
two commonest on the thing, *backdrop_pixels* whether the backdrop is within 0.08 of the real one in OKLab, *transparency*
whether the corners are as see-through as asked; *gradient_ratio* is sharpness against real renders (1 is equal). An
attribute counts only where the caption names it. `seen` has two pictures for each of the 160 concepts.

Fréchet distance to real renders, in the evaluator's features over 960 scenes (*floor*: two sets of real renders): {frechet}.

Goals missed:

{missed}"""


def _accuracies(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in scores.items())


def _status(model: Path) -> str:
    """One sentence on how far the model is, from its own scores."""
    path = model / "scores.json"
    if not path.is_file():
        return ""
    seen = json.loads(path.read_text())["splits"]["seen"]
    drawn, real = seen["lcm-4"], seen["real"]
    return (
        f"**How far it is**: the evaluator names the thing asked for in {100 * drawn['concept']:.0f} % of its pictures (real "
        f"renders: {100 * real['concept']:.0f} %) and has it among its five first guesses in {100 * drawn['concept_top5']:.0f} %. "
        "Shapes are soft and faces crude. It wants more hours of training."
    )


def model_card(model: Path, work: Path) -> str:
    edge = json.loads((model / "pixart-edge.json").read_text())
    words = edge["vocabulary"]
    width, height = edge["native_size"]
    transformer = json.loads((model / "transformer" / "config.json").read_text())
    text = json.loads((model / "text_encoder" / "config.json").read_text())
    dit = f"{transformer['num_layers']} layers, {transformer['num_attention_heads'] * transformer['attention_head_dim']} wide"
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
tags: [pixart, latent-consistency, stickers]
---

# stickers-nano

A PixArt-α model with a latent-consistency sampler that draws single stickers at {width} × {height} pixels in four steps, with
transparency. It was trained from scratch on two CPU cores in about three hours and is shipped as int8: {_sizes(model)}.

{_status(model)}

- Denoiser: `PixArtTransformer2DModel`, {dit}, patch 2, v-prediction, linear betas.
- Text: T5 v1.1 encoder, {text["num_layers"]} layers of {text["d_model"]}, SentencePiece unigram, lower-cased text, at most {edge["max_sequence_length"]} tokens.
- Codec: `AutoencoderKL`, f8, 4 latent channels, RGBA in and out (RGB flattened on white). Latents are unit normal, `scaling_factor` 1.

## What it can draw

One thing, in the middle of the picture, in one of {len(words["styles"])} styles ({", ".join(words["styles"])}), in its own colours or recoloured, on a
plain, gradient, soft, white or transparent background: "a purple cactus on a white background, 3d style". Things sit still: upright,
in the middle, 84 % of the frame. It knows nothing else: no scenes, no counts, no relations, no text, no people.

**Concepts ({len(words["concepts"])})**: {", ".join(words["concepts"])}.

**Colours**: {", ".join(words["colours"])}. **Backdrops**: {", ".join(words["backdrops"])}.

## Results

{_results(model)}

Pictures of 32 fixed prompts, seed 0, none chosen: `docs/samples.png`.

## Training cost

{_cost(work)}

Two shared cores of an AMD EPYC (AVX2, float32), no accelerator. Curves: `docs/training-curves.png`; what was tried:
`docs/lab-notes.md`.

## Data and licences

Every training picture is composed from drawings under the MIT licence (Fluent Emoji) or Apache-2.0 (Noto Emoji); the list
with versions is in `ATTRIBUTION.md`, the notices in `NOTICE`. For single things the model redraws its sources closely, so treat weights
and pictures as if they carried those notices. The weights are released under Apache-2.0.

## Use

```python
from pixart_edge_training.loader import load_pipeline

pipeline = load_pipeline("models/stickers-nano")
image = pipeline(
    "a red apple on a blue background, 3d style",
    num_inference_steps=4,
    guidance_scale=0.0,
    height={height},
    width={width},
    use_resolution_binning=False,
    max_sequence_length={edge["max_sequence_length"]},
).images[0]
```

Weights with at least 64 inputs are I8 with `<name>.scale` F32 per row (`w = q * scale[row]`), the rest F16.

## Reproduce

The commands, end to end and with times, are in `training/README.md`. Training goes on from these very weights with
`--init models/stickers-nano`.
"""
