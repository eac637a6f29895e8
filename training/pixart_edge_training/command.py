"""The command line: `python -m pixart_edge_training <stage>`; each stage reads what earlier stages left in the work folder.

Order: vae, transformer, lcm, vae-decoder (optional), preview-decoder (optional), evaluator, second-evaluator, export, evaluate, publish.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from . import config as c
from .composition import MIXTURES
from .data import CorpusScenes, MixedScenes, Scenes, SentencePieceTokens, SyntheticScenes, Tokens, WordTokens
from .errors import TrainingError, ensure_writable
from .optim import Budget
from .parallel import run_processes

TRAINING = Path(__file__).resolve().parent.parent
MODEL = TRAINING.parent / "models" / "stickers-nano"
VALIDATION_SEEDS = 50_000_000  # training cursors stay far below


def scenes_for(args: argparse.Namespace, split: str, *, spread: float = 1.0, see_through: float = 0.0) -> Scenes:
    if args.smoke:
        return SyntheticScenes(seed=len(split), size=c.preset_named(args.preset).vae.sample_size)
    first = VALIDATION_SEEDS if split == "validation" else 0
    return CorpusScenes(
        args.data / "sprites", split, first_seed=first, spread=spread, see_through=see_through, mixture=args.mixture
    )


def tokens_for(args: argparse.Namespace) -> Tokens:
    return WordTokens() if args.smoke else SentencePieceTokens(args.data / "tokenizer" / "spiece.model")


def prompts_for(args: argparse.Namespace) -> list[str]:
    """The fixed prompts of every sheet: written down before there were pictures, never chosen by their result."""
    if args.smoke:
        return ["a red disc on a white background", "a blue square on a yellow background"]
    return (TRAINING / "prompts" / "samples.txt").read_text().splitlines()


def run_vae(args: argparse.Namespace, *, decoder_only: bool = False) -> None:
    from .vae import train_vae

    settings = c.VaeTraining()
    if args.smoke:
        settings = replace(settings, batch_size=8, whole_batch_size=4, warm_up=4)
    preset, budget = c.preset_named(args.preset), Budget(args.minutes, args.steps)
    share = settings.decoder_see_through if decoder_only else settings.see_through
    train, validation = scenes_for(args, "train", see_through=share), scenes_for(args, "validation")
    train_vae(train, validation, preset, settings, budget, args.work, resume=args.resume, decoder_only=decoder_only)


def run_vae_decoder(args: argparse.Namespace) -> None:
    run_vae(args, decoder_only=True)


def run_transformer(args: argparse.Namespace) -> None:
    from .train_transformer import train_transformer

    settings = c.TransformerTraining()
    if args.smoke:
        settings = replace(settings, batch_size=16, later_batch_size=32, pool=256, first_fill=64, warm_up=4)
    initial = None
    if args.init is not None:
        from .loader import adopt_codec, load_joint_state

        initial = load_joint_state(args.init)
        adopt_codec(args.init, args.work, args.preset)
    train_transformer(
        scenes_for(args, "train", spread=c.Drawing.spread),
        tokens_for(args),
        c.preset_named(args.preset),
        settings,
        Budget(args.minutes, args.steps),
        args.work,
        prompts_for(args),
        resume=args.resume,
        initial=initial,
    )


def run_lcm(args: argparse.Namespace) -> None:
    from .lcm import train_lcm

    settings = c.LcmTraining()
    if args.smoke:
        settings = replace(settings, batch_size=8, pool=128, first_fill=32)
    train_lcm(
        scenes_for(args, "train", spread=c.Drawing.spread),
        tokens_for(args),
        c.preset_named(args.preset),
        settings,
        Budget(args.minutes, args.steps),
        args.work,
        prompts_for(args),
        resume=args.resume,
    )


def run_preview_decoder(args: argparse.Namespace) -> None:
    from .preview_decoder import train_preview_decoder

    settings = c.PreviewTraining()
    if args.smoke:
        settings = replace(settings, batch_size=8, warm_up=4)
    preset, budget = c.preset_named(args.preset), Budget(args.minutes, args.steps)
    train = scenes_for(args, "train", see_through=c.VaeTraining.see_through)
    train_preview_decoder(
        train, scenes_for(args, "validation"), preset, settings, budget, args.work, resume=args.resume
    )


def scenes_for_judges(args: argparse.Namespace) -> Scenes:
    """Real renders of every cell: what a generator must not see, its judge has to know."""
    if args.smoke:
        return scenes_for(args, "train")
    train = CorpusScenes(args.data / "sprites", "train", mixture=args.mixture)
    share = c.EvaluatorTraining.held_out_share / 2
    held_out = [
        (CorpusScenes(args.data / "sprites", split, bank=train.sampler.bank, mixture=args.mixture), share)
        for split in ("heldout-style", "heldout-colour")
    ]
    return MixedScenes(train, *held_out)


def run_evaluator(args: argparse.Namespace, *, stage: str = "evaluator") -> None:
    from .evaluator import train_evaluator

    preset, budget = c.preset_named(args.preset), Budget(args.minutes, args.steps)
    train, validation = scenes_for_judges(args), scenes_for(args, "validation")
    train_evaluator(train, validation, preset, c.EvaluatorTraining(), budget, args.work, stage=stage)


def run_second_evaluator(args: argparse.Namespace) -> None:
    run_evaluator(args, stage="second-evaluator")


def run_export(args: argparse.Namespace) -> None:
    from .export import compare, export_networks
    from .lcm import blended_networks
    from .preview_decoder import trained_preview_decoder
    from .train_transformer import trained_networks

    preset, tokens = c.preset_named(args.preset), tokens_for(args)
    if args.source == "lcm":
        networks = blended_networks(preset, tokens, args.work, args.blend)
    else:
        networks = trained_networks(preset, tokens, args.work)
    scenes, prompts = scenes_for(args, "validation", spread=c.Drawing.spread), prompts_for(args)
    preview = trained_preview_decoder(preset, args.work)
    export_networks(networks, preset, scenes, args.data, args.out, preview=preview)
    print({name: round(value, 2) for name, value in compare(networks, args.out, scenes, prompts).items()})


def run_evaluate(args: argparse.Namespace) -> None:
    from .checkpoints import load_checkpoint
    from .evaluate import Judges, evaluate, misses, write_report
    from .evaluator import SECOND_STAGE, STAGE, load_evaluator
    from .loader import load_networks
    from .scenes import SceneSampler
    from .train_transformer import trained_networks

    preset = c.preset_named(args.preset)
    first = SceneSampler(args.data / "sprites", "validation")
    stages = [stage for stage in (STAGE, SECOND_STAGE) if (args.work / f"{stage}.pt").is_file() or stage == STAGE]
    judges = [load_evaluator(preset, args.work, stage=stage) for stage in stages]
    has_teacher = (args.work / "transformer.pt").is_file()
    report = evaluate(
        load_networks(args.model),
        Judges(*judges),
        lambda split: SceneSampler(args.data / "sprites", split, bank=first.bank),
        samplers=args.samplers,
        spread=c.Drawing.spread,
        accuracies={
            stage: load_checkpoint(args.work / f"{stage}.pt", stage=stage, preset=preset.name)["scores"]
            for stage in stages
        },
        teacher=trained_networks(preset, tokens_for(args), args.work) if has_teacher else None,
    )
    report["misses"] = misses(report, args.samplers[0])
    write_report(args.model / "scores.json", report)
    for line in report["misses"]:
        print("missed:", line)


def run_publish(args: argparse.Namespace) -> None:
    from .publish import publish

    publish(args.model, args.work, args.data, TRAINING.parent / "docs", prompts_for(args))


STAGES: dict[str, tuple[Callable[[argparse.Namespace], None], float | None, str]] = {
    "vae": (run_vae, 18, "train the picture codec"),
    "vae-decoder": (run_vae_decoder, 6, "train only the codec's decoder further; latents stay as they are"),
    "transformer": (run_transformer, 60, "train denoiser and text encoder on the codec's latents"),
    "lcm": (run_lcm, 10, "distil to four steps"),
    "preview-decoder": (run_preview_decoder, 6, "train the small decoder that previews are drawn with"),
    "evaluator": (run_evaluator, 5, "train the judge on real renders"),
    "second-evaluator": (run_second_evaluator, 8, "train a judge of another build, to confirm the first"),
    "export": (run_export, None, "write int8 weights and configurations in diffusers layout"),
    "evaluate": (run_evaluate, None, "score exported weights and print the table"),
    "publish": (run_publish, None, "draw the sheet and curves, write the model card"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pixart_edge_training", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True)
    for name, (run, minutes, help_text) in STAGES.items():
        stage = stages.add_parser(name, help=help_text, description=help_text)
        stage.add_argument("--preset", default="nano", help="shapes to use: " + ", ".join(c.PRESETS))
        stage.add_argument("--work", type=Path, default=TRAINING / "work", help="checkpoints and sheets")
        stage.add_argument("--data", type=Path, default=TRAINING / "data", help="sprites and tokenizer")
        stage.set_defaults(run=run, processes=1, smoke=False, threads=1, mixture="single")
        if minutes is not None:
            stage.add_argument("--minutes", type=float, default=minutes, help="wall-clock budget (default %(default)s)")
            stage.add_argument("--steps", type=int, help="budget in steps instead; repeatable")
            stage.add_argument(
                "--mixture", choices=MIXTURES, default="single", help="which scenes to learn from (default %(default)s)"
            )
            stage.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
            stage.add_argument(
                "--smoke", action="store_true", help="a few steps of the tiny preset on synthetic scenes"
            )
            stage.add_argument("--processes", type=int, default=2, help="one core each (default %(default)s)")
        if name == "transformer":
            stage.add_argument("--init", type=Path, help="start from exported weights, such as models/stickers-nano")
        if name == "export":
            stage.add_argument("--source", choices=("transformer", "lcm"), default="lcm", help="whose weights")
            stage.add_argument(
                "--blend",
                type=float,
                default=c.LcmTraining.blend,
                help="part of the way from the teacher's weights (0) to the student's (1); default %(default)s",
            )
            stage.add_argument("--out", type=Path, default=MODEL)
        if minutes is None:
            stage.add_argument(
                "--threads", type=int, default=1, help="more help on a quiet machine (default %(default)s)"
            )
        if name in ("evaluate", "publish"):
            stage.add_argument("--model", type=Path, default=MODEL, help="an exported folder")
        if name == "evaluate":
            stage.add_argument("--samplers", nargs="+", default=["lcm-4", "lcm-2"])
    return parser


def main(argv: list[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    if args.smoke:
        args.preset, args.steps, args.processes = "tiny", args.steps or 30, 1
        args.work = args.work / "smoke"
    torch.set_num_threads(args.threads)
    try:
        for folder in {args.work, getattr(args, "out", args.work)}:
            ensure_writable(folder)
        run_processes(args.processes, args.run, args)
    except TrainingError as refusal:
        print(f"{refusal.code}: {refusal}", file=sys.stderr)
        raise SystemExit(2) from refusal
