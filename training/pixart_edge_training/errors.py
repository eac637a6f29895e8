"""What training refuses, and how it says so.

Every refusal names the field that was wrong and the limit it broke, so that a command can print one line and stop.
"""

from __future__ import annotations

import tempfile
from pathlib import Path


class TrainingError(Exception):
    """A refusal with a stable code, the field at fault and a sentence for people."""

    code = "training_error"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class CheckpointMismatchError(TrainingError):
    """A checkpoint was written by another stage, preset or shape than the one that wants to load it."""

    code = "checkpoint_mismatch"


class CheckpointMissingError(TrainingError):
    """A stage needs a checkpoint that no earlier stage has written."""

    code = "checkpoint_missing"


class HeldOutSceneError(TrainingError):
    """A scene from a held-out cell reached a training step."""

    code = "held_out_scene"


class UnwritableFolderError(TrainingError):
    """A folder for results cannot be written to."""

    code = "unwritable_folder"


def ensure_writable(folder: Path) -> None:
    """Makes a folder and writes to it once, before work is done whose results would be lost.

    Raises `UnwritableFolderError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as cause:
        raise UnwritableFolderError(f"{folder} cannot be written to: {cause}", field="folder") from cause


class ExportError(TrainingError):
    """An export would break a limit of the published layout."""

    code = "export_failed"
