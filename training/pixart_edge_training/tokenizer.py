"""Trains the SentencePiece unigram model of the text encoder.

The text is generated captions of seen wording plus common English words, so that a prompt outside the captions
still splits into known pieces. Lower-casing is left to the pipeline: every text here is lower case already.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

from . import captions
from .catalogue import Catalogue, CorpusError, PackError, load_catalogue
from .errors import TrainingError, ensure_writable
from .grammar import Grammar

VOCABULARY_SIZE = 4096
CAPTION_COUNT = 40_000
PIECE_CHARACTERS_MAX = 16
PAD, EOS, UNK = 0, 1, 2

SEEDS_FROM = 1 << 40
"""Captions for the tokenizer come from seeds no training run reaches."""

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"()-&/+#%"
"""Always in the vocabulary, so that plain English never becomes `<unk>`."""


class TokenizerError(CorpusError):
    """The text is too small for a model."""


@dataclass(frozen=True)
class TokenizerReport:
    pieces: int
    caption_words: int
    caption_words_whole: float  # part of the captions' distinct words that are one piece
    common_words_whole: float  # the same for the common words
    unknown_words: int  # words with an <unk> in them
    tokens_mean: float  # of a caption, </s> included
    tokens_max: int


def training_text(catalogue: Catalogue, words: dict[str, int], caption_count: int) -> Iterator[str]:
    """Captions of the train split, then the vocabulary's names, then common words in short lists."""
    grammar = Grammar(catalogue)
    for seed in range(SEEDS_FROM, SEEDS_FROM + caption_count):
        yield grammar.caption(grammar.scene("train", seed))
    for concept in catalogue.concepts:
        for name in (concept.noun.name, concept.plural, *(word.name for word in concept.synonyms)):
            yield from [name] * 8
    for colour in catalogue.palette:
        yield from [colour, *captions.COLOUR_WORDS.get(colour, ())] * 8
    for word, count in words.items():
        yield from [word] * (1 + int(2 * math.log2(1 + count)))
    for _ in range(3):
        yield " ".join(CHARACTERS)


def train_tokenizer(
    sentences: Sequence[str], vocabulary_size: int = VOCABULARY_SIZE
) -> sentencepiece.SentencePieceProcessor:
    """A unigram model of at most `vocabulary_size` pieces; the same sentences give the same model.

    Raises `TokenizerError` when the text cannot carry even 64 pieces.
    """
    size = vocabulary_size
    while True:
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                model_type="unigram",
                vocab_size=size,
                character_coverage=1.0,
                byte_fallback=False,
                max_sentencepiece_length=PIECE_CHARACTERS_MAX,
                normalization_rule_name="nmt_nfkc",
                pad_id=PAD,
                eos_id=EOS,
                unk_id=UNK,
                bos_id=-1,
                num_threads=1,
                shuffle_input_sentence=False,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as cause:
            reachable = re.search(r"value <= (\d+)", str(cause))
            if reachable is None or int(reachable[1]) >= size or int(reachable[1]) < 64:
                raise TokenizerError(f"{len(sentences)} sentences carry no model: {cause}") from cause
            size = int(reachable[1])
            continue
        return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def measure(
    processor: sentencepiece.SentencePieceProcessor,
    caption_texts: Sequence[str],
    words: dict[str, int],
) -> TokenizerReport:
    """How well the model covers captions and common words."""
    caption_words = sorted(set(re.findall(r"[a-z0-9]+", " ".join(caption_texts))))
    lengths = [len(ids) + 1 for ids in processor.encode(list(caption_texts))]
    encoded = processor.encode([*caption_words, *words])
    return TokenizerReport(
        pieces=processor.get_piece_size(),
        caption_words=len(caption_words),
        caption_words_whole=_whole(processor, caption_words),
        common_words_whole=_whole(processor, list(words)),
        unknown_words=sum(UNK in ids for ids in encoded),
        tokens_mean=sum(lengths) / len(lengths),
        tokens_max=max(lengths),
    )


def _whole(processor: sentencepiece.SentencePieceProcessor, words: list[str]) -> float:
    return sum(len(ids) == 1 for ids in processor.encode(words)) / max(1, len(words))


def load_words(pack_dir: Path | str) -> dict[str, int]:
    """Common words and how many emoji mention each; raises `PackError` when the file is no such table."""
    path = Path(pack_dir) / "words.json"
    try:
        words = json.loads(path.read_text("utf8"))
    except (OSError, ValueError) as cause:
        raise PackError(f"{path} cannot be read: {cause}") from cause
    if not isinstance(words, dict) or not all(isinstance(count, int) for count in words.values()):
        raise PackError(f"{path} is not a table of words and counts")
    return words


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tokenizer", description="Train the SentencePiece model.")
    parser.add_argument("--pack", default="training/data/sprites", help="folder of the sprite pack")
    parser.add_argument("--out", default="training/data/tokenizer", help="folder for spiece.model")
    parser.add_argument("--pieces", type=int, default=VOCABULARY_SIZE, help="largest vocabulary")
    parser.add_argument("--captions", type=int, default=CAPTION_COUNT, help="captions to learn from")
    options = parser.parse_args(argv)
    try:
        ensure_writable(Path(options.out))
        catalogue = load_catalogue(options.pack)
        words = load_words(options.pack)
        text = list(training_text(catalogue, words, options.captions))
        processor = train_tokenizer(text, options.pieces)
    except TrainingError as error:
        parser.exit(2, f"tokenizer: {error}\n")
    out = Path(options.out)
    (out / "spiece.model").write_bytes(processor.serialized_model_proto())
    report = measure(processor, text[: options.captions], words)
    print(json.dumps({**report.__dict__, "out": str(out / "spiece.model")}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
