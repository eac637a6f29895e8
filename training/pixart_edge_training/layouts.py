"""Where several things stand: copies of one, and two in a relation. Nothing overlaps unless a relation says so."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .random_stream import RandomStream

Centre = tuple[float, float]

MARGIN = 0.02  # of the frame, on every side

SIDE_BY_SIDE = ("left-of", "right-of", "next-to")

ARRANGEMENTS: dict[int, tuple[tuple[Centre, ...], ...]] = {
    1: (((0.5, 0.5),),),
    2: (((0.26, 0.5), (0.74, 0.5)), ((0.27, 0.3), (0.73, 0.7)), ((0.27, 0.7), (0.73, 0.3))),
    3: (
        ((0.5, 0.27), (0.26, 0.73), (0.74, 0.73)),
        ((0.26, 0.27), (0.74, 0.27), (0.5, 0.73)),
        ((0.18, 0.5), (0.5, 0.5), (0.82, 0.5)),
    ),
    4: (((0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)), ((0.5, 0.2), (0.2, 0.5), (0.8, 0.5), (0.5, 0.8))),
    5: (
        ((0.2, 0.2), (0.8, 0.2), (0.5, 0.5), (0.2, 0.8), (0.8, 0.8)),
        ((0.18, 0.3), (0.5, 0.3), (0.82, 0.3), (0.32, 0.7), (0.68, 0.7)),
        ((0.32, 0.3), (0.68, 0.3), (0.18, 0.7), (0.5, 0.7), (0.82, 0.7)),
    ),
    6: (
        ((0.18, 0.3), (0.5, 0.3), (0.82, 0.3), (0.18, 0.7), (0.5, 0.7), (0.82, 0.7)),
        ((0.3, 0.18), (0.7, 0.18), (0.3, 0.5), (0.7, 0.5), (0.3, 0.82), (0.7, 0.82)),
    ),
}
"""Centres by number, in reading order; every arrangement leaves a square around each."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for one thing: centre and longest side as parts of the frame, tilt in degrees clockwise."""

    x: float
    y: float
    size: float
    tilt: float


def spread(tilt: float) -> float:
    """How much wider a square gets when it is tilted by so many degrees."""
    angle = math.radians(abs(tilt))
    return math.cos(angle) + math.sin(angle)


def side_of(centres: tuple[Centre, ...]) -> float:
    """Side of the largest squares around the centres that neither touch one another nor leave the frame."""
    room = min(2 * min(x, y, 1 - x, 1 - y) for x, y in centres) - 2 * MARGIN
    apart = [max(abs(x - u), abs(y - v)) for i, (x, y) in enumerate(centres) for u, v in centres[i + 1 :]]
    return min([room, *apart])


def copies(random: RandomStream, count: int) -> list[Seat]:
    """Seats of equal size, each tilted and moved a little inside its own square."""
    centres = random.choice(ARRANGEMENTS[count])
    cell = side_of(centres) if count > 1 else 0.9
    size = cell * random.uniform(0.84, 0.93)
    seats = []
    for x, y in centres:
        tilt = random.uniform(-7.0, 7.0)
        room = max(0.0, (cell - size * spread(tilt)) / 2)
        side = size if room > 0 else cell / spread(tilt)
        seats.append(Seat(x + random.uniform(-room, room), y + random.uniform(-room, room), side, tilt))
    return seats


@dataclass(frozen=True, slots=True)
class Extent:
    """Half the width and half the height of a drawing, as parts of its longest side."""

    x: float
    y: float


def pair(random: RandomStream, relation: str, first: Extent, second: Extent) -> tuple[Seat, Seat]:
    """Seats of two things, the first in `relation` to the second. Upright, or nearly so."""
    if relation in SIDE_BY_SIDE:
        return _side_by_side(random, relation)
    if relation in ("above", "below"):
        return _stacked(random, relation)
    if relation == "on-top-of":
        return _on_top(random, first, second)
    return _overlapping(random, relation)


def _side_by_side(random: RandomStream, relation: str) -> tuple[Seat, Seat]:
    sizes = [random.uniform(0.39, 0.455) for _ in range(2)]
    lift = random.uniform(-0.03, 0.03)
    seats = [
        Seat(0.26 + 0.48 * index, 0.5 + (lift if index else -lift), size, random.uniform(-3.0, 3.0))
        for index, size in enumerate(sizes)
    ]
    left_first = relation == "left-of" or (relation == "next-to" and random.chance(0.5))
    return (seats[0], seats[1]) if left_first else (seats[1], seats[0])


def _stacked(random: RandomStream, relation: str) -> tuple[Seat, Seat]:
    sizes = [random.uniform(0.39, 0.455) for _ in range(2)]
    lean = random.uniform(-0.03, 0.03)
    upper, lower = (
        Seat(0.5 + (lean if index else -lean), 0.26 + 0.48 * index, size, random.uniform(-3.0, 3.0))
        for index, size in enumerate(sizes)
    )
    return (upper, lower) if relation == "above" else (lower, upper)


def _on_top(random: RandomStream, first: Extent, second: Extent) -> tuple[Seat, Seat]:
    """The first stands on the second, a little into its rounded top; the two together fill the frame's height."""
    low = random.uniform(0.5, 0.58)
    high = random.uniform(0.38, 0.44)
    height = 2 * low * second.y + 2 * high * first.y
    scale = min(1.0, 0.93 / height)
    low, high, height = low * scale, high * scale, height * scale
    bottom = 0.5 + height / 2
    lower = Seat(0.5 + random.uniform(-0.03, 0.03), bottom - low * second.y, low, 0.0)
    sunk = 0.06 * low
    upper = Seat(lower.x, bottom - 2 * low * second.y - high * first.y + sunk, high, 0.0)
    return upper, lower


def _overlapping(random: RandomStream, relation: str) -> tuple[Seat, Seat]:
    """The one behind is larger and looks out by more than half."""
    side = -1 if random.chance(0.5) else 1
    front = Seat(0.5 - side * random.uniform(0.17, 0.21), 0.7, random.uniform(0.42, 0.47), 0.0)
    back = Seat(0.5 + side * random.uniform(0.1, 0.13), 0.39, random.uniform(0.6, 0.66), 0.0)
    return (front, back) if relation == "in-front-of" else (back, front)
