"""Writes and reads what a stage needs to go on after it was stopped at any moment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from .errors import CheckpointMismatchError, CheckpointMissingError

FORMAT = 1


def save_checkpoint(path: Path, *, stage: str, preset: str, state: dict[str, Any]) -> None:
    """Whole or not at all: the file appears under its name only once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".partial{os.getpid()}")
    torch.save({"format": FORMAT, "stage": stage, "preset": preset, **state}, partial)
    partial.replace(path)


def load_checkpoint(path: Path, *, stage: str, preset: str) -> dict[str, Any]:
    """Raises CheckpointMissingError, or CheckpointMismatchError when it belongs to another stage or preset."""
    if not path.is_file():
        raise CheckpointMissingError(f"{path} is not there; run the {stage} stage first", field="checkpoint")
    state = torch.load(path, map_location="cpu", weights_only=True)
    for field, wanted in (("format", FORMAT), ("stage", stage), ("preset", preset)):
        if state.get(field) != wanted:
            raise CheckpointMismatchError(
                f"{path.name} has {field} {state.get(field)!r}, wanted {wanted!r}", field=field
            )
    return state
