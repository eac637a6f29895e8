"""The decoder for previews."""

from dataclasses import replace

import pytest
import torch

from pixart_edge_training.checkpoints import save_checkpoint
from pixart_edge_training.config import PRESETS, PreviewTraining
from pixart_edge_training.data import SyntheticScenes
from pixart_edge_training.errors import CheckpointMissingError, HeldOutSceneError
from pixart_edge_training.optim import Budget
from pixart_edge_training.preview_decoder import train_preview_decoder, trained_preview_decoder
from pixart_edge_training.vae import build_vae

TINY = PRESETS["tiny"]
CONFIG = replace(PreviewTraining(), batch_size=4, warm_up=2)


@pytest.fixture
def work(tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "vae.pt", stage="vae", preset="tiny", state={"model": build_vae(TINY.vae).state_dict()})
    return tmp_path


def train(work, steps, scenes=None, **options):
    scenes = scenes or SyntheticScenes(seed=1)
    return train_preview_decoder(
        scenes, SyntheticScenes(seed=2), TINY, CONFIG, Budget(steps=steps), work, quiet=True, **options
    )


def test_train_preview_decoder_leaves_weights_that_decode_latents_to_pictures(work):
    assert trained_preview_decoder(TINY, work) is None
    trained = train(work, 3)
    found = trained_preview_decoder(TINY, work)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(found.decode(latents).sample, trained.decode(latents).sample)
    assert found.decode(latents).sample.shape == (2, 4, 64, 64)


def test_train_preview_decoder_goes_on_from_its_checkpoint(work):
    train(work, 2)
    train(work, 4, resume=True)
    assert (work / "preview-decoder-sheet.png").is_file()
    assert torch.load(work / "preview-decoder.pt", weights_only=True)["step"] == 4


def test_train_preview_decoder_refuses_held_out_scenes_and_a_missing_codec(work, tmp_path_factory):
    with pytest.raises(HeldOutSceneError):
        train(work, 1, SyntheticScenes(held_out_every=2))
    with pytest.raises(CheckpointMissingError, match="run the vae stage first"):
        train(tmp_path_factory.mktemp("empty"), 1)
