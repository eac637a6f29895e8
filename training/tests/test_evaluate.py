"""The judge and the pixel measures."""

from dataclasses import replace

import pytest
import torch

from pixart_edge_training.checkpoints import load_checkpoint
from pixart_edge_training.config import PRESETS, EvaluatorTraining
from pixart_edge_training.data import MixedScenes, SyntheticScenes
from pixart_edge_training.evaluate import misses, table
from pixart_edge_training.evaluator import (
    ARCHITECTURES,
    Evaluator,
    label_accuracy,
    load_evaluator,
    train_evaluator,
)
from pixart_edge_training.measures import (
    backdrop_errors,
    colour_ranks,
    frechet_distance,
    is_see_through,
    mean_gradients,
)
from pixart_edge_training.oklab import to_oklab
from pixart_edge_training.optim import Budget

TINY = PRESETS["tiny"]


def plain(rgb, alpha=1.0, size=32):
    """One plain picture; rgb and alpha in 0..1."""
    return (torch.tensor([*rgb, alpha]).view(1, 4, 1, 1).expand(1, 4, size, size) * 2 - 1).clone()


def with_square(picture, rgb):
    picture = picture.clone()
    picture[:, :3, 10:22, 10:22] = torch.tensor(rgb).view(1, 3, 1, 1) * 2 - 1
    return picture


@pytest.mark.parametrize("stage", ARCHITECTURES)
def test_train_evaluator_learns_to_name_synthetic_scenes(tmp_path, stage):
    config = replace(EvaluatorTraining(), batch_size=32, warm_up=5)
    steps, concept_min = {"evaluator": (60, 0.6), "second-evaluator": (40, 0.0)}[stage]  # patches learn shapes late
    budget = Budget(steps=steps)
    train, unseen = SyntheticScenes(seed=1), SyntheticScenes(seed=2)
    train_evaluator(train, unseen, TINY, config, budget, tmp_path, stage=stage, quiet=True)
    scores = load_checkpoint(tmp_path / f"{stage}.pt", stage=stage, preset="tiny")["scores"]
    assert scores["backdrop"] > 0.9
    assert scores["concept"] >= concept_min
    evaluator = load_evaluator(TINY, tmp_path, stage=stage)
    unseen = SyntheticScenes(seed=2).batch(0, 64)
    assert label_accuracy(evaluator, unseen.pictures, unseen.labels) == scores


def test_label_accuracy_skips_labels_that_do_not_apply():
    evaluator = Evaluator({"concept": 2})
    with torch.no_grad():
        evaluator.out.weight.zero_()
        evaluator.out.bias.copy_(torch.tensor([1.0, 0.0]))
    labels = {"concept": torch.tensor([0, 1, -100, 0])}
    assert label_accuracy(evaluator, torch.zeros(4, 4, 64, 64), labels)["concept"] == pytest.approx(2 / 3)


def test_evaluator_tells_white_from_transparent():
    white, nothing = plain((1, 1, 1), alpha=1.0, size=64), plain((1, 1, 1), alpha=0.0, size=64)
    for build in ARCHITECTURES.values():
        judge = build({"backdrop": 2}).eval()
        assert not torch.equal(judge(white)["backdrop"], judge(nothing)["backdrop"])


def test_mixed_scenes_hold_the_shares_they_were_given():
    mixed = MixedScenes(SyntheticScenes(seed=1), (SyntheticScenes(seed=2, held_out_every=1), 0.25))
    batch = mixed.batch(0, 16)
    assert batch.pictures.shape[0] == len(batch.captions) == 16
    assert batch.held_out.sum() == 4


def test_frechet_distance_is_zero_for_equal_sets_and_grows_with_a_shift():
    features = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features + 1, features) == pytest.approx(8, rel=1e-6)
    assert frechet_distance(features * 3, features) > 8


def test_backdrop_errors_look_past_the_thing():
    red, blue = plain((0.9, 0.1, 0.1)), plain((0.1, 0.1, 0.9))
    assert backdrop_errors(with_square(red, (0.1, 0.9, 0.1)), red).item() == pytest.approx(0.0, abs=1e-6)
    assert backdrop_errors(blue, red).item() > 0.3


def test_colour_ranks_count_the_thing_and_not_its_backdrop():
    palette = to_oklab(torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [1.0, 1.0, 1.0]]))
    picture = with_square(plain((1.0, 1.0, 1.0)), (0.9, 0.1, 0.1))
    assert colour_ranks(picture, palette)[0, 0] == 0


def test_mean_gradients_of_a_plain_picture_are_zero_and_of_stripes_are_their_height():
    stripes = plain((0.0, 0.0, 0.0))
    stripes[:, :3, :, ::2] = 1.0
    assert mean_gradients(plain((0.3, 0.3, 0.3))).item() == 0.0
    assert mean_gradients(stripes).item() == pytest.approx(255 / 2, rel=1e-4)


def test_is_see_through_reads_the_corners():
    assert is_see_through(plain((1, 1, 1), alpha=0.0)).tolist() == [True]
    assert is_see_through(plain((1, 1, 1), alpha=1.0)).tolist() == [False]


SCORES = {
    "concept": 0.5, "concept_top5": 0.7, "style": 0.9, "colour": 0.9, "colour_pixels": float("nan"), "backdrop": 0.96,
    "backdrop_pixels": 1.0, "transparency": 1.0, "gradient_ratio": 1.4,
}  # fmt: skip


def test_misses_name_every_goal_and_the_distance_to_it():
    report = {"evaluator": {"concept": 0.97}, "splits": {"seen": {"scenes": 4, "lcm-4": SCORES}}}
    assert misses(report, "lcm-4") == [
        "concept: 50.0 %, goal 75 % (25.0 points short)",
        "mean gradient: 1.40 of real renders, goal 0.75 to 1.25",
    ]


def test_table_prints_one_row_per_pictures_and_a_dash_for_what_was_not_asked():
    lines = table({"seen": {"scenes": 4, "lcm-4": SCORES}}).splitlines()
    assert (
        lines[2]
        == "| seen (4) | lcm-4 | 50.0 % | – | 70.0 % | 90.0 % | 90.0 % | – | 96.0 % | 100.0 % | 100.0 % | 1.40 |"
    )
