"""The command line: `python -m pixart_edge_training <stage>`; each stage reads what earlier stages left in the work folder."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from . import config as c
from .data import CorpusScenes, Scenes, SentencePieceTokens, SyntheticScenes, Tokens, WordTokens
from .errors import TrainingError
from .optim import Budget
from .parallel import run_processes

TRAINING = Path(__file__).resolve().parent.parent
VALIDATION_SEEDS = 50_000_000  # training cursors stay far below


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pixart_edge_training", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True)
    minutes = {"vae": 15.0, "vae-decoder": 6.0, "transformer": 60.0}
    for name, default in minutes.items():
        stage = stages.add_parser(name)
        stage.add_argument("--preset", default="nano", help="shapes to use: " + ", ".join(c.PRESETS))
        stage.add_argument("--minutes", type=float, default=default, help="wall-clock budget (default %(default)s)")
        stage.add_argument("--steps", type=int, help="budget in steps instead; repeatable to the bit")
        stage.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
        stage.add_argument("--smoke", action="store_true", help="a few steps of the tiny preset on synthetic scenes")
        stage.add_argument("--processes", type=int, default=2, help="one core each (default %(default)s)")
        stage.add_argument("--work", type=Path, default=TRAINING / "work", help="checkpoints and sheets")
        stage.add_argument("--data", type=Path, default=TRAINING / "data", help="sprites and tokenizer")
        if name == "transformer":
            stage.add_argument("--init", type=Path, help="start from exported weights, such as models/stickers-nano")
        stage.set_defaults(run=globals()["run_" + name.replace("-", "_")])
    return parser


def scenes_for(args: argparse.Namespace, split: str, preset: c.Preset) -> Scenes:
    if args.smoke:
        return SyntheticScenes(seed=len(split), size=preset.vae.sample_size)
    first = VALIDATION_SEEDS if split == "validation" else 0
    return CorpusScenes(args.data / "sprites", split, first_seed=first)


def tokens_for(args: argparse.Namespace) -> Tokens:
    return WordTokens() if args.smoke else SentencePieceTokens(args.data / "tokenizer" / "spiece.model")


def prompts_for(args: argparse.Namespace) -> list[str]:
    """The fixed prompts of every sheet: written down before there were pictures, never chosen by their result."""
    if args.smoke:
        return ["a red disc on a white background", "a blue square on a yellow background"]
    return (TRAINING / "prompts" / "samples.txt").read_text().splitlines()


def run_vae(args: argparse.Namespace, *, decoder_only: bool = False) -> None:
    from .vae import train_vae

    preset = c.preset_named(args.preset)
    settings = c.VaeTraining()
    if args.smoke:
        settings = replace(settings, batch_size=8, warm_up=4)
    train_vae(
        scenes_for(args, "train", preset),
        scenes_for(args, "validation", preset),
        preset,
        settings,
        Budget(args.minutes, args.steps),
        args.work,
        resume=args.resume,
        decoder_only=decoder_only,
    )


def run_vae_decoder(args: argparse.Namespace) -> None:
    run_vae(args, decoder_only=True)


def run_transformer(args: argparse.Namespace) -> None:
    from .train_transformer import train_transformer

    preset, settings = c.preset_named(args.preset), c.TransformerTraining()
    if args.smoke:
        settings = replace(settings, batch_size=16, pool=256, first_fill=64, warm_up=4)
    initial = None
    if args.init is not None:
        from .loader import load_joint_state

        initial = load_joint_state(args.init)
    scenes, budget = scenes_for(args, "train", preset), Budget(args.minutes, args.steps)
    train_transformer(
        scenes, tokens_for(args), preset, settings, budget, args.work, prompts_for(args), resume=args.resume, initial=initial
    )


def main(argv: list[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    if args.smoke:
        args.preset, args.steps, args.processes = "tiny", args.steps or 30, 1
        args.work = args.work / "smoke"
    try:
        torch.set_num_threads(1)
        run_processes(args.processes, args.run, args)
    except TrainingError as refusal:
        print(f"{refusal.code}: {refusal}", file=sys.stderr)
        raise SystemExit(2) from refusal
