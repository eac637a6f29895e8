"""Sixteen places to stand in, painted by procedure in the dialect of a drawn style; a variant moves their parts.

The middle is kept calm, for that is where things stand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .oklab import parse_lab
from .painting import Canvas, Point
from .random_stream import RandomStream

HORIZON_GROUND = 0.9
"""Where the feet of a thing stand, as a part of the frame's height."""

GROUND = ("desert", "beach", "meadow", "snow", "city", "forest", "mountains", "rain", "room", "farm", "road", "volcano")
"""Places with a ground; in the others things float."""

AIRBORNE = (
    "airplane", "helicopter", "rocket", "flying-saucer", "balloon", "cloud", "sun", "moon", "star", "planet", "rainbow",
    "butterfly", "bee", "bird", "snowflake", "kite", "heart",
)  # fmt: skip

PREFERRED = {
    **dict.fromkeys(("fish", "octopus", "dolphin", "whale", "shark", "turtle"), ("underwater", "underwater", "beach")),
    **dict.fromkeys(("rocket", "planet", "flying-saucer", "alien", "moon", "star"), ("space", "night-sky")),
    **dict.fromkeys(("cow", "pig", "sheep", "chicken", "chick", "horse", "tractor", "pumpkin"), ("farm", "meadow")),
    **dict.fromkeys(("car", "taxi", "bus", "truck", "fire-truck", "scooter", "bicycle"), ("road", "city")),
    **dict.fromkeys(("fox", "bear", "wolf", "owl", "hedgehog", "mushroom", "raccoon"), ("forest",)),
    **dict.fromkeys(("penguin", "snowman", "christmas-tree"), ("snow",)),
    **dict.fromkeys(("sailboat", "palm-tree", "ice-cream-cone"), ("beach", "sunset")),
    **dict.fromkeys(("chair", "television", "teddy-bear", "book", "laptop", "candle", "gift"), ("room",)),
    **dict.fromkeys(("dinosaur", "dragon"), ("volcano", "mountains")),
    **dict.fromkeys(("cactus", "snake", "flamingo"), ("desert",)),
    **dict.fromkeys(("tent", "pine-tree", "llama"), ("mountains", "forest")),
    **dict.fromkeys(("sunflower", "butterfly", "bee", "rabbit", "ladybug", "tree"), ("meadow",)),
    **dict.fromkeys(("umbrella", "frog", "cloud", "snail"), ("rain",)),
    "crab": ("beach",),
}
"""Where a thing is at home; drawn there more often than by chance."""

_BEHIND = {
    "desert": ("#f6cf8e", "#eab765"), "beach": ("#8fd6f5", "#f5dba0"), "meadow": ("#a5dcf7", "#79c257"),
    "night-sky": ("#1b2350",), "snow": ("#cfe6f7", "#f4f9fd"), "city": ("#9fd0ef", "#7f8ca0"), "space": ("#14122e",),
    "underwater": ("#2a9fd0",), "forest": ("#4c8a52", "#6aa84f"), "mountains": ("#9ccbe9", "#7fae6d"),
    "sunset": ("#fb9a5b", "#f4637e"), "rain": ("#8196ad", "#6c7f76"), "room": ("#f3dcc0", "#c58f5c"),
    "farm": ("#a9dbf3", "#8cc152"), "road": ("#a7d8f2", "#6b7079"), "volcano": ("#f2b38c", "#6d5c56"),
}  # fmt: skip
PLACE_COLOURS = {place: tuple(parse_lab(colour) for colour in colours) for place, colours in _BEHIND.items()}
"""OKLab of what is behind a thing that stands in the place."""


def paint_place(place: str, style: str, variant: int, size: int = 128) -> np.ndarray:
    """uint8 `[size, size, 3]`."""
    canvas = Canvas(size, style)
    _PLACES[place](canvas, RandomStream(f"place/{place}", variant))
    return canvas.pixels()[..., :3]


def _hill(
    canvas: Canvas, random: RandomStream, y: float, height: float, colour: str, waves: float = 1.5, **options: float
) -> None:
    """A rolling edge from side to side, filled down to the bottom."""
    phase, phase2 = random.uniform(0, 6.28), random.uniform(0, 6.28)
    xs = np.linspace(-0.02, 1.02, 60)
    ys = y + height * (0.7 * np.sin(xs * waves * 6.28 + phase) + 0.3 * np.sin(xs * waves * 13 + phase2))
    canvas.polygon([*zip(xs, ys, strict=True), (1.02, 1.05), (-0.02, 1.05)], colour, **options)


def _cloud(canvas: Canvas, x: float, y: float, r: float, colour: str = "#ffffff") -> None:
    canvas.ellipses(
        [
            (x, y, r, r * 0.55),
            (x - r * 0.8, y + r * 0.2, r * 0.6, r * 0.36),
            (x + r * 0.85, y + r * 0.2, r * 0.65, r * 0.36),
        ],
        colour,
        shade=0.5,
        outline=0.5,
        shadow=0.3,
    )


def _clouds(canvas: Canvas, random: RandomStream, colour: str = "#ffffff") -> None:
    _cloud(canvas, random.uniform(0.1, 0.3), random.uniform(0.1, 0.2), random.uniform(0.07, 0.11), colour)
    _cloud(canvas, random.uniform(0.7, 0.92), random.uniform(0.08, 0.24), random.uniform(0.06, 0.1), colour)


def _sun(canvas: Canvas, x: float, y: float, r: float, colour: str = "#ffe15c") -> None:
    canvas.ellipse(x, y, r * 1.35, r * 1.35, colour, shade=0, outline=0, opacity=0.35)
    canvas.ellipse(x, y, r, r, colour, shadow=0, outline=0.6)


def _corner(random: RandomStream) -> float:
    return random.uniform(0.12, 0.24) if random.chance(0.5) else random.uniform(0.76, 0.88)


def _desert(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#7cc4ee", "#fde6bd", 0.7)
    _sun(canvas, _corner(random), random.uniform(0.13, 0.2), 0.08)
    _hill(canvas, random, 0.56, 0.04, "#eec27c", 1.2)
    x = _corner(random)
    for dx, top, side in ((0.0, 0.4, 0), (-0.06, 0.5, -1), (0.06, 0.47, 1)):
        if side:
            canvas.line([(x, 0.57), (x + dx, 0.57), (x + dx, top)], 0.03, "#5b9d57", outline=0.5)
        else:
            canvas.line([(x, 0.7), (x, top)], 0.042, "#5b9d57", outline=0.5)
    _hill(canvas, random, 0.68, 0.045, "#e6b063", 0.9)
    _hill(canvas, random, 0.84, 0.03, "#dba052", 1.1)


def _beach(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#6fc3f2", "#d2f0fb", 0.5)
    _sun(canvas, _corner(random), 0.15, 0.08)
    _clouds(canvas, random)
    canvas.box(-0.1, 0.46, 1.1, 0.8, "#2f9ed6", shadow=0)
    canvas.box(-0.1, 0.46, 1.1, 0.5, "#2789c4", shade=0, outline=0)
    for _ in range(4):
        x, y = random.uniform(0.05, 0.85), random.uniform(0.53, 0.62)
        canvas.line([(x, y), (x + 0.09, y)], 0.012, "#8fd7f2")
    _hill(canvas, random, 0.665, 0.02, "#e9f8fd", 0.8, outline=0)
    _hill(canvas, random, 0.7, 0.02, "#f3d796", 0.8)
    for _ in range(6):
        canvas.ellipse(random.uniform(0, 1), random.uniform(0.8, 0.97), 0.011, 0.008, "#dfbd75", shade=0, outline=0)


def _flowers(canvas: Canvas, random: RandomStream, top: float) -> None:
    for _ in range(9):
        x, y = random.uniform(0.03, 0.97), random.uniform(top, 0.97)
        colour = random.choice(("#ffffff", "#ffd84a", "#ff8fb5"))
        for dx, dy in ((0.012, 0), (-0.012, 0), (0, 0.012), (0, -0.012)):
            canvas.ellipse(x + dx, y + dy, 0.011, 0.011, colour, shade=0, outline=0)
        canvas.ellipse(x, y, 0.009, 0.009, "#f5a623", shade=0, outline=0)


def _meadow(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#79c6f3", "#dff4fd", 0.65)
    _clouds(canvas, random)
    _hill(canvas, random, 0.58, 0.05, "#9bd46c", 0.9)
    _hill(canvas, random, 0.7, 0.035, "#7fc455", 0.8)
    _flowers(canvas, random, 0.76)


def _stars(canvas: Canvas, random: RandomStream, count: int, bottom: float) -> None:
    for _ in range(count):
        r = random.uniform(0.004, 0.011)
        canvas.ellipse(
            random.uniform(0, 1),
            random.uniform(0, bottom),
            r,
            r,
            random.choice(("#ffffff", "#ffffff", "#ffe9a8")),
            shade=0,
            outline=0,
        )


def _night_sky(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#10163a", "#3a4590")
    _stars(canvas, random, 42, 0.88)
    x, y, r = _corner(random), random.uniform(0.15, 0.2), 0.085
    canvas.ellipse(x, y, r, r, "#fdf0b5", shadow=0)
    canvas.ellipse(x + r * 0.3, y - r * 0.2, r * 0.2, r * 0.2, "#e8d68e", shade=0, outline=0)
    canvas.ellipse(x - r * 0.35, y + r * 0.25, r * 0.15, r * 0.15, "#e8d68e", shade=0, outline=0)
    _hill(canvas, random, 0.9, 0.03, "#161a3c", 1.0, shadow=0)


def _pine(canvas: Canvas, x: float, bottom: float, height: float, colour: str, tip: str | None = None) -> None:
    canvas.box(x - height * 0.05, bottom - height * 0.15, x + height * 0.05, bottom, "#7a5236", shadow=0)
    for level in (0, 1, 2):
        low = bottom - height * (0.12 + 0.25 * level)
        half = height * (0.27 - 0.055 * level)
        top = low - height * 0.4
        canvas.polygon([(x - half, low), (x, top), (x + half, low)], colour, shadow=0.5)
        if tip:
            canvas.polygon(
                [(x - half * 0.42, low - height * 0.232), (x, top), (x + half * 0.42, low - height * 0.232)],
                tip,
                shade=0.3,
                outline=0,
            )


def _snow(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#9ccdf0", "#e6f3fb", 0.65)
    _hill(canvas, random, 0.58, 0.05, "#dcebf7", 0.9)
    for x in (random.uniform(0.05, 0.17), random.uniform(0.83, 0.95), random.uniform(0.72, 0.8)):
        _pine(canvas, x, random.uniform(0.66, 0.7), random.uniform(0.26, 0.36), "#4e8f7d", "#f2f9fd")
    _hill(canvas, random, 0.72, 0.03, "#f5fafe", 0.8)
    for _ in range(26):
        r = random.uniform(0.006, 0.013)
        canvas.ellipse(random.uniform(0, 1), random.uniform(0, 0.95), r, r, "#ffffff", shade=0, outline=0)


def _city(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#84c5f0", "#e8f4fb", 0.8)
    _clouds(canvas, random)
    for row, (colours, low, high) in enumerate(
        ((("#a9bdd4", "#b8c8db"), 0.26, 0.5), (("#7088a8", "#8496b4", "#9a7f96"), 0.36, 0.62))
    ):
        x = -0.03 - 0.05 * row
        while x < 1.02:
            width, top = random.uniform(0.12, 0.19), random.uniform(low, high)
            canvas.box(x, top, x + width, 0.95, random.choice(colours), shadow=0.4 * row)
            if row:
                for wx in np.arange(x + 0.025, x + width - 0.03, 0.045):
                    for wy in np.arange(top + 0.035, 0.76, 0.065):
                        if random.chance(0.8):
                            canvas.box(wx, wy, wx + 0.022, wy + 0.032, "#ffe9a0", shade=0, outline=0)
            x += width + 0.008
    canvas.box(-0.1, 0.8, 1.1, 1.1, "#7f8794", shadow=0.5)
    canvas.box(-0.1, 0.8, 1.1, 0.825, "#c9ced6", shade=0, outline=0)


def _space(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#0b0a20", "#241a4d")
    for _ in range(2):
        canvas.ellipse(
            random.uniform(0.1, 0.9),
            random.uniform(0.1, 0.9),
            0.3,
            0.16,
            random.choice(("#5b2a86", "#23457f")),
            shade=0,
            outline=0,
            opacity=0.3,
        )
    _stars(canvas, random, 55, 1.0)
    x, y, r = _corner(random), random.uniform(0.12, 0.2), random.uniform(0.08, 0.105)
    canvas.ellipse(x, y, r, r, random.choice(("#e8865a", "#6cc0c9", "#c98be0")), shadow=0)
    canvas.ellipse(x - r * 0.3, y - r * 0.1, r * 0.22, r * 0.18, "#ffffff", shade=0, outline=0, opacity=0.3)
    x, y, r = 1 - x, random.uniform(0.83, 0.9), random.uniform(0.045, 0.07)
    canvas.ellipse(x, y, r, r, random.choice(("#9aa3b5", "#e5c064")), shadow=0)


def _underwater(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#6fd3ee", "#0f5f9e")
    for _ in range(3):
        x = random.uniform(0.1, 0.9)
        canvas.polygon(
            [(x, -0.02), (x + 0.1, -0.02), (x + 0.02, 0.72), (x - 0.2, 0.72)],
            "#c8f3fb",
            shade=0,
            outline=0,
            opacity=0.16,
        )
    _hill(canvas, random, 0.88, 0.025, "#e3c98a", 1.0)
    for x in (random.uniform(0.05, 0.14), random.uniform(0.16, 0.22), random.uniform(0.82, 0.95)):
        ys = np.linspace(0.93, random.uniform(0.55, 0.68), 14)
        canvas.line(
            [(x + 0.02 * np.sin(y * 26), y) for y in ys], 0.034, random.choice(("#2f9a63", "#3fb573")), outline=0.4
        )
    x = random.uniform(0.7, 0.78)
    for dx in (-0.045, 0.0, 0.045):
        canvas.line([(x, 0.93), (x + dx, 0.82)], 0.026, "#f0697d", outline=0.4)
    for _ in range(12):
        r = random.uniform(0.008, 0.02)
        canvas.ellipse(
            random.uniform(0.03, 0.97), random.uniform(0.05, 0.8), r, r, "#e3fbff", shade=0, outline=0, opacity=0.6
        )


def _tree(canvas: Canvas, x: float, bottom: float, height: float, colour: str) -> None:
    canvas.box(x - height * 0.06, bottom - height * 0.5, x + height * 0.06, bottom, "#7d5638", shadow=0.4)
    r = height * 0.26
    y = bottom - height * 0.66
    canvas.ellipses(
        [
            (x, y - r * 0.5, r, r),
            (x - r * 0.85, y + r * 0.2, r * 0.8, r * 0.75),
            (x + r * 0.85, y + r * 0.2, r * 0.8, r * 0.75),
        ],
        colour,
    )


def _forest(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#bfe6c9", "#e9f6d7", 0.8)
    for x in np.arange(0.02, 1.04, 0.125):
        _pine(canvas, x + random.uniform(-0.03, 0.03), 0.72, random.uniform(0.5, 0.66), "#8cc29a")
    for x in (
        random.uniform(-0.02, 0.06),
        random.uniform(0.16, 0.22),
        random.uniform(0.8, 0.86),
        random.uniform(0.95, 1.02),
    ):
        if random.chance(0.5):
            _pine(canvas, x, 0.8, random.uniform(0.6, 0.74), "#3d8a55")
        else:
            _tree(canvas, x, 0.8, random.uniform(0.55, 0.66), "#57a44a")
    _hill(canvas, random, 0.76, 0.02, "#7fb552", 0.9)
    for _ in range(8):
        x, y = random.uniform(0.02, 0.98), random.uniform(0.84, 0.97)
        canvas.polygon(
            [(x - 0.014, y), (x - 0.006, y - 0.03), (x, y), (x + 0.008, y - 0.026), (x + 0.016, y)],
            "#5f9a3c",
            shade=0,
            outline=0,
        )


def _peak(canvas: Canvas, x: float, top: float, half: float, colour: str, snow: bool = True) -> None:
    canvas.polygon([(x - half, 0.8), (x, top), (x + half, 0.8)], colour)
    if snow:
        k = 0.3
        y = top + (0.8 - top) * k
        canvas.polygon(
            [
                (x - half * k, y),
                (x, top),
                (x + half * k, y),
                (x + half * 0.14, y - 0.025),
                (x, y + 0.02),
                (x - half * 0.14, y - 0.025),
            ],
            "#f7fbff",
            shade=0.4,
            outline=0,
            shadow=0,
        )


def _mountains(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#7fc1ee", "#e4f3fb", 0.75)
    _clouds(canvas, random)
    _peak(canvas, random.uniform(0.1, 0.25), random.uniform(0.26, 0.34), 0.42, "#93a7c4")
    _peak(canvas, random.uniform(0.78, 0.92), random.uniform(0.22, 0.3), 0.44, "#7f94b5")
    _peak(canvas, random.uniform(0.42, 0.58), random.uniform(0.4, 0.46), 0.36, "#6b82a6")
    _hill(canvas, random, 0.74, 0.03, "#83bd62", 0.9)
    for x in (random.uniform(0.03, 0.1), random.uniform(0.88, 0.97)):
        _pine(canvas, x, 0.84, random.uniform(0.18, 0.26), "#3f8457")


def _sunset(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#5b3f92", "#ffb35c", 0.66)
    if canvas.style == "flat":
        for y, colour in ((0.16, "#a04a8c"), (0.32, "#dc5f7c"), (0.46, "#f6875f"), (0.58, "#fdb25b")):
            canvas.box(-0.1, y, 1.1, 1.1, colour)
    x = random.uniform(0.3, 0.7)
    _sun(canvas, x, 0.68, 0.17, "#ffe27a")
    canvas.box(-0.1, 0.7, 1.1, 1.1, "#7a3f86", shadow=0)
    for index in range(6):
        y, half = 0.735 + index * 0.045, random.uniform(0.07, 0.14)
        canvas.line([(x - half, y), (x + half, y)], 0.013, "#ffbf6e")
    _cloud(canvas, _corner(random), random.uniform(0.14, 0.3), 0.08, "#f2879a")


def _rain(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#66788f", "#aebccb", 0.8)
    for x in np.arange(0.02, 1.05, 0.2):
        _cloud(
            canvas, x + random.uniform(-0.04, 0.04), random.uniform(0.04, 0.1), random.uniform(0.11, 0.15), "#8d9bad"
        )
    _hill(canvas, random, 0.8, 0.02, "#6f8a78", 0.8)
    for _ in range(2):
        canvas.ellipse(
            random.uniform(0.1, 0.9),
            random.uniform(0.91, 0.96),
            random.uniform(0.09, 0.14),
            0.025,
            "#9fc3de",
            shade=0.5,
            outline=0.4,
            shadow=0,
        )
    for _ in range(46):
        x, y = random.uniform(-0.02, 1.0), random.uniform(0.14, 0.92)
        canvas.line([(x, y), (x - 0.016, y + 0.055)], 0.011, "#d4ebfa")


def _room(canvas: Canvas, random: RandomStream) -> None:
    wall = random.choice(("#f2d9bd", "#cfe3e8", "#e6d6ea", "#dfe7c8"))
    canvas.box(-0.1, -0.1, 1.1, 1.1, wall, outline=0, shadow=0, shade=0.4)
    canvas.box(-0.1, 0.72, 1.1, 1.1, "#c08a58", shadow=0)
    for y in (0.81, 0.9):
        canvas.line([(-0.05, y), (1.05, y)], 0.007, "#a87445")
    canvas.box(-0.1, 0.695, 1.1, 0.73, "#fbf4ea", shadow=0.4, outline=0.5)
    left = random.chance(0.5)
    x = 0.07 if left else 0.65
    canvas.box(x, 0.12, x + 0.28, 0.47, "#ffffff", radius=0.01)
    canvas.box(x + 0.025, 0.145, x + 0.255, 0.445, "#8fd0f4", shadow=0, outline=0)
    canvas.box(x + 0.13, 0.13, x + 0.15, 0.46, "#ffffff", shade=0, outline=0)
    canvas.box(x + 0.01, 0.285, x + 0.27, 0.305, "#ffffff", shade=0, outline=0)
    x = 0.78 if left else 0.2
    canvas.box(x - 0.09, 0.16, x + 0.09, 0.36, "#9b6b43")
    canvas.box(
        x - 0.068, 0.182, x + 0.068, 0.338, random.choice(("#f4c95d", "#ef8a7a", "#7fbfa0")), shadow=0, outline=0
    )
    canvas.ellipse(0.5, 0.93, 0.42, 0.065, random.choice(("#d9667b", "#5c8fc7", "#5aa58c")), shadow=0.4)


def _farm(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#7cc6f2", "#e6f5fc", 0.7)
    _clouds(canvas, random)
    _hill(canvas, random, 0.6, 0.035, "#a8d46a", 0.9)
    x = random.uniform(0.16, 0.24) if random.chance(0.5) else random.uniform(0.76, 0.84)
    canvas.box(x - 0.13, 0.42, x + 0.13, 0.66, "#cf3f3a")
    canvas.polygon([(x - 0.16, 0.43), (x - 0.1, 0.31), (x, 0.25), (x + 0.1, 0.31), (x + 0.16, 0.43)], "#a52e2e")
    canvas.box(x - 0.06, 0.51, x + 0.06, 0.66, "#fff4e4", shadow=0)
    canvas.line([(x - 0.055, 0.515), (x + 0.055, 0.655)], 0.014, "#cf3f3a")
    canvas.line([(x + 0.055, 0.515), (x - 0.055, 0.655)], 0.014, "#cf3f3a")
    _hill(canvas, random, 0.68, 0.015, "#8cc152", 0.8)
    for y in (0.7, 0.745):
        canvas.box(-0.1, y, 1.1, y + 0.018, "#f8efe0", shadow=0.4, outline=0.5)
    for post in np.arange(0.03, 1.03, 0.16):
        canvas.box(post, 0.66, post + 0.03, 0.79, "#f8efe0", shadow=0.4, outline=0.5)
    _flowers(canvas, random, 0.86)


def _road(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#7ec8f3", "#e3f4fc", 0.65)
    _clouds(canvas, random)
    _hill(canvas, random, 0.55, 0.045, "#97cf72", 0.9)
    for x in (random.uniform(0.05, 0.14), random.uniform(0.86, 0.95)):
        _tree(canvas, x, 0.7, random.uniform(0.24, 0.32), "#4f9f4d")
    _hill(canvas, random, 0.67, 0.008, "#7dbd59", 0.6)
    canvas.box(-0.1, 0.76, 1.1, 1.1, "#666b75", shadow=0.4)
    canvas.box(-0.1, 0.76, 1.1, 0.778, "#e8e8e4", shade=0, outline=0)
    start = random.uniform(-0.1, 0.05)
    for x in np.arange(start, 1.05, 0.24):
        canvas.box(x, 0.925, x + 0.14, 0.945, "#ffd84d", shade=0, outline=0)


def _volcano(canvas: Canvas, random: RandomStream) -> None:
    canvas.gradient("#8e6a9e", "#ffc58a", 0.75)
    x = random.uniform(0.3, 0.38) if random.chance(0.5) else random.uniform(0.62, 0.7)
    for index in range(4):
        dx, r = random.uniform(-0.05, 0.05), 0.06 + 0.025 * index
        canvas.ellipse(x + dx, 0.2 - 0.055 * index, r, r * 0.8, "#6d6473", outline=0.4, shadow=0.3)
    canvas.polygon([(x - 0.52, 0.8), (x - 0.1, 0.26), (x + 0.1, 0.26), (x + 0.52, 0.8)], "#715a58")
    lava: list[Point] = [
        (x - 0.1, 0.26),
        (x + 0.1, 0.26),
        (x + 0.13, 0.36),
        (x + 0.075, 0.34),
        (x + 0.06, 0.52),
        (x + 0.015, 0.4),
        (x - 0.03, 0.46),
        (x - 0.06, 0.34),
        (x - 0.125, 0.38),
    ]
    canvas.polygon(lava, "#ff6a2b", outline=0.6, shadow=0)
    canvas.ellipse(x, 0.26, 0.1, 0.022, "#ffc247", shade=0, outline=0)
    for _ in range(7):
        r = random.uniform(0.01, 0.018)
        canvas.ellipse(x + random.uniform(-0.2, 0.2), random.uniform(0.04, 0.2), r, r, "#ff8a3d", shade=0, outline=0)
    _hill(canvas, random, 0.75, 0.025, "#5c4d4a", 1.0)


_PLACES: dict[str, Callable[[Canvas, RandomStream], None]] = {
    "desert": _desert, "beach": _beach, "meadow": _meadow, "night-sky": _night_sky, "snow": _snow, "city": _city,
    "space": _space, "underwater": _underwater, "forest": _forest, "mountains": _mountains, "sunset": _sunset,
    "rain": _rain, "room": _room, "farm": _farm, "road": _road, "volcano": _volcano,
}  # fmt: skip
