"""Scenes written to a file, one JSON spec a line: what a run was fed with, or what a sheet is to show."""

from __future__ import annotations

from pathlib import Path

from .attributes import DRAWN_STYLES
from .grammar import GrammarError, Scene
from .splits import HeldOutError, assert_trainable


def load_scene_list(path: Path | str, split: str = "train", styles: tuple[str, ...] = DRAWN_STYLES) -> list[Scene]:
    """Reads and checks every line before anything is drawn.

    Raises `HeldOutError` when the list is for training and a line touches a held-out cell, and `GrammarError` for an
    unreadable file or a line that is no scene; both name the line.
    """
    try:
        lines = Path(path).read_text("utf8").splitlines()
    except OSError as cause:
        raise GrammarError(f"{path} cannot be read: {cause}") from cause
    scenes = []
    for number, line in enumerate(lines, 1):
        try:
            scene = Scene.from_json(line)
        except GrammarError as cause:
            raise GrammarError(f"{path}:{number}: {cause}") from cause
        if split in ("train", "validation"):
            try:
                assert_trainable(scene, styles)
            except HeldOutError as refusal:
                raise HeldOutError(refusal.cell, where=f"{path}:{number}") from refusal
        scenes.append(scene)
    return scenes
