"""Exports at true scale. `depth_files` reads the depth back.

Depth files hold metres along the optical axis, or steps whose scale the file's name and metadata tell; 0 means "no
measurement" in those. 3D files are in metres, y up and z towards the viewer (glTF's axes: OpenCV's turned half about
x), with the camera at the origin. Every file is written whole or not at all.
"""

import base64
import gzip
import html
import io
import json
import math
import platform
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from plotly.offline import get_plotlyjs

from glpn import __version__
from glpn.errors import ConfigError, ExportError, FloorNotFound, printable
from glpn.files import file_stem, utf8_name, write_atomically

from . import effects, motion, stereo
from .depth import Depth
from .depth_files import KITTI_SCALE, MM_SCALE, SCALE_KEY
from .figures import color_indices, colorize, heatmap_figure, surface_figure
from .geometry import (
    Mesh,
    PointCloud,
    all_measured,
    depth_range,
    is_measured,
    point_cloud,
    resize_rgb,
    triangle_mesh,
    where_measured,
)
from .gltf import glb
from .las import las
from .layers import sharp_depth_m
from .look import DEFAULT_LOOK, Look
from .normals import normals_rgb, surface_normals
from .photo3d import Photo3D, prepare
from .plan import plan_svg, room_plan
from .png import encode_png_16_bit
from .relief import Solid, solid, stl, three_mf
from .uncertainty import Uncertainty, of_variant

if TYPE_CHECKING:
    import trimesh

TEXTURE_SIDE = 2048
EVERY_M = 0.5  # from one band to the next

NORMAL_AXES = "red is x to the right, green y up, blue z towards the viewer"

_AXES = "x right, y up, z towards the viewer; the camera is at the origin"
_COMMENT = f"unit: metre; axes: {_AXES}"


@dataclass(frozen=True)
class Format:
    """One kind of file.

    title   what it is, for people
    unit    of the numbers in it
    suffix  of the file's name, after the stem; `suffix_for` tells it where it depends on the depth
    encode  a job -> the file's bytes
    slow    whether it takes seconds: it is in no zip, and only made when it is asked for by name
    """

    title: str
    unit: str
    suffix: str
    encode: "Callable[[_Job], bytes]"
    suffix_for: "Callable[[_Job], str] | None" = None
    slow: bool = False


@dataclass(frozen=True, eq=False)
class _Job:
    """What all formats of one call share; what several of them need is made once."""

    prediction: Depth
    stem: str
    look: Look

    @property
    def depth_m(self) -> np.ndarray:
        return self.prediction.depth_m

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """What the metres are worth."""
        return of_variant(self.prediction)

    @cached_property
    def photo(self) -> np.ndarray | None:
        """(h, w, 3) uint8: the photo at its own size, or None without one."""
        photo = self.prediction.photo
        return None if photo is None else photo.whole().rgb

    @cached_property
    def skin(self) -> np.ndarray:
        """(h, w, 3) uint8: the photo, or without one the depth in colors."""
        return colorize(self.depth_m, self.look) if self.photo is None else self.photo

    @cached_property
    def mesh(self) -> Mesh:
        """The cut mesh. Raises ExportError if there is no triangle."""
        samples, edge_cut = self.look.samples("file mesh"), self.look.edge_cut
        if self.look.detail != "fine":  # the network states no more depths than it has pixels
            samples = min(samples, math.prod(self.prediction.working_size))
        mesh = triangle_mesh(self.depth_m, self.prediction.camera, self.skin, samples=samples, edge_cut=edge_cut)
        if not len(mesh.faces):
            raise ExportError(
                f"A depth map of {self.depth_m.shape[1]} × {self.depth_m.shape[0]} pixels with "
                f"{int(is_measured(self.depth_m).sum())} measurements holds no triangle. Write 'points' instead."
            )
        return mesh

    @cached_property
    def cloud(self) -> PointCloud:
        """The measured points."""
        samples, edge_cut = self.look.samples("file points"), self.look.edge_cut
        return point_cloud(self.depth_m, self.prediction.camera, self.skin, samples=samples, edge_cut=edge_cut)

    @cached_property
    def scene(self) -> Photo3D:
        """The 3D photo. Raises ExportError where nothing was measured."""
        try:
            return prepare(self.skin, self.depth_m, self.prediction.camera)
        except ConfigError as error:
            raise ExportError(str(error)) from error

    @cached_property
    def sharp_depth_m(self) -> np.ndarray:
        """(H, W) float32 metres, known everywhere, with edges where the photo's are, as the page shows it."""
        return sharp_depth_m(self.scene, self.depth_m.shape)

    @cached_property
    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """What the left and the right eye see."""
        return stereo.pair(self.scene)

    @property
    def distance_m(self) -> float:
        """The look's distance, or else the middle of the scene."""
        return self.look.distance_m or self.scene.pivot_m

    @property
    def every_m(self) -> float:
        """From one band to the next."""
        return self.look.distance_m or EVERY_M


def write(
    prediction: Depth, folder: str | Path, formats: Iterable[str], *, stem: str | None = None, look: Look = DEFAULT_LOOK
) -> list[Path]:
    """Write `prediction` in each of `formats` (names of FORMATS) as `folder`/`stem` + suffix; return the paths.

    folder     is made if it does not exist
    stem       None takes the photo's name
    look       of images, 3D files and the .html; without a photo, depth gives the colors

    Raises ExportError if a format is unknown, holds too little for the depth, or a file can't be written.
    """
    names = list(dict.fromkeys(formats))
    for name in names:
        if name not in FORMATS:
            raise ExportError(f"Unknown format {name!r}. Known: {', '.join(FORMATS)}.")
    if stem is None:
        stem = file_stem(prediction.photo.name) if prediction.photo else "photo"
    if not stem or Path(stem).name != stem:
        raise ExportError(f"The file name {stem!r} can't be used. Give a name without folders; the folder is separate.")
    job = _Job(prediction, stem, look)
    folder = Path(folder)
    paths = []
    for name in names:
        path = folder / _file_name(FORMATS[name], job)
        data = FORMATS[name].encode(job)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        except OSError as error:
            reason = error.strerror or error
            raise ExportError(f"{str(path)!r} can't be written ({reason}). Choose another folder.") from error
        paths.append(path)
    return paths


def encode_depth_png(depth_m: np.ndarray, scale: int, uncertainty: Uncertainty | None = None) -> bytes:
    """Return `depth_m` (H, W) as a 16-bit PNG of `scale` steps per metre, rounded; 0 where nothing was measured.

    Its text chunks tell the scale, the unit, and what the metres are worth if `uncertainty` is given.

    Raises ExportError if the depth goes beyond what 16 bits hold at that scale.
    """
    measured = where_measured(depth_m)
    deepest = float(depth_m.max(where=measured, initial=0))
    if round(deepest * scale) > 65_535:
        raise ExportError(
            f"The depth goes to {deepest:.1f} m; a 16-bit PNG of {scale} steps per metre ends at {65_535 / scale:.1f} "
            "m. Write 'npy' or 'tiff' instead."
        )
    steps = np.zeros(depth_m.shape, np.float32)
    np.multiply(depth_m, np.float32(scale), out=steps, where=measured)
    # What was measured never becomes 0, which means "no measurement".
    np.clip(np.round(steps, out=steps), 1, 65_535, out=steps, where=measured)
    texts = {
        SCALE_KEY: str(scale),
        "Depth-Unit": f"1/{scale} metre along the optical axis; 0 means no measurement",
        "Software": "glpn",
    }
    if uncertainty is not None:
        # Of a PNG's text chunks only those in Latin 1 are read everywhere.
        texts["Depth-Uncertainty"] = f"{uncertainty.note}. {uncertainty.basis}".encode("latin-1", "replace").decode(
            "latin-1"
        )
    return encode_png_16_bit(steps.astype(np.uint16), texts, level=1)


def _color_png(job: "_Job") -> bytes:
    """Return the depth in colors: 8 bits per pixel and a palette, where every pixel was measured."""
    if not all_measured(job.depth_m):
        return image_bytes(Image.fromarray(colorize(job.depth_m, job.look)), "PNG")
    index, palette = color_indices(job.depth_m, job.look)
    image = Image.fromarray(index)
    image.putpalette(palette.tobytes())  # makes it one of mode "P"
    return image_bytes(image, "PNG", compress_level=3)


def metric_scale(depth_m: np.ndarray) -> int:
    """Return the steps per metre that 16 bits have room for: 1000, or 256 for depth beyond 65.535 m."""
    deepest = float(depth_m.max(where=where_measured(depth_m), initial=0))
    return MM_SCALE if round(deepest * MM_SCALE) <= 65_535 else KITTI_SCALE


def _npy(job: _Job) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, job.depth_m.astype(np.float32, copy=False))
    return buffer.getvalue()


def _tiff(job: _Job) -> bytes:
    image = Image.fromarray(job.depth_m.astype(np.float32, copy=False))
    return image_bytes(image, "TIFF", compression="tiff_adobe_deflate", description="depth in metres")


def _points_ply(job: _Job) -> bytes:
    return ply(job.cloud.points, job.cloud.normals, job.cloud.colors)


def _points_las(job: _Job) -> bytes:
    if not len(job.cloud.points):
        raise ExportError("Nothing was measured in this depth map, so there is no point for a LAS file.")
    x, y, z = job.cloud.points.T
    return las(np.stack([x, z, -y], axis=-1), job.cloud.colors)


def _mesh_ply(job: _Job) -> bytes:
    return ply(job.mesh.vertices, job.mesh.normals, job.mesh.colors, job.mesh.faces)


def ply(
    points: np.ndarray, normals: np.ndarray | None, colors: np.ndarray | None, faces: np.ndarray | None = None
) -> bytes:
    """Return binary little-endian PLY, the part of the format that every reader knows.

    points   (N, 3) metres in the camera's axes (y down, z ahead), as normals (N, 3); colors (N, 3) uint8; faces (M, 3)
    """
    vectors = [points] if normals is None else [points, normals]
    fields = [("float", "<f4", name) for name in ("x", "y", "z", "nx", "ny", "nz")[: 3 * len(vectors)]]
    fields += [("uchar", "u1", name) for name in ("red", "green", "blue")] if colors is not None else []
    vertices = np.empty(len(points), [(name, dtype) for _, dtype, name in fields])
    columns = [column for vector in vectors for column in _y_up(vector).T]
    columns += [*colors.T] if colors is not None else []
    for (_, _, name), column in zip(fields, columns, strict=True):
        vertices[name] = column
    header = ["ply", "format binary_little_endian 1.0", f"comment {_COMMENT}", f"element vertex {len(points)}"]
    header += [f"property {kind} {name}" for kind, _, name in fields]
    body = vertices.tobytes()
    if faces is not None:
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        triangles = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
        triangles["count"], triangles["corners"] = 3, faces
        body += triangles.tobytes()
    return "\n".join([*header, "end_header\n"]).encode() + body


def _glb(job: _Job) -> bytes:
    height, width = job.skin.shape[:2]
    shrink = min(1.0, TEXTURE_SIDE / max(height, width))
    skin = resize_rgb(job.skin, (max(1, round(height * shrink)), max(1, round(width * shrink))))
    texture = image_bytes(Image.fromarray(skin), "JPEG", quality=92)
    return glb(_y_up(job.mesh.vertices), job.mesh.uv, job.mesh.faces, texture, comment=_COMMENT)


def _obj(job: _Job) -> bytes:
    mesh = _trimesh(job.mesh, vertex_colors=job.mesh.colors)
    return str(mesh.export(file_type="obj", include_normals=False, digits=5, header=_COMMENT)).encode()


def _stl(job: _Job) -> bytes:
    return bytes(_trimesh(job.mesh).export(file_type="stl"))


def _trimesh(mesh: Mesh, **visual: Any) -> "trimesh.Trimesh":
    """Return trimesh's mesh, y up, without its clean-up. Imported here: only these formats should wait for trimesh."""
    import trimesh

    return trimesh.Trimesh(
        vertices=_y_up(mesh.vertices),
        faces=mesh.faces,
        vertex_normals=_y_up(mesh.normals),
        process=False,
        **visual,
    )


def _json(job: _Job) -> bytes:
    versions = {"python": platform.python_version()} | _versions("torch", "numpy")
    doubt = {"uncertainty": job.uncertainty.to_dict()}
    values = job.prediction.to_dict() | doubt | {"axes_of_3d_files": _AXES, "versions": versions}
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def _normals(job: _Job) -> bytes:
    image = Image.fromarray(normals_rgb(surface_normals(job.depth_m, job.prediction.camera)))
    text = PngInfo()
    text.add_text("Normal-Axes", f"{NORMAL_AXES}; 0 to 255 is -1 to 1; black means no measurement")
    return image_bytes(image, "PNG", pnginfo=text, compress_level=3)


def _plan(job: _Job) -> bytes:
    try:
        plan = room_plan(job.depth_m, job.prediction.camera)
    except FloorNotFound as error:
        raise ExportError(f"There is no room plan. {error}") from error
    return plan_svg(plan, title=f"{job.stem}: plan by {job.prediction.variant}, {job.uncertainty.note}").encode()


def _relief(job: _Job) -> Solid:
    return solid(sharp_depth_m(job.scene, job.scene.nearness.shape), job.look.relief)


def _effect(
    effect: Callable[..., np.ndarray], job: _Job, distance_m: float, kind: str = "JPEG", **options: Any
) -> bytes:
    """Return the photo with an effect of `effects`, at its own size."""
    image = Image.fromarray(effect(job.skin, job.sharp_depth_m, distance_m, **options))
    return image_bytes(image, kind, **({"quality": 92} if kind == "JPEG" else {"compress_level": 3}))


def _postcard(job: _Job) -> np.ndarray:
    line = effects.postcard_line(job.prediction.variant, job.uncertainty.note)
    return effects.postcard(job.skin, job.sharp_depth_m, line=line)


def _still(rgb: np.ndarray) -> bytes:
    return image_bytes(Image.fromarray(rgb), "PNG", compress_level=6)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html {{ color-scheme: light; background: #ffffff; color: #1f2937; }}
body {{ margin: 0 auto; max-width: 1100px; padding: 12px; font: 15px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.2rem; margin: 0; }}
.figure {{ height: min(80vh, 75vw); min-height: 320px; margin-top: 12px; }}
</style>
<h1>{title}</h1>
<div>{caption}</div>
<div class="figure" id="heatmap"></div>
<div class="figure" id="surface"></div>
<noscript>This page draws with JavaScript.</noscript>
<p id="old" hidden>This browser can't unpack the figures. Use Firefox 113, Chrome 80, Safari 16.4 or a later one.</p>
<script type="application/gzip" id="packed">{packed}</script>
<script>
(async () => {{
  if (!window.DecompressionStream) {{
    document.getElementById("old").hidden = false;
    return;
  }}
  const bytes = Uint8Array.from(atob(document.getElementById("packed").textContent), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const [library, ...figures] = JSON.parse(await new Response(stream).text());
  const script = document.createElement("script");
  script.textContent = library;
  document.head.append(script);
  const config = {{responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: ""}};
  const ids = ["heatmap", "surface"];
  await Promise.all(figures.map((figure, i) => Plotly.newPlot(ids[i], figure.data, figure.layout, config)));
  document.body.dataset.ready = "true";
}})();
</script>
</html>
"""


def _html(job: _Job) -> bytes:
    """Return one page with everything in it, plotly.js included, packed with gzip: it needs no network."""
    prediction = job.prediction
    figures = (
        heatmap_figure(job.depth_m, job.look, uncertainty=job.uncertainty),
        surface_figure(job.depth_m, prediction.camera, job.photo, job.look, uncertainty=job.uncertainty),
    )
    packed = json.dumps([get_plotlyjs(), *(json.loads(figure.to_json()) for figure in figures)])
    near, far = depth_range(job.depth_m, "full")
    camera = prediction.camera
    doubt = job.uncertainty
    caption = (
        f"{prediction.variant} · {doubt.text(near)} to {doubt.text(far)} · camera {camera.fov_deg:.0f}° "
        f"({'assumed' if camera.assumed else camera.source})"
    )
    return _PAGE.format(
        title=html.escape(f"{printable(job.stem)}: depth in metres"),
        caption="<br>".join(html.escape(line) for line in (caption, *_worth(job), *prediction.notes)),
        packed=base64.b64encode(gzip.compress(packed.encode(), 6, mtime=0)).decode(),
    ).encode()


def _worth(job: _Job) -> tuple[str, ...]:
    """Sentences on what the metres are worth, and what scaled them."""
    scale = job.prediction.calibration
    return (f"All metres: {job.uncertainty.note}. {job.uncertainty.basis}", *((f"Scaled {scale}.",) if scale else ()))


# Compressed already.
_PACKED: tuple[str, ...] = ("depth-png", "kitti-png", "color-png", "tiff", "html", "glb", "relief-3mf")
_PACKED += ("anaglyph", "sbs", "cross", "postcard", "cutout", "focus", "fog", "bands", "normals")


def _zip(job: _Job) -> bytes:
    """Return all formats that are not slow in one file; those that this depth can't fill are left out, with a note."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compresslevel=1) as archive:
        left_out = []
        for name, kind in FORMATS.items():
            if name == "zip" or kind.slow:
                continue
            try:
                packed = zipfile.ZIP_STORED if name in _PACKED else zipfile.ZIP_DEFLATED
                archive.writestr(utf8_name(_file_name(kind, job)), kind.encode(job), packed)
            except ExportError as error:
                left_out.append(f"{name}: {error}")
        if left_out:
            archive.writestr(utf8_name(f"{job.stem}_left_out.txt"), "\n".join(left_out) + "\n")
    return buffer.getvalue()


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "depth-png": Format(
            "16-bit PNG, millimetres (1/256 m beyond 65.535 m)",
            "mm",
            "_depth_mm.png",
            lambda job: encode_depth_png(job.depth_m, metric_scale(job.depth_m), job.uncertainty),
            lambda job: "_depth_mm.png" if metric_scale(job.depth_m) == 1000 else "_depth_256_per_m.png",
        ),
        "kitti-png": Format(
            "16-bit PNG, KITTI's convention",
            "1/256 m",
            "_depth_kitti_256_per_m.png",
            lambda job: encode_depth_png(job.depth_m, KITTI_SCALE, job.uncertainty),
        ),
        "npy": Format("NumPy array, float32", "m", "_depth_m.npy", _npy),
        "tiff": Format("TIFF, 32-bit float", "m", "_depth_m.tiff", _tiff),
        "color-png": Format(
            "PNG in colors, for viewing",
            "none",
            "_depth_color.png",
            _color_png,
        ),
        "points": Format("PLY point cloud in the photo's colors", "m", "_points.ply", _points_ply),
        "las": Format(
            "LAS point cloud in the photo's colors (x right, y ahead, z up)", "m", "_points.las", _points_las
        ),
        "ply": Format("PLY mesh in the photo's colors", "m", "_mesh.ply", _mesh_ply),
        "glb": Format("glTF mesh with the photo as texture", "m", "_mesh.glb", _glb),
        "obj": Format("Wavefront mesh in the photo's colors", "m", "_mesh.obj", _obj),
        "stl": Format("STL mesh, shape alone", "m", "_mesh.stl", _stl),
        "html": Format("Interactive page for any browser, offline", "m", "_depth.html", _html),
        "json": Format("What was estimated, how, with which camera", "m", "_prediction.json", _json),
        "gif": Format(
            "Photo that moves in depth, looping GIF", "none", "_3d.gif", lambda job: motion.gif(job.scene), slow=True
        ),
        "mp4": Format(
            "Photo that moves in depth, video (H.264)", "none", "_3d.mp4", lambda job: motion.mp4(job.scene), slow=True
        ),
        "anaglyph": Format(
            "3D picture for red-cyan glasses",
            "none",
            "_anaglyph.png",
            lambda job: _still(stereo.anaglyph(*job.pair)),
        ),
        "sbs": Format(
            "Stereo pair for VR viewers, left eye first",
            "none",
            "_LRF_Full_SBS.png",
            lambda job: _still(stereo.beside(*job.pair)),
        ),
        "cross": Format(
            "Stereo pair for squinting, cross-eyed",
            "none",
            "_cross-eyed.png",
            lambda job: _still(stereo.beside(*reversed(job.pair))),
        ),
        "postcard": Format(
            "Postcard of photo, depth and a scale",
            "m",
            "_postcard.png",
            lambda job: _still(_postcard(job)),
        ),
        "cutout": Format(
            "Cut-out of what is near, the rest transparent",
            "none",
            "_cutout.png",
            lambda job: _effect(effects.cut_out, job, job.distance_m, "PNG"),
        ),
        "focus": Format(
            "Photo sharp at one distance alone",
            "none",
            "_focus.jpg",
            lambda job: _effect(effects.blur, job, job.distance_m, aperture=job.look.aperture),
        ),
        "fog": Format("Photo in fog", "none", "_fog.jpg", lambda job: _effect(effects.fog, job, job.distance_m)),
        "bands": Format(
            "Photo in bands of equal distance",
            "none",
            "_bands.jpg",
            lambda job: _effect(effects.bands, job, job.every_m),
        ),
        "contours": Format(
            "Contour lines of equal distance, SVG",
            "m",
            "_contours.svg",
            lambda job: effects.contours_svg(job.skin, job.sharp_depth_m, job.every_m).encode(),
        ),
        "normals": Format("Normal map (red right, green up, blue to the viewer)", "none", "_normals.png", _normals),
        "relief-stl": Format("Relief to print, STL", "mm", "_relief_mm.stl", lambda job: stl(_relief(job))),
        "relief-3mf": Format(
            "Relief to print, 3MF, which states its unit",
            "mm",
            "_relief_mm.3mf",
            lambda job: three_mf(_relief(job), title=f"Relief of {printable(job.stem)}"),
        ),
        "plan": Format("Room plan with a scale, where a floor is seen", "m", "_plan.svg", _plan),
        "zip": Format("All of these in one file, but what takes seconds", "as within", "_depth.zip", _zip),
    }
)


def estimated_bytes(name: str, pixels: int, look: Look = DEFAULT_LOOK) -> int | None:
    """Return about how large the file of format `name` will be for a photo of so many pixels; None if nobody can know.

    The figures are of 0.3 to 6 megapixels of the sample photos, at all three details; true sizes are 0.5 to 2 times
    theirs. PNGs grow more slowly than their pixels, for the network sees each photo at one size.
    """
    vertices, points, cells = (min(pixels, look.samples(kind)) for kind in ("file mesh", "file points", "heatmap"))
    sizes = {
        "depth-png": 14 * pixels**0.75,
        "kitti-png": 7.3 * pixels**0.75,
        "npy": 128 + 4.0 * pixels,
        "tiff": 2.8 * pixels,
        "color-png": 4.8 * pixels**0.75,
        "points": 27.0 * points,
        "las": 26.0 * points,
        "ply": 53.0 * vertices,
        "glb": (55.0 * vertices if look.detail == "fine" else 1.3e6) + 0.1 * min(pixels, TEXTURE_SIDE**2),
        "anaglyph": 24.5 * pixels**0.77,
        "sbs": 34 * pixels**0.77,
        "cross": 34 * pixels**0.77,
        "postcard": 4.9e5,
        "cutout": 21.7 * pixels**0.77,
        "focus": 6.4 * pixels**0.7,
        "fog": 8.1 * pixels**0.7,
        "bands": 28.5 * pixels**0.63,
        "normals": 5.9 * pixels**0.86,
        "relief-stl": 4.8e6,
        "relief-3mf": 9.6e5,
        "obj": 94.0 * vertices,
        "stl": 99.0 * vertices,
        "html": 1.95e6 + 11.3 * cells,
        "json": 1.2e3,
    }
    return round(sizes[name]) if name in sizes else None


def _file_name(kind: Format, job: _Job) -> str:
    return job.stem + (kind.suffix_for(job) if kind.suffix_for else kind.suffix)


def _y_up(vectors: np.ndarray) -> np.ndarray:
    """Turn OpenCV's axes (y down, z forward) half about x to glTF's (y up, z towards the viewer)."""
    return vectors * np.array([1, -1, -1], np.float32)


def image_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _versions(*packages: str) -> dict[str, str]:
    """Return package -> version, of this project and of those that are installed."""
    versions = {"glpn": __version__}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
