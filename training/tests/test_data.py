"""The face that training sees of the scenes."""

from pathlib import Path

import pytest
import torch
from corpus_fixture import write_pack

from pixart_edge_training.data import CorpusScenes, SyntheticScenes, WordTokens, pad_tokens, refuse_held_out
from pixart_edge_training.errors import HeldOutSceneError


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("corpus") / "sprites")


def see_through(pictures: torch.Tensor) -> int:
    return int((pictures[:, 3, 0, 0] < 0).sum())


def test_corpus_scenes_are_a_pure_function_of_the_cursor(pack: Path) -> None:
    scenes = CorpusScenes(pack)
    whole, half = scenes.batch(0, 4), scenes.batch(2, 2)
    assert torch.equal(whole.pictures[2:], half.pictures)
    assert whole.captions[2:] == half.captions


def test_corpus_scenes_look_for_as_many_without_a_backdrop_as_asked(pack: Path) -> None:
    assert see_through(CorpusScenes(pack, see_through=1.0).batch(0, 16).pictures) == 16
    assert see_through(CorpusScenes(pack).batch(0, 16).pictures) < 8


def test_corpus_scenes_without_spread_put_everything_in_the_middle(pack: Path) -> None:
    scenes = CorpusScenes(pack, spread=0.0, see_through=1.0)
    mask = scenes.batch(0, 4).mask > 0.5
    rows = mask.any(3).float().squeeze(1)
    middle = (rows * torch.arange(rows.shape[1])).sum(1) / rows.sum(1)
    assert torch.allclose(middle, torch.full((4,), 63.5), atol=2.0)


def test_corpus_scenes_of_a_held_out_split_are_refused_in_training(pack: Path) -> None:
    batch = CorpusScenes(pack, "heldout-wording").batch(0, 2)
    with pytest.raises(HeldOutSceneError, match="held-out scene in training"):
        refuse_held_out(batch)


def test_refuse_held_out_lets_seen_scenes_through() -> None:
    batch = SyntheticScenes().batch(0, 2)
    assert refuse_held_out(batch) is batch


def test_pad_tokens_cuts_at_the_limit_and_keeps_the_end() -> None:
    ids, mask = pad_tokens([[5, 6, 7, 8, 9, 1], [3, 1]], limit=4)
    assert ids.tolist() == [[5, 6, 7, 1], [3, 1, 0, 0]]
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_word_tokens_give_unknown_words_the_unknown_id() -> None:
    assert WordTokens().encode(["a zebra"]) == [[3, 2, 1]]


def test_corpus_scenes_of_the_full_mixture_label_what_only_it_shows(pack: Path) -> None:
    scenes = CorpusScenes(pack, mixture="full", spread=0.0)
    batch = scenes.batch(0, 16)
    assert set(batch.labels) == set(scenes.vocabulary.heads()) >= {"count", "mood", "relation", "other", "accessory"}
    for name, size in scenes.vocabulary.heads().items():
        values = batch.labels[name]
        assert ((values == -100) | ((values >= 0) & (values < size))).all(), name
    assert set(CorpusScenes(pack).vocabulary.heads()) == {"concept", "style", "colour", "backdrop"}
