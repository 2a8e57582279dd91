"""A street for the KITTI head: road, kerbs, façades, cars, trees, poles, people, sky. It runs along +y."""

import math

import numpy as np

from . import furniture
from .dice import Dice
from .furniture import SIDES, TURN, limb
from .materials import TextureBank
from .scene import Ambient, Draft, Frame, Light, Scene
from .shapes import rotation_x, rotation_y, rotation_z

START_M, END_M = -15.0, 110.0
MIDDLE_M, HALF_M = (START_M + END_M) / 2, (END_M - START_M) / 2
SUN_M = 400.0  # far enough for parallel shadows


def build_street(dice: Dice, bank: TextureBank) -> Scene:
    """Build 125 metres of a street 5-14 metres wide, with or without pavements, houses and parked cars."""
    draft = Draft(dice, bank)
    center = Frame.world(draft)
    half, pavement = dice.uniform(2.5, 7), dice.uniform(1.2, 4)
    _ground(center, half, pavement)
    built_up, parked = dice.chance(0.65), dice.uniform(0, 0.8)
    for side in SIDES:
        edge = center.at(side * half, MIDDLE_M, 0, 0 if side < 0 else math.pi)
        _roadside(edge, pavement, parked)
        if built_up or dice.chance(0.3):
            _houses(edge, pavement + dice.uniform(0, 6))
        else:
            _countryside(edge, pavement)
    for _ in range(dice.integer(0, 5)):  # traffic
        lane = dice.sign()
        x, y = lane * half / 2, dice.log_uniform(6, 90)
        car(center.at(x, y, 0, (0 if lane > 0 else math.pi) + dice.normal(0, 0.05)))
    sun = _sun(center)
    blue = dice.uniform(0.9, 1.6)
    ambient = Ambient(
        color=(dice.uniform(0.35, 0.7), dice.uniform(0.45, 0.7), blue * dice.uniform(0.45, 0.7)),
        upward=0.6,
        reach_m=dice.uniform(2, 5),
        sky=dice.uniform(0.2, 0.8),
    )
    if sun is not None:
        draft.lights.append(sun)
    low, high = np.array([-half, START_M + 5, 0.5]), np.array([half, END_M - 70, 3.0])
    return draft.finish(ambient=ambient, bounds=(low, high))


def _sun(center: Frame) -> Light | None:
    """A sun of 3 to 8 times the sky's light, or none under clouds."""
    dice = center.dice
    if dice.chance(0.35):
        return None
    yaw, height = dice.uniform(0, TURN), dice.uniform(0.25, 1.2)
    towards = np.array([math.cos(yaw) * math.cos(height), math.sin(yaw) * math.cos(height), math.sin(height)])
    warm = np.array([1.0, dice.uniform(0.85, 1), dice.uniform(0.7, 0.95)])
    return Light(SUN_M * towards, warm * dice.uniform(1, 3) * SUN_M**2, radius=2.0)


def _ground(center: Frame, half: float, pavement: float) -> None:
    dice, along = center.dice, (START_M, END_M)
    asphalt = center.material("asphalt", repeats_per_m=0.3, gloss=0)
    grass = center.material("grass", repeats_per_m=0.2, gloss=0)
    slabs = center.material(("tile", "cloudy", "brick"), repeats_per_m=0.4, gloss=0)
    stone = center.material("wall", gloss=0)
    center.box((-half, half), along, (-0.2, 0), asphalt)
    for side in SIDES:
        inner, outer = side * half, side * (half + pavement)
        center.box(_between(inner, inner + 0.15 * side), along, (-0.2, 0.13), stone)
        center.box(_between(inner, outer), along, (-0.2, 0.12), slabs)
        center.box(_between(outer, side * 80), along, (-0.2, 0.1), grass)
    paint = center.material("wall", gloss=0, tint=1.1)
    if dice.chance(0.7):
        dash = dice.uniform(2, 5)
        for start in np.arange(START_M, END_M, 2 * dash):
            center.box((-0.07, 0.07), (start, start + dash), (0, 0.006), paint)
    if dice.chance(0.3):
        y = dice.uniform(8, 40)
        for x in np.arange(-half + 0.4, half - 0.4, 0.9):
            center.box((x, x + 0.45), (y, y + 3), (0, 0.006), paint)


def _between(a: float, b: float) -> tuple[float, float]:
    return min(a, b), max(a, b)


# Frames of the roadside have their origin at the kerb, halfway down the street, and x towards the road: the pavement
# is at negative x.


def _roadside(edge: Frame, pavement: float, parked: float) -> None:
    """Parked cars, lamp posts, signs, trees and people between the road and the houses."""
    dice = edge.dice
    for y in np.arange(-HALF_M, HALF_M, 6.2):
        if dice.chance(parked):
            car(edge.at(1.1, y + dice.uniform(0, 0.8), 0, dice.normal(0, 0.04)))
    spacing = dice.uniform(14, 35)
    for y in np.arange(-HALF_M + dice.uniform(0, spacing), HALF_M, spacing):
        post = edge.at(-0.5, y, 0.1)
        match dice.pick({"lamp": 0.5, "sign": 0.3, "tree": 0.5}):
            case "lamp":
                lamp_post(post)
            case "sign":
                sign(post)
            case "tree":
                tree(post)
    for _ in range(dice.integer(0, 6)):
        walker = edge.at(-dice.uniform(0.4, pavement), dice.uniform(-HALF_M, HALF_M), 0.12, dice.uniform(0, TURN))
        if dice.chance(0.75):
            furniture.person(walker)
        else:
            furniture.bicycle(walker)
    for _ in range(dice.integer(0, 3)):
        bin_ = edge.at(-dice.uniform(0.4, pavement), dice.uniform(-HALF_M, HALF_M), 0.12)
        furniture.odds_and_ends(bin_)


def _houses(edge: Frame, setback: float) -> None:
    """A row of façades with windows and doors, joined or with gaps."""
    dice, y = edge.dice, -HALF_M
    gaps = dice.chance(0.5)
    while y < HALF_M:
        width, height = dice.uniform(6, 18), dice.log_uniform(3.5, 18)
        house(edge.at(-setback, y + width / 2, 0.1), width, height, dice.uniform(6, 12))
        y += width + (dice.uniform(0.5, 9) if gaps else 0)
        if gaps and dice.chance(0.4):
            tree(edge.at(-setback - 1, y - 1, 0.1))


def house(here: Frame, width: float, height: float, depth: float) -> None:
    """A house along y whose front is at x = 0 and looks towards +x."""
    dice = here.dice
    front = here.material({"wall": 0.5, "brick": 0.25, "cloudy": 0.15, "plain": 0.1}, gloss=0)
    here.box((-depth, 0), (-width / 2, width / 2), (0, height), front)
    if dice.chance(0.6):
        roof = here.material(("tile", "brick", "cloudy"), gloss=0)
        slope, length = dice.uniform(0.4, 0.8), depth * 0.62
        for side in SIDES:
            middle = (-depth / 2 + side * depth / 4, 0, height + math.tan(slope) * depth / 4)
            here.add("box", middle, (length, width + 0.4, 0.15), roof, rotation_y(side * slope))
    glass = here.material("plain", tint=dice.uniform(0.05, 0.4), gloss=0.5)
    rim = here.material("wall", gloss=0)
    floor, bay = dice.uniform(2.6, 3.4), dice.uniform(1.8, 3.5)
    tall, wide = dice.uniform(1, 1.8), dice.uniform(0.7, 1.4)
    for z in np.arange(1.0, height - tall, floor):
        for y in np.arange(-width / 2 + bay / 2, width / 2 - wide / 2, bay):
            if dice.chance(0.9):
                here.box((0, 0.03), (y - wide / 2 - 0.08, y + wide / 2 + 0.08), (z - 0.08, z + tall + 0.08), rim)
                here.box((0, 0.04), (y - wide / 2, y + wide / 2), (z, z + tall), glass)
    y = dice.uniform(-width / 3, width / 3)
    here.box((0, 0.06), (y - 0.5, y + 0.5), (0, 2.1), here.material(("wood", "plain")))


def _countryside(edge: Frame, pavement: float) -> None:
    """Hedges, fences, bushes and trees instead of houses."""
    dice = edge.dice
    leaves = _leaves(edge)
    x = -pavement - dice.uniform(0, 2)
    if dice.chance(0.5):
        tall = dice.uniform(0.8, 2.2)
        for y in np.arange(-HALF_M, HALF_M, 5.0):
            if dice.chance(0.85):
                edge.add("rounded", (x, y + 2.5, tall / 2), (1.2, 5.2, tall), leaves)
    elif dice.chance(0.5):
        for y in np.arange(-HALF_M, HALF_M, 12.0):
            furniture.bars(edge, (x, y, 0.1), (x, y + 12, 0.1), 1.0, 0.6, edge.material(("wood", "wall")))
    for _ in range(dice.integer(4, 24)):
        tree(edge.at(x - dice.log_uniform(0.5, 25), dice.uniform(-HALF_M, HALF_M), 0.1))


# --------------------------------------------------------------------------------------------------------------- pieces


def _leaves(here: Frame) -> int:
    return here.material("grass", tint=here.dice.uniform(0.5, 1), gloss=0)


def tree(here: Frame) -> None:
    dice, leaves = here.dice, _leaves(here)
    trunk, height = dice.uniform(1.2, 3), dice.log_uniform(3, 12)
    bark = here.material("wood", tint=0.5, gloss=0)
    thick = 0.05 * height
    here.add("cylinder", (0, 0, trunk / 2 + 0.5), (thick, thick, trunk + 1), bark)
    crown = height - trunk
    for _ in range(dice.integer(3, 9)):
        spread = 0.28 * crown
        place = here.at(dice.normal(0, spread / 2), dice.normal(0, spread / 2), trunk + dice.uniform(0, 0.6) * crown)
        furniture.blob(place, dice.uniform(0.3, 0.6) * crown, leaves)


def lamp_post(here: Frame) -> None:
    dice, height, steel = here.dice, here.dice.uniform(4, 8), here.material("plain", tint=0.4)
    here.add("cylinder", (0, 0, height / 2), (0.14, 0.14, height), steel)
    limb(here, (0, 0, height), (dice.uniform(0.5, 2), 0, height + 0.2), 0.12, steel)


def sign(here: Frame) -> None:
    dice, height = here.dice, here.dice.uniform(2.1, 2.8)
    here.add("cylinder", (0, 0, height / 2), (0.07, 0.07, height), here.material("plain", tint=0.5))
    face, size = here.material(("plain", "photo", "text"), repeats_per_m=1.5), dice.uniform(0.5, 0.9)
    turn = rotation_z(dice.normal(0, 0.3))
    if dice.chance(0.5):
        here.add("cylinder", (0, 0, height), (size, size, 0.03), face, turn @ rotation_x(math.pi / 2))
    else:
        here.add("box", (0, 0, height), (size, 0.03, size), face, turn)


def car(here: Frame) -> None:
    """A car, van or lorry that drives towards +y."""
    dice = here.dice
    kind = dice.pick({"car": 0.75, "van": 0.18, "lorry": 0.07})
    length, width, height = {"car": (4.3, 1.8, 1.48), "van": (5.0, 2.0, 2.2), "lorry": (8.0, 2.4, 3.4)}[kind]
    length, height = length * dice.uniform(0.85, 1.12), height * dice.uniform(0.93, 1.1)
    paint = here.material("plain", gloss=dice.uniform(0.2, 0.6))
    glass = here.material("plain", tint=0.15, gloss=0.6)
    rubber = here.material("plain", tint=0.15, gloss=0)
    waist = 0.62 * height if kind == "car" else 0.5 * height
    here.add("rounded", (0, 0, 0.22 + (waist - 0.22) / 2), (width, length, waist - 0.2), paint)
    if kind == "car":
        cabin, middle = length * dice.uniform(0.5, 0.62), -0.05 * length
        here.add("cushion", (0, middle, waist - 0.1), (0.94 * width, 1.15 * cabin, 2 * (height - waist)), glass)
        here.add("rounded", (0, middle, height - 0.06), (0.8 * width, 0.62 * cabin, 0.12), paint)
    else:
        here.add("rounded", (0, -0.06 * length, height / 2 + 0.15), (width, 0.85 * length, height - 0.3), paint)
        here.add("box", (0, 0.37 * length, 0.68 * height), (0.86 * width, 0.03, 0.3 * height), glass)
    for x in SIDES:
        for y in SIDES:
            hub = (x * (width / 2 - 0.1), y * 0.31 * length, 0.32)
            here.add("cylinder", hub, (0.64, 0.64, 0.22), rubber, rotation_y(math.pi / 2))
        for y, tint in ((-1, (1.2, 0.1, 0.1)), (1, (1.2, 1.2, 1.1))):
            lamp = here.material("plain", tint=np.array(tint), emission=dice.uniform(0, 1))
            here.add("rounded", (x * 0.38 * width, y * (length / 2 - 0.03), 0.62 * waist), (0.3, 0.12, 0.14), lamp)
    plate = here.material("text", repeats_per_m=2)
    here.add("box", (0, -length / 2 - 0.005, 0.45), (0.5, 0.02, 0.12), plate)
