"""StickerBench: every line says what it expects, in words that can be found in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from pixart_edge_training.attributes import (
    ACCESSORIES,
    EFFECTS,
    MOODS,
    MOODS_AFTER,
    NUMBERS,
    PATTERNS,
    PLACES,
    RELATIONS,
)
from pixart_edge_training.captions import BACKDROP_PHRASES, COLOUR_WORDS, STYLE_ADJECTIVES
from pixart_edge_training.sticker_bench import BenchError, BenchPrompt, load_sticker_bench

TRAINING = Path(__file__).resolve().parent.parent
BENCH = TRAINING / "prompts" / "stickerbench.jsonl"
COLOURS = tuple(json.loads((TRAINING / "sprites" / "palette.json").read_text()))

ROW = re.compile(r"\[\s*'[^']+',\s*'([^']+)',\s*'([^']+)'(.*?)\]", re.S)


def concept_words() -> dict[str, set[str]]:
    """Concept id → its name, synonyms and plural, out of the list that the sprites are made from."""
    words = {}
    for name, synonyms, options in ROW.findall((TRAINING / "sprites" / "concepts.ts").read_text("utf8")):
        plural = re.search(r"plural: '([^']+)'", options)
        regular = re.sub(r"(?<=[^aeiou])ys$", "ies", re.sub(r"(s|x|z|ch|sh)$", r"\1e", name) + "s")
        others = synonyms.split(", ")
        words[name.replace(" ", "-")] = {
            name,
            *others,
            *(f"{word}s" for word in others),
            plural[1] if plural else regular,
        }
    return words


WORDS = concept_words()
PROMPTS = load_sticker_bench(BENCH, WORDS, COLOURS)


def says(prompt: str, words: object) -> bool:
    """Whether one of the words stands in the prompt, whole."""
    return any(re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", prompt.lower()) for word in words)


def backdrop_words(prompt: BenchPrompt) -> list[str]:
    if prompt.backdrop in PLACES:
        place = PLACES[prompt.backdrop]
        return [*place.where, *place.noun]
    if prompt.backdrop in PATTERNS:
        return [
            word
            for phrase in PATTERNS[prompt.backdrop]
            for word in re.findall(r"[a-z]{5,}", phrase)
            if word != "background"
        ]
    phrases = BACKDROP_PHRASES[prompt.backdrop]
    if prompt.backdrop == "soft":
        return ["soft", "pastel", "pale"]
    return [
        re.sub(
            r"\{1\}",
            prompt.backdrop_colours[-1] if prompt.backdrop_colours else "",
            re.sub(r"\{0\}", prompt.backdrop_colours[0] if prompt.backdrop_colours else "", phrase),
        )
        for phrase in phrases
    ]


def test_sticker_bench_has_two_hundred_different_prompts_in_the_promised_mixture() -> None:
    assert len({prompt.prompt.lower() for prompt in PROMPTS}) == 200
    kinds = Counter(prompt.kind for prompt in PROMPTS)
    assert kinds["single"] == 120
    assert min(kinds.values()) >= 16


def test_sticker_bench_asks_for_every_style_mood_place_and_relation() -> None:
    asked = {name: {getattr(prompt, name) for prompt in PROMPTS} for name in ("style", "mood", "backdrop", "relation")}
    assert {*STYLE_ADJECTIVES, *EFFECTS} <= asked["style"]
    assert set(MOODS) <= asked["mood"]
    assert {*PLACES, *PATTERNS, *BACKDROP_PHRASES} <= asked["backdrop"]
    assert set(RELATIONS) <= asked["relation"]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.prompt)
def test_sticker_bench_says_every_label_it_expects(prompt: BenchPrompt) -> None:
    colour_words = {colour: {colour, *COLOUR_WORDS.get(colour, ())} for colour in COLOURS}
    expected = {"concept": WORDS[prompt.concept]}
    for name in ("colour", "other_colour"):
        if getattr(prompt, name):
            expected[name] = colour_words[getattr(prompt, name)]
    if prompt.other:
        expected["other"] = WORDS[prompt.other]
        expected["relation"] = RELATIONS[prompt.relation]
    if prompt.count:
        expected["count"] = {*NUMBERS[prompt.count], "a pair of"} if prompt.count == 2 else NUMBERS[prompt.count]
    if prompt.style in STYLE_ADJECTIVES:
        expected["style"] = STYLE_ADJECTIVES[prompt.style]
    elif prompt.style:
        effect = EFFECTS[prompt.style]
        expected["style"] = {*effect.adjectives, *effect.phrases, *(p.removesuffix(" style") for p in effect.phrases)}
    if prompt.mood:
        expected["mood"] = {*MOODS[prompt.mood], MOODS_AFTER.get(prompt.mood, prompt.mood)}
    if prompt.accessory:
        expected["accessory"] = ACCESSORIES[prompt.accessory]
    if prompt.backdrop:
        expected["backdrop"] = backdrop_words(prompt)
    for colour in prompt.backdrop_colours:
        if "backdrop" not in prompt.said:
            assert says(prompt.prompt, colour_words[colour]), colour
    for name, words in expected.items():
        words = {prompt.said[name]} if name in prompt.said else words
        assert says(prompt.prompt, words), f"{name}: none of {sorted(words)}"


def test_sticker_bench_is_read_by_no_training_stage() -> None:
    readers = [
        path.name for path in (TRAINING / "pixart_edge_training").glob("*.py") if "sticker_bench" in path.read_text()
    ]
    assert set(readers) <= {"sticker_bench.py", "evaluate.py", "command.py", "publish.py"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "bench.jsonl:1: not a prompt"),
        ('{"prompt": "a cat", "kind": "single", "concept": "cat", "size": 3}', "not a prompt"),
        ('{"prompt": "a qat", "kind": "single", "concept": "qat"}', "concept is 'qat'"),
        ('{"prompt": "nine cats", "kind": "count", "concept": "cat", "count": 9}', "count is 9"),
        ('{"prompt": "cat on dog", "kind": "relation", "concept": "cat", "other": "dog"}', "belong together"),
        ('{"prompt": "a cat", "kind": "single", "concept": "cat", "backdrop": "plain"}', "backdrop_colours"),
    ],
)
def test_load_sticker_bench_refuses_a_line_and_names_it(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(BenchError, match=message):
        load_sticker_bench(path, WORDS, COLOURS)


def test_load_sticker_bench_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read"):
        load_sticker_bench(tmp_path / "none.jsonl", WORDS, COLOURS)
