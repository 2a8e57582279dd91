"""Where a photographer would stand, and whether what the camera sees is worth keeping."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .dice import Dice
from .scene import Scene


@dataclass(frozen=True, eq=False)
class View:
    """A camera in the world: rotation (3, 3) whose columns are its right, down and forward axes; horizontal angle."""

    rotation: np.ndarray
    position: np.ndarray
    fov_deg: float

    @classmethod
    def towards(cls, position: np.ndarray, target: np.ndarray, fov_deg: float, *, roll: float = 0.0) -> "View":
        """Look from `position` at `target`, the horizon tilted by `roll` (radians)."""
        forward = (target - position) / np.linalg.norm(target - position)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        right, down = math.cos(roll) * right + math.sin(roll) * down, math.cos(roll) * down - math.sin(roll) * right
        return cls(np.stack([right, down, forward], 1), position, fov_deg)

    def focal_px(self, width: int) -> float:
        return 0.5 * width / math.tan(math.radians(self.fov_deg) / 2)

    def directions(self, size: tuple[int, int]) -> np.ndarray:
        """World directions (H * W, 3) float32 of the pixels' centers, scaled to a depth of 1 along the optical axis."""
        height, width = size
        focal = self.focal_px(width)
        x = (np.arange(width) - (width - 1) / 2) / focal
        y = (np.arange(height) - (height - 1) / 2) / focal
        rays = np.stack([*np.meshgrid(x, y), np.ones(size)], -1).reshape(-1, 3)
        return (rays @ self.rotation.T).astype(np.float32)


# What a photo of a room is of, by weight.
SHARE_OF_VIEWS = {
    "focus": 0.19,
    "anywhere": 0.1,
    "middle": 0.19,
    "overview": 0.16,
    "tabletop": 0.1,
    "thing": 0.1,
    "low": 0.08,
    "floor": 0.05,
    "face": 0.06,
    "self": 0.02,
}
# What a close-up is of: tables and patches of floor with a few things on them, from 0.3 to 2 m.
CLOSE_VIEWS = {"tabletop": 0.55, "thing": 0.15, "floor": 0.12, "face": 0.06, "self": 0.06, "low": 0.06}
UNSTEADY = 0.25  # share of photos that a hand or a robot has tilted


def room_view(scene: Scene, dice: Dice) -> View | None:
    """Propose a view of a room; None if the place is no place for a camera.

    Most stand at about eye level and look at furniture, across the middle, along the room, or anywhere; the others are
    close to a tabletop, to a thing, to a face or to the floor, low above the floor, or what somebody sees of the own
    arms and knees.
    """
    return _view(scene, dice, SHARE_OF_VIEWS)


def close_view(scene: Scene, dice: Dice) -> View | None:
    """Propose a close-up in a room: of a table, a patch of floor or a thing; None if it is no place for a camera."""
    return _view(scene, dice, CLOSE_VIEWS)


def _view(scene: Scene, dice: Dice, views: Mapping[str, float]) -> View | None:
    low, high = scene.bounds
    fov_deg = float(np.clip(dice.normal(62, 6) if dice.chance(0.6) else dice.log_uniform(48, 100), 46, 100))
    position, target = _stand(scene, dice, views)
    inside = bool(np.all(position > low) and np.all(position < high))
    straight_down = abs(target[2] - position[2]) > 0.97 * np.linalg.norm(target - position)
    if not inside or straight_down:
        return None
    unsteady = dice.chance(UNSTEADY)
    return View.towards(position, target, fov_deg, roll=math.radians(dice.normal(0, 13 if unsteady else 3)))


def _stand(scene: Scene, dice: Dice, views: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Where a camera could be and the point that it looks at, for one of `views`."""
    match dice.pick(views):
        case "tabletop" if scene.tabletops:
            top = dice.pick(scene.tabletops)
            x, y = 0.35 * dice.uniform(-top.width, top.width), 0.35 * dice.uniform(-top.depth, top.depth)
            target = top.frame.point(x, y, dice.uniform(-0.1, 0.25))
            return _around(target, dice, distance=dice.log_uniform(0.35, 1.8), rise=dice.uniform(0.1, 1.25)), target
        case "thing" if len(scene.focuses):
            target = _focus(scene, dice)
            return _around(target, dice, distance=dice.log_uniform(0.6, 2.4), rise=dice.uniform(-0.1, 0.9)), target
        case "face" if scene.faces:
            face, facing = dice.pick(scene.faces)
            yaw = math.atan2(facing[1], facing[0]) + dice.normal(0, 0.5)
            position = face + dice.log_uniform(0.5, 3.5) * _direction(yaw, dice.normal(0, 0.2))
            return position, face + np.array([0, 0, dice.uniform(-0.4, 0.05)])
        case "self" if scene.faces:
            face, facing = dice.pick(scene.faces)
            yaw = math.atan2(facing[1], facing[0])
            position = face + 0.17 * _direction(yaw, 0)
            return position, position + _direction(yaw + dice.normal(0, 0.3), dice.normal(-0.4, 0.2))
        case "low":
            position = _somewhere(scene, dice, dice.log_uniform(0.1, 0.8))
            return position, position + _direction(dice.uniform(0, 2 * math.pi), dice.normal(-0.05, 0.15))
        case "floor":
            position = _somewhere(scene, dice, dice.log_uniform(0.3, 1.7))
            return position, position + _direction(dice.uniform(0, 2 * math.pi), dice.uniform(-1.1, -0.3))
        case "overview":
            position = _somewhere(scene, dice, dice.uniform(1.2, 2.1))
            position[:2] *= dice.uniform(0.7, 1) / np.max(np.abs(position[:2]) / scene.bounds[1][:2])
            return position, position + _direction(_inwards(position, dice, 0.3), math.radians(dice.normal(-8, 7)))
        case "focus" if len(scene.focuses):
            return _somewhere(scene, dice, _eye_level(dice)), _focus(scene, dice)
        case "middle":
            position = _somewhere(scene, dice, _eye_level(dice))
            return position, position + _direction(_inwards(position, dice, 0.6), math.radians(dice.normal(-9, 10)))
    position = _somewhere(scene, dice, _eye_level(dice))
    return position, position + _direction(dice.uniform(0, 2 * math.pi), math.radians(dice.normal(-10, 15)))


def _eye_level(dice: Dice) -> float:
    return float(np.clip(dice.normal(1.35, 0.35), 0.4, 2.1))


def _somewhere(scene: Scene, dice: Dice, height: float) -> np.ndarray:
    low, high = scene.bounds
    return np.append(dice.rng.uniform(low[:2] + 0.1, high[:2] - 0.1), height)


def _inwards(position: np.ndarray, dice: Dice, deviation: float) -> float:
    """The direction of the room's middle, or so."""
    return math.atan2(-position[1], -position[0]) + dice.normal(0, deviation)


def _focus(scene: Scene, dice: Dice) -> np.ndarray:
    """One of the points worth a photo, or near it, but not in the floor."""
    target = scene.focuses[dice.integer(0, len(scene.focuses) - 1)] + 0.2 * dice.rng.standard_normal(3)
    return np.append(target[:2], max(target[2], 0.1))


def _around(target: np.ndarray, dice: Dice, *, distance: float, rise: float) -> np.ndarray:
    """A point at `distance` from the target, seen from any side, `rise` (radians) above the horizontal."""
    return target + distance * _direction(dice.uniform(0, 2 * math.pi), rise)


def _direction(yaw: float, rise: float) -> np.ndarray:
    return np.array([math.cos(yaw) * math.cos(rise), math.sin(yaw) * math.cos(rise), math.sin(rise)])


def worth_keeping(depth_m: np.ndarray, material: np.ndarray, dice: Dice) -> bool:
    """Whether a room's view (first hits: depth (N,), 0 for none, and material (N,)) shows enough, not too close."""
    median = np.median(depth_m)
    if np.mean(depth_m == 0) > 0.03 or median < 0.35 or np.mean(depth_m < 0.25) > 0.08 or median > 9:
        return False
    if median < 0.9 and dice.chance(0.4):
        return False
    visible = int(np.sum(np.bincount(material) > 0.004 * len(material)))
    return visible >= 6 or (visible >= 3 and dice.chance(0.25))


def close_view_worth_keeping(depth_m: np.ndarray, material: np.ndarray, dice: Dice) -> bool:
    """Whether a close-up shows things within 2 m; unlike in `worth_keeping`, a bare table with one thing on it does."""
    median = np.median(depth_m)
    if np.mean(depth_m == 0) > 0.03 or not 0.3 < median < 2 or np.mean(depth_m < 0.2) > 0.08:
        return False
    visible = int(np.sum(np.bincount(material) > 0.004 * len(material)))
    return visible >= 5 or (visible >= 3 and dice.chance(0.5))


def street_view(scene: Scene, dice: Dice) -> View | None:
    """Propose a view from a car: 1.65 m up, about 81° wide, along the road in either lane, nearly level."""
    low, high = scene.bounds
    lane = dice.sign()
    position = np.array(
        [0.5 * lane * high[0] + dice.normal(0, 0.4), dice.uniform(low[1], high[1]), dice.normal(1.65, 0.05)]
    )
    yaw = math.pi / 2 + (dice.normal(0, 0.06) if dice.chance(0.85) else dice.normal(0, 0.5))
    target = position + _direction(yaw, math.radians(dice.normal(-1, 1.5)))
    return View.towards(position, target, float(np.clip(dice.normal(81.4, 2), 75, 88)), roll=dice.normal(0, 0.01))


def street_worth_keeping(depth_m: np.ndarray, material: np.ndarray, dice: Dice) -> bool:
    """Whether a street's view shows ground and things, and does not stand inside one."""
    seen = depth_m > 0
    return bool(np.mean(seen) > 0.35 and np.mean(seen & (depth_m < 1.5)) < 0.02)
