"""What a run shows while it runs: a bar, a CSV of its curve and sheets of pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from tqdm import tqdm


class RunLog:
    """One line per report in `<stage>-curve.csv`; appended to when a run is resumed."""

    def __init__(self, folder: Path, stage: str, *, quiet: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{stage}-curve.csv"
        self._bar = tqdm(
            total=1000, desc=stage, disable=quiet, mininterval=5, bar_format="{l_bar}{bar}| {elapsed} {postfix}"
        )

    def report(self, step: int, samples: int, seconds: float, progress: float, values: dict[str, float]) -> None:
        row = {
            "step": step,
            "samples": samples,
            "seconds": round(seconds, 1),
            **{k: round(v, 5) for k, v in values.items()},
        }
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        self._bar.set_postfix({"step": step, **{k: f"{v:.4g}" for k, v in values.items()}}, refresh=False)
        self._bar.update(int(1000 * min(1.0, progress)) - self._bar.n)

    def close(self) -> None:
        self._bar.close()


def to_pictures(pictures: Tensor) -> Tensor:
    """[-1, 1] RGB or RGBA, [B, C, H, W] -> uint8 RGB [B, H, W, 3], rounding half to even as the runtime does."""
    return ((pictures[:, :3].float() / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)


def write_sheet(path: Path, pictures: Tensor, *, columns: int = 8, labels: list[str] | None = None) -> None:
    """Lays pictures ([B, C, H, W] in [-1, 1]) out in rows, in the order given, with a line of text under each if labelled."""
    tiles = to_pictures(pictures)
    height, width = tiles.shape[1:3]
    caption = 24 if labels else 0
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + caption)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, tile in enumerate(tiles):
        x, y = index % columns * width, index // columns * (height + caption)
        sheet.paste(Image.fromarray(tile.numpy()), (x, y))
        if labels:
            for line, start in enumerate((0, 21)):
                draw.text((x + 2, y + height + 11 * line), labels[index][start : start + 21], fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def read_curve(path: Path) -> dict[str, list[float]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: [float(row[key]) for row in rows] for key in rows[0]} if rows else {}


def plot_curves(path: Path, panels: list[tuple[str, Path, str]]) -> None:
    """One panel per (title, CSV, column): the reports as dots and a running mean over them, against samples seen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.4), squeeze=False)
    for axis, (title, csv_path, column) in zip(axes[0], panels, strict=True):
        curve = read_curve(csv_path)
        values = torch.tensor(curve[column])
        smooth, mean = [], values[0].item()
        for value in values.tolist():
            mean = 0.9 * mean + 0.1 * value
            smooth.append(mean)
        axis.plot(curve["samples"], values, ".", markersize=2, alpha=0.35)
        axis.plot(curve["samples"], smooth, linewidth=1.5)
        axis.set(title=title, xlabel="samples", ylabel=column, yscale="log")
        axis.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
