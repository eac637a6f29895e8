"""Token ids of ten thousand prompts by the `sentencepiece` package.

python tokenizer.py fixture [OUT]    trains the fixture vocabulary and writes its ids
python tokenizer.py ids MODEL OUT    writes the ids that another spiece.model gives
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
from pathlib import Path

import sentencepiece

from prompts import corpus, make_prompts

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "golden" / "tokenizer"


def train_fixture(path: Path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        model_type="unigram",
        vocab_size=1_000,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        user_defined_symbols=["3d", "⟨style⟩"],
        num_threads=1,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())


def write_ids(model: Path, out: Path, *, with_prompts: bool) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    prompts = make_prompts()
    golden = {
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "ids": [processor.encode(prompt) for prompt in prompts],
    }
    if with_prompts:
        golden["prompts"] = prompts
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    out.write_bytes(gzip.compress(text.encode(), mtime=0))


def main(arguments: list[str]) -> None:
    match arguments:
        case ["fixture", *rest]:
            out = Path(rest[0]) if rest else FIXTURES
            out.mkdir(parents=True, exist_ok=True)
            train_fixture(out / "spiece.model")
            write_ids(out / "spiece.model", out / "ids.json.gz", with_prompts=True)
        case ["ids", model, out]:
            write_ids(Path(model), Path(out), with_prompts=False)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
