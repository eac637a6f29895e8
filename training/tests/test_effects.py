"""Procedural styles, places, faces and accessories: what each must leave in a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pixart_edge_training.accessories import draw_accessory
from pixart_edge_training.anchors import HEADS, accessory_spot
from pixart_edge_training.attributes import ACCESSORIES, COLOURLESS, EFFECTS, MOODS, PAPERED, PATTERNS, PLACES
from pixart_edge_training.composition import PATTERN_VARIANTS
from pixart_edge_training.effects import Layers, apply_effect
from pixart_edge_training.faces import draw_face
from pixart_edge_training.patterns import pattern_mask
from pixart_edge_training.places import AIRBORNE, GROUND, PLACE_COLOURS, PREFERRED, paint_place

SIZE = 64


def layers(see_through: bool = False) -> Layers:
    """A red disc with a yellow half over a blue backdrop."""
    axis = torch.linspace(-1, 1, SIZE)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    mask = (torch.hypot(x, y) < 0.6).float()
    red, yellow = torch.tensor((0.9, 0.15, 0.15)), torch.tensor((0.98, 0.85, 0.2))
    colour = torch.where((x > 0)[None], yellow.view(3, 1, 1), red.view(3, 1, 1))
    behind = (
        torch.ones(3, SIZE, SIZE) if see_through else torch.tensor((0.1, 0.5, 0.9)).view(3, 1, 1).repeat(1, SIZE, SIZE)
    )
    noise = torch.rand(1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    parts = (colour * mask, mask[None], behind, torch.tensor(see_through), noise)
    return Layers(*(part[None] for part in parts))


@pytest.mark.parametrize("effect", EFFECTS)
def test_apply_effect_stays_in_range_and_changes_the_picture(effect: str) -> None:
    before = layers()
    rgb, alpha, mask = apply_effect(effect, before)
    assert rgb.shape == (1, 3, SIZE, SIZE)
    for part in (rgb, alpha, mask):
        assert part.min() >= -1e-4 and part.max() <= 1.0001
    plain = before.things + before.behind * (1 - before.mask)
    assert (rgb - plain).abs().mean() > 0.01
    assert alpha.min() == 1


@pytest.mark.parametrize("effect", [effect for effect in EFFECTS if effect not in PAPERED])
def test_apply_effect_keeps_a_see_through_corner(effect: str) -> None:
    rgb, alpha, _ = apply_effect(effect, layers(see_through=True))
    assert alpha[0, 0, 0, 0] == 0
    assert alpha[0, 0, SIZE // 2, SIZE // 4] > 0.9
    assert torch.allclose(rgb[0, :, 0, 0], torch.ones(3), atol=1e-4)


@pytest.mark.parametrize("effect", sorted({*COLOURLESS} - {*PAPERED}))
def test_apply_effect_of_a_colourless_style_leaves_gray_things(effect: str) -> None:
    rgb, _, mask = apply_effect(effect, layers(see_through=True))
    inside = rgb[0][:, mask[0, 0] > 0.99]
    assert (inside.amax(0) - inside.amin(0)).max() < 0.02


def test_pixel_style_is_made_of_blocks_of_four() -> None:
    rgb, _, _ = apply_effect("pixel", layers())
    blocks = rgb.reshape(1, 3, SIZE // 4, 4, SIZE // 4, 4)
    assert (blocks.amax((3, 5)) - blocks.amin((3, 5))).max() < 1e-5


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("style", ["3d", "flat", "cartoon"])
def test_paint_place_is_opaque_repeatable_and_varied(place: str, style: str) -> None:
    first = paint_place(place, style, 0, 32)
    assert first.shape == (32, 32, 3)
    assert first.std() > 4
    assert np.array_equal(first, paint_place(place, style, 0, 32))
    assert not np.array_equal(first, paint_place(place, style, 1, 32))


def test_places_know_their_words_their_colours_and_real_names() -> None:
    assert set(PLACE_COLOURS) == set(PLACES)
    assert set(GROUND) <= set(PLACES)
    assert {place for places in PREFERRED.values() for place in places} <= set(PLACES)
    assert len(set(AIRBORNE)) == len(AIRBORNE)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_mask_has_both_colours(pattern: str) -> None:
    for variant in range(PATTERN_VARIANTS):
        mask = pattern_mask(pattern, variant, SIZE)
        assert mask.shape == (SIZE, SIZE)
        assert 0.1 < (mask > 0.5).float().mean() < 0.9


def test_faces_of_all_moods_differ_and_stay_in_their_circle() -> None:
    faces = {mood: draw_face(mood, "flat", 80) for mood in MOODS}
    for mood, face in faces.items():
        assert 0.03 < (face[..., 3] > 128).mean() < 0.5, mood
    flat = [face.astype(np.float32) * (face[..., 3:] > 0) for face in faces.values()]
    apart = [np.abs(x - y).mean() for i, x in enumerate(flat) for y in flat[i + 1 :]]
    assert min(apart) > 2


@pytest.mark.parametrize("accessory", ACCESSORIES)
def test_accessories_fill_their_square_and_have_a_spot_on_a_bare_head(accessory: str) -> None:
    drawn = draw_accessory(accessory, "3d", 80)
    rows, columns = np.nonzero(drawn[..., 3] > 40)
    assert max(np.ptp(rows), np.ptp(columns)) > 0.72 * 80
    assert accessory_spot(HEADS["panda", "3d"], accessory) is not None


def test_hats_have_no_spot_between_tall_ears() -> None:
    assert accessory_spot(HEADS["rabbit", "3d"], "top-hat") is None
    assert accessory_spot(HEADS["rabbit", "3d"], "sunglasses") is not None
