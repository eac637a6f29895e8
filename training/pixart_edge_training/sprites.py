"""Every sprite in every colour as one uint8 tensor, decoded and recoloured once and kept on disk."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .catalogue import Catalogue, PackError, load_catalogue
from .errors import ensure_writable
from .recolour import recolour

CACHE_FORMAT = 2
"""Raised whenever decoding or recolouring changes, so that older caches are not read."""

Key = tuple[str, str, str | None]


@dataclass(frozen=True)
class SpriteBank:
    """Sprites by (concept, style, colour); colour None is the drawing's own."""

    catalogue: Catalogue
    pixels: Tensor  # uint8 [N, 4, side, side], premultiplied by alpha
    index: dict[Key, int]


def load_sprites(pack_dir: Path | str, cache_dir: Path | str | None = None) -> SpriteBank:
    """Checks the pack and loads its sprites; makes the cache beside it the first time (minutes).

    Raises `PackError` or `LicenceError` before any work when the pack is not as it must be, and
    `UnwritableFolderError` when the cache has nowhere to go.
    """
    pack_dir = Path(pack_dir)
    catalogue = load_catalogue(pack_dir)
    keys = sprite_keys(catalogue)
    cache_dir = Path(cache_dir) if cache_dir else pack_dir.parent / "cache"
    path = cache_dir / f"sprites-{_cache_name(catalogue, pack_dir)}.npy"
    shape = (len(keys), 4, catalogue.side, catalogue.side)
    if not path.is_file():
        ensure_writable(cache_dir)
        pack = (pack_dir / "sprites.pack").read_bytes()
        partial = path.with_suffix(f".{os.getpid()}.partial")
        with _one_thread():
            _fill(np.lib.format.open_memmap(partial, "w+", np.uint8, shape), catalogue, pack, keys)
        partial.replace(path)
    pixels = np.load(path, mmap_mode="c")
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise PackError(f"{path} holds {pixels.dtype} {pixels.shape}, expected uint8 {shape}")
    return SpriteBank(catalogue, torch.from_numpy(pixels), {key: i for i, key in enumerate(keys)})


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small tensors go faster on one thread; on busy cores by far, since no thread waits for another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sprite_keys(catalogue: Catalogue) -> list[Key]:
    """All sprites of a catalogue in the order of the cache."""
    keys: list[Key] = []
    for concept in catalogue.concepts:
        for style in catalogue.styles:
            sprite = concept.sprites[style]
            keys.append((concept.id, style, None))
            if sprite.recolour is None:
                continue
            colours = [name for name in catalogue.object_colours if name != sprite.natural]
            keys.extend((concept.id, style, name) for name in colours)
    return keys


def _cache_name(catalogue: Catalogue, pack_dir: Path) -> str:
    digest = hashlib.sha256(f"{CACHE_FORMAT} {catalogue.digest} ".encode())
    digest.update((pack_dir / "concepts.json").read_bytes())
    return digest.hexdigest()[:16]


def _fill(pixels: np.memmap, catalogue: Catalogue, pack: bytes, keys: list[Key]) -> None:
    concepts = {concept.id: concept for concept in catalogue.concepts}
    decoded = visible = None
    for i, (concept_id, style, colour) in enumerate(keys):
        sprite = concepts[concept_id].sprites[style]
        if colour is None:
            webp = pack[sprite.offset : sprite.offset + sprite.length]
            decoded = _decode(webp, catalogue.side, f"{concept_id} ({style})")
            visible = decoded[..., 3] > 0
        assert decoded is not None and visible is not None
        coloured = decoded
        if colour is not None:
            coloured = decoded.clone()
            moved = recolour(decoded[visible][:, :3], sprite, colour, catalogue.palette[colour])
            coloured[visible] = torch.cat([moved, decoded[visible][:, 3:]], dim=-1)
        premultiplied = torch.cat([coloured[..., :3] * coloured[..., 3:], coloured[..., 3:]], dim=-1)
        pixels[i] = (premultiplied * 255).round().to(torch.uint8).permute(2, 0, 1).numpy()


def _decode(webp: bytes, side: int, label: str) -> Tensor:
    """float `[side, side, 4]` in [0, 1], straight alpha."""
    try:
        image = Image.open(io.BytesIO(webp)).convert("RGBA")
    except OSError as cause:
        raise PackError(f"sprite {label} cannot be decoded") from cause
    if image.size != (side, side):
        raise PackError(f"sprite {label} is {image.size}, expected {side} × {side}")
    return torch.from_numpy(np.array(image)).float() / 255
