"""A draft that scene code fills piece by piece, and the finished scene that rays are cast into.

World axes: x right, y forward, z up, metres. A piece is built in a `Frame` of its own: its front looks along +y.
"""

from dataclasses import dataclass, replace

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from .dice import Dice
from .materials import Material, TextureBank
from .shapes import SHAPES, Shape, rotation_z

# Kinds of texture of a thing about which nothing is known, by weight.
SHARE_OF_TEXTURES = {
    "plain": 0.4,
    "wood": 0.23,
    "fabric": 0.11,
    "cloudy": 0.09,
    "wall": 0.08,
    "photo": 0.05,
    "text": 0.02,
    "tile": 0.02,
}
# Repeats of a texture per metre.
REPEATS = {"wood": (0.5, 2.5), "tile": (0.4, 2), "brick": (0.6, 2), "text": (1.5, 6), "photo": (0.7, 4)}


@dataclass(frozen=True, eq=False)
class Light:
    """A lamp or a window. `right` and `up` are the half sides of a window, None for a lamp of a `radius`."""

    position: np.ndarray
    color: np.ndarray
    radius: float = 0.0
    right: np.ndarray | None = None
    up: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Tabletop:
    """A free horizontal surface that a close-up can look at: its frame at the surface's height, width and depth."""

    frame: "Frame"
    width: float
    depth: float


@dataclass(frozen=True)
class Ambient:
    """Light that has bounced often: its color, how much more comes from above, how far a corner stays dark.

    `sky` is how much brighter than that the open sky is at the horizon; 0 in rooms.
    """

    color: tuple[float, float, float]
    upward: float
    reach_m: float
    sky: float = 0.0

    @property
    def rgb(self) -> np.ndarray:
        return np.array(self.color, np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """Triangles ready for ray casting; per-triangle arrays share the order of the ray caster's primitive numbers.

    normals (T, 3, 3) and uv (T, 3, 2): at each triangle's three corners; material (T,) int
    textures (M,) int; repeats, gloss, shininess, emission (M,); tints (M, 3)
    bounds: (low, high) corners of the space in which a camera may stand
    focuses (F, 3): points that a photographer would look at; faces: people's heads, each a point and where it looks
    """

    caster: EmbreeScene
    bank: TextureBank
    normals: np.ndarray
    uv: np.ndarray
    material: np.ndarray
    textures: np.ndarray
    repeats: np.ndarray
    tints: np.ndarray
    gloss: np.ndarray
    shininess: np.ndarray
    emission: np.ndarray
    lights: tuple[Light, ...]
    ambient: Ambient
    bounds: tuple[np.ndarray, np.ndarray]
    focuses: np.ndarray
    faces: tuple[tuple[np.ndarray, np.ndarray], ...]
    tabletops: tuple[Tabletop, ...]

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> dict[str, np.ndarray]:
        """Intersect rays (N, 3) with the scene: `primID` (-1 for none), `tfar` in units of the direction, `u`, `v`."""
        return self.caster.run(_rays(origins), _rays(directions), query="INTERSECT", output=True)

    def blocked(self, origins: np.ndarray, directions: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """Return (N,) bool: whether anything lies on the ray before `distances`."""
        limits = np.ascontiguousarray(distances, np.float32)
        return self.caster.run(_rays(origins), _rays(directions), dists=limits, query="OCCLUDED") != -1


def _rays(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)


class Draft:
    """A scene under construction."""

    def __init__(self, dice: Dice, bank: TextureBank) -> None:
        self.dice = dice
        self.bank = bank
        self.lights: list[Light] = []
        self.tabletops: list[Tabletop] = []
        self.focuses: list[np.ndarray] = []
        self.faces: list[tuple[np.ndarray, np.ndarray]] = []
        self._materials: list[Material] = []
        self._vertices: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._local: list[np.ndarray] = []
        self._normals: list[np.ndarray] = []
        self._owner: list[np.ndarray] = []
        self._count = 0

    def material(
        self,
        kinds: str | dict[str, float] | tuple[str, ...] | None = None,
        *,
        tint: float | np.ndarray = 1.0,
        repeats_per_m: float | None = None,
        gloss: float | None = None,
        emission: float = 0.0,
    ) -> int:
        """Draw a material of a kind (or of one of several) and return its number."""
        dice = self.dice
        kind = kinds if isinstance(kinds, str) else dice.pick(SHARE_OF_TEXTURES if kinds is None else kinds)
        if gloss is None:
            gloss = dice.log_uniform(0.02, 0.6) if dice.chance(0.45) else 0.0
        red, green, blue = (np.broadcast_to(tint, 3) * dice.rng.uniform(0.85, 1.1)).tolist()
        self._materials.append(
            Material(
                texture=dice.pick(self.bank.kinds[kind]),
                repeats_per_m=repeats_per_m or dice.log_uniform(*REPEATS.get(kind, (0.5, 5))),
                offset=(dice.uniform(0, 1), dice.uniform(0, 1)),
                tint=(red, green, blue),
                gloss=gloss,
                shininess=dice.log_uniform(8, 150),
                emission=emission,
            )
        )
        return len(self._materials) - 1

    def add(self, mesh: Shape, local: np.ndarray, world: np.ndarray, material: int) -> None:
        """Add a mesh whose vertices (V, 3) are `world`; `local` are the unturned ones that the texture is laid on."""
        corners = world[mesh.faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        if mesh.smooth:
            at_vertices = np.zeros_like(world)
            for corner in range(3):
                np.add.at(at_vertices, mesh.faces[:, corner], normals)
            self._normals.append(at_vertices[mesh.faces])
        else:
            self._normals.append(np.repeat(normals[:, None], 3, 1))
        self._vertices.append(world)
        self._faces.append(mesh.faces + self._count)
        self._local.append(local[mesh.faces])
        self._owner.append(np.full(len(mesh.faces), material))
        self._count += len(world)

    def finish(self, *, ambient: Ambient, bounds: tuple[np.ndarray, np.ndarray]) -> Scene:
        """Lay the textures, build the ray caster's tree and return the scene."""
        vertices = np.concatenate(self._vertices).astype(np.float32)
        faces = np.concatenate(self._faces).astype(np.int32)
        normals = np.concatenate(self._normals)
        normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-12
        owner = np.concatenate(self._owner)
        repeats = np.array([m.repeats_per_m for m in self._materials], np.float32)
        offsets = np.array([m.offset for m in self._materials], np.float32)
        uv = _planar_uv(np.concatenate(self._local)) * repeats[owner, None, None] + offsets[owner][:, None]
        caster = EmbreeScene()
        TriangleMesh(caster, vertices, faces)
        return Scene(
            caster=caster,
            bank=self.bank,
            normals=normals.astype(np.float32),
            uv=uv.astype(np.float32),
            material=owner,
            textures=np.array([m.texture for m in self._materials]),
            repeats=repeats,
            tints=np.array([m.tint for m in self._materials], np.float32),
            gloss=np.array([m.gloss for m in self._materials], np.float32),
            shininess=np.array([m.shininess for m in self._materials], np.float32),
            emission=np.array([m.emission for m in self._materials], np.float32),
            lights=tuple(self.lights),
            ambient=ambient,
            bounds=bounds,
            focuses=np.array(self.focuses).reshape(-1, 3),
            faces=tuple(self.faces),
            tabletops=tuple(self.tabletops),
        )


def _planar_uv(corners: np.ndarray) -> np.ndarray:
    """Project triangles (T, 3, 3) onto the two axes that they are most nearly parallel to; returns (T, 3, 2)."""
    facing = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])).argmax(1)
    axes = np.array([[1, 2], [0, 2], [0, 1]])[facing]
    return np.take_along_axis(corners, axes[:, None].repeat(3, 1), 2) * np.array([1, -1])


Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Frame:
    """A place in the draft: pieces are added in its own axes, turned by `rotation` and moved to `origin`."""

    draft: Draft
    rotation: np.ndarray
    origin: np.ndarray

    @classmethod
    def world(cls, draft: Draft) -> "Frame":
        return cls(draft, np.eye(3), np.zeros(3))

    @property
    def dice(self) -> Dice:
        return self.draft.dice

    def at(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> "Frame":
        """Return the frame moved by (x, y, z) of its own axes and then turned by `yaw` about the vertical."""
        return replace(self, rotation=self.rotation @ rotation_z(yaw), origin=self.point(x, y, z))

    def point(self, x: float, y: float, z: float) -> np.ndarray:
        """World coordinates (3,) of a point of this frame."""
        return self.rotation @ np.array([x, y, z]) + self.origin

    def material(self, *args, **kwargs) -> int:  # type: ignore[no-untyped-def]
        """See `Draft.material`."""
        return self.draft.material(*args, **kwargs)

    def add(
        self,
        shape: str,
        center: tuple[float, float, float],
        size: tuple[float, float, float],
        material: int,
        turn: np.ndarray | None = None,
    ) -> None:
        """Add a unit shape scaled to `size`, turned by `turn` (3, 3) about its center."""
        mesh = SHAPES[shape]
        local = mesh.vertices * np.array(size)
        turned = local if turn is None else local @ turn.T
        self.draft.add(mesh, local, (turned + np.array(center)) @ self.rotation.T + self.origin, material)

    def box(self, x: Range, y: Range, z: Range, material: int) -> None:
        """Add an axis-parallel box by its extent along each axis."""
        low, high = np.array([x, y, z]).T
        self.add("box", tuple((low + high) / 2), tuple(high - low), material)

    def mesh(self, vertices: np.ndarray, faces: np.ndarray, material: int, *, smooth: bool = False) -> None:
        """Add a mesh given in this frame's coordinates."""
        self.draft.add(Shape(vertices, faces, smooth), vertices, vertices @ self.rotation.T + self.origin, material)

    def tabletop(self, width: float, depth: float, height: float) -> None:
        """Tell that a free surface lies here, centered, at `height`."""
        self.draft.tabletops.append(Tabletop(self.at(0, 0, height), width, depth))

    def focus(self, height: float) -> None:
        """Tell that something worth a photo stands here."""
        self.draft.focuses.append(self.point(0, 0, height))
