"""What stands in rooms. Each maker builds one piece in its frame: feet at z = 0, front towards +y, sizes in metres."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from .scene import Frame
from .shapes import SHAPES, rotation_to, rotation_x, rotation_y, rotation_z

Point = Sequence[float] | np.ndarray
TURN = 2 * math.pi
SIDES = (-1, 1)

# ------------------------------------------------------------------------------------------------------ small things

_SMALL = {
    "box": 0.2,
    "books": 0.12,
    "bottle": 0.12,
    "cup": 0.1,
    "bowl": 0.07,
    "blob": 0.07,
    "cylinder": 0.07,
    "paper": 0.06,
    "ball": 0.05,
    "can": 0.05,
    "vase": 0.04,
    "laptop": 0.02,
    "lamp": 0.02,
    "plant": 0.01,
}


def clutter(here: Frame, width: float, depth: float, count: int, size: float = 1.0) -> None:
    """Strew `count` small things over a surface of `width` x `depth` at this frame's height."""
    dice = here.dice
    for _ in range(count):
        spot = here.at(0.45 * dice.uniform(-width, width), 0.43 * dice.uniform(-depth, depth), 0, dice.uniform(0, TURN))
        small_thing(spot, dice.pick(_SMALL), size)


def small_thing(here: Frame, kind: str, size: float) -> None:
    """Build one of the small things by name; `size` enlarges those that come in any size."""
    SMALL_THINGS[kind](here, size)


def _box(here: Frame, size: float) -> None:
    dice = here.dice
    height = dice.log_uniform(0.03, 0.3) * size
    extent = (dice.log_uniform(0.05, 0.3) * size, dice.log_uniform(0.04, 0.25) * size, height)
    here.add("box", (0, 0, height / 2), extent, here.material())


def _books(here: Frame, size: float) -> None:
    dice, z = here.dice, 0.0
    for _ in range(dice.integer(1, 5)):
        thick = dice.uniform(0.01, 0.05)
        extent = (dice.uniform(0.15, 0.25), dice.uniform(0.12, 0.3), thick)
        cover = here.material(("plain", "text", "photo"))
        here.add("box", (0, 0, z + thick / 2), extent, cover, rotation_z(dice.normal(0, 0.15)))
        z += thick


def _turned(here: Frame, size: float, shape: str, heights: tuple[float, float], girths: tuple[float, float]) -> None:
    """Something round about its axis: its height in metres, and its girth as a share of that."""
    height = here.dice.uniform(*heights) * size
    girth = height * here.dice.uniform(*girths)
    here.add(shape, (0, 0, height / 2), (girth, girth, height), here.material())


def _bowl(here: Frame, size: float) -> None:
    girth = here.dice.uniform(0.1, 0.35)
    height = girth * here.dice.uniform(0.25, 0.6)
    here.add("bowl", (0, 0, height / 2), (girth, girth, height), here.material())


def _ball(here: Frame, size: float) -> None:
    girth = here.dice.uniform(0.05, 0.14) * size
    here.add("sphere", (0, 0, girth / 2), (girth, girth * here.dice.uniform(0.8, 1.1), girth), here.material())


def _cylinder(here: Frame, size: float) -> None:
    girth, length = here.dice.uniform(0.03, 0.16), here.dice.uniform(0.05, 0.35)
    if here.dice.chance(0.8):
        here.add("cylinder", (0, 0, length / 2), (girth, girth, length), here.material())
    else:
        here.add("cylinder", (0, 0, girth / 2), (girth, girth, length), here.material(), rotation_x(math.pi / 2))


def _paper(here: Frame, size: float) -> None:
    here.add("box", (0, 0, 0.003), (0.21, 0.297, 0.004), here.material(("text", "photo", "plain")))


def _laptop(here: Frame, size: float) -> None:
    here.add("box", (0, 0, 0.01), (0.34, 0.24, 0.02), here.material("plain", tint=here.dice.uniform(0.2, 0.9)))
    screen = here.material("text", emission=here.dice.uniform(0.3, 1.5))
    here.add("box", (0, -0.13, 0.12), (0.34, 0.012, 0.23), screen, rotation_x(0.25))


def _lamp(here: Frame, size: float) -> None:
    height, metal = here.dice.uniform(0.25, 0.5), here.material()
    here.add("cylinder", (0, 0, 0.01), (0.15, 0.15, 0.02), metal)
    here.add("cylinder", (0, 0, height / 2), (0.02, 0.02, height), metal)
    shade = here.material("plain", emission=here.dice.uniform(0, 1.5))
    here.add("shade", (0, 0, height), (0.25, 0.25, 0.18), shade)


SMALL_THINGS: dict[str, Callable[[Frame, float], None]] = {
    "box": _box,
    "books": _books,
    "bottle": partial(_turned, shape="bottle", heights=(0.12, 0.35), girths=(0.22, 0.5)),
    "vase": partial(_turned, shape="vase", heights=(0.12, 0.35), girths=(0.22, 0.5)),
    "cup": partial(_turned, shape="cup", heights=(0.07, 0.14), girths=(0.6, 1.1)),
    "can": partial(_turned, shape="cylinder", heights=(0.07, 0.14), girths=(0.6, 1.1)),
    "bowl": _bowl,
    "ball": _ball,
    "cylinder": _cylinder,
    "blob": lambda here, size: blob(here, here.dice.log_uniform(0.06, 0.25) * size, here.material()),
    "paper": _paper,
    "laptop": _laptop,
    "lamp": _lamp,
    "plant": lambda here, size: plant(here, here.dice.uniform(0.15, 0.4)),
}


def blob(here: Frame, radius: float, material: int) -> None:
    """A soft lump: a bag, a heap of clothes, a toy."""
    dice, sphere = here.dice, SHAPES["sphere"]
    direction = sphere.vertices / np.linalg.norm(sphere.vertices, axis=1, keepdims=True)
    waves = dice.rng.normal(size=(3, 6)) * dice.uniform(1, 3)
    swell = 1 + 0.11 * np.sin(direction @ waves + dice.rng.uniform(0, 6, 6)).sum(1)
    vertices = sphere.vertices * swell[:, None] * radius * dice.rng.uniform(0.6, 1.3, 3)
    vertices[:, 2] -= vertices[:, 2].min()
    here.mesh(vertices, sphere.faces, material, smooth=True)


def plant(here: Frame, height: float) -> None:
    dice = here.dice
    pot = (0.35 * height, 0.35 * height, 0.34 * height)
    here.add(dice.pick(("cup", "vase")), (0, 0, 0.17 * height), pot, here.material("plain"))
    leaf = here.material("cloudy", tint=np.array([0.4, 0.8, 0.3]) * dice.uniform(0.4, 1))
    root = np.array([0, 0, 0.3 * height])
    for _ in range(dice.integer(15, 49)):
        yaw, rise = dice.uniform(0, TURN), dice.uniform(0.1, 1.4)
        length = height * dice.uniform(0.3, 0.75)
        along = length * np.array([math.cos(yaw) * math.cos(rise), math.sin(yaw) * math.cos(rise), math.sin(rise)])
        aside = length * dice.uniform(0.08, 0.25) * np.array([-math.sin(yaw), math.cos(yaw), 0])
        tip = root + along - np.array([0, 0, length * dice.uniform(0, 0.4)])
        vertices = np.array([root, root + 0.55 * along + aside, tip, root + 0.55 * along - aside])
        here.mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]), leaf)


# --------------------------------------------------------------------------------------------------- tables and chairs


def table(
    here: Frame,
    width: float | None = None,
    depth: float | None = None,
    height: float | None = None,
    things: int | None = None,
) -> tuple[float, float, float]:
    """A table with `things` on it; returns its width, depth and height."""
    dice = here.dice
    width, depth = width or dice.uniform(0.6, 2), depth or dice.uniform(0.5, 1)
    height = height or dice.uniform(0.4, 0.8)
    top = here.material({"wood": 0.6, "plain": 0.2, "wall": 0.15, "cloudy": 0.05})
    under = top if dice.chance(0.6) else here.material("plain")
    thick = dice.uniform(0.02, 0.06)
    below = height - thick
    style = dice.pick({"legs": 0.6, "panels": 0.15, "round legs": 0.1, "column": 0.15})
    if style in ("legs", "panels"):
        here.box((-width / 2, width / 2), (-depth / 2, depth / 2), (below, height), top)
    else:
        width = depth = min(width, 1.3)
        here.add("cylinder", (0, 0, height - thick / 2), (width, width, thick), top)
    if style == "column":
        here.add("cylinder", (0, 0, below / 2), (0.08, 0.08, below), under)
        here.add("cylinder", (0, 0, 0.02), (width / 2, width / 2, 0.04), under)
    elif style == "panels":
        for side in SIDES:
            x = side * (width / 2 - 0.03)
            here.box((x - 0.02, x + 0.02), (-depth / 2 + 0.02, depth / 2 - 0.02), (0, below), under)
    else:
        leg = dice.uniform(0.03, 0.08)
        inset = leg / 2 + (0.15 * width if style == "round legs" else 0)
        shape = "box" if dice.chance(0.7) else "cylinder"
        for x in SIDES:
            for y in SIDES:
                center = (x * (width / 2 - inset), y * (depth / 2 - inset), below / 2)
                here.add(shape, center, (leg, leg, below), under)
        if style == "legs" and dice.chance(0.4):
            apron = (below - dice.uniform(0.05, 0.12), below - 0.001)
            here.box((-width / 2 + 0.03, width / 2 - 0.03), (-depth / 2 + 0.02, depth / 2 - 0.02), apron, under)
    here.tabletop(width, depth, height)
    clutter(here.at(0, 0, height), width, depth, dice.integer(0, 13) if things is None else things)
    return width, depth, height


def chair(here: Frame) -> None:
    dice = here.dice
    width, height, back = dice.uniform(0.38, 0.55), dice.uniform(0.4, 0.5), dice.uniform(0.35, 0.6)
    seat = here.material(("wood", "plain", "fabric"))
    frame = seat if dice.chance(0.5) else here.material("plain")
    soft = "rounded" if dice.chance(0.4) else "box"
    here.add(soft, (0, 0, height), (width, width, dice.uniform(0.03, 0.12)), seat)
    if dice.chance(0.65):
        leg, shape = dice.uniform(0.02, 0.045), "cylinder" if dice.chance(0.4) else "box"
        for x in SIDES:
            for y in SIDES:
                here.add(shape, (x * (width / 2 - leg), y * (width / 2 - leg), height / 2), (leg, leg, height), frame)
    else:
        _swivel_base(here, width, height, frame)
    rear = -width / 2 + 0.02
    match dice.pick({"full": 0.5, "slats": 0.38, "stool": 0.12}):
        case "full":
            tilt = rotation_x(dice.uniform(-0.05, 0.2))
            here.add(soft, (0, rear, height + 0.55 * back), (width, 0.05, 0.9 * back), seat, tilt)
        case "slats":
            for x in SIDES:
                post = (x * (width / 2 - 0.02), rear, height + back / 2)
                here.add("box", post, (0.04, 0.04, back), frame)
            for slat in range(dice.integer(1, 4)):
                z = height + back - 0.11 * slat
                here.box((-width / 2 + 0.02, width / 2 - 0.02), (rear - 0.01, rear + 0.01), (z - 0.03, z + 0.04), seat)


def _swivel_base(here: Frame, width: float, height: float, frame: int) -> None:
    here.add("cylinder", (0, 0, height / 2), (0.06, 0.06, height), frame)
    for foot in range(5):
        turn = foot * TURN / 5
        center = (0.15 * math.cos(turn), 0.15 * math.sin(turn), 0.06)
        here.add("box", center, (0.3, 0.04, 0.04), frame, rotation_z(turn))
    if here.dice.chance(0.6):
        for x in SIDES:
            here.add("box", (x * width / 2, 0, height + 0.2), (0.05, 0.25, 0.03), frame)
            here.add("box", (x * width / 2, -0.05, height + 0.1), (0.03, 0.04, 0.2), frame)


def dining_group(here: Frame) -> None:
    """A table with chairs or stools around it, some of them taken."""
    dice = here.dice
    bar = dice.chance(0.15)
    height = dice.uniform(0.9, 1.1) if bar else dice.uniform(0.4, 0.78)
    width, depth, _ = table(here, dice.uniform(0.7, 2.6), dice.uniform(0.6, 1.1), height)
    seats, gap, taken = dice.uniform(0.3, 1), dice.uniform(-0.15, 0.3), dice.uniform(0, 0.35)
    for yaw, length, away in (
        (0, width, depth),
        (math.pi, width, depth),
        (TURN / 4, depth, width),
        (-TURN / 4, depth, width),
    ):
        side = here.at(0, 0, 0, yaw)
        places = max(1, int(length / 0.62))
        for place in range(places):
            if not dice.chance(seats if length > 0.9 else 0.5 * seats):
                continue
            x = length * ((place + 0.5) / places - 0.5) + dice.normal(0, 0.05)
            seat = side.at(x, -(away / 2 + gap + 0.2 + dice.uniform(0, 0.15)), 0, dice.normal(0, 0.25))
            if bar:
                stool(seat)
                continue
            chair(seat)
            if dice.chance(taken):
                person(seat, sitting=True)


def stool(here: Frame) -> None:
    """A bar stool: a seat on four long legs with a foot rail, with or without a back."""
    dice = here.dice
    height, width = dice.uniform(0.6, 0.8), dice.uniform(0.3, 0.42)
    seat, frame = here.material(("wood", "plain", "fabric")), here.material(("wood", "plain"))
    here.add("rounded" if dice.chance(0.4) else "box", (0, 0, height), (width, width, 0.06), seat)
    reach = width / 2 - 0.02
    for x in SIDES:
        for y in SIDES:
            here.add("box", (x * reach, y * reach, height / 2), (0.03, 0.03, height), frame)
        here.add("box", (x * reach, 0, 0.25), (0.025, width - 0.04, 0.025), frame)
    if dice.chance(0.5):
        here.box((-width / 2, width / 2), (-width / 2, -width / 2 + 0.03), (height + 0.1, height + 0.32), seat)


def partition(here: Frame) -> None:
    """A free-standing panel: an office partition, a notice-board or a screen on feet."""
    dice = here.dice
    width, height = dice.uniform(0.9, 2), dice.uniform(1.1, 1.8)
    bottom = dice.uniform(0, 0.5) if dice.chance(0.5) else 0.02
    rim = here.material(("plain", "wood"))
    face = here.material({"fabric": 0.4, "plain": 0.3, "wall": 0.15, "text": 0.1, "photo": 0.05})
    here.box((-width / 2, width / 2), (-0.025, 0.025), (bottom, height), face)
    for side in SIDES:
        x = side * width / 2
        here.box((x - 0.02, x + 0.02), (-0.03, 0.03), (0, height + 0.02), rim)
        here.box((x - 0.03, x + 0.03), (-0.2, 0.2), (0, 0.04), rim)


def desk_island(here: Frame) -> None:
    """Desks face to face in a row, as offices have them, with partitions between and people at some."""
    dice = here.dice
    rows, wide, deep = dice.integer(1, 3), dice.uniform(1.2, 1.7), dice.uniform(0.65, 0.8)
    screen = here.material({"fabric": 0.5, "plain": 0.5}) if dice.chance(0.6) else None
    high, taken = dice.uniform(1.0, 1.6), dice.uniform(0, 0.5)
    for number in range(rows):
        x = (number - (rows - 1) / 2) * (wide + 0.05)
        for side in SIDES:
            place = here.at(x, side * (deep / 2 + 0.03), 0, 0 if side > 0 else math.pi)
            desk(place, width=wide, depth=deep, height=0.73, taken=taken)
        if screen is not None:
            here.box((x - wide / 2, x + wide / 2), (-0.02, 0.02), (dice.uniform(0, 0.7), high), screen)


def company(here: Frame) -> None:
    """A few people who stand together."""
    dice, turn = here.dice, here.dice.uniform(0, TURN)
    count, radius = dice.integer(2, 5), dice.uniform(0.6, 1.3)
    for number in range(count):
        angle = turn + number * TURN / count + dice.normal(0, 0.2)
        spot = (radius * math.cos(angle), radius * math.sin(angle))
        person(here.at(*spot, 0, angle + TURN / 4 + dice.normal(0, 0.4)), sitting=False)


def cable(here: Frame) -> None:
    """A cable or hose that lies on the floor in a curve."""
    dice = here.dice
    rubber = here.material("plain", tint=dice.log_uniform(0.05, 1))
    thick, heading, point = dice.log_uniform(0.01, 0.035), dice.uniform(0, TURN), np.array([0, 0, 0.0])
    bend = dice.normal(0, 0.35)
    for _ in range(dice.integer(6, 18)):
        heading += bend + dice.normal(0, 0.15)
        following = point + 0.14 * np.array([math.cos(heading), math.sin(heading), 0])
        middle = (point + following) / 2 + np.array([0, 0, thick / 2])
        here.add("box", tuple(middle), (0.15, thick, thick), rubber, rotation_z(heading))
        point = following


def desk(
    here: Frame,
    width: float | None = None,
    depth: float | None = None,
    height: float | None = None,
    taken: float = 0.1,
) -> None:
    """A desk with screens, keyboards and a chair; `taken` is the chance that somebody sits there."""
    dice = here.dice
    size = (width or dice.uniform(0.9, 1.8), depth or dice.uniform(0.55, 0.8), height or dice.uniform(0.68, 0.78))
    width, depth, height = table(here, *size, things=dice.integer(2, 14))
    for _ in range(dice.integer(0, 2)):
        place = here.at(dice.uniform(-width / 3, width / 3), -depth / 4, height, dice.normal(0, 0.25))
        wide = dice.uniform(0.35, 0.7)
        tall, case = 0.6 * wide, here.material("plain", tint=dice.uniform(0.03, 0.25))
        if dice.chance(0.6):
            kinds = ("text", "photo", "outdoors")
            face = here.material(kinds, repeats_per_m=1 / wide, emission=dice.uniform(0.4, 2))
        else:
            face = here.material("plain", tint=0.05, gloss=0.5)
        place.add("box", (0, 0, 0.12 + tall / 2), (wide, 0.04, tall), case)
        place.add("box", (0, 0.021, 0.12 + tall / 2), (0.94 * wide, 0.004, 0.9 * tall), face)
        place.add("cylinder", (0, 0, 0.07), (0.05, 0.05, 0.14), case)
        place.add("box", (0, 0, 0.01), (0.25, 0.18, 0.02), case)
        if dice.chance(0.7):
            keys = here.material("text", repeats_per_m=8)
            place.add("box", (0, 0.1 + depth / 4, 0.012), (0.44, 0.14, 0.024), keys)
    if dice.chance(0.4):
        drawers = here.material("plain", tint=0.2)
        here.box((width / 2 - 0.25, width / 2 - 0.05), (-0.2, 0.25), (0, 0.45), drawers)
    if dice.chance(0.75):
        seat = here.at(dice.normal(0, 0.15), depth / 2 + dice.uniform(0.1, 0.5), 0, math.pi + dice.normal(0, 0.6))
        chair(seat)
        if dice.chance(taken):
            person(seat, sitting=True)


# ------------------------------------------------------------------------------------------------- shelves and cabinets


def shelf(here: Frame) -> None:
    """An open shelf with books or clutter on its boards."""
    dice = here.dice
    width, depth, height = dice.uniform(0.5, 1.8), dice.uniform(0.22, 0.45), dice.uniform(0.8, 2.2)
    board, thick = here.material(("wood", "wall", "plain")), dice.uniform(0.015, 0.04)
    whole = (-depth / 2, depth / 2)
    here.box((-width / 2, -width / 2 + thick), whole, (0, height), board)
    here.box((width / 2 - thick, width / 2), whole, (0, height), board)
    if dice.chance(0.7):
        here.box((-width / 2, width / 2), (-depth / 2, -depth / 2 + 0.01), (0, height), board)
    floors = dice.integer(2, 6)
    room = height / floors
    for floor in range(floors + 1):
        z = max(thick, floor * room)
        here.box((-width / 2, width / 2), whole, (z - thick, z), board)
        if floor < floors:
            if dice.chance(0.6):
                _books_in_row(here.at(0, 0, z), width - 2 * thick, depth, room)
            else:
                clutter(here.at(0, 0, z), width, 0.6 * depth, dice.integer(1, 5), min(1, room / 0.35))
    clutter(here.at(0, 0, height), width, depth, dice.integer(0, 3))


def _books_in_row(here: Frame, width: float, depth: float, room: float) -> None:
    dice, x = here.dice, -width / 2
    while x < width / 2 - 0.07 and dice.chance(0.97):
        if dice.chance(0.1):
            x += dice.uniform(0.05, 0.3)
            continue
        thick, tall = dice.uniform(0.015, 0.06), room * dice.uniform(0.55, 0.9)
        cover = here.material({"plain": 0.6, "text": 0.2, "photo": 0.1, "cloudy": 0.1})
        here.box((x, x + thick), (-depth / 2 + 0.02, depth / 2 - dice.uniform(0.01, 0.12)), (0, tall), cover)
        x += thick + 0.001


def cabinet(
    here: Frame,
    width: float | None = None,
    depth: float | None = None,
    height: float | None = None,
    things: int | None = None,
) -> None:
    """A chest, wardrobe or sideboard: a body with doors or drawers and their handles, `things` on top."""
    dice = here.dice
    width, depth = width or dice.uniform(0.4, 1.8), depth or dice.uniform(0.35, 0.65)
    height = height or dice.uniform(0.5, 2.1)
    kinds = {"wood": 0.5, "wall": 0.3, "plain": 0.2}
    body = here.material(kinds)
    door = body if dice.chance(0.5) else here.material(kinds)
    handle = here.material("plain", gloss=0.5)
    here.box((-width / 2, width / 2), (-depth / 2, depth / 2), (0, height), body)
    columns, rows = max(1, int(width / dice.uniform(0.3, 0.7))), max(1, int(height / dice.uniform(0.25, 1.2)))
    wide, tall, gap = width / columns, (height - 0.06) / rows, 0.008
    for column in range(columns):
        for row in range(rows):
            left, low = -width / 2 + column * wide + gap, 0.04 + row * tall + gap
            right, high = left + wide - 2 * gap, low + tall - 2 * gap
            here.box((left, right), (depth / 2, depth / 2 + 0.015), (low, high), door)
            if dice.chance(0.9):
                drawer = high - low < 0.4
                size = (dice.uniform(0.02, 0.15), 0.02, 0.02) if drawer else (0.02, 0.02, 0.12)
                z = low + (high - low) * (0.5 if drawer else 0.6)
                here.add("box", ((left + right) / 2, depth / 2 + 0.03, z), size, handle)
    here.tabletop(width, depth, height)
    clutter(here.at(0, 0, height), width, depth, dice.integer(0, 7) if things is None else things)


def kitchen(here: Frame, width: float) -> None:
    """A kitchen row along a wall: base units, worktop, wall units, sink, refrigerator."""
    dice, depth, height = here.dice, 0.6, here.dice.uniform(0.82, 0.95)
    cabinet(here, width, depth, height, things=0)
    top = here.material(("cloudy", "wood", "plain", "tile"))
    here.box((-width / 2 - 0.02, width / 2 + 0.02), (-depth / 2, depth / 2 + 0.04), (height, height + 0.04), top)
    here.tabletop(width, depth, height + 0.04)
    clutter(here.at(0, 0, height + 0.04), width, depth, dice.integer(4, 17))
    if dice.chance(0.7):
        above = here.at(0, -0.13, dice.uniform(1.35, 1.5))
        cabinet(above, width * dice.uniform(0.5, 1), 0.34, dice.uniform(0.5, 0.9), things=0)
    if dice.chance(0.6):
        splash = here.material(("tile", "brick", "plain"))
        here.box((-width / 2, width / 2), (-depth / 2, -depth / 2 + 0.012), (height, height + 0.5), splash)
    if dice.chance(0.6):
        sink = here.at(dice.uniform(-width / 3, width / 3), 0, height)
        steel = here.material("plain", gloss=0.6)
        sink.box((-0.25, 0.25), (-0.2, 0.2), (0.041, 0.046), here.material("plain", gloss=0.6, tint=0.3))
        sink.add("cylinder", (0, -0.2, 0.18), (0.03, 0.03, 0.3), steel)
        sink.add("box", (0, -0.1, 0.32), (0.03, 0.22, 0.03), steel)
    if dice.chance(0.5):
        refrigerator(here.at(width / 2 + 0.38, 0))


def refrigerator(here: Frame) -> None:
    dice, tall = here.dice, here.dice.uniform(1.4, 2)
    body = here.material("plain", tint=dice.uniform(0.3, 1.2))
    here.box((-0.33, 0.33), (-0.3, 0.36), (0, 0.62 * tall), body)
    here.box((-0.33, 0.33), (-0.3, 0.36), (0.63 * tall, tall), body)
    here.add("box", (-0.27, 0.39, tall / 2), (0.03, 0.03, 0.3), here.material("plain", gloss=0.5))
    for _ in range(dice.integer(0, 5)):  # notes and magnets
        center = (dice.uniform(-0.25, 0.25), 0.362, dice.uniform(0.8, tall - 0.1))
        size = (dice.uniform(0.05, 0.2), 0.005, dice.uniform(0.05, 0.2))
        here.add("box", center, size, here.material(("text", "photo")))


# ------------------------------------------------------------------------------------------------------ sofas and beds


def sofa(here: Frame) -> None:
    dice = here.dice
    width, depth = dice.uniform(0.8, 2.2), dice.uniform(0.75, 0.95)
    back, arm = dice.uniform(0.65, 0.95), dice.uniform(0.12, 0.25)
    cloth = here.material(("fabric", "plain", "cloudy", "wall"), gloss=0)
    here.add("rounded", (0, 0, 0.22), (width, depth, 0.36), cloth)
    here.add("rounded", (0, -depth / 2 + 0.12, back / 2), (width, 0.26, back), cloth)
    for side in SIDES:
        here.add("rounded", (side * (width - arm) / 2, 0.02, 0.3), (arm, depth, 0.6), cloth)
    seats = max(1, int((width - 2 * arm) / 0.6))
    wide = (width - 2 * arm) / seats
    for seat in range(seats):
        x = -width / 2 + arm + wide * (seat + 0.5)
        here.add("rounded", (x, 0.08, 0.44), (0.98 * wide, 0.8 * depth, 0.18), cloth)
        here.add("rounded", (x, -depth / 2 + 0.28, 0.68), (0.95 * wide, 0.2, 0.4), cloth, rotation_x(0.2))
    for _ in range(dice.integer(0, 3)):
        center = (dice.uniform(-width / 2 + arm, width / 2 - arm), dice.uniform(-0.05, 0.1), 0.68)
        turn = rotation_z(dice.normal(0, 0.4)) @ rotation_x(0.4)
        here.add("cushion", center, (0.42, 0.16, 0.42), here.material(("fabric", "plain", "photo")), turn)


def bed(here: Frame) -> None:
    """A bed with its head at the wall, bedding and whatever was left on it."""
    dice = here.dice
    width, height = dice.uniform(0.9, 1.9), dice.uniform(0.3, 0.55)
    frame = here.material(("wood", "plain", "fabric"))
    here.box((-width / 2, width / 2), (-1, 1), (0.08, height - 0.1), frame)
    here.box((-width / 2, width / 2), (-1.05, -1), (0, height + dice.uniform(0.1, 0.7)), frame)
    here.add("rounded", (0, 0, height), (width, 2.02, 0.28), here.material(("wall", "fabric")))
    blanket = here.material(("fabric", "plain", "wall", "photo"))
    here.add("rounded", (0, 0.25, height + 0.06), (1.06 * width, 1.5, 0.22), blanket)
    for _ in range(dice.integer(1, 4)):
        center = (dice.uniform(-width / 3, width / 3), -0.75, height + 0.2)
        turn = rotation_x(dice.uniform(0, 0.9))
        here.add("cushion", center, (0.6, 0.4, 0.18), here.material(("wall", "fabric")), turn)
    for _ in range(dice.integer(0, 2)):
        heap = here.at(dice.uniform(-width / 3, width / 3), dice.uniform(-0.2, 0.7), height + 0.15)
        blob(heap, dice.uniform(0.2, 0.6), here.material("fabric"))


# ------------------------------------------------------------------------------------------ people, lamps and the rest


def person(here: Frame, *, sitting: bool | None = None) -> None:
    """A figure that stands or sits (either, if None), its arms anywhere; the face looks along +y."""
    dice, scale = here.dice, here.dice.uniform(1.5, 1.9) / 1.75
    shirt, trousers = here.material(("plain", "fabric", "wall")), here.material(("plain", "fabric"))
    skin = here.material("plain", tint=np.array([1, 0.75, 0.6]) * dice.uniform(0.4, 1.2))
    sleeve = shirt if dice.chance(0.6) else skin
    sitting = dice.chance(0.4) if sitting is None else sitting
    hip = dice.uniform(0.42, 0.55) if sitting else 0.9 * scale
    neck = hip + 0.56 * scale
    for side in SIDES:
        x = 0.1 * side
        knee = (1.4 * x, 0.42, hip) if sitting else (1.2 * x, dice.uniform(0, 0.15), hip / 2)
        foot = (1.4 * x, 0.4 + dice.uniform(-0.2, 0.2), 0.05) if sitting else (1.2 * x, dice.uniform(-0.1, 0.1), 0.05)
        limb(here, (x, 0, hip), knee, 0.17, trousers)
        limb(here, knee, foot, 0.13, trousers)
        here.add("rounded", (foot[0], foot[1] + 0.07, 0.05), (0.1, 0.27, 0.1), trousers)
        shoulder = np.array([0.2 * side, 0, neck - 0.06])
        elbow = shoulder + 0.29 * _arm_direction(here, side, (-1.2, 0.3))
        hand = elbow + 0.27 * _arm_direction(here, side, (-1, 1.2))
        limb(here, shoulder, elbow, 0.11, shirt)
        limb(here, elbow, hand, 0.08, sleeve)
        here.add("cushion", tuple(hand), (0.09, 0.06, 0.16), skin, rotation_to(hand - elbow))
    here.add("cushion", (0, 0, (hip + neck) / 2), (0.42, 0.25, neck - hip + 0.14), shirt)
    here.add("cylinder", (0, 0, neck + 0.03), (0.11, 0.11, 0.14), skin)
    head = here.at(0, 0.02, neck + 0.2, dice.normal(0, 0.4))
    _head(head, skin)
    here.draft.faces.append((head.point(0, 0, 0), head.rotation @ np.array([0.0, 1.0, 0.0])))


def _head(here: Frame, skin: int) -> None:
    dice = here.dice
    hair = here.material("cloudy", tint=dice.uniform(0.05, 0.5))
    dark = here.material("plain", tint=0.1)
    here.add("sphere", (0, 0, 0), (0.165, 0.2, 0.24), skin)
    if dice.chance(0.85):
        here.add("sphere", (0, -0.025, 0.03), (0.185, 0.2, 0.235), hair)
    if dice.chance(0.25):
        here.add("sphere", (0, 0.02, -0.06), (0.15, 0.17, 0.14), hair)  # a beard
    here.add("sphere", (0, 0.1, -0.01), (0.03, 0.04, 0.05), skin)
    for side in SIDES:
        here.add("sphere", (0.035 * side, 0.085, 0.025), (0.025, 0.015, 0.012), dark)
    here.add("sphere", (0, 0.085, -0.06), (0.06, 0.02, 0.012), dark)


def _arm_direction(here: Frame, side: int, rise: tuple[float, float]) -> np.ndarray:
    """A unit vector outwards and forwards, rising by an angle within `rise`."""
    dice, angle = here.dice, here.dice.uniform(*rise)
    turn = dice.uniform(-0.3, 1.4)  # from sideways to straight ahead
    return np.array([side * math.cos(turn) * math.cos(angle), math.sin(turn) * math.cos(angle), math.sin(angle)])


def limb(here: Frame, start: Point, end: Point, thickness: float, material: int) -> None:
    """A rounded bar between two points."""
    along = np.subtract(end, start)
    center = tuple(np.add(start, end) / 2)
    length = float(np.linalg.norm(along)) + 0.6 * thickness
    here.add("cushion", center, (thickness, thickness, length), material, rotation_to(along))


def bars(here: Frame, start: Point, end: Point, height: float, gap: float, material: int) -> None:
    """A railing between two points of the floor or of a flight of stairs: a handrail on thin bars."""
    start_, end_, up = np.array(start), np.array(end), np.array([0, 0, height])
    count = max(2, int(np.linalg.norm(end_ - start_) / gap))
    for share in np.linspace(0, 1, count + 1):
        foot = start_ + share * (end_ - start_)
        here.add("box", tuple(foot + up / 2), (0.025, 0.025, height), material)
    along = end_ - start_
    rail = (0.05, 0.05, float(np.linalg.norm(along)))
    here.add("box", tuple((start_ + end_) / 2 + up), rail, material, rotation_to(along))


def cot(here: Frame) -> None:
    """A child's bed with bars all around."""
    dice, wood = here.dice, here.material(("wood", "wall"))
    width, depth, height = dice.uniform(1, 1.4), dice.uniform(0.6, 0.75), dice.uniform(0.35, 0.6)
    x, y, floor = width / 2, depth / 2, dice.uniform(0.2, 0.4)
    corners = [(-x, -y, floor), (x, -y, floor), (x, y, floor), (-x, y, floor)]
    for corner, following in zip(corners, corners[1:] + corners[:1], strict=True):
        bars(here, corner, following, height, dice.uniform(0.07, 0.12), wood)
        here.add("box", (corner[0], corner[1], (floor + height) / 2), (0.05, 0.05, floor + height), wood)
    here.add("rounded", (0, 0, floor + 0.05), (width, depth, 0.15), here.material(("fabric", "wall")))
    clutter(here.at(0, 0, floor + 0.12), width, depth, dice.integer(0, 4))


def stairs(here: Frame) -> None:
    """A flight of steps that rises along -x, with a railing at its front."""
    dice, step = here.dice, here.material(("wood", "wall", "cloudy"))
    rise, tread, depth = dice.uniform(0.16, 0.2), dice.uniform(0.22, 0.3), dice.uniform(0.8, 1.1)
    count, solid = dice.integer(6, 13), dice.chance(0.6)
    for number in range(count):
        x, top = -tread * number, rise * (number + 1)
        here.box((x - tread, x), (-depth / 2, depth / 2), (0 if solid else top - 0.05, top), step)
    wood = here.material(("wood", "wall", "plain"))
    edge = depth / 2 - 0.05
    bars(here, (0, edge, rise), (-tread * count, edge, rise * (count + 1)), 0.85, dice.uniform(0.1, 0.2), wood)


def rocking_toy(here: Frame) -> None:
    """An animal on four legs, on rockers or wheels: rounded limbs close to the floor."""
    dice, fur = here.dice, here.material(("plain", "fabric", "cloudy"), gloss=0)
    size = dice.log_uniform(0.25, 0.9)
    body = (0, 0, 0.55 * size)
    here.add("cushion", body, (0.75 * size, 0.35 * size, 0.38 * size), fur)
    for x in SIDES:
        for y in SIDES:
            foot = (0.32 * x * size, 0.14 * y * size, 0.06 * size)
            limb(here, (0.25 * x * size, 0.1 * y * size, 0.5 * size), foot, 0.13 * size, fur)
    limb(here, (0.3 * size, 0, 0.65 * size), (0.45 * size, 0, 0.9 * size), 0.2 * size, fur)
    here.add("cushion", (0.52 * size, 0, 0.95 * size), (0.35 * size, 0.22 * size, 0.22 * size), fur)
    for y in SIDES:
        here.add("cushion", (0.42 * size, 0.1 * y * size, 1.1 * size), (0.07 * size, 0.05 * size, 0.22 * size), fur)
        rocker = here.material(("wood", "plain"))
        here.add("box", (0, 0.14 * y * size, 0.03 * size), (0.9 * size, 0.06 * size, 0.05 * size), rocker)


def floor_lamp(here: Frame) -> None:
    dice, height, metal = here.dice, here.dice.uniform(1.2, 1.8), here.material("plain")
    here.add("cylinder", (0, 0, 0.02), (0.3, 0.3, 0.03), metal)
    here.add("cylinder", (0, 0, height / 2), (0.025, 0.025, height), metal)
    wide = dice.uniform(0.25, 0.5)
    shade = here.material("plain", emission=dice.uniform(0.2, 2))
    here.add("shade", (0, 0, height), (wide, wide, dice.uniform(0.2, 0.4)), shade)


def bicycle(here: Frame) -> None:
    """Two wheels and a frame of tubes: thin things in front of what lies behind."""
    dice, tube = here.dice, here.material("plain", gloss=0.4)
    rubber, radius, base = here.material("plain", tint=0.15), dice.uniform(0.28, 0.36), dice.uniform(0.95, 1.1)
    for x in (-base / 2, base / 2):
        for part in range(16):
            turn = part * TURN / 16
            center = (x + radius * math.cos(turn), 0, radius + radius * math.sin(turn))
            here.add("box", center, (0.04, 0.04, 0.42 * radius), rubber, rotation_y(-turn))
    joints = {"rear": (-base / 2, radius), "front": (base / 2, radius), "pedal": (-0.05, radius * 0.9)}
    joints |= {"saddle": (-0.2, 0.85), "head": (0.35, 0.85)}
    for one, other in (
        ("rear", "pedal"),
        ("rear", "saddle"),
        ("pedal", "saddle"),
        ("pedal", "head"),
        ("saddle", "head"),
    ):
        _tube(here, joints[one], joints[other], tube)
    _tube(here, joints["front"], (0.32, 1.0), tube)
    here.add("rounded", (-0.22, 0, 0.93), (0.25, 0.14, 0.06), rubber)
    here.add("cylinder", (0.32, 0, 1.0), (0.03, 0.03, 0.55), rubber, rotation_x(math.pi / 2))


def _tube(here: Frame, start: tuple[float, float], end: tuple[float, float], material: int) -> None:
    """A thin tube in the frame's xz plane."""
    dx, dz = end[0] - start[0], end[1] - start[1]
    center = ((start[0] + end[0]) / 2, 0, (start[1] + end[1]) / 2)
    here.add("cylinder", center, (0.035, 0.035, math.hypot(dx, dz)), material, rotation_y(math.atan2(dx, dz)))


def odds_and_ends(here: Frame) -> None:
    """Something on the floor: a heap, boxes, a bag, a plant, a stool, a ball, a toy, a bicycle, a cable."""
    dice = here.dice
    match dice.pick(("heap", "boxes", "boxes", "bag", "plant", "stool", "ball", "toy", "bicycle", "cable")):
        case "heap":
            clutter(here, 0.8, 0.8, dice.integer(2, 6), dice.uniform(1, 3))
        case "boxes":
            boxes(here)
        case "bag":
            blob(here, dice.log_uniform(0.3, 1), here.material("fabric"))
        case "plant":
            plant(here, dice.uniform(0.5, 1.8))
        case "stool":
            here.add("cylinder", (0, 0, 0.25), (0.35, 0.35, 0.5), here.material())
            clutter(here.at(0, 0, 0.5), 0.25, 0.25, 1)
        case "ball":
            girth = dice.log_uniform(0.1, 0.5)
            here.add("sphere", (0, 0, girth / 2), (girth, girth, girth), here.material())
        case "toy":
            rocking_toy(here)
        case "bicycle":
            bicycle(here)
        case "cable":
            cable(here)


def boxes(here: Frame) -> None:
    dice, z = here.dice, 0.0
    for _ in range(dice.integer(1, 3)):
        tall = dice.uniform(0.2, 0.5)
        size = (dice.uniform(0.25, 0.6), dice.uniform(0.25, 0.6), tall)
        turn = rotation_z(dice.normal(0, 0.2))
        here.add("box", (0, 0, z + tall / 2), size, here.material(("plain", "wood", "text")), turn)
        z += tall
