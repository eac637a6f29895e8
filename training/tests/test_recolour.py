"""Recolouring moves what it should and leaves the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pixart_edge_training.catalogue import Sprite
from pixart_edge_training.oklab import parse_hex, to_oklab
from pixart_edge_training.recolour import recolour

RED, DARK_RED, WHITE, BLACK, GREEN = "#e53935", "#8f201d", "#ffffff", "#000000", "#43a047"
BLUE = "#1e88e5"


def pixels(*colours: str) -> torch.Tensor:
    return torch.tensor([parse_hex(colour) for colour in colours])


def lab(colour: str) -> tuple[float, float, float]:
    lightness, a, b = to_oklab(pixels(colour))[0].tolist()
    return lightness, a, b


RED_SPRITE = Sprite("flat", 0, 1, "hue", 27.0, lab(RED), lab(RED), "red")
GRAY_SPRITE = replace(RED_SPRITE, recolour="tint", hue=None, main=lab("#b0b0b0"), natural="gray")


def test_recolour_moves_the_main_colour_onto_the_target() -> None:
    moved = recolour(pixels(RED), RED_SPRITE, "blue", BLUE)
    assert torch.allclose(moved, pixels(BLUE), atol=0.02)


def test_recolour_leaves_white_black_and_other_hues_alone() -> None:
    others = pixels(WHITE, BLACK, GREEN)
    assert torch.allclose(recolour(others, RED_SPRITE, "blue", BLUE), others, atol=0.004)


def test_recolour_keeps_shade_darker_than_light() -> None:
    light, dark = to_oklab(recolour(pixels(RED, DARK_RED), RED_SPRITE, "green", GREEN))[:, 0]
    assert dark < light - 0.1


def test_recolour_tints_gray_and_leaves_colour_alone() -> None:
    moved = recolour(pixels("#b0b0b0", RED), GRAY_SPRITE, "blue", BLUE)
    assert moved[0, 2] - moved[0, 0] > 0.4
    assert torch.allclose(moved[1], pixels(RED)[0], atol=0.004)


@pytest.mark.parametrize("colour", ["black", "white", "gray"])
def test_recolour_takes_all_chroma_for_the_grays(colour: str) -> None:
    moved = to_oklab(recolour(pixels(RED, DARK_RED), RED_SPRITE, colour, BLUE))
    assert moved[:, 1:].abs().max() < 0.01


def test_recolour_stays_inside_srgb() -> None:
    ramp = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    moved = recolour(ramp, replace(RED_SPRITE, recolour="hue"), "yellow", "#fdd835")
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_recolour_refuses_a_sprite_of_fixed_colours() -> None:
    with pytest.raises(ValueError, match="flat sprite cannot be recoloured"):
        recolour(pixels(RED), replace(RED_SPRITE, recolour=None), "blue", BLUE)
