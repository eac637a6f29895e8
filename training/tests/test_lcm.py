"""The distillation: its pieces against values worked out by hand, its loop on tiny networks."""

from dataclasses import replace

import pytest
import torch
from diffusers import LCMScheduler

from pixart_edge_training.checkpoints import load_checkpoint
from pixart_edge_training.config import PRESETS, LcmTraining, TransformerTraining, VaeTraining
from pixart_edge_training.data import SyntheticScenes, WordTokens
from pixart_edge_training.diffusion import alphas_cumprod, lcm_boundary, lcm_timesteps
from pixart_edge_training.errors import CheckpointMissingError
from pixart_edge_training.export import scheduler_config
from pixart_edge_training.lcm import distillation_timesteps, guided_ddim_step, pseudo_huber, train_lcm
from pixart_edge_training.optim import Budget
from pixart_edge_training.sampling import sample_lcm
from pixart_edge_training.train_transformer import train_transformer
from pixart_edge_training.transformer import build_transformer, initialise
from pixart_edge_training.vae import train_vae

TINY = PRESETS["tiny"]
CONFIG = replace(LcmTraining(), batch_size=8, pool=64, first_fill=32, warm_up=2)
PROMPTS = ["a red disc on a white background"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    vae = replace(VaeTraining(), batch_size=8, whole_batch_size=4, warm_up=2)
    train_vae(SyntheticScenes(seed=1), SyntheticScenes(seed=2), TINY, vae, Budget(steps=3), folder, quiet=True)
    config = replace(TransformerTraining(), batch_size=16, later_batch_size=16, pool=64, first_fill=32, warm_up=2)
    train_transformer(
        SyntheticScenes(seed=1), WordTokens(), TINY, config, Budget(steps=10), folder, PROMPTS, quiet=True
    )
    return folder


def test_lcm_timesteps_are_those_of_the_scheduler():
    assert lcm_timesteps(4) == [999, 759, 499, 259]
    for steps in (1, 2, 3, 4, 5, 6, 8):
        scheduler = LCMScheduler.from_config(scheduler_config())
        scheduler.set_timesteps(steps)
        assert lcm_timesteps(steps) == scheduler.timesteps.tolist()


def test_lcm_boundary_keeps_the_input_only_at_time_zero():
    c_skip, c_out = lcm_boundary(torch.tensor([0, 1, 999]))
    assert c_skip.flatten().tolist() == pytest.approx([1.0, 0.0024938, 2.505e-9], rel=1e-3)
    assert c_out.flatten().tolist() == pytest.approx([0.0, 0.9987523, 1.0], rel=1e-5)


def test_distillation_timesteps_lie_on_the_grid_and_favour_the_visited():
    t = distillation_timesteps(20000, CONFIG, torch.Generator().manual_seed(0))
    assert set(((t + 1) % 20).tolist()) == {0}
    assert (t.min().item(), t.max().item()) == (19, 999)
    visited = torch.isin(t, torch.tensor([999, 759, 499, 259])).float().mean().item()
    assert visited == pytest.approx(0.4 + 0.6 * 4 / 50, abs=0.02)


def test_guided_ddim_step_to_time_zero_of_a_perfect_teacher_is_the_clean_picture():
    model = build_transformer(TINY.transformer, latent_channels=4, caption_channels=8)
    initialise(model)  # its output is exactly zero: v = 0 means x0 = sqrt(a) * x and noise = sqrt(1 - a) * x
    acp = alphas_cumprod()
    x, t, earlier = torch.randn(2, 4, 8, 8), torch.tensor([499, 499]), torch.tensor([479, 479])
    text = (torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.bool))
    found = guided_ddim_step(model, acp, x, t, earlier, text, text, 2.0)
    factor = (acp[479] * acp[499]).sqrt() + ((1 - acp[479]) * (1 - acp[499])).sqrt()
    assert torch.allclose(found, factor * x, atol=1e-5)


def test_pseudo_huber_is_square_near_zero_and_straight_far_away():
    assert pseudo_huber(torch.tensor([1e-4]), 1e-2).item() == pytest.approx(5e-7, rel=2e-2)
    assert pseudo_huber(torch.tensor([5.0]), 1e-2).item() == pytest.approx(4.99, abs=1e-3)


def test_train_lcm_moves_the_student_and_leaves_the_text_encoder(teacher):
    before = load_checkpoint(teacher / "transformer.pt", stage="transformer", preset="tiny")["ema"]["shadow"]
    networks = train_lcm(
        SyntheticScenes(seed=1), WordTokens(), TINY, CONFIG, Budget(steps=6), teacher, PROMPTS, quiet=True
    )
    after = load_checkpoint(teacher / "lcm.pt", stage="lcm", preset="tiny")["ema"]["shadow"]
    text = [name for name in before if name.startswith("text_encoder")]
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert all(torch.equal(before[name], after[name]) for name in text)
    assert "transformer.transformer_blocks.0.attn1.to_q.weight" in moved
    assert torch.isfinite(sample_lcm(networks, PROMPTS)).all()


def test_train_lcm_resumed_goes_on_from_its_step(teacher):
    train_lcm(SyntheticScenes(seed=1), WordTokens(), TINY, CONFIG, Budget(steps=3), teacher, PROMPTS, quiet=True)
    train_lcm(
        SyntheticScenes(seed=1), WordTokens(), TINY, CONFIG, Budget(steps=5), teacher, PROMPTS, quiet=True, resume=True
    )
    assert load_checkpoint(teacher / "lcm.pt", stage="lcm", preset="tiny")["step"] == 5


def test_train_lcm_without_a_teacher_names_the_stage_to_run(tmp_path, teacher):
    (tmp_path / "vae.pt").write_bytes((teacher / "vae.pt").read_bytes())
    with pytest.raises(CheckpointMissingError, match="run the transformer stage first"):
        train_lcm(SyntheticScenes(), WordTokens(), TINY, CONFIG, Budget(steps=1), tmp_path, PROMPTS, quiet=True)
