"""Faces for faceless things: ten moods, drawn once per dialect and laid over a thing's largest inscribed circle."""

from __future__ import annotations

import numpy as np

from .painting import Canvas

INK = "#2b2024"
WHITE = "#ffffff"
TEAR = "#53b7f5"
BLUSH = "#ff7d8f"
TONGUE = "#f0566f"
MOUTH = "#7c1f2c"
HEART = "#ef2b4d"

LEFT, RIGHT, EYES = 0.315, 0.685, 0.4


def draw_face(mood: str, style: str, size: int = 160) -> np.ndarray:
    """uint8 `[size, size, 4]`, straight alpha; the face of `mood` over a circle that fills the square."""
    canvas = Canvas(size, style)
    _FACES[mood](canvas)
    return canvas.pixels()


def _eye(canvas: Canvas, x: float, y: float = EYES, r: float = 0.088) -> None:
    canvas.ellipse(x, y, r * 0.86, r * 1.22, INK, outline=0, shadow=0)
    canvas.ellipse(x + r * 0.26, y - r * 0.5, r * 0.34, r * 0.4, WHITE, shade=0, outline=0)


def _wide_eye(canvas: Canvas, x: float, pupil: float, y: float = EYES, r: float = 0.128) -> None:
    canvas.ellipse(x, y, r, r * 1.1, INK, outline=0, shadow=0)
    canvas.ellipse(x, y, r * 0.8, r * 0.9, WHITE, shade=0, outline=0)
    canvas.ellipse(x, y, pupil, pupil, INK, shade=0, outline=0)


def _brow(canvas: Canvas, x: float, inner: float, outer: float, width: float = 0.05) -> None:
    """A brow over the eye at x, its inner end at y `inner` and its outer end at y `outer`."""
    toward = 0.11 if x < 0.5 else -0.11
    canvas.line([(x - toward, outer), (x + toward, inner)], width, INK)


def _smile(canvas: Canvas, y: float = 0.55, rx: float = 0.2, ry: float = 0.17) -> None:
    canvas.arc(0.5, y, rx, ry, 15, 165, 0.05, INK)


def _open_smile(canvas: Canvas) -> None:
    angles = np.radians(np.linspace(0, 180, 30))
    rim = [(0.5 + 0.2 * np.cos(a), 0.575 + 0.215 * np.sin(a)) for a in angles]
    canvas.polygon([(0.3, 0.565), *reversed(rim), (0.7, 0.565)], MOUTH, shade=0, outline=0)
    canvas.ellipse(0.5, 0.725, 0.105, 0.058, TONGUE, shade=0, outline=0)


def _frown(canvas: Canvas, y: float = 0.74, rx: float = 0.16, ry: float = 0.13) -> None:
    canvas.arc(0.5, y, rx, ry, 200, 340, 0.05, INK)


def _blush(canvas: Canvas) -> None:
    for x in (0.19, 0.81):
        canvas.ellipse(x, 0.575, 0.075, 0.05, BLUSH, shade=0, outline=0, opacity=0.75)


def _heart(canvas: Canvas, x: float, y: float, r: float, colour: str = HEART) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    xs = 16 * np.sin(t) ** 3 / 17 * r
    ys = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 17 * r
    canvas.polygon(list(zip(x + xs, y + ys, strict=True)), colour, shadow=0, outline=0.8)


def _happy(canvas: Canvas) -> None:
    _blush(canvas)
    for x in (LEFT, RIGHT):
        _eye(canvas, x)
    _open_smile(canvas)


def _sad(canvas: Canvas) -> None:
    for x in (LEFT, RIGHT):
        _eye(canvas, x, EYES + 0.03)
        _brow(canvas, x, 0.21, 0.29)
    _frown(canvas)


def _angry(canvas: Canvas) -> None:
    for x in (LEFT, RIGHT):
        _eye(canvas, x, EYES + 0.05)
        _brow(canvas, x, 0.33, 0.2, 0.075)
    canvas.arc(0.5, 0.78, 0.17, 0.13, 205, 335, 0.055, INK)


def _surprised(canvas: Canvas) -> None:
    for x in (LEFT, RIGHT):
        _wide_eye(canvas, x, 0.05)
        canvas.arc(x, 0.245, 0.1, 0.07, 205, 335, 0.042, INK)
    canvas.ellipse(0.5, 0.715, 0.095, 0.125, MOUTH, shade=0, outline=0)


def _sleepy(canvas: Canvas) -> None:
    for x in (LEFT, RIGHT):
        canvas.arc(x, EYES, 0.11, 0.075, 10, 170, 0.05, INK)
    canvas.ellipse(0.5, 0.68, 0.06, 0.05, MOUTH, shade=0, outline=0)
    for x, y, r in ((0.74, 0.2, 0.062), (0.89, 0.08, 0.048)):
        corners = [(x - r, y - r), (x + r, y - r), (x - r, y + r), (x + r, y + r)]
        canvas.line(corners, 0.062, WHITE)
        canvas.line(corners, 0.034, "#3a5bd0")


def _winking(canvas: Canvas) -> None:
    _blush(canvas)
    _eye(canvas, LEFT)
    canvas.arc(RIGHT, EYES + 0.05, 0.11, 0.08, 195, 345, 0.052, INK)
    canvas.arc(0.5, 0.54, 0.2, 0.19, 15, 165, 0.05, INK)
    canvas.ellipse(0.57, 0.755, 0.075, 0.085, TONGUE, outline=0.8, shadow=0)


def _crying(canvas: Canvas) -> None:
    for x in (LEFT, RIGHT):
        canvas.box(x - 0.06, EYES + 0.03, x + 0.06, 0.9, TEAR, radius=0.06, shadow=0)
        canvas.arc(x, EYES, 0.11, 0.07, 10, 170, 0.05, INK)
        _brow(canvas, x, 0.23, 0.3)
    canvas.ellipse(0.5, 0.71, 0.1, 0.09, MOUTH, shade=0, outline=0)
    canvas.ellipse(0.5, 0.75, 0.06, 0.035, TONGUE, shade=0, outline=0)


def _in_love(canvas: Canvas) -> None:
    for x in (LEFT, RIGHT):
        _heart(canvas, x, EYES, 0.2, WHITE)
        _heart(canvas, x, EYES, 0.16)
    _open_smile(canvas)


def _scared(canvas: Canvas) -> None:
    for x in (LEFT, RIGHT):
        _wide_eye(canvas, x, 0.032)
        _brow(canvas, x, 0.16, 0.22, 0.042)
    xs = np.linspace(0.32, 0.68, 25)
    canvas.line([(x, 0.7 + 0.035 * np.sin((x - 0.32) / 0.36 * 6 * np.pi)) for x in xs], 0.05, INK)
    canvas.ellipse(0.9, 0.34, 0.055, 0.075, TEAR, shadow=0)
    canvas.polygon([(0.855, 0.31), (0.9, 0.18), (0.945, 0.31)], TEAR, shade=0, outline=0)


def _cool(canvas: Canvas) -> None:
    for x in (LEFT, RIGHT):
        canvas.box(x - 0.165, 0.3, x + 0.165, 0.52, "#16161c", radius=0.08, shadow=0)
        canvas.line([(x - 0.08, 0.45), (x + 0.02, 0.35)], 0.03, "#8f9bb3")
    canvas.box(0.1, 0.29, 0.9, 0.345, "#16161c", radius=0.02, shade=0, outline=0)
    canvas.arc(0.54, 0.55, 0.17, 0.17, 20, 130, 0.05, INK)


_FACES = {
    "happy": _happy,
    "sad": _sad,
    "angry": _angry,
    "surprised": _surprised,
    "sleepy": _sleepy,
    "winking": _winking,
    "crying": _crying,
    "in-love": _in_love,
    "scared": _scared,
    "cool": _cool,
}
