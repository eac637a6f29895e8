"""The denoiser and what trains it."""

from dataclasses import replace

import pytest
import torch

from pixart_edge_training.checkpoints import load_checkpoint
from pixart_edge_training.config import PRESETS, TransformerTraining, VaeTraining
from pixart_edge_training.data import SyntheticScenes, WordTokens, pad_tokens
from pixart_edge_training.diffusion import add_noise, alphas_cumprod, training_timesteps, velocity, x0_and_noise
from pixart_edge_training.errors import HeldOutSceneError
from pixart_edge_training.latents import LatentPool
from pixart_edge_training.optim import Budget, learning_rate_scale, orthogonalise
from pixart_edge_training.progress import read_curve
from pixart_edge_training.sampling import sample_ddim
from pixart_edge_training.text_encoder import build_text_encoder, encode_text
from pixart_edge_training.train_transformer import joint, optimizers_for, train_transformer
from pixart_edge_training.transformer import build_transformer, forward, initialise
from pixart_edge_training.vae import build_vae, train_vae

TINY = PRESETS["tiny"]
CONFIG = replace(TransformerTraining(), batch_size=16, later_batch_size=16, pool=64, first_fill=32, warm_up=2)
PROMPTS = ["a red disc on a white background"]


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codec")
    config = replace(VaeTraining(), batch_size=8, whole_batch_size=4, warm_up=2)
    train_vae(SyntheticScenes(seed=1), SyntheticScenes(seed=2), TINY, config, Budget(steps=4), folder, quiet=True)
    return folder / "vae.pt"


def train(folder, codec, budget, **options):
    folder.mkdir(exist_ok=True)
    (folder / "vae.pt").write_bytes(codec.read_bytes())
    options.setdefault("scenes", SyntheticScenes(seed=1))
    scenes = options.pop("scenes")
    return train_transformer(scenes, WordTokens(), TINY, CONFIG, budget, folder, PROMPTS, quiet=True, **options)


@pytest.mark.parametrize("preset", ["tiny", "nano"])
def test_forward_equals_diffusers(preset):
    torch.manual_seed(0)
    shape = PRESETS[preset].transformer
    model = build_transformer(shape, latent_channels=4, caption_channels=32)
    initialise(model)
    with torch.no_grad():
        for param in model.parameters():
            param.add_(0.05 * torch.randn_like(param))
        x = torch.randn(3, 4, shape.sample_size, shape.sample_size)
        t = torch.tensor([0, 499, 999])
        text, mask = torch.randn(3, 7, 32), torch.ones(3, 7, dtype=torch.bool)
        mask[1, 2:] = False
        expected = model(
            x,
            encoder_hidden_states=text,
            timestep=t,
            encoder_attention_mask=mask.float(),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
        assert torch.allclose(forward(model, x, t, text, mask), expected, atol=1e-4)
    assert expected.abs().max() > 0.1


def test_encode_text_gives_real_tokens_the_same_values_with_and_without_pads():
    encoder = build_text_encoder(TINY.text, 16)
    ids = torch.tensor([[5, 6, 7, 1]])
    padded, mask = pad_tokens([[5, 6, 7, 1]], multiple=12)
    with torch.no_grad():
        alone = encode_text(encoder, ids, torch.ones_like(ids, dtype=torch.bool))
        among_pads = encode_text(encoder, padded, mask)
    assert torch.allclose(alone, among_pads[:, :4], atol=1e-5)


def test_train_transformer_brings_the_loss_down(tmp_path, codec):
    train(tmp_path / "run", codec, Budget(steps=80))
    losses = read_curve(tmp_path / "run" / "transformer-curve.csv")["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_train_transformer_resumed_halfway_ends_with_the_same_weights(tmp_path, codec):
    train(tmp_path / "whole", codec, Budget(steps=8))

    class Stopped(Exception):
        pass

    class StoppingScenes(SyntheticScenes):
        def batch(self, cursor, count):
            if cursor >= 36:  # 32 fill the pool, 4 come with the first step, the next 4 with the fifth
                raise Stopped
            return super().batch(cursor, count)

    with pytest.raises(Stopped):
        train(tmp_path / "halves", codec, Budget(steps=8), scenes=StoppingScenes(seed=1), save_every_seconds=-1)
    train(tmp_path / "halves", codec, Budget(steps=8), resume=True)
    expected, found = (
        load_checkpoint(tmp_path / name / "transformer.pt", stage="transformer", preset="tiny")
        for name in ("whole", "halves")
    )
    assert expected["step"] == found["step"] == 8
    assert all(torch.equal(expected["model"][name], found["model"][name]) for name in expected["model"])
    assert all(torch.equal(expected["ema"]["shadow"][name], found["ema"]["shadow"][name]) for name in expected["model"])


def test_train_transformer_refuses_held_out_scenes(tmp_path, codec):
    with pytest.raises(HeldOutSceneError):
        train(tmp_path / "run", codec, Budget(steps=1), scenes=SyntheticScenes(held_out_every=3))


def test_sample_ddim_draws_the_same_latents_for_the_same_seed(tmp_path, codec):
    networks = train(tmp_path / "run", codec, Budget(steps=2))
    first, again = (sample_ddim(networks, PROMPTS, seed=7, steps=3) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, sample_ddim(networks, PROMPTS, seed=8, steps=3))


def test_latent_pool_forgets_the_oldest_and_drops_captions():
    pool = LatentPool(build_vae(TINY.vae), SyntheticScenes(), WordTokens(), 8, max_length=32)
    for _ in range(3):
        pool.refresh(4)
    assert len(pool) == 8
    assert pool.cursor == 12
    _, ids, _ = pool.draw(5, torch.Generator().manual_seed(0), dropout=1.0)
    assert torch.equal(ids[:, 0], torch.ones(5, dtype=torch.int64))
    assert ids[:, 1:].sum() == 0


def test_latent_pool_keeps_only_the_cursor_of_a_pool_that_another_codec_encoded():
    scenes, tokens = SyntheticScenes(), WordTokens()
    torch.manual_seed(0)
    first, second = (LatentPool(build_vae(TINY.vae), scenes, tokens, 8, max_length=16) for _ in range(2))
    first.refresh(4)
    second.load_state_dict(first.state_dict())
    assert (second.cursor, len(second)) == (4, 0)
    first.load_state_dict(first.state_dict())
    assert len(first) == 4


def test_velocity_and_noise_recover_the_clean_latents():
    acp = alphas_cumprod()
    x0, noise, t = torch.randn(4, 4, 2, 2), torch.randn(4, 4, 2, 2), torch.tensor([0, 250, 750, 999])
    found_x0, found_noise = x0_and_noise(acp, add_noise(acp, x0, noise, t), velocity(acp, x0, noise, t), t)
    assert torch.allclose(found_x0, x0, atol=1e-5)
    assert torch.allclose(found_noise, noise, atol=1e-5)


def test_alphas_cumprod_end_where_linear_betas_end():
    acp = alphas_cumprod()
    assert acp[0].item() == pytest.approx(0.9999, abs=1e-6)
    assert acp[-1].item() == pytest.approx(4.036e-5, rel=1e-2)


def test_training_timesteps_stay_on_the_schedule_and_reach_both_ends():
    t = training_timesteps(20000, TransformerTraining(), torch.Generator().manual_seed(0))
    assert 0 <= t.min() < 10
    assert 990 < t.max() <= 999


def test_orthogonalise_brings_singular_values_near_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(2, 24, 12)))
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_learning_rate_scale_warms_up_holds_and_decays_to_its_end():
    shape = {"warm_up": 10, "decay_from": 0.75, "decay_to": 0.03}
    assert learning_rate_scale(0, 0.0, **shape) == pytest.approx(0.1)
    assert learning_rate_scale(500, 0.75, **shape) == 1.0
    assert learning_rate_scale(500, 0.875, **shape) == pytest.approx(0.515)
    assert learning_rate_scale(500, 1.0, **shape) == pytest.approx(0.03)


def test_optimizers_for_keeps_muon_from_the_text_encoder_and_from_cross_attention_scores(tmp_path, codec):
    networks = train(tmp_path / "run", codec, Budget(steps=1))
    model = joint(networks)
    muon, adam = optimizers_for(model, CONFIG)
    names = {id(param): name for name, param in model.named_parameters()}
    hidden = {names[id(param)] for group in muon.param_groups for param in group["params"]}
    others = {names[id(param)] for group in adam.param_groups for param in group["params"]}
    assert hidden | others == set(names.values())
    assert not any(name.startswith("text_encoder") for name in hidden)
    assert "transformer.transformer_blocks.0.attn1.to_q.weight" in hidden
    assert "transformer.transformer_blocks.0.attn2.to_q.weight" in others
    assert "transformer.transformer_blocks.0.scale_shift_table" in others
