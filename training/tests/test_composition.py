"""The full mixture: what it can show, what it says about it, and that no held-out cell slips in."""

from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_fixture import STYLES, catalogue_document

from pixart_edge_training.attributes import EFFECTS, MOODS, PAPER, PATTERNS, PLACES, RELATIONS
from pixart_edge_training.captions import FULL_TEMPLATES, suits, write_caption
from pixart_edge_training.catalogue import Catalogue, PackError, parse_catalogue
from pixart_edge_training.composition import KINDS, FullGrammar, grammar_for
from pixart_edge_training.grammar import Backdrop, Grammar, GrammarError, Placement, Scene, Thing, Wording, scene_hash
from pixart_edge_training.scene_list import load_scene_list
from pixart_edge_training.splits import (
    SPLITS,
    HeldOutError,
    assert_trainable,
    held_out_cells,
    is_held_out,
    pair_is_held_out,
)

GOLDEN = {
    ("train", 0): "d03978000de1c3a5",
    ("train", 1): "dcd2e224ca5e4a85",
    ("train", 2): "c60f23f1286b2d00",
    ("validation", 0): "3d72dd706415ba1c",
    ("heldout-mood", 0): "10016242a7994d95",
    ("heldout-pair", 5): "c090bb9033b179a8",
}
"""First 16 digits of scene hashes over the catalogue below."""


def roomy_catalogue() -> Catalogue:
    """The fixture's concepts, a few more things with room for a face, and an animal that can wear something."""
    document = catalogue_document() | {"side": 160, "objectSide": 148}
    for name in ("heart", "star", "lemon", "dog", "panda", "house", "car", "rocket", "fish", "cactus"):
        entry = copy.deepcopy(document["concepts"][0])
        entry |= {"id": name, "name": name, "plural": f"{name}s", "article": "a", "synonyms": []}
        document["concepts"].append(entry)
    for concept in document["concepts"]:
        for sprite in concept["sprites"]:
            sprite["circle"] = {"x": 80, "y": 80, "radius": 60}
            sprite["extent"] = [148, 120]
    return parse_catalogue(document, "0" * 64)


@pytest.fixture(scope="module")
def grammar() -> FullGrammar:
    return FullGrammar(roomy_catalogue())


@pytest.fixture(scope="module")
def scenes(grammar: FullGrammar) -> list[Scene]:
    return [grammar.scene("train", seed) for seed in range(1500)]


def kind_of(scene: Scene) -> str:
    if scene.relation is not None:
        return "relation"
    if scene.wording.number is not None:
        return "count"
    if scene.things[0].mood is not None:
        return "mood"
    if scene.things[0].accessory is not None:
        return "accessory"
    return "place" if scene.backdrop.kind in PLACES else "thing"


def box(at: Placement) -> tuple[float, float, float, float]:
    return at.x - at.size / 2, at.y - at.size / 2, at.x + at.size / 2, at.y + at.size / 2


@pytest.mark.parametrize(("split", "seed"), list(GOLDEN))
def test_full_scene_of_a_seed_never_changes(grammar: FullGrammar, split: str, seed: int) -> None:
    assert scene_hash(grammar.scene(split, seed))[:16] == GOLDEN[split, seed]


def test_grammar_for_single_is_the_plain_grammar() -> None:
    assert type(grammar_for(roomy_catalogue())) is Grammar


def test_grammar_for_refuses_an_unknown_mixture() -> None:
    with pytest.raises(GrammarError, match="mixture is 'double', known are single, full"):
        grammar_for(roomy_catalogue(), "double")


def test_full_grammar_refuses_a_pack_without_extents() -> None:
    document = catalogue_document()
    del document["concepts"][1]["sprites"][0]["extent"]
    with pytest.raises(PackError, match="owl has no extent"):
        FullGrammar(parse_catalogue(document, "0" * 64))


def test_full_scene_survives_json(scenes: list[Scene]) -> None:
    assert all(Scene.from_json(scene.to_json()) == scene for scene in scenes[:200])


def test_full_scenes_come_in_the_promised_shares(scenes: list[Scene]) -> None:
    found = Counter(kind_of(scene) for scene in scenes)
    for kind, share in KINDS.items():
        assert found[kind] / len(scenes) == pytest.approx(share, abs=0.035), kind


def test_full_scenes_show_every_mood_relation_place_pattern_and_style(scenes: list[Scene]) -> None:
    assert {scene.things[0].mood for scene in scenes} >= set(MOODS)
    assert {scene.relation for scene in scenes} >= set(RELATIONS)
    assert {scene.effect for scene in scenes} >= set(EFFECTS)
    assert {scene.backdrop.kind for scene in scenes} >= {*PLACES, *PATTERNS, PAPER}
    assert {len(scene.things) for scene in scenes if scene.relation is None} == {1, 2, 3, 4, 5, 6}


def test_gradients_keep_their_share_although_they_are_hard_to_fit(scenes: list[Scene]) -> None:
    said = [s.backdrop.kind for s in scenes if kind_of(s) == "thing" and s.effect is None and s.backdrop.said]
    assert said.count("gradient") / len(said) == pytest.approx(0.24, abs=0.05)


def test_copies_neither_overlap_nor_leave_the_frame(scenes: list[Scene]) -> None:
    counted = [scene for scene in scenes if kind_of(scene) == "count"]
    for scene in counted:
        boxes = [box(thing.placement) for thing in scene.things]
        for index, (left, top, right, bottom) in enumerate(boxes):
            assert min(left, top) >= 0 and max(right, bottom) <= 1
            for u, v, w, x in boxes[index + 1 :]:
                assert right <= u + 1e-6 or w <= left + 1e-6 or bottom <= v + 1e-6 or x <= top + 1e-6, scene.to_json()


@pytest.mark.parametrize(
    ("relation", "holds"),
    [
        ("left-of", lambda a, b: a.x < b.x - 0.3),
        ("right-of", lambda a, b: a.x > b.x + 0.3),
        ("above", lambda a, b: a.y < b.y - 0.3),
        ("below", lambda a, b: a.y > b.y + 0.3),
        ("on-top-of", lambda a, b: a.y < b.y and abs(a.x - b.x) < 0.1),
        ("next-to", lambda a, b: abs(a.x - b.x) > 0.3),
        ("in-front-of", lambda a, b: a.y > b.y and a.size < b.size),
        ("behind", lambda a, b: a.y < b.y and a.size > b.size),
    ],
)
def test_the_first_thing_stands_in_its_relation_to_the_second(scenes: list[Scene], relation: str, holds) -> None:
    related = [scene for scene in scenes if scene.relation == relation]
    assert related
    assert all(holds(*(thing.placement for thing in scene.things)) for scene in related)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_full_scenes_of_a_seen_split_touch_no_held_out_cell(grammar: FullGrammar, split: str) -> None:
    assert all(not held_out_cells(grammar.scene(split, seed), STYLES) for seed in range(400))


@pytest.mark.parametrize(
    "split", [split for split in SPLITS if split not in ("train", "validation", "heldout-wording")]
)
def test_full_scenes_of_a_held_out_split_touch_cells_of_its_kind_only(grammar: FullGrammar, split: str) -> None:
    for seed in range(25):
        kinds = {cell[0] for cell in held_out_cells(grammar.scene(split, seed), STYLES)}
        assert kinds == {split.removeprefix("heldout-")}


@pytest.mark.parametrize("split", ["heldout-mood", "heldout-backdrop", "heldout-count", "heldout-pair"])
def test_assert_trainable_refuses_every_new_kind_of_cell(grammar: FullGrammar, split: str) -> None:
    with pytest.raises(HeldOutError, match=f"held-out {split.removeprefix('heldout-')} cell"):
        assert_trainable(grammar.scene(split, 3), STYLES)


def test_shares_of_the_new_cells_are_those_of_the_plan() -> None:
    names = [f"concept-{index}" for index in range(2000)]
    for kind, value, share in (("mood", "sad", 0.15), ("backdrop", "desert", 0.12), ("count", "3", 0.10)):
        assert sum(is_held_out(kind, name, value) for name in names) / 2000 == pytest.approx(share, abs=0.025)
    pairs = [(a, b) for a in names[:60] for b in names[:60] if a != b]
    never = {name for name in names[:60] if is_held_out("unpaired", name)}
    assert all(pair_is_held_out(a, b) for a, b in pairs if a in never)
    rest = [pair for pair in pairs if not never & set(pair)]
    assert sum(pair_is_held_out(*pair) for pair in rest) / len(rest) == pytest.approx(0.40, abs=0.03)


def test_templates_of_the_full_mixture_are_many_and_left_for_every_kind() -> None:
    assert len({template.text for template in FULL_TEMPLATES}) == len(FULL_TEMPLATES) >= 80
    for plural, phrase in ((False, False), (False, True), (True, False)):
        for held_out in (False, True):
            said = {
                (template.says_style, template.says_backdrop)
                for template in FULL_TEMPLATES
                if suits(template, plural=plural, phrase=phrase) and is_held_out("template", template.text) == held_out
            }
            assert len(said) == 4, (plural, phrase, held_out)


def make(things: list[Thing], template: str, **changes: object) -> Scene:
    wording = Wording(template, None, None, None, ())
    scene = Scene(1, "train", 0, "flat", False, tuple(things), None, Backdrop("white", (), False), None, wording)
    words = {name: changes.pop(name) for name in list(changes) if name in Wording.__slots__}
    return replace(scene, wording=replace(wording, **words), **changes)


def thing(concept: str, **changes: object) -> Thing:
    return replace(Thing(concept, None, False, Placement(0.5, 0.5, 0.4, 0.0)), **changes)


RED = {"colour": "red", "recoloured": True, "colour_word": "red"}


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        (make([thing("apple")] * 3, "{thing}", number="three"), "three apples"),
        (make([thing("mouse", **RED)] * 2, "draw {thing}", number="2"), "draw 2 red mice"),
        (make([thing("owl")], "{thing}", number="one"), "one owl"),
        (make([thing("broccoli", mood_phrase="happy {}")], "{thing}"), "happy broccoli"),
        (make([thing("apple", mood_phrase="sad {}", **RED)], "{thing}"), "a sad red apple"),
        (make([thing("cat", mood_phrase="angry {}")], "{thing}"), "an angry cat"),
        (make([thing("apple", mood_phrase="{} in love")], "{noun}"), "apple in love"),
        (make([thing("owl", accessory_phrase="wearing a crown")], "{thing}"), "an owl wearing a crown"),
        (
            make([thing("cat"), thing("owl")], "{thing}", relation="left-of", relation_words="to the left of"),
            "a cat to the left of an owl",
        ),
    ],
)
def test_write_caption_says_counts_moods_accessories_and_relations(scene: Scene, expected: str) -> None:
    catalogue = roomy_catalogue()
    assert write_caption(scene, *(catalogue.concept(thing.concept) for thing in scene.things)) == expected


def test_write_caption_says_where_and_chooses_the_article_of_a_style() -> None:
    scene = make([thing("cat")], "a {adj} {noun} {on}")
    scene = replace(
        scene,
        style_said=True,
        backdrop=Backdrop("desert", (), True, 0),
        wording=replace(
            scene.wording,
            style_adjective="outlined cartoon",
            style_phrase="outlined cartoon style",
            backdrop="desert background",
            place="in the desert",
        ),
    )
    caption = write_caption(scene, roomy_catalogue().concept("cat"))
    assert caption == "an outlined cartoon cat in the desert"


def test_load_scene_list_refuses_a_held_out_cell_in_a_training_list(grammar: FullGrammar, tmp_path: Path) -> None:
    path = tmp_path / "scenes.jsonl"
    lines = [grammar.scene("train", 1).to_json(), grammar.scene("heldout-mood", 1).to_json()]
    path.write_text("\n".join(lines))
    with pytest.raises(HeldOutError, match=r"scenes.jsonl:2: .* is a held-out mood cell"):
        load_scene_list(path)
    assert len(load_scene_list(path, "heldout-mood")) == 2


def test_load_scene_list_names_the_line_that_is_no_scene(tmp_path: Path) -> None:
    path = tmp_path / "scenes.jsonl"
    path.write_text(json.dumps({"version": 1}))
    with pytest.raises(GrammarError, match=r"scenes.jsonl:1: not a scene"):
        load_scene_list(path)
    with pytest.raises(GrammarError, match="cannot be read"):
        load_scene_list(tmp_path / "none.jsonl")
