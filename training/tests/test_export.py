"""Int8 rows, the exported folder, and the way back."""

import json

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file

from pixart_edge_training.config import PRESETS
from pixart_edge_training.data import SentencePieceTokens, SyntheticScenes
from pixart_edge_training.errors import CheckpointMissingError, ExportError, TrainingError
from pixart_edge_training.export import export_networks
from pixart_edge_training.loader import load_joint_state, load_networks, load_pipeline, load_state
from pixart_edge_training.quantise import is_quantised, pack, quantise_rows, unpack
from pixart_edge_training.sampling import Networks, sample_lcm
from pixart_edge_training.text_encoder import build_text_encoder
from pixart_edge_training.train_transformer import joint
from pixart_edge_training.transformer import build_transformer, initialise
from pixart_edge_training.vae import build_vae

TINY = PRESETS["tiny"]
PROMPTS = ["a red disc on a white background"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tokenizer and a vocabulary of the synthetic scenes."""
    folder = tmp_path_factory.mktemp("data")
    captions = SyntheticScenes().batch(0, 200).captions
    (folder / "captions.txt").write_text("\n".join(captions))
    (folder / "tokenizer").mkdir()
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "captions.txt"), model_prefix=str(folder / "tokenizer" / "spiece"), vocab_size=50, model_type="unigram",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    words = {
        "concepts": [{"name": "disc"}, {"name": "square"}],
        "styles": [{"id": "flat"}],
        "colours": [{"id": "red"}],
        "backdrops": [{"id": "white"}, {"id": "plain", "colours": ["black", "yellow"]}],
    }
    (folder / "vocabulary.json").write_text(json.dumps(words))
    return folder


@pytest.fixture(scope="module")
def networks(data):
    torch.manual_seed(3)
    tokens = SentencePieceTokens(data / "tokenizer" / "spiece.model")
    transformer = build_transformer(TINY.transformer, latent_channels=4, caption_channels=TINY.text.d_model)
    initialise(transformer)
    torch.nn.init.normal_(transformer.proj_out.weight, std=0.1)
    return Networks(build_text_encoder(TINY.text, tokens.vocab_size), transformer, build_vae(TINY.vae), tokens)


@pytest.fixture(scope="module")
def exported(networks, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "stickers"
    export_networks(networks, TINY, SyntheticScenes(), data, out)
    return out


def test_quantise_rows_comes_back_within_half_a_step():
    torch.manual_seed(0)
    weight = torch.randn(5, 80) * torch.tensor([0.01, 0.1, 1.0, 10.0, 100.0])[:, None]
    q, scale = quantise_rows(weight)
    assert (q.dtype, scale.dtype, scale.shape) == (torch.int8, torch.float32, (5,))
    uncut = q.abs() < 127
    error = (q.float() * scale[:, None] - weight).abs() / scale[:, None]
    assert error[uncut].max() <= 0.5001


def test_quantise_rows_is_no_worse_than_the_widest_scale():
    torch.manual_seed(0)
    weight = torch.randn(4, 256)
    weight[0, 0] = 30.0
    q, scale = quantise_rows(weight)
    widest = weight.abs().amax(1) / 127
    plain = (weight / widest[:, None]).round() * widest[:, None]
    found = (q.float() * scale[:, None] - weight).square().sum(1)
    assert (found <= (plain - weight).square().sum(1) + 1e-6).all()


def test_quantise_rows_of_zeros_is_zero():
    q, scale = quantise_rows(torch.zeros(2, 64))
    assert q.abs().max() == 0
    assert torch.isfinite(scale).all()


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("ff.net.0.proj.weight", (8, 64), True),
        ("ff.net.0.proj.weight", (8, 63), False),
        ("decoder.conv_out.weight", (4, 8, 3, 3), True),
        ("encoder.conv_in.weight", (16, 4, 3, 3), False),
        ("shared.weight", (100, 192), True),
        ("ff.net.0.proj.bias", (64,), False),
        ("transformer_blocks.0.scale_shift_table", (6, 192), False),
        ("block.0.layer.0.SelfAttention.relative_attention_bias.weight", (32, 64), False),
    ],
)
def test_is_quantised_takes_matrices_of_sixty_four_inputs_and_more(name, shape, expected):
    assert is_quantised(name, torch.zeros(shape)) is expected


def test_unpack_gives_exactly_what_was_packed():
    torch.manual_seed(0)
    packed = pack({"a.weight": torch.randn(3, 64), "a.bias": torch.randn(3)})
    state = unpack(packed)
    assert set(packed) == {"a.weight", "a.weight.scale", "a.bias"}
    assert set(state) == {"a.weight", "a.bias"}
    assert torch.equal(state["a.weight"], packed["a.weight"].float() * packed["a.weight.scale"][:, None])
    assert torch.equal(state["a.bias"], packed["a.bias"].float())


def test_export_networks_writes_the_layout_that_readers_expect(exported, networks):
    index = json.loads((exported / "model_index.json").read_text())
    edge = json.loads((exported / "pixart-edge.json").read_text())
    assert index["_class_name"] == "PixArtAlphaPipeline"
    assert edge["sizes"] == [[64, 64]]
    assert edge["vocabulary"]["backdrops"] == ["white", "black", "yellow"]
    assert [len(row) for row in edge["latent_rgb_factors"]] == [3, 3, 3, 3]
    weights = load_file(exported / "transformer" / "diffusion_pytorch_model.safetensors")
    assert weights["transformer_blocks.0.ff.net.2.weight"].dtype == torch.int8
    assert weights["transformer_blocks.0.ff.net.2.weight.scale"].shape == (networks.transformer.inner_dim,)
    assert weights["scale_shift_table"].dtype == torch.float16
    assert "encoder.embed_tokens.weight" not in load_file(exported / "text_encoder" / "model.safetensors")


def test_export_networks_refuses_a_file_over_the_limit_and_leaves_the_old_folder(networks, data, exported, monkeypatch):
    before = (exported / "model_index.json").read_text()
    monkeypatch.setattr("pixart_edge_training.export.FILE_BYTES_MAX", 1000)
    with pytest.raises(ExportError, match="limit 1000"):
        export_networks(networks, TINY, SyntheticScenes(), data, exported)
    assert (exported / "model_index.json").read_text() == before


def test_load_networks_draws_nearly_what_the_training_weights_draw(exported, networks):
    before, after = sample_lcm(networks, PROMPTS), sample_lcm(load_networks(exported), PROMPTS)
    assert (before - after).abs().mean() < 0.05 * before.abs().mean()


def test_load_joint_state_fits_the_networks_that_train(exported, networks):
    joint(networks).load_state_dict(load_joint_state(exported), strict=True)


def test_load_pipeline_draws_with_diffusers(exported):
    pipeline = load_pipeline(exported)
    pipeline.set_progress_bar_config(disable=True)
    options = {
        "num_inference_steps": 2,
        "guidance_scale": 0.0,
        "height": 64,
        "width": 64,
        "use_resolution_binning": False,
    }
    generator = torch.Generator().manual_seed(0)
    pictures = pipeline(PROMPTS[0], max_sequence_length=32, output_type="np", generator=generator, **options).images
    assert pictures.shape == (1, 64, 64, 4)


def test_load_state_names_a_missing_component(tmp_path):
    with pytest.raises(CheckpointMissingError) as refusal:
        load_state(tmp_path, "vae")
    assert refusal.value.field == "vae"


def test_sentence_piece_tokens_end_every_caption_and_ignore_case(data, tmp_path):
    tokens = SentencePieceTokens(data / "tokenizer" / "spiece.model")
    upper, lower = tokens.encode([" A Red Disc ", "a red disc"])
    assert upper == lower
    assert lower[-1] == 1
    assert tokens.encode([""]) == [[1]]
    with pytest.raises(TrainingError, match="train the tokenizer first"):
        SentencePieceTokens(tmp_path / "absent.model")
