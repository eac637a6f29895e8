"""What a head can wear, drawn once per dialect. Each drawing fills 148 of its 160 pixels along its longer side."""

from __future__ import annotations

import numpy as np

from .painting import Canvas

LOW, HIGH = 6 / 160, 154 / 160
WIDE = HIGH - LOW


def draw_accessory(accessory: str, style: str, size: int = 160) -> np.ndarray:
    """uint8 `[size, size, 4]`, straight alpha."""
    canvas = Canvas(size, style)
    _ACCESSORIES[accessory](canvas)
    return canvas.pixels()


def _sunglasses(canvas: Canvas) -> None:
    # Lens centres lie 1/1.95 of the width apart, as `anchors.accessory_spot` expects.
    for x in (0.263, 0.737):
        canvas.box(x - 0.215, 0.35, x + 0.215, 0.65, "#17171d", radius=0.11, shadow=0.5)
        canvas.line([(x - 0.11, 0.55), (x + 0.01, 0.43)], 0.035, "#7e8aa6")
    canvas.box(LOW, 0.34, HIGH, 0.41, "#17171d", radius=0.03, shade=0, outline=0)


def _glasses(canvas: Canvas) -> None:
    for x in (0.263, 0.737):
        canvas.ellipse(x, 0.5, 0.21, 0.21, "#dff1ff", shade=0, outline=0, opacity=0.45)
        canvas.arc(x, 0.5, 0.195, 0.195, 0, 360, 0.05, "#33272a")
    canvas.arc(0.5, 0.5, 0.06, 0.05, 190, 350, 0.045, "#33272a")


def _top_hat(canvas: Canvas) -> None:
    canvas.ellipse(0.5, 0.8, WIDE / 2, 0.105, "#26242e")
    canvas.polygon([(0.24, 0.8), (0.2, 0.16), (0.8, 0.16), (0.76, 0.8)], "#2e2b38", shadow=0)
    canvas.ellipse(0.5, 0.8, 0.26, 0.075, "#2e2b38", shadow=0, outline=0, shade=0)
    canvas.polygon([(0.235, 0.76), (0.226, 0.6), (0.774, 0.6), (0.765, 0.76), (0.5, 0.82)], "#d5333f", shadow=0)
    canvas.ellipse(0.5, 0.16, 0.3, 0.06, "#45414f", shadow=0)


def _crown(canvas: Canvas) -> None:
    points = [(0.08, 0.8), (LOW, 0.3), (0.27, 0.52), (0.5, 0.2), (0.73, 0.52), (HIGH, 0.3), (0.92, 0.8)]
    canvas.polygon(points, "#ffc629")
    canvas.box(0.075, 0.68, 0.925, 0.84, "#f2a712", radius=0.03, shadow=0)
    for x, colour in ((0.24, "#e2364b"), (0.5, "#2f7ee6"), (0.76, "#e2364b")):
        canvas.ellipse(x, 0.76, 0.055, 0.055, colour, shadow=0)
    for x, y in ((LOW + 0.035, 0.3), (0.5, 0.2), (HIGH - 0.035, 0.3)):
        canvas.ellipse(x, y, 0.05, 0.05, "#ffd95a", shadow=0)


def _party_hat(canvas: Canvas) -> None:
    canvas.polygon([(0.18, HIGH - 0.04), (0.5, 0.12), (0.82, HIGH - 0.04)], "#8a4fd6")
    stripes = (
        ((0.31, 0.62), (0.69, 0.62), (0.74, 0.74), (0.26, 0.74)),
        ((0.41, 0.36), (0.59, 0.36), (0.64, 0.48), (0.36, 0.48)),
    )
    for stripe in stripes:
        canvas.polygon(stripe, "#ffd23e", shade=0, outline=0)
    canvas.ellipse(0.5, HIGH - 0.05, 0.32, 0.05, "#ff6fa8", shadow=0)
    canvas.ellipse(0.5, 0.12, 0.085, 0.085, "#ff6fa8", shadow=0)


def _cap(canvas: Canvas) -> None:
    angles = np.radians(np.linspace(180, 360, 40))
    canvas.polygon([(0.5 + 0.36 * np.cos(a), 0.66 + 0.42 * np.sin(a)) for a in angles], "#2f86e8")
    canvas.arc(0.5, 0.66, 0.14, 0.42, 180, 360, 0.014, "#1f62b8")
    canvas.ellipse(0.5, 0.245, 0.05, 0.03, "#1f62b8", shadow=0)
    front = [(0.5 + WIDE / 2 * np.cos(a), 0.68 + 0.15 * np.sin(a)) for a in np.radians(np.linspace(0, 180, 40))]
    back = [(0.5 + 0.37 * np.cos(a), 0.64 + 0.05 * np.sin(a)) for a in np.radians(np.linspace(180, 0, 40))]
    canvas.polygon([*front, *back], "#1b56a3")


def _bow(canvas: Canvas) -> None:
    _ribbon(canvas, "#ff5f9e", "#e23d80")


def _bow_tie(canvas: Canvas) -> None:
    _ribbon(canvas, "#e53a45", "#b9222e")


def _ribbon(canvas: Canvas, colour: str, knot: str) -> None:
    for side in (-1, 1):
        edge = 0.5 + side * WIDE / 2
        canvas.polygon(
            [
                (0.5, 0.47),
                (edge - side * 0.06, 0.22),
                (edge, 0.3),
                (edge, 0.7),
                (edge - side * 0.06, 0.78),
                (0.5, 0.53),
            ],
            colour,
        )
    canvas.box(0.41, 0.38, 0.59, 0.62, knot, radius=0.06, shadow=0.6)


def _scarf(canvas: Canvas) -> None:
    canvas.polygon([(0.56, 0.5), (0.76, 0.47), (0.82, 0.9), (0.6, 0.94)], "#c92c3a")
    for y in (0.66, 0.8):
        canvas.line([(0.6, y), (0.79, y - 0.03)], 0.045, "#ffe9c9")
    angles = np.radians(np.linspace(0, 180, 40))
    band = [(0.5 + WIDE / 2 * np.cos(a), 0.4 + 0.2 * np.sin(a)) for a in angles]
    upper = [(0.5 + 0.4 * np.cos(a), 0.29 + 0.12 * np.sin(a)) for a in reversed(angles)]
    canvas.polygon([*band, *upper], "#e0404c")


_ACCESSORIES = {
    "sunglasses": _sunglasses,
    "glasses": _glasses,
    "top-hat": _top_hat,
    "crown": _crown,
    "party-hat": _party_hat,
    "cap": _cap,
    "bow": _bow,
    "bow-tie": _bow_tie,
    "scarf": _scarf,
}
