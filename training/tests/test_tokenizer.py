"""The SentencePiece model and the vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_fixture import catalogue_document, write_pack

from pixart_edge_training.catalogue import PackError, parse_catalogue
from pixart_edge_training.tokenizer import (
    EOS,
    PAD,
    UNK,
    TokenizerError,
    load_words,
    main,
    measure,
    train_tokenizer,
    training_text,
)
from pixart_edge_training.vocabulary import vocabulary

WORDS = {"animal": 9, "wonderful": 2, "saxophone": 1}


@pytest.fixture(scope="module")
def text() -> list[str]:
    return list(training_text(parse_catalogue(catalogue_document(), "0" * 64), WORDS, 300))


def test_training_text_is_lower_case_and_the_same_each_time(text: list[str]) -> None:
    again = list(training_text(parse_catalogue(catalogue_document(), "0" * 64), WORDS, 300))
    assert again == text
    assert all(line == line.lower() for line in text)


def test_train_tokenizer_numbers_the_special_pieces_as_t5_does(text: list[str]) -> None:
    processor = train_tokenizer(text, 200)
    assert [processor.id_to_piece(i) for i in (PAD, EOS, UNK)] == ["<pad>", "</s>", "<unk>"]
    assert processor.bos_id() == -1


def test_train_tokenizer_gives_the_same_bytes_twice(text: list[str]) -> None:
    first, second = (train_tokenizer(text, 200).serialized_model_proto() for _ in range(2))
    assert first == second


def test_train_tokenizer_takes_the_largest_size_the_text_carries(text: list[str]) -> None:
    assert 64 < train_tokenizer(text, 4096).get_piece_size() < 4096


def test_train_tokenizer_refuses_a_text_too_small() -> None:
    with pytest.raises(TokenizerError, match="1 sentences carry no model"):
        train_tokenizer(["a b"], 4096)


def test_train_tokenizer_knows_every_plain_character(text: list[str]) -> None:
    processor = train_tokenizer(text, 200)
    assert UNK not in processor.encode("zebra & 90% off, (really)!")


def test_train_tokenizer_leaves_foreign_characters_unknown(text: list[str]) -> None:
    assert UNK in train_tokenizer(text, 200).encode("猫")


def test_measure_reports_no_unknown_words(text: list[str]) -> None:
    report = measure(train_tokenizer(text, 200), text[:300], WORDS)
    assert report.unknown_words == 0
    assert report.tokens_max < 64


def test_load_words_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"words.json cannot be read"):
        load_words(tmp_path)


def test_main_writes_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = write_pack(tmp_path / "sprites")
    out = tmp_path / "tokenizer"
    assert main(["--pack", str(pack), "--out", str(out), "--captions", "200", "--pieces", "150"]) == 0
    assert (out / "spiece.model").stat().st_size > 1000
    assert '"pieces": 150' in capsys.readouterr().out


def test_vocabulary_lists_every_word_in_the_order_of_ids() -> None:
    document = vocabulary(parse_catalogue(catalogue_document(), "0" * 64))
    assert [concept["id"] for concept in document["concepts"]][:3] == ["apple", "owl", "cat"]
    assert document["concepts"][2]["synonyms"] == ["kitty", "kitten", "tabby cat"]
    assert [style["id"] for style in document["styles"]] == ["3d", "flat", "cartoon"]
    assert "light blue" not in [colour["id"] for colour in document["colours"]]
    assert next(b for b in document["backdrops"] if b["id"] == "plain")["colours"][0] == "red"


def test_vocabulary_of_the_full_mixture_adds_to_that_of_single() -> None:
    catalogue = parse_catalogue(catalogue_document(), "0" * 64)
    single, full = vocabulary(catalogue), vocabulary(catalogue, "full")
    assert full["styles"][:3] == single["styles"]
    assert full["backdrops"][: len(single["backdrops"])] == single["backdrops"]
    assert {"counts", "moods", "relations", "accessories"} == set(full) - set(single)
    assert {"id": "desert"}.items() <= full["backdrops"][-16].items()
