"""Held-out cells: who they are, how many, and that training refuses them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from corpus_fixture import STYLES, catalogue_document

from pixart_edge_training.captions import TEMPLATES
from pixart_edge_training.catalogue import parse_catalogue
from pixart_edge_training.grammar import Grammar
from pixart_edge_training.splits import (
    HeldOutError,
    assert_trainable,
    fraction,
    held_out_cells,
    held_out_styles,
    is_held_out,
)

FRACTION_OF_CACTUS_3D = 0.6916800818159506

NAMES = [f"concept-{index}" for index in range(3000)]


@pytest.fixture
def grammar() -> Grammar:
    return Grammar(parse_catalogue(catalogue_document(), "0" * 64))


def test_fraction_is_the_published_hash() -> None:
    # blake2b-64 keyed "pixart-edge/splits/1" of "style\x1fcactus\x1f3d", worked out once with hashlib
    assert fraction(("style", "cactus", "3d")) == pytest.approx(FRACTION_OF_CACTUS_3D, abs=1e-12)


def test_fraction_tells_apart_cells_with_the_same_letters() -> None:
    assert fraction(("style", "ab", "c")) != fraction(("style", "a", "bc"))


def test_held_out_styles_takes_a_tenth_and_leaves_two_styles() -> None:
    held_out = [held_out_styles(name, STYLES) for name in NAMES]
    assert max(len(styles) for styles in held_out) == 1
    assert 0.08 < sum(map(len, held_out)) / (len(NAMES) * len(STYLES)) < 0.11


def test_is_held_out_takes_an_eighth_of_concept_colour_cells() -> None:
    share = sum(is_held_out("colour", name, "blue") for name in NAMES) / len(NAMES)
    assert 0.10 < share < 0.14


def test_is_held_out_leaves_a_seen_template_for_every_set_of_attributes() -> None:
    seen = {(t.says_style, t.says_backdrop) for t in TEMPLATES if not is_held_out("template", t.text)}
    unseen = {(t.says_style, t.says_backdrop) for t in TEMPLATES if is_held_out("template", t.text)}
    assert len(seen) == 4
    assert len(unseen) == 4


def test_assert_trainable_passes_a_scene_of_seen_cells(grammar: Grammar) -> None:
    assert_trainable(grammar.scene("train", 1), STYLES)


def test_assert_trainable_refuses_a_held_out_style(grammar: Grammar) -> None:
    scene = grammar.scene("heldout-style", 0)
    with pytest.raises(HeldOutError, match="held-out style cell") as caught:
        assert_trainable(scene, STYLES)
    assert caught.value.cell == ("style", scene.things[0].concept, scene.style)


def test_assert_trainable_refuses_a_held_out_colour(grammar: Grammar) -> None:
    with pytest.raises(HeldOutError, match="held-out colour cell"):
        assert_trainable(grammar.scene("heldout-colour", 0), STYLES)


def test_assert_trainable_refuses_a_held_out_template(grammar: Grammar) -> None:
    template = next(t.text for t in TEMPLATES if is_held_out("template", t.text))
    scene = grammar.scene("train", 1)
    scene = replace(scene, wording=replace(scene.wording, template=template))
    with pytest.raises(HeldOutError, match="held-out template cell"):
        assert_trainable(scene, STYLES)


def test_assert_trainable_refuses_a_held_out_synonym(grammar: Grammar) -> None:
    cells = [
        ("synonym", concept.id, word.name)
        for concept in grammar.catalogue.concepts
        for word in concept.synonyms
        if is_held_out("synonym", concept.id, word.name)
    ]
    assert cells, "the fixture has no held-out synonym"
    scene = grammar.scene("train", 1)
    thing = replace(scene.things[0], concept=cells[0][1], name=cells[0][2], colour=None)
    assert cells[0] in held_out_cells(replace(scene, things=(thing,)), STYLES)
