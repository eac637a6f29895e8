"""Scores exported weights: the judge and the pixel measures on drawn pictures, beside real renders of the same scenes.

The real renders are the ceiling: what the judge would say if every picture were perfect. Nothing is tuned on the held-out
cells; they are drawn here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .baselines import TrainingScenes
from .data import nearer_the_middle
from .evaluator import Evaluator, PatchEvaluator, to_evaluator
from .measures import (
    BACKDROP_ERROR_MAX,
    backdrop_errors,
    colour_ranks,
    frechet_distance,
    is_see_through,
    mean_gradients,
)
from .oklab import parse_hex, to_oklab
from .sampling import Networks, sample_ddim, sample_lcm, to_images

GOALS = {
    "evaluator_concept": 0.95,
    "concept": 0.75,
    "colour": 0.85,
    "backdrop": 0.95,
    "gradient_ratio": (0.75, 1.25),
}
PER_CONCEPT = 2
HELD_OUT_SCENES = 160
DISTRIBUTION_SCENES = 960
FIRST_SEED, DISTRIBUTION_SEED, FLOOR_SEED = 60_000_000, 70_000_000, 80_000_000

Draw = Callable[[Networks, list[str]], Tensor]


@dataclass(frozen=True)
class Judges:
    """Who names what a picture shows. The second one, of another build, confirms the first."""

    first: Evaluator
    second: PatchEvaluator | None = None

    def embed(self, pictures: Tensor) -> Tensor:
        return torch.cat([self.first.embed(part) for part in to_evaluator(pictures).split(64)])


SAMPLERS: dict[str, Draw] = {
    "lcm-4": lambda networks, captions: sample_lcm(networks, captions, steps=4),
    "lcm-2": lambda networks, captions: sample_lcm(networks, captions, steps=2),
    "lcm-8": lambda networks, captions: sample_lcm(networks, captions, steps=8),
    "ddim-20-cfg-2": lambda networks, captions: sample_ddim(networks, captions, steps=20, guidance=2.0),
    "ddim-20-cfg-3": lambda networks, captions: sample_ddim(networks, captions, steps=20, guidance=3.0),
}
TEACHER_SAMPLERS = ("lcm-4", "ddim-20-cfg-3")
"""How the undistilled weights are drawn with: at the student's own four steps, and as they should be."""


@dataclass
class ScoredScenes:
    """Scenes of one split with their real renders."""

    split: str
    captions: list[str]
    scenes: list[Any]
    real: Tensor
    labels: dict[str, Tensor]
    palette_index: Tensor  # int64 [B], -1 where the thing keeps its colours


def collect(
    sampler: Any,
    split: str,
    spread: float,
    *,
    per_concept: int | None = None,
    count: int = 0,
    first_seed: int = FIRST_SEED,
) -> ScoredScenes:
    """The first scenes of a split: `per_concept` for every concept, or simply `count`."""
    chosen, seen, seed = [], {}, first_seed
    total = per_concept * len(sampler.vocabulary.concepts) if per_concept else count
    while len(chosen) < total:
        scene = sampler.grammar.scene(split, seed)
        seed += 1
        concept = scene.things[0].concept
        if per_concept and seen.get(concept, 0) >= per_concept:
            continue
        seen[concept] = seen.get(concept, 0) + 1
        chosen.append(nearer_the_middle(scene, spread))
    batches = [sampler.batch(chosen[i : i + 64]) for i in range(0, len(chosen), 64)]
    names = list(sampler.catalogue.palette)
    drawn = [scene.things[0] for scene in chosen]
    return ScoredScenes(
        split,
        [caption for batch in batches for caption in batch.captions],
        chosen,
        torch.cat([batch.images for batch in batches]),
        {
            name: torch.cat([getattr(batch, f"{name}_ids") for batch in batches])
            for name in ("concept", "style", "colour", "backdrop")
        },
        torch.tensor([names.index(t.colour) if t.recoloured and t.colour_word else -1 for t in drawn]),
    )


@torch.no_grad()
def score(judges: Judges, pictures: Tensor, scenes: ScoredScenes, palette: Tensor) -> dict[str, float]:
    """Shares of right pictures; each attribute counts only where the caption names it."""
    said = {
        "concept": torch.ones(len(pictures), dtype=torch.bool),
        "style": torch.tensor([scene.style_said for scene in scenes.scenes]),
        "colour": scenes.palette_index >= 0,
        "backdrop": torch.tensor([scene.backdrop.said for scene in scenes.scenes]),
    }
    parts = [judges.first(part) for part in to_evaluator(pictures).split(64)]
    result: dict[str, float] = {}
    for name, where in said.items():
        logits = torch.cat([part[name] for part in parts])
        right = logits.argmax(1) == scenes.labels[name]
        result[name] = _share(right, where)
        if name == "concept":
            top5 = (logits.topk(min(5, logits.shape[1]), dim=1).indices == scenes.labels[name][:, None]).any(1)
            result["concept_top5"] = _share(top5, where)
    if judges.second is not None:
        named = torch.cat([judges.second(part)["concept"].argmax(1) for part in to_evaluator(pictures).split(64)])
        result["concept_second"] = _share(named == scenes.labels["concept"], said["concept"])
    coloured = said["colour"]
    ranks = colour_ranks(pictures[coloured], palette) if bool(coloured.any()) else torch.empty(0, len(palette))
    rank = ranks.gather(1, scenes.palette_index[coloured][:, None])[:, 0] if len(ranks) else torch.empty(0)
    result["colour_pixels"] = (rank < 2).float().mean().item() if len(rank) else float("nan")
    errors = backdrop_errors(pictures, scenes.real)
    result["backdrop_pixels"] = _share(errors <= BACKDROP_ERROR_MAX, said["backdrop"])
    wanted = torch.tensor([scene.backdrop.kind == "transparent" for scene in scenes.scenes])
    result["transparency"] = _share(is_see_through(pictures) == wanted, said["backdrop"])
    result["gradient_ratio"] = (mean_gradients(pictures).mean() / mean_gradients(scenes.real).mean()).item()
    return result


def _share(right: Tensor, where: Tensor) -> float:
    return right[where].float().mean().item() if bool(where.any()) else float("nan")


def palette_lab(catalogue: Any) -> Tensor:
    return to_oklab(torch.tensor([parse_hex(value) for value in catalogue.palette.values()]))


def draw(networks: Networks, sampler: str, captions: list[str]) -> Tensor:
    """[B, 4, H, W] in [-1, 1]."""
    latents = torch.cat([SAMPLERS[sampler](networks, captions[i : i + 64]) for i in range(0, len(captions), 64)])
    return to_images(networks, latents)


def evaluate(
    networks: Networks,
    judges: Judges,
    sampler_for: Callable[[str], Any],
    *,
    samplers: list[str],
    spread: float,
    accuracies: dict[str, dict[str, float]],
    teacher: Networks | None = None,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Everything the model card prints, as a tree of numbers. `accuracies` are the judges' own, on real renders."""
    splits = {
        "seen": collect(sampler_for("validation"), "validation", spread, per_concept=PER_CONCEPT),
        "heldout-colour": collect(sampler_for("heldout-colour"), "heldout-colour", spread, count=HELD_OUT_SCENES),
        "heldout-style": collect(sampler_for("heldout-style"), "heldout-style", spread, count=HELD_OUT_SCENES),
        "heldout-wording": collect(sampler_for("heldout-wording"), "heldout-wording", spread, count=HELD_OUT_SCENES),
    }
    palette = palette_lab(sampler_for("validation").catalogue)
    training = TrainingScenes(sampler_for("train"), spread)
    report: dict[str, Any] = {**accuracies, "goals": GOALS, "splits": {}}
    for name, scenes in splits.items():
        pictures = {"real": scenes.real}
        for sampler in samplers if name == "seen" else samplers[:1]:
            pictures[sampler] = draw(networks, sampler, scenes.captions)
        pictures["nearest caption"] = training.nearest(scenes.captions)
        pictures["concept only"] = training.same_concept(scenes.scenes)
        if teacher is not None:
            for sampler in TEACHER_SAMPLERS if name == "seen" else TEACHER_SAMPLERS[:1]:
                pictures[f"teacher {sampler}"] = draw(teacher, sampler, scenes.captions)
        rows = {which: score(judges, shown, scenes, palette) for which, shown in pictures.items()}
        report["splits"][name] = {"scenes": len(scenes.captions), **rows}
        log(table({name: report["splits"][name]}))
    report["frechet"] = distances(networks, judges, sampler_for("validation"), samplers[0], spread, teacher)
    log(str(report["frechet"]))
    return report


@torch.no_grad()
def distances(
    networks: Networks, judges: Judges, sampler: Any, name: str, spread: float, teacher: Networks | None
) -> dict[str, float]:
    """Frechet distances to real renders in the first judge's features; `floor` is that between two sets of real ones."""
    wanted, other = (
        collect(sampler, "validation", spread, count=DISTRIBUTION_SCENES, first_seed=seed)
        for seed in (DISTRIBUTION_SEED, FLOOR_SEED)
    )
    real = judges.embed(other.real)
    found = {"floor": frechet_distance(judges.embed(wanted.real), real)}
    found[name] = frechet_distance(judges.embed(draw(networks, name, wanted.captions)), real)
    if teacher is not None:
        found[f"teacher {name}"] = frechet_distance(judges.embed(draw(teacher, name, wanted.captions)), real)
    return found


COLUMNS = (
    "concept", "concept_second", "concept_top5", "style", "colour", "colour_pixels", "backdrop", "backdrop_pixels", "transparency", "gradient_ratio",
)  # fmt: skip


def table(splits: dict[str, Any]) -> str:
    """Markdown, one line per split and sampler."""
    lines = ["| scenes | pictures | " + " | ".join(COLUMNS) + " |", "|" + " --- |" * (len(COLUMNS) + 2)]
    for split, rows in splits.items():
        for name, scores in rows.items():
            if name != "scenes":
                cells = " | ".join(_cell(column, scores.get(column, float("nan"))) for column in COLUMNS)
                lines.append(f"| {split} ({rows['scenes']}) | {name} | {cells} |")
    return "\n".join(lines)


def _cell(column: str, value: float) -> str:
    if value != value:
        return "–"
    return f"{value:.2f}" if column == "gradient_ratio" else f"{100 * value:.1f} %"


def misses(report: dict[str, Any], sampler: str) -> list[str]:
    """One sentence for every goal that was not reached, with the distance to it."""
    seen = report["splits"]["seen"][sampler]
    found = []
    accuracy = report["evaluator"]["concept"]
    if accuracy < GOALS["evaluator_concept"]:
        found.append(
            f"evaluator on unseen real renders: {100 * accuracy:.1f} %, goal {100 * GOALS['evaluator_concept']:.0f} %"
        )
    for name in ("concept", "colour", "backdrop"):
        if seen[name] < GOALS[name]:
            gap = 100 * (GOALS[name] - seen[name])
            found.append(f"{name}: {100 * seen[name]:.1f} %, goal {100 * GOALS[name]:.0f} % ({gap:.1f} points short)")
    low, high = GOALS["gradient_ratio"]
    if not low <= seen["gradient_ratio"] <= high:
        found.append(f"mean gradient: {seen['gradient_ratio']:.2f} of real renders, goal {low} to {high}")
    return found


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
