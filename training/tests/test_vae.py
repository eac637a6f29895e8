"""The codec: its loss falls, its latents are unit normal after folding, and a stopped run goes on as if it never stopped."""

from dataclasses import replace

import pytest
import torch

from pixart_edge_training.checkpoints import load_checkpoint
from pixart_edge_training.config import PRESETS, VaeTraining
from pixart_edge_training.data import SyntheticScenes
from pixart_edge_training.errors import CheckpointMismatchError, CheckpointMissingError, HeldOutSceneError
from pixart_edge_training.optim import Budget
from pixart_edge_training.vae import (
    build_vae,
    decode,
    encode,
    fold_latent_statistics,
    permute_primaries,
    psnr,
    random_crops,
    reconstruction_loss,
    round_trip,
    train_vae,
)

TINY = PRESETS["tiny"]
CONFIG = replace(
    VaeTraining(),
    batch_size=8,
    whole_batch_size=4,
    warm_up=2,
    learning_rate=5e-3,
    muon_learning_rate=0.05,
    ema=0.8,
    permuted_share=0.0,
)


def train(folder, budget, **options):
    scenes = SyntheticScenes(seed=1)
    return train_vae(scenes, SyntheticScenes(seed=2), TINY, CONFIG, budget, folder, quiet=True, **options)


def test_train_vae_brings_the_loss_down(tmp_path):
    pictures = SyntheticScenes(seed=9).batch(0, 16).pictures
    torch.manual_seed(CONFIG.seed)
    with torch.no_grad():
        before, _ = reconstruction_loss(round_trip(build_vae(TINY.vae), pictures), pictures, CONFIG)
    trained = train(tmp_path, Budget(steps=40))
    with torch.no_grad():
        after, _ = reconstruction_loss(round_trip(trained, pictures), pictures, CONFIG)
    assert after < 0.9 * before


def test_train_vae_resumed_halfway_ends_with_the_same_weights(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train(whole, Budget(steps=6))

    class Stopped(Exception):
        pass

    class StoppingScenes(SyntheticScenes):
        def batch(self, cursor, count):
            if cursor >= 6:  # two pictures of four crops a step
                raise Stopped
            return super().batch(cursor, count)

    with pytest.raises(Stopped):
        train_vae(
            StoppingScenes(seed=1),
            SyntheticScenes(seed=2),
            TINY,
            CONFIG,
            Budget(steps=6),
            halves,
            quiet=True,
            save_every_seconds=-1,
        )
    train(halves, Budget(steps=6), resume=True)
    expected = load_checkpoint(whole / "vae.pt", stage="vae", preset="tiny")["model"]
    found = load_checkpoint(halves / "vae.pt", stage="vae", preset="tiny")["model"]
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_train_vae_of_the_decoder_alone_leaves_the_latents_as_they_are(tmp_path):
    before = train(tmp_path, Budget(steps=3))
    pictures = SyntheticScenes(seed=3).batch(0, 4).pictures
    with torch.no_grad():
        latents, decoded = encode(before, pictures)[0], decode(before, encode(before, pictures)[0])
    after = train(tmp_path, Budget(steps=3), decoder_only=True)
    with torch.no_grad():
        assert torch.equal(encode(after, pictures)[0], latents)
        assert not torch.equal(decode(after, latents), decoded)


def test_train_vae_refuses_held_out_scenes(tmp_path):
    with pytest.raises(HeldOutSceneError, match="held-out scene in training"):
        train_vae(
            SyntheticScenes(held_out_every=2),
            SyntheticScenes(seed=2),
            TINY,
            CONFIG,
            Budget(steps=2),
            tmp_path,
            quiet=True,
        )


def test_load_checkpoint_refuses_another_preset_another_stage_and_a_missing_file(tmp_path):
    train(tmp_path, Budget(steps=1))
    with pytest.raises(CheckpointMismatchError) as refusal:
        load_checkpoint(tmp_path / "vae.pt", stage="vae", preset="nano")
    assert (refusal.value.code, refusal.value.field) == ("checkpoint_mismatch", "preset")
    with pytest.raises(CheckpointMismatchError, match="stage"):
        load_checkpoint(tmp_path / "vae.pt", stage="lcm", preset="tiny")
    with pytest.raises(CheckpointMissingError):
        load_checkpoint(tmp_path / "absent.pt", stage="vae", preset="tiny")


def test_fold_latent_statistics_makes_latents_unit_normal_and_keeps_the_pictures():
    torch.manual_seed(0)
    vae = build_vae(TINY.vae)
    pictures = SyntheticScenes(seed=4).batch(0, 32).pictures
    with torch.no_grad():
        vae.quant_conv.bias[4:] = -6.0
        before = decode(vae, encode(vae, pictures)[0])
        fold_latent_statistics(vae, pictures)
        mean, logvar = encode(vae, pictures)
        after = decode(vae, mean)
    variance = mean.var(dim=(0, 2, 3)) + logvar.exp().mean(dim=(0, 2, 3))
    assert torch.allclose(mean.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-3)
    assert torch.allclose(variance, torch.ones(4), atol=1e-2)
    assert torch.allclose(before, after, atol=1e-4)


def test_reconstruction_loss_is_zero_for_equal_pictures_and_counts_each_part():
    picture = SyntheticScenes(seed=5).batch(0, 2).pictures
    total, _ = reconstruction_loss(picture, picture, CONFIG)
    assert total.item() == 0.0
    shifted, parts = reconstruction_loss(picture + 0.5, picture, CONFIG)
    assert parts["l1"].item() == pytest.approx(0.5, abs=1e-6)
    assert parts["block"].item() == pytest.approx(0.5, abs=1e-6)
    assert parts["chroma"].item() == pytest.approx(0.0, abs=1e-6)
    assert parts["haar"].item() == pytest.approx(0.0, abs=1e-6)
    assert parts["alpha"].item() == pytest.approx(0.5 + 0.5, abs=1e-6)
    assert shifted.item() == pytest.approx(0.5 + 1.5 * 0.5 + 1.0, abs=1e-5)


def test_random_crops_are_parts_of_their_picture():
    picture = torch.arange(64.0).view(1, 1, 8, 8)
    crops = random_crops(picture, 4, 3, torch.Generator().manual_seed(0))
    assert crops.shape == (3, 1, 4, 4)
    assert torch.equal(crops[:, 0, :, 1:] - crops[:, 0, :, :-1], torch.ones(3, 4, 3))


def test_permute_primaries_keeps_alpha_and_white():
    crops = torch.rand(16, 4, 2, 2)
    crops[:, :, 0, 0] = 1.0
    swapped = permute_primaries(crops, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(swapped[:, 3], crops[:, 3])
    assert torch.equal(swapped[:, :3, 0, 0], torch.ones(16, 3))
    assert torch.allclose(swapped[:, :3].sum(1), crops[:, :3].sum(1))
    assert torch.equal(permute_primaries(crops, 0.0, torch.Generator().manual_seed(0)), crops)


def test_psnr_of_a_tenth_of_the_range_is_twenty_decibels():
    assert psnr(torch.full((1, 3, 2, 2), 0.2), torch.zeros(1, 3, 2, 2)) == pytest.approx(20.0, abs=1e-3)
