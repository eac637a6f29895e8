"""The judges: two small networks of different build that name concept, style, colour and backdrop of a picture.

They learn from real renders only, of every cell, held-out ones too: a judge that has never seen a blue fox cannot tell
whether one was drawn. They have their own seeds and never lend their features to a generator. Blur and noise during
training keep them from judging a codec's traces instead of the picture.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import parallel
from .checkpoints import load_checkpoint, save_checkpoint
from .config import EvaluatorTraining, Preset
from .data import IGNORED, Scenes
from .optim import Budget, Muon, learning_rate_scale, scale_learning_rates
from .progress import RunLog

STAGE = "evaluator"
SECOND_STAGE = "second-evaluator"
CHANNELS = 4  # RGB flattened on white, and alpha, without which white and transparent are one
WIDTHS = (32, 64, 128, 192)


class Evaluator(nn.Module):
    """The first judge, a ConvNet: [B, 4, 64, 64] in [-1, 1] -> logits per head."""

    def __init__(self, heads: dict[str, int]) -> None:
        super().__init__()
        self.heads = dict(heads)
        layers: list[nn.Module] = []
        inputs = CHANNELS
        for index, width in enumerate(WIDTHS):
            kernel, stride = (4, 4) if index == 0 else (3, 2)
            padding = 0 if index == 0 else 1
            layers += [nn.Conv2d(inputs, width, kernel, stride, padding, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            if index > 0:
                layers += [nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        self.features = nn.Sequential(*layers)
        # The last map is 2 x 2: layout matters for backdrops, so it is flattened, not averaged.
        self.out = nn.Linear(inputs * 4, sum(heads.values()))

    def hidden_matrices(self) -> list[nn.Parameter]:
        return [p for n, p in self.named_parameters() if p.ndim == 4 and not n.startswith("features.0.")]

    def embed(self, pictures: Tensor) -> Tensor:
        """What distances between sets of pictures are measured in. [B, 192]."""
        return self.features(pictures).mean(dim=(2, 3))

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        return _by_head(self.out(self.features(pictures).flatten(1)), self.heads)


class PatchEvaluator(nn.Module):
    """The second judge, a patch transformer: [B, 4, 64, 64] in [-1, 1] -> logits per head."""

    def __init__(self, heads: dict[str, int], *, width: int = 128, depth: int = 4, patch: int = 8) -> None:
        super().__init__()
        self.heads = dict(heads)
        self.patches = nn.Conv2d(CHANNELS, width, patch, patch)
        self.positions = nn.Parameter(torch.randn((EvaluatorTraining.picture // patch) ** 2, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, sum(heads.values()))

    def hidden_matrices(self) -> list[nn.Parameter]:
        return [p for n, p in self.named_parameters() if n.startswith("blocks.") and p.ndim == 2]

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        x = self.patches(pictures).flatten(2).mT + self.positions
        for block in self.blocks:
            x = block(x)
        return _by_head(self.out(self.norm(x).mean(dim=1)), self.heads)


ARCHITECTURES: dict[str, type[Evaluator] | type[PatchEvaluator]] = {STAGE: Evaluator, SECOND_STAGE: PatchEvaluator}


def _by_head(logits: Tensor, heads: dict[str, int]) -> dict[str, Tensor]:
    return dict(zip(heads, logits.split(list(heads.values()), dim=1), strict=True))


def to_evaluator(pictures: Tensor, size: int = EvaluatorTraining.picture) -> Tensor:
    """Pictures in [-1, 1], scaled down by area. [B, 4, size, size]."""
    pictures = pictures.clamp(-1, 1)
    return F.adaptive_avg_pool2d(pictures, size) if pictures.shape[-1] != size else pictures


def _roughen(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Blur for a third, noise for all, a random amount each."""
    blurred = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    blur = (torch.rand(len(pictures), 1, 1, 1, generator=generator) < 0.35).float()
    amount = torch.rand(len(pictures), 1, 1, 1, generator=generator) * 0.12
    noise = torch.randn(pictures.shape, generator=generator) * amount
    return pictures + blur * (blurred - pictures) + noise


@torch.no_grad()
def label_accuracy(evaluator: Evaluator, pictures: Tensor, labels: dict[str, Tensor]) -> dict[str, float]:
    """Share of right first guesses per head, over the rows where the label applies."""
    evaluator.eval()
    logits: dict[str, list[Tensor]] = {}
    for part in to_evaluator(pictures).split(64):
        for name, values in evaluator(part).items():
            logits.setdefault(name, []).append(values)
    scores = {}
    for name, parts in logits.items():
        applies = labels[name] != IGNORED
        scores[name] = (torch.cat(parts).argmax(1) == labels[name])[applies].float().mean().item()
    return scores


def train_evaluator(
    scenes: Scenes,
    validation: Scenes,
    preset: Preset,
    config: EvaluatorTraining,
    budget: Budget,
    folder: Path,
    *,
    stage: str = STAGE,
    first_seed: int = 30_000_000,
    quiet: bool = False,
) -> Evaluator | PatchEvaluator:
    """Trains the judge of `stage` until the budget is spent, scores it on unseen real renders and leaves `<stage>.pt`."""
    rank, world = parallel.rank(), parallel.world()
    seed = config.seed + list(ARCHITECTURES).index(stage)
    torch.manual_seed(seed)
    evaluator = ARCHITECTURES[stage](scenes.vocabulary.heads())
    hidden = evaluator.hidden_matrices()
    chosen = {id(p) for p in hidden}
    rest = [p for p in evaluator.parameters() if id(p) not in chosen]
    adam = torch.optim.AdamW(rest, lr=config.learning_rate, weight_decay=1e-2)
    optimizers: list[torch.optim.Optimizer] = [Muon(hidden, lr=0.02), adam]
    log = RunLog(folder, stage, quiet=quiet or rank > 0)
    step, cursor, local = 0, first_seed, config.batch_size // world
    while (progress := parallel.from_first(budget.progress(step))) < 1:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + rank)
        batch = scenes.batch(cursor + rank * local, local)
        cursor += local * world
        rate = learning_rate_scale(
            step, progress, warm_up=config.warm_up, decay_from=config.decay_from, decay_to=config.decay_to
        )
        scale_learning_rates(optimizers, rate)
        evaluator.train()
        logits = evaluator(_roughen(to_evaluator(batch.pictures), generator))
        losses = {
            name: F.cross_entropy(values, batch.labels[name], ignore_index=IGNORED, label_smoothing=0.05)
            for name, values in logits.items()
        }
        sum(losses.values()).backward()
        parallel.average_gradients(evaluator.parameters())
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        if rank == 0 and step % 10 == 0:
            values = {name: loss.item() for name, loss in losses.items()}
            log.report(step, step * local * world, budget.elapsed(), progress, values)
    log.close()
    if rank == 0:
        unseen = validation.batch(0, 1024 if preset.name == "nano" else 64)
        scores = label_accuracy(evaluator, unseen.pictures, unseen.labels)
        print(f"\n{stage}: {step} steps; on unseen real renders {scores}", flush=True)
        state = {"model": evaluator.state_dict(), "heads": evaluator.heads, "scores": scores, "steps": step}
        save_checkpoint(folder / f"{stage}.pt", stage=stage, preset=preset.name, state=state)
    return evaluator


def load_evaluator(preset: Preset, folder: Path, *, stage: str = STAGE) -> Evaluator | PatchEvaluator:
    state = load_checkpoint(folder / f"{stage}.pt", stage=stage, preset=preset.name)
    evaluator = ARCHITECTURES[stage](state["heads"])
    evaluator.load_state_dict(state["model"])
    return evaluator.eval()
