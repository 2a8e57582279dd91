"""Rays to radiance: first hits, textures, bounced light with color bleeding, soft shadows, highlights."""

from dataclasses import dataclass

import cv2
import numpy as np

from .materials import TEXTURE_SIZE
from .scene import Light, Scene
from .views import View

LIFT_M = 2e-3  # rays leave a surface from just above it
SHADOW_MARGIN_M = 0.06  # a lamp does not stand in its own light
MIRRORS = 0.1  # gloss from which a surface mirrors its surroundings
UNLIT = 0.004  # irradiance below which a lamp needs no shadow ray


@dataclass(frozen=True, eq=False)
class Hits:
    """What a view's pixels see, (N,) in row order: `depth_m` is along the optical axis, 0 where there is nothing."""

    depth_m: np.ndarray
    material: np.ndarray
    triangle: np.ndarray
    corner_weights: np.ndarray
    position: np.ndarray
    direction: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Surface:
    """Where light is gathered: `point` lies just above the surface; all (N, 3) float32 but the (N,) gloss figures."""

    point: np.ndarray
    normal: np.ndarray
    view: np.ndarray
    gloss: np.ndarray
    shininess: np.ndarray


def first_hits(scene: Scene, view: View, size: tuple[int, int]) -> Hits:
    """Cast one ray through the center of each pixel of a picture of `size` (height, width)."""
    direction = view.directions(size)
    origin = np.broadcast_to(view.position.astype(np.float32), direction.shape)
    hit = scene.cast(origin, direction)
    found = hit["primID"] >= 0
    triangle = np.where(found, hit["primID"], 0)
    depth_m = np.where(found, hit["tfar"], 0).astype(np.float32)  # the directions advance 1 m of depth per unit
    u, v = hit["u"], hit["v"]
    return Hits(
        depth_m=depth_m,
        material=np.where(found, scene.material[triangle], 0),
        triangle=triangle,
        corner_weights=np.stack([1 - u - v, u, v], 1),
        position=origin + direction * depth_m[:, None],
        direction=_unit(direction),
        size=size,
    )


def shade(scene: Scene, view: View, hits: Hits, rng: np.random.Generator) -> np.ndarray:
    """Return the radiance (H, W, 3) float32, linear, of what `hits` tells; `rng` jitters shadow and bounce rays."""
    height, width = hits.size
    image = (height, width, 3)
    normal = _unit(_interpolate(hits, scene.normals))
    facing = _dot(normal, hits.direction)
    normal *= np.where(facing > 0, -1, 1)[:, None].astype(np.float32)
    surface = _Surface(
        point=hits.position + normal * np.float32(LIFT_M),
        normal=normal,
        view=hits.direction,
        gloss=scene.gloss[hits.material],
        shininess=scene.shininess[hits.material],
    )
    direct, highlight = np.zeros_like(normal), np.zeros_like(normal)
    for light in scene.lights:
        _add_light(scene, light, surface, _strata(hits.size, rng), direct, highlight)
    neighbours = _Neighbours(hits.material.reshape(height, width), normal.reshape(image))
    bounced = _bounced(scene, surface, _strata(hits.size, rng))
    irradiance = neighbours.smooth(bounced.reshape(image), steps=(1, 2))
    irradiance += neighbours.smooth(direct.reshape(image), steps=(1,))
    irradiance += 1.5 * scene.emission[hits.material].reshape(height, width, 1)
    albedo = _albedo(scene, hits, np.abs(facing), view.focal_px(width)).reshape(image)
    mirrored = neighbours.smooth(_mirrored(scene, surface, rng).reshape(image), steps=(1,))
    radiance = np.minimum(albedo * irradiance + highlight.reshape(image) + mirrored, 30)
    sky = scene.ambient.rgb * (
        1 + np.float32(scene.ambient.sky) * (1 - hits.direction[:, 2:]).reshape(height, width, 1)
    )
    radiance = np.where(hits.depth_m.reshape(height, width, 1) > 0, radiance, sky)
    softened = cv2.GaussianBlur(np.minimum(radiance, 3), (3, 3), 0.6)  # one ray per pixel leaves stairs at edges
    return np.where(neighbours.edges[..., None], softened, radiance).astype(np.float32)


# NumPy's sum over an axis of three is slow; einsum is not.


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.sqrt(_dot(vectors, vectors)) + np.float32(1e-9))[..., None]


def _interpolate(hits: Hits, at_corners: np.ndarray) -> np.ndarray:
    """Interpolate values (T, 3, C) at the triangles' corners; returns (N, C)."""
    return np.einsum("nk,nkc->nc", hits.corner_weights, at_corners[hits.triangle])


def _strata(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return two random numbers (2, H * W) per pixel, 0 to 1, such that 3 × 3 neighbours share out the unit square."""
    y, x = np.indices(size).reshape(2, -1)
    cells = np.stack([(x + y) % 3, y % 3]).astype(np.float32)
    return (cells + rng.random(cells.shape, dtype=np.float32)) / 3


def _on_sphere(samples: np.ndarray) -> np.ndarray:
    """Map (2, N) numbers in [0, 1] to unit vectors (N, 3), evenly."""
    around, height = 2 * np.pi * samples[0], 2 * samples[1] - 1
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(around), radius * np.sin(around), height], 1)


def _albedo(scene: Scene, hits: Hits, facing: np.ndarray, focal_px: float) -> np.ndarray:
    """Look up the texture, at the mip level of one pixel's footprint; returns (N, 3)."""
    texels_per_pixel = hits.depth_m / focal_px * scene.repeats[hits.material] * TEXTURE_SIZE
    level = np.log2(np.maximum(texels_per_pixel / np.sqrt(np.maximum(facing, 0.15)), 1e-3)) + 0.3
    texture = scene.bank.sample(scene.textures[hits.material], _interpolate(hits, scene.uv), level)
    return np.minimum(texture * scene.tints[hits.material] ** 2, 0.9).astype(np.float32)


def _bounced(scene: Scene, surface: _Surface, samples: np.ndarray) -> np.ndarray:
    """Light that has bounced before: one cosine-distributed ray per pixel takes on the color of what it meets."""
    ray = _unit(surface.normal + np.float32(0.99) * _on_sphere(samples))
    hit = scene.cast(surface.point, ray)
    found = hit["primID"] >= 0
    met = scene.material[np.maximum(hit["primID"], 0)]
    color = (scene.bank.mean[scene.textures] * scene.tints**2)[met]
    open_share = np.clip(np.where(found, hit["tfar"], np.inf) / scene.ambient.reach_m, 0, 1)[:, None].astype(np.float32)
    ambient = scene.ambient.rgb * np.float32(0.55 + 0.45 * scene.ambient.upward * ray[:, 2:])
    bleeding = color * (0.5 * ambient * (0.4 + 0.6 * open_share) + 0.6 * np.minimum(scene.emission[met], 3)[:, None])
    return np.where(found[:, None], bleeding, 0) + np.float32(0.75) * open_share * ambient


def _mirrored(scene: Scene, surface: _Surface, rng: np.random.Generator) -> np.ndarray:
    """What polished floors, screens and tabletops mirror: the plain color and own light of what the ray meets."""
    result = np.zeros_like(surface.point)
    shiny = np.flatnonzero(surface.gloss > MIRRORS)
    if not len(shiny):
        return result
    normal, view = surface.normal[shiny], surface.view[shiny]
    facing = np.clip(-_dot(normal, view), 0, 1)[:, None]
    ray = view + 2 * facing * normal
    ray += (0.5 / np.sqrt(surface.shininess[shiny]))[:, None] * rng.standard_normal(ray.shape, dtype=np.float32)
    hit = scene.cast(surface.point[shiny], ray)
    met = scene.material[np.maximum(hit["primID"], 0)]
    own = (scene.bank.mean[scene.textures] * scene.tints**2)[met]
    light = 1.2 * scene.ambient.rgb + np.minimum(scene.emission[met], 4)[:, None]
    share = np.minimum(1, 2 * surface.gloss[shiny])[:, None] * (0.04 + 0.96 * (1 - facing) ** 5)  # Schlick
    result[shiny] = np.where((hit["primID"] >= 0)[:, None], share * own * light, 0)
    return result


def _add_light(
    scene: Scene, light: Light, surface: _Surface, samples: np.ndarray, direct: np.ndarray, highlight: np.ndarray
) -> None:
    """Add the light of one random point of the lamp per pixel, with its shadow, to `direct` and `highlight` (N, 3)."""
    if light.right is not None and light.up is not None:
        across, along = 2 * samples[..., None] - 1
        source = light.position + across * light.right + along * light.up
        softening = 0.15 + 0.25 * np.linalg.norm(light.right) * np.linalg.norm(light.up)
        facing = np.cross(light.right, light.up)
    else:
        source = light.position + light.radius * _on_sphere(samples)
        softening, facing = np.float64(0.15), None
    towards = source.astype(np.float32) - surface.point
    distance = np.sqrt(_dot(towards, towards)) + np.float32(1e-6)
    towards /= distance[:, None]
    strength = np.maximum(_dot(surface.normal, towards), 0) / (distance**2 + np.float32(softening))
    if facing is not None:
        strength *= 1.3 * np.abs(towards @ (facing / np.linalg.norm(facing)).astype(np.float32))
    color = light.color.astype(np.float32)
    lit = np.flatnonzero(strength * color.max() > UNLIT)
    if not len(lit):
        return
    lit = lit[~scene.blocked(surface.point[lit], towards[lit], distance[lit] - SHADOW_MARGIN_M)]
    direct[lit] += strength[lit, None] * color
    shiny = lit[surface.gloss[lit] > 0]
    half = _unit(towards[shiny] - surface.view[shiny])
    exponent = surface.shininess[shiny]
    lobe = np.maximum(_dot(surface.normal[shiny], half), 0) ** exponent * (exponent + 8) / 50
    highlight[shiny] += (surface.gloss[shiny] * lobe * strength[shiny])[:, None] * color.mean()


class _Neighbours:
    """Which neighbouring pixels lie on the same surface: same material, nearly the same normal."""

    def __init__(self, material: np.ndarray, normal: np.ndarray) -> None:
        self._material, self._normal = material, normal
        right = ~self._same((slice(None), slice(1, None)), (slice(None), slice(None, -1)))
        below = ~self._same((slice(1, None), slice(None)), (slice(None, -1), slice(None)))
        self.edges = np.zeros(material.shape, bool)  # (H, W): the pixels at either side of an edge
        self.edges[:, 1:] |= right
        self.edges[:, :-1] |= right
        self.edges[1:] |= below
        self.edges[:-1] |= below

    def _same(self, here: tuple[slice, slice], there: tuple[slice, slice]) -> np.ndarray:
        alike = np.einsum("ijk,ijk->ij", self._normal[here], self._normal[there]) > 0.9
        return (self._material[here] == self._material[there]) & alike

    def smooth(self, values: np.ndarray, *, steps: tuple[int, ...]) -> np.ndarray:
        """Average `values` (H, W, 3) over 3 × 3 neighbours on the same surface, `step` pixels apart, once per step."""
        height, width = self._material.shape
        for step in steps:
            total, weight = values.copy(), np.ones((height, width, 1), np.float32)
            for dy, dx in ((0, step), (step, 0), (step, step), (step, -step)):
                here = (slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
                there = (slice(dy, height), slice(max(0, dx), width + min(0, dx)))
                same = self._same(here, there)[..., None].astype(np.float32)
                total[here] += same * values[there]
                total[there] += same * values[here]
                weight[here] += same
                weight[there] += same
            values = total / weight
        return values
