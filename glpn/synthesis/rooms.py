"""A room: floor, ceiling, four walls with openings, furniture along them and in the middle, light."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import furniture
from .dice import Dice
from .materials import TextureBank
from .scene import Ambient, Draft, Frame, Light, Scene
from .shapes import rotation_x

WALL_KINDS = {"wall": 0.83, "tile": 0.05, "brick": 0.03, "fabric": 0.03, "cloudy": 0.03, "wood": 0.03}
FLOOR_KINDS = {"wood": 0.38, "tile": 0.2, "plain": 0.2, "fabric": 0.12, "cloudy": 0.06, "wall": 0.04}
Maker = Callable[[Frame], object]
PANELS = ("wood", "wall", "plain")


@dataclass(frozen=True)
class Piece:
    """Furniture for a wall: its maker, how often, and the space that it takes."""

    make: Maker
    weight: float
    width: float
    depth: float


ALONG_WALLS = (
    Piece(furniture.cabinet, 0.22, 1.0, 0.5),
    Piece(furniture.shelf, 0.17, 1.1, 0.35),
    Piece(furniture.desk, 0.15, 1.4, 0.7),
    Piece(furniture.sofa, 0.12, 1.7, 0.9),
    Piece(furniture.odds_and_ends, 0.1, 0.6, 0.6),
    Piece(furniture.bed, 0.07, 1.5, 2.1),
    Piece(furniture.table, 0.07, 1.2, 0.8),
    Piece(furniture.chair, 0.06, 0.6, 0.6),
    Piece(furniture.floor_lamp, 0.04, 0.6, 0.6),
    Piece(furniture.cot, 0.03, 1.3, 0.7),
    Piece(furniture.stairs, 0.03, 3.0, 1.0),
)
IN_THE_MIDDLE: dict[Maker, float] = {
    furniture.dining_group: 0.36,
    furniture.partition: 0.03,
    furniture.company: 0.04,
    furniture.odds_and_ends: 0.16,
    furniture.chair: 0.14,
    furniture.table: 0.1,
    furniture.sofa: 0.09,
    furniture.person: 0.08,
    furniture.cabinet: 0.04,
    furniture.floor_lamp: 0.03,
}
IN_OFFICES: dict[Maker, float] = {
    furniture.desk_island: 0.5,
    furniture.dining_group: 0.15,
    furniture.partition: 0.12,
    furniture.sofa: 0.06,
    furniture.shelf: 0.05,
    furniture.company: 0.06,
    furniture.odds_and_ends: 0.06,
}
IN_HALLS: dict[Maker, float] = {
    furniture.dining_group: 0.3,
    furniture.company: 0.17,
    furniture.desk_island: 0.15,
    furniture.partition: 0.12,
    furniture.sofa: 0.08,
    furniture.odds_and_ends: 0.08,
    furniture.person: 0.06,
    furniture.shelf: 0.04,
}
NEXT_DOOR: tuple[Maker, ...] = (
    furniture.chair,
    furniture.odds_and_ends,
    furniture.table,
    furniture.cabinet,
    furniture.shelf,
)


@dataclass(frozen=True, eq=False)
class Wall:
    """One wall: its frame (origin at the foot's middle, +y into the room) and its length."""

    frame: Frame
    length: float

    def somewhere(self, margin: float) -> float:
        """An x along the wall, `margin` away from its ends if the wall is that long."""
        room = max(self.length / 2 - margin, 0)
        return self.frame.dice.uniform(-room, room)


@dataclass(frozen=True)
class Flight:
    """Stairs down: how many steps, how high and how deep each is, in metres."""

    steps: int
    rise: float
    tread: float

    @classmethod
    def random(cls, dice: Dice) -> "Flight":
        return cls(dice.integer(8, 15), dice.uniform(0.16, 0.2), dice.uniform(0.22, 0.3))

    @property
    def run(self) -> float:
        return self.steps * self.tread

    @property
    def drop(self) -> float:
        return self.steps * self.rise


@dataclass(frozen=True)
class Plan:
    """The size of a room in metres, how full it is (0 to 1), and what is in its middle."""

    kind: str
    width: float
    length: float
    height: float
    density: float
    middle: dict[Maker, float]
    flight: Flight | None = None

    @classmethod
    def random(cls, dice: Dice) -> "Plan":
        match kind := dice.pick(ROOM_KINDS):
            case "corridor":
                flight = Flight.random(dice) if dice.chance(0.3) else None
                length = flight.run + dice.uniform(2.2, 5) if flight else dice.log_uniform(3.5, 18)
                size = (dice.uniform(1, 2.4), length, dice.uniform(2.25, 3.3))
                return cls(kind, *size, dice.uniform(0.03, 0.25), {}, flight)
            case "hall":
                size = (dice.log_uniform(6, 16), dice.log_uniform(7, 20), dice.uniform(2.8, 6))
                return cls(kind, *size, dice.uniform(0.15, 0.7), IN_HALLS)
            case "office":
                size = (dice.log_uniform(3.5, 10), dice.log_uniform(4, 12), dice.uniform(2.4, 3.4))
                return cls(kind, *size, dice.uniform(0.25, 1), IN_OFFICES)
        size = (dice.log_uniform(2.4, 8), dice.log_uniform(2.6, 9), dice.log_uniform(2.2, 3.6))
        return cls(kind, *size, dice.uniform(0.25, 1), IN_THE_MIDDLE)


ROOM_KINDS = {"room": 0.54, "office": 0.17, "hall": 0.16, "corridor": 0.13}


def build_room(dice: Dice, bank: TextureBank, *, still_lifes: int = 0) -> Scene:
    """Build a living room, an office, a hall of up to 16 by 20 by 6 metres, or a corridor, with or without stairs.

    `still_lifes` is the number of patches of floor with a few small things that close-ups can look at.
    """
    draft = Draft(dice, bank)
    center = Frame.world(draft)
    plan = Plan.random(dice)
    width, length, height = plan.width, plan.length, plan.height
    by_day = dice.chance(0.65)

    floor = draft.material(FLOOR_KINDS, repeats_per_m=dice.log_uniform(0.25, 1.2))
    ceiling = draft.material("wall" if dice.chance(0.93) else "wood", tint=1.1)
    paint = draft.material(WALL_KINDS, gloss=0 if dice.chance(0.8) else None)
    if plan.flight:
        _descend(center, width, length, plan.flight, floor=floor, paint=paint)
    else:
        center.box((-width / 2, width / 2), (-length / 2, length / 2), (-0.1, 0), floor)
    center.box((-width / 2, width / 2), (-length / 2, length / 2), (height, height + 0.1), ceiling)
    walls = (
        Wall(center.at(0, -length / 2), width),
        Wall(center.at(0, length / 2, 0, math.pi), width),
        Wall(center.at(-width / 2, 0, 0, -math.pi / 2), length),
        Wall(center.at(width / 2, 0, 0, math.pi / 2), length),
    )
    opening = dice.integer(0, 3) if dice.chance(0.35) and not plan.flight else None
    for number, wall in enumerate(walls):
        own = paint if dice.chance(0.85) else draft.material("wall")
        if number == opening:
            _doorway(wall, height, paint=own, floor=floor, ceiling=ceiling)
            continue
        _dress_wall(wall, height, own, by_day=by_day)
        if not plan.flight:
            _furnish_wall(wall, plan.density)
    if plan.kind != "corridor":
        _furnish_middle(center, plan)
    _carry_ceiling(center, plan)
    _hang_lamps(center, width, length, height, needed=not draft.lights)
    if not plan.flight:
        _lay_still_lifes(center, plan, still_lifes)

    ambient = Ambient(
        color=tuple(np.array([1, dice.uniform(0.85, 1.05), dice.uniform(0.75, 1.2)]) * dice.log_uniform(0.1, 0.8)),
        upward=dice.uniform(-0.2, 0.8),
        reach_m=dice.log_uniform(0.3, 2),
    )
    low = np.array([-width / 2 + 0.15, -length / 2 + 0.15, 0.05])
    high = np.array([width / 2 - 0.15, length / 2 - 0.15, height - 0.1])
    return draft.finish(ambient=ambient, bounds=(low, high))


def _lay_still_lifes(center: Frame, plan: Plan, count: int) -> None:
    """Lay patches of one to five small things of natural size on the floor, anywhere or along a wall."""
    dice = center.dice
    for _ in range(count):
        x, y = (dice.uniform(-1, 1) * max(side / 2 - 0.4, 0) for side in (plan.width, plan.length))
        if dice.chance(0.4):
            x = dice.sign() * (plan.width / 2 - 0.4)
        spot, extent = center.at(x, y, 0, dice.uniform(0, furniture.TURN)), dice.uniform(0.3, 0.9)
        furniture.clutter(spot, extent, extent, dice.integer(1, 5))
        spot.tabletop(extent, extent, 0)


def _carry_ceiling(center: Frame, plan: Plan) -> None:
    """Put up what holds a ceiling or hangs from it: beams, columns, rows of luminous panels."""
    dice, width, length, height = center.dice, plan.width, plan.length, plan.height
    big = plan.kind == "hall"
    if dice.chance(0.5 if big else 0.12):
        beam, thick = center.material(("wood", "wall", "plain")), dice.uniform(0.1, 0.4)
        count = dice.integer(2, 7) if big else 1
        for number in range(count):
            y = length * ((number + dice.uniform(0.3, 0.7)) / count - 0.5)
            center.box((-width / 2, width / 2), (y, y + thick), (height - thick, height), beam)
    if big and dice.chance(0.5):
        column, girth = center.material(("wall", "cloudy", "plain")), dice.uniform(0.15, 0.6)
        shape, step = dice.pick(("box", "cylinder")), dice.uniform(3, 6)
        for x in np.arange(-width / 2 + step / 2, width / 2, step):
            for y in np.arange(-length / 2 + step / 2, length / 2, step):
                center.add(shape, (float(x), float(y), height / 2), (girth, girth, height), column)
    if plan.kind != "room" and dice.chance(0.7):
        _luminous_panels(center, width, length, height)


def _luminous_panels(center: Frame, width: float, length: float, height: float) -> None:
    """A grid of panels or tubes in the ceiling; a few of them cast light of their own."""
    dice = center.dice
    glow = center.material("wall", emission=dice.uniform(1, 4))
    wide, long = dice.pick(((0.6, 0.6), (0.3, 1.2), (1.2, 0.3), (0.15, 1.5)))
    across, along = max(1, int(width / dice.uniform(1.8, 3))), max(1, int(length / dice.uniform(1.8, 3)))
    places = [
        (width * ((i + 0.5) / across - 0.5), length * ((j + 0.5) / along - 0.5))
        for i in range(across)
        for j in range(along)
    ]
    for x, y in places:
        center.box((x - wide / 2, x + wide / 2), (y - long / 2, y + long / 2), (height - 0.03, height - 0.01), glow)
    for x, y in places[:: max(1, len(places) // 3)]:
        center.draft.lights.append(
            Light(center.point(x, y, height - 0.15), np.full(3, dice.uniform(0.5, 1.5) * height), radius=0.4)
        )


# -------------------------------------------------------------------------------------------------------------- walls


def _doorway(wall: Wall, height: float, *, paint: int, floor: int, ceiling: int) -> None:
    """Open the wall towards a second, sparser room."""
    here, half = wall.frame, wall.length / 2
    dice = here.dice
    width = dice.uniform(0.8, min(2.5, 0.6 * wall.length))
    x, top, thick = wall.somewhere(width / 2 + 0.1), dice.uniform(2, min(height - 0.05, 2.6)), 0.12
    left, right = x - width / 2, x + width / 2
    here.box((-half, left), (-thick, 0), (0, height), paint)
    here.box((right, half), (-thick, 0), (0, height), paint)
    here.box((left, right), (-thick, 0), (top, height), paint)
    jamb = here.material("wall")
    for edge in (left, right):
        here.box((edge - 0.04, edge + 0.04), (-thick - 0.01, 0.02), (0, top), jamb)

    far, west, east = -thick - dice.uniform(1.5, 6), x - dice.uniform(1.2, 4), x + dice.uniform(1.2, 4)
    other, below = here.material("wall"), floor if dice.chance(0.6) else here.material("tile")
    here.box((west - 0.1, east + 0.1), (far - 0.1, far), (0, height), other)
    here.box((west - 0.1, west), (far, -thick), (0, height), other)
    here.box((east, east + 0.1), (far, -thick), (0, height), other)
    here.box((west, east), (far, -thick), (-0.1, 0), below)
    here.box((west, east), (far, -thick), (height, height + 0.1), ceiling)
    lamp = here.point(x, (far - thick) / 2, height - 0.3)
    light = Light(lamp, np.full(3, dice.uniform(0.3, 3)), radius=dice.uniform(0.05, 0.3))
    here.draft.lights.append(light)
    for _ in range(dice.integer(0, 3)):
        spot = here.at(dice.uniform(west + 0.4, east - 0.4), dice.uniform(far + 0.3, -thick - 0.4), 0)
        dice.pick(NEXT_DOOR)(spot.at(0, 0, 0, dice.uniform(0, furniture.TURN)))


def _descend(center: Frame, width: float, length: float, flight: Flight, *, floor: int, paint: int) -> None:
    """Lay a corridor's floor with stairs down to a landing at its end, walls next to them, a railing or two."""
    dice, half, end = center.dice, width / 2, length / 2
    across = (-half, half)
    bottom = -flight.drop
    foot = end - dice.uniform(0.8, 1.6)
    top = foot - flight.run
    step = floor if dice.chance(0.4) else center.material(("wood", "wall", "cloudy"))
    center.box(across, (-end, top), (-0.1, 0), floor)
    for number in range(1, flight.steps + 1):
        y = top + flight.tread * (number - 1)
        center.box(across, (y, y + flight.tread), (bottom, -flight.rise * number), step)
    center.box(across, (foot, end), (bottom - 0.1, bottom), floor)
    for side in furniture.SIDES:
        x = side * (half + 0.05)
        center.box((x - 0.05, x + 0.05), (top, end), (bottom - 0.1, 0), paint)
    center.box(across, (end, end + 0.1), (bottom - 0.1, 0), paint)
    center.at(0, (top + foot) / 2).focus(bottom / 2)
    for side in furniture.SIDES:
        if dice.chance(0.45):
            rail = center.material(("wood", "wall", "plain"))
            x = side * (half - 0.06)
            furniture.bars(center, (x, top, 0), (x, foot, bottom), 0.9, dice.uniform(0.1, 0.3), rail)


def _dress_wall(wall: Wall, height: float, paint: int, *, by_day: bool) -> None:
    """Put up the wall with skirting, panelling, windows or a door, pictures, a radiator."""
    here, half = wall.frame, wall.length / 2
    dice = here.dice
    here.box((-half - 0.1, half + 0.1), (-0.1, 0), (0, height), paint)
    if dice.chance(0.6):
        here.box((-half, half), (0, 0.015), (0, dice.uniform(0.06, 0.15)), here.material(("wall", "wood")))
    if dice.chance(0.06):
        here.box((-half, half), (0, 0.02), (0, dice.uniform(0.8, 1.3)), here.material(("wood", "tile", "wall")))
    match dice.pick({"window": 0.38, "door": 0.2, "nothing": 0.42}):
        case "window" if wall.length > 1.5:
            for _ in range(1 if wall.length < 3.5 else dice.integer(1, max(2, int(wall.length / 3)))):
                width, tall = dice.uniform(0.6, min(2.4, wall.length - 0.6)), dice.uniform(0.7, 1.7)
                z = max(min(height - tall / 2 - 0.15, dice.uniform(1.3, 1.75)), tall / 2 + 0.05)
                _window(here.at(wall.somewhere(width / 2), 0, z), width, tall, z, by_day=by_day)
        case "door":
            width = dice.uniform(0.75, 1)
            _door(here.at(wall.somewhere(width / 2), 0), width)
    for _ in range(dice.integer(0, 4) * max(1, int(wall.length / 4))):
        width, tall = dice.log_uniform(0.15, 1.8), dice.log_uniform(0.15, 1.1)
        _picture(here.at(wall.somewhere(width / 2), 0, dice.uniform(1.1, 1.9)), width, tall)
    if dice.chance(0.15):
        radiator = here.at(wall.somewhere(0.5), 0)
        for rib in range(12):
            radiator.box((-0.5 + 0.08 * rib, -0.45 + 0.08 * rib), (0.03, 0.12), (0.15, 0.7), paint)


def _window(here: Frame, width: float, tall: float, height: float, *, by_day: bool) -> None:
    """A window whose middle is at this frame's origin, `height` above the floor, with a curtain or a blind."""
    dice = here.dice
    glow = dice.log_uniform(1, 5) if by_day else 0.05
    view = here.material("outdoors", repeats_per_m=1 / max(width, tall), emission=glow, gloss=0.3)
    here.add("box", (0, 0.008, 0), (width, 0.012, tall), view)
    rail, half = here.material(PANELS), dice.uniform(0.015, 0.05)
    for side in furniture.SIDES:
        x, z = side * width / 2, side * tall / 2
        here.box((x - half, x + half), (0, 0.05), (-tall / 2 - half, tall / 2 + half), rail)
        here.box((-width / 2, width / 2), (0, 0.05), (z - half, z + half), rail)
    for bar in range(dice.integer(0, 2)):
        x = -width / 2 + width * (bar + 1) / 3
        here.box((x - half / 2, x + half / 2), (0, 0.03), (-tall / 2, tall / 2), rail)
    if dice.chance(0.5):
        here.box((-width / 2 - 0.1, width / 2 + 0.1), (0, 0.2), (-tall / 2 - 0.06, -tall / 2 - 0.02), rail)
        furniture.clutter(here.at(0, 0.1, -tall / 2 - 0.02), width, 0.15, dice.integer(0, 3))
    if dice.chance(0.4):
        cloth = here.material(("fabric", "plain", "wall"))
        bottom = max(-tall / 2 - dice.uniform(0, 0.8), 0.02 - height)
        for side in furniture.SIDES:
            _curtain(here.at(side * (width / 2 + 0.1), 0), -side * width * dice.uniform(0.15, 0.5), bottom, tall, cloth)
    elif dice.chance(0.2):
        slat = here.material("wall")
        for row in range(int(tall * dice.uniform(0.4, 1) / 0.05)):
            here.add("box", (0, 0.06, tall / 2 - 0.05 * row), (width, 0.035, 0.004), slat, rotation_x(0.5))
    if by_day:
        power = glow * width * tall * dice.uniform(0.6, 2)
        right, up = here.rotation @ np.array([width / 2, 0, 0]), np.array([0, 0, tall / 2])
        light = Light(here.point(0, 0.15, 0), np.array([1, 0.97, 0.92]) * power, right=right, up=up)
        here.draft.lights.append(light)


def _curtain(here: Frame, reach: float, bottom: float, tall: float, cloth: int) -> None:
    """A pleated curtain from this frame's x = 0 to x = `reach`."""
    count, along = 24, np.linspace(0, 1, 24)
    x = along * reach
    y = 0.1 + 0.035 * np.sin(x * here.dice.uniform(25, 60))
    top, hem = np.full(count, tall / 2 + 0.15), np.full(count, bottom)
    vertices = np.concatenate([np.stack([x, y, top], 1), np.stack([x, y, hem], 1)])
    i = np.arange(count - 1)
    faces = np.concatenate([np.stack([i, i + 1, i + count + 1], 1), np.stack([i, i + count + 1, i + count], 1)])
    here.mesh(vertices, faces, cloth, smooth=True)


def _door(here: Frame, width: float) -> None:
    dice, leaf, jamb = here.dice, here.material(PANELS), here.material(("wall", "wood"))
    here.box((-width / 2, width / 2), (0, 0.03), (0, 2.05), leaf)
    for side in furniture.SIDES:
        x = side * width / 2
        here.box((x - 0.05, x + 0.05), (0, 0.05), (0, 2.1), jamb)
    here.box((-width / 2, width / 2), (0, 0.05), (2.05, 2.15), jamb)
    here.add("sphere", (0.4 * width, 0.06, 1), (0.06, 0.06, 0.06), here.material("plain", gloss=0.6))
    if dice.chance(0.5):
        for panel in (0.2, 1.1):
            here.box((-width / 3, width / 3), (0.03, 0.04), (panel, panel + 0.8), leaf)


def _picture(here: Frame, width: float, tall: float) -> None:
    dice, rim = here.dice, here.dice.uniform(0.01, 0.05)
    if dice.chance(0.8):
        frame = here.material(("wood", "plain"))
        here.add("box", (0, 0.012, 0), (width + 2 * rim, 0.025, tall + 2 * rim), frame)
    kinds = {"photo": 0.5, "text": 0.2, "outdoors": 0.1, "cloudy": 0.1, "plain": 0.1}
    canvas = here.material(kinds, repeats_per_m=1 / max(width, tall), gloss=dice.pick((0.02, 0.1, 0.4)))
    here.add("box", (0, 0.02, 0), (width, 0.02, tall), canvas)


# ---------------------------------------------------------------------------------------------------------- furnishing


def _furnish_wall(wall: Wall, density: float) -> None:
    """Line the wall with a kitchen or with pieces from left to right, gaps by `density`."""
    here = wall.frame
    dice = here.dice
    if wall.length > 2.2 and dice.chance(0.16):
        place = here.at(0, 0.31)
        furniture.kitchen(place, min(wall.length - 0.9, dice.uniform(1.6, 4)))
        place.focus(0.9)
        return
    pieces = {piece: piece.weight for piece in ALONG_WALLS}
    x, end = -wall.length / 2 + dice.uniform(0.1, 0.6), wall.length / 2
    while x < end - 0.5:
        if not dice.chance(density):
            x += dice.uniform(0.3, 1.2)
            continue
        piece = dice.pick(pieces)
        if x + piece.width > end + 0.2:
            x += 0.6
            continue
        askew = dice.chance(0.2)
        y = piece.depth / 2 + 0.03 + (dice.uniform(0, 0.3) if askew else 0)
        place = here.at(x + piece.width / 2, y, 0, dice.normal(0, 0.15) if askew else 0)
        piece.make(place)
        place.focus(dice.uniform(0.2, 1.2))
        x += piece.width + dice.uniform(0.02, 0.5)


def _furnish_middle(center: Frame, plan: Plan) -> None:
    dice, width, length = center.dice, plan.width, plan.length

    def somewhere(margin: float) -> tuple[float, float]:
        x, y = width / 2 - margin, length / 2 - margin
        return dice.uniform(-max(x, 0), max(x, 0)), dice.uniform(-y, y)

    per_m2 = 0.11 if plan.kind == "room" else 0.07
    for _ in range(min(14, int(dice.rng.poisson(per_m2 * width * length * plan.density + 0.4)))):
        yaw = dice.uniform(0, furniture.TURN) if dice.chance(0.3) else dice.integer(0, 3) * math.pi / 2
        place = center.at(*somewhere(0.6 if plan.kind == "room" else 1.2), 0, yaw)
        dice.pick(plan.middle)(place)
        place.focus(0.6)
    if dice.chance(0.3):
        furniture.person(center.at(*somewhere(0.5), 0, dice.uniform(0, furniture.TURN)))
    if dice.chance(0.35):
        rug, size = (
            center.material(("fabric", "photo", "cloudy")),
            (dice.uniform(0.8, 2.5), dice.uniform(0.8, 3), 0.012),
        )
        center.at(*somewhere(width / 4 + 0.2), 0, dice.uniform(0, 3)).add("box", (0, 0, 0.006), size, rug)
    for _ in range(dice.integer(0, 7)):
        place = center.at(*somewhere(0.3), 0, dice.uniform(0, furniture.TURN))
        if dice.chance(0.5):
            furniture.odds_and_ends(place)
        else:
            furniture.clutter(place, 0.6, 0.6, 2, dice.uniform(1, 2.5))


def _hang_lamps(center: Frame, width: float, length: float, height: float, *, needed: bool) -> None:
    dice = center.dice
    warm = np.array([1, dice.uniform(0.75, 1), dice.uniform(0.5, 1)])
    cord = center.material("plain", tint=0.5)
    for _ in range(dice.integer(1 if needed else 0, 3)):
        drop, girth = dice.uniform(0.1, 0.9), dice.uniform(0.05, 0.35)
        lamp = center.at(dice.uniform(-0.35, 0.35) * width, dice.uniform(-0.35, 0.35) * length, height - drop)
        if dice.chance(0.6):
            glow = lamp.material("wall", emission=dice.uniform(1, 3))
            shape = dice.pick(("sphere", "shade", "cylinder", "cushion"))
            lamp.add(shape, (0, 0, 0.12), (girth, girth, girth / 2), glow)
            lamp.box((-0.01, 0.01), (-0.01, 0.01), (0.12, max(drop, 0.13)), cord)
        light = Light(lamp.point(0, 0, -0.1), warm * dice.log_uniform(0.6, 4), radius=0.6 * girth)
        center.draft.lights.append(light)
