"""Files that other programs open at the right size. `depth_file` reads the depth back.

Depth files hold metres along the optical axis, or steps whose scale the file's name and metadata tell; 0 means "no
measurement" in those. 3D files are in metres, y up and z towards the viewer (glTF's axes: OpenCV's turned half about
x), with the camera at the origin. Every file is written whole or not at all.
"""

import base64
import gzip
import html
import io
import json
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
from PIL import Image, PngImagePlugin
from plotly.offline import get_plotlyjs

from . import __version__
from .depth_file import KITTI_SCALE, MM_SCALE, SCALE_KEY
from .errors import ExportError
from .files import write_atomically
from .geometry import EDGE_CUT, Mesh, depth_range, is_measured, point_cloud, resize_rgb, triangle_mesh
from .prediction import DepthPrediction
from .rendering import colorize, heatmap_figure, surface_figure

if TYPE_CHECKING:
    import trimesh

# Samples per 3D file: vertices of a mesh, points of a cloud.
DETAILS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "draft": MappingProxyType({"mesh": 40_000, "points": 160_000}),
        "standard": MappingProxyType({"mesh": 160_000, "points": 640_000}),
        "fine": MappingProxyType({"mesh": 640_000, "points": 4_000_000}),
    }
)
TEXTURE_SIDE = 2048

_AXES = "x right, y up, z towards the viewer; the camera is at the origin"
_COMMENT = f"unit: metre; axes: {_AXES}"


@dataclass(frozen=True)
class Format:
    """One kind of file.

    title   what it is, for people
    unit    of the numbers in it
    suffix  of the file's name, after the stem; `suffix_for` tells it where it depends on the depth
    encode  a job -> the file's bytes
    """

    title: str
    unit: str
    suffix: str
    encode: "Callable[[_Job], bytes]"
    suffix_for: "Callable[[_Job], str] | None" = None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Job:
    """What all formats of one call share; what several of them need is made once."""

    prediction: DepthPrediction
    photo: np.ndarray | None
    stem: str
    colors: str
    range_m: str | tuple[float, float] | None
    near_bright: bool
    edge_cut: float
    detail: str
    dark: bool

    @property
    def depth_m(self) -> np.ndarray:
        return self.prediction.depth_m

    @cached_property
    def colored(self) -> np.ndarray:
        """(H, W, 3) uint8: the depth in colours."""
        return colorize(self.depth_m, colors=self.colors, range_m=self.range_m, near_bright=self.near_bright)

    @property
    def skin(self) -> np.ndarray:
        """(h, w, 3) uint8: the photo, or without one the depth in colours."""
        return self.colored if self.photo is None else self.photo

    @cached_property
    def mesh(self) -> Mesh:
        """The cut mesh. Raises ExportError if there is no triangle."""
        samples = DETAILS[self.detail]["mesh"]
        camera = self.prediction.camera
        mesh = triangle_mesh(self.depth_m, camera, self.skin, samples=samples, edge_cut=self.edge_cut)
        if not len(mesh.faces):
            raise ExportError(
                f"A depth map of {self.depth_m.shape[1]} × {self.depth_m.shape[0]} pixels with "
                f"{int(is_measured(self.depth_m).sum())} measurements holds no triangle. Write 'points' instead."
            )
        return mesh


def write(
    prediction: DepthPrediction,
    rgb: np.ndarray | None,
    folder: str | Path,
    formats: Iterable[str],
    *,
    stem: str = "photo",
    colors: str = "turbo",
    range_m: str | tuple[float, float] | None = "robust",
    near_bright: bool = True,
    edge_cut: float = EDGE_CUT,
    detail: str = "standard",
    dark: bool = False,
) -> list[Path]:
    """Write `prediction` in each of `formats` (names of FORMATS) as `folder`/`stem` + suffix; return the paths.

    rgb        (h, w, 3) uint8, the photo at any size, for colours and textures; None colours by depth
    folder     is made if it does not exist
    edge_cut   relative step at which meshes are cut
    detail     of 3D files, one of DETAILS
    colors, range_m, near_bright, dark   of coloured images and the .html, as in `rendering`

    Raises ExportError if a format is unknown, holds too little for the depth, or a file can't be written.
    """
    names = list(dict.fromkeys(formats))
    for name in names:
        if name not in FORMATS:
            raise ExportError(f"Unknown format {name!r}. Known: {', '.join(FORMATS)}.")
    if detail not in DETAILS:
        raise ExportError(f"Unknown detail {detail!r}. Known: {', '.join(DETAILS)}.")
    if not stem or Path(stem).name != stem:
        raise ExportError(f"The file name {stem!r} can't be used. Give a name without folders; the folder is separate.")
    job = _Job(
        prediction=prediction,
        photo=rgb,
        stem=stem,
        colors=colors,
        range_m=range_m,
        near_bright=near_bright,
        edge_cut=edge_cut,
        detail=detail,
        dark=dark,
    )
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


def encode_depth_png(depth_m: np.ndarray, scale: int) -> bytes:
    """Return `depth_m` (H, W) as a 16-bit PNG of `scale` steps per metre, rounded; 0 where nothing was measured.

    Raises ExportError if the depth goes beyond what 16 bits hold at that scale.
    """
    measured = is_measured(depth_m)
    deepest = float(depth_m.max(where=measured, initial=0))
    if round(deepest * scale) > 65_535:
        raise ExportError(
            f"The depth goes to {deepest:.1f} m; a 16-bit PNG of {scale} steps per metre ends at {65_535 / scale:.1f} "
            "m. Write 'npy' or 'tiff' instead."
        )
    steps = np.zeros(depth_m.shape, np.float32)
    np.multiply(depth_m, np.float32(scale), out=steps, where=measured)
    # What was measured stays apart from 0, however near.
    np.clip(np.round(steps, out=steps), 1, 65_535, out=steps, where=measured)
    info = PngImagePlugin.PngInfo()
    info.add_text(SCALE_KEY, str(scale))
    info.add_text("Depth-Unit", f"1/{scale} metre along the optical axis; 0 means no measurement")
    info.add_text("Software", "glpn")
    return _image_bytes(Image.fromarray(steps.astype(np.uint16)), "PNG", pnginfo=info)


def _metric_scale(depth_m: np.ndarray) -> int:
    """Return the steps per metre that 16 bits have room for: 1000, or 256 for depth beyond 65.535 m."""
    deepest = float(depth_m.max(where=is_measured(depth_m), initial=0))
    return MM_SCALE if round(deepest * MM_SCALE) <= 65_535 else KITTI_SCALE


def _npy(job: _Job) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, job.depth_m.astype(np.float32, copy=False))
    return buffer.getvalue()


def _tiff(job: _Job) -> bytes:
    image = Image.fromarray(job.depth_m.astype(np.float32, copy=False))
    return _image_bytes(image, "TIFF", compression="tiff_adobe_deflate", description="depth in metres")


def _points_ply(job: _Job) -> bytes:
    samples = DETAILS[job.detail]["points"]
    cloud = point_cloud(job.depth_m, job.prediction.camera, job.skin, samples=samples, edge_cut=job.edge_cut)
    return _ply(cloud.points, cloud.normals, cloud.colors)


def _mesh_ply(job: _Job) -> bytes:
    return _ply(job.mesh.vertices, job.mesh.normals, job.mesh.colors, job.mesh.faces)


def _ply(points: np.ndarray, normals: np.ndarray, colors: np.ndarray | None, faces: np.ndarray | None = None) -> bytes:
    """Return binary little-endian PLY, the part of the format that every reader knows."""
    fields = [("float", "<f4", name) for name in ("x", "y", "z", "nx", "ny", "nz")]
    fields += [("uchar", "u1", name) for name in ("red", "green", "blue")] if colors is not None else []
    vertices = np.empty(len(points), [(name, dtype) for _, dtype, name in fields])
    columns = [*_y_up(points).T, *_y_up(normals).T, *(colors.T if colors is not None else ())]
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
    from trimesh import Scene
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    height, width = job.skin.shape[:2]
    shrink = min(1.0, TEXTURE_SIDE / max(height, width))
    skin = resize_rgb(job.skin, (max(1, round(height * shrink)), max(1, round(width * shrink))))
    # Read back as JPEG, the texture is stored as JPEG.
    texture = Image.open(io.BytesIO(_image_bytes(Image.fromarray(skin), "JPEG", quality=92)))
    material = PBRMaterial(baseColorTexture=texture, metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True)
    mesh = _trimesh(job.mesh, visual=TextureVisuals(uv=job.mesh.uv, material=material))

    def unlit(tree: dict[str, Any]) -> None:
        """Show the photo's own light, without a second one (KHR_materials_unlit)."""
        tree["asset"]["extras"] = {"comment": _COMMENT}
        tree["extensionsUsed"] = [*tree.get("extensionsUsed", ()), "KHR_materials_unlit"]
        for entry in tree["materials"]:
            entry["extensions"] = {"KHR_materials_unlit": {}}

    return bytes(Scene(mesh).export(file_type="glb", include_normals=True, tree_postprocessor=unlit))


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
    prediction = job.prediction
    near, far = depth_range(prediction.depth_m, "full")
    values = {
        "variant": prediction.variant,
        "size": {"height": prediction.size[0], "width": prediction.size[1]},
        "working_size": {"height": prediction.working_size[0], "width": prediction.working_size[1]},
        "depth": {
            "unit": "m",
            "axis": "optical axis (z)",
            "nearest": near,
            "farthest": far,
            "max_depth_m": prediction.max_depth_m,
            "share_at_limit": prediction.share_at_limit,
            "measured_pixels": int(is_measured(prediction.depth_m).sum()),
        },
        "scale_correction": prediction.scale,
        "camera": prediction.camera.to_dict() | {"assumed": prediction.camera.assumed},
        "axes_of_3d_files": _AXES,
        "seconds": prediction.seconds,
        "precision": prediction.precision,
        "device": prediction.device,
        "flip_averaged": prediction.flip_averaged,
        "notes": list(prediction.notes),
        "versions": {"python": platform.python_version()} | _versions("torch", "numpy"),
    }
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html {{ color-scheme: {scheme}; {skin} }}
body {{ margin: 0 auto; max-width: 1100px; padding: 12px; font: 15px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.2rem; margin: 0; }}
.figure {{ height: min(80vh, 75vw); min-height: 320px; margin-top: 12px; }}
</style>
<h1>{title}</h1>
<div>{caption}</div>
<div class="figure" id="heatmap"></div>
<div class="figure" id="surface"></div>
<noscript>This page draws with JavaScript.</noscript>
<script type="application/gzip" id="packed">{packed}</script>
<script>
(async () => {{
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
    look: dict[str, Any] = {
        "colors": job.colors,
        "range_m": job.range_m,
        "near_bright": job.near_bright,
        "dark": job.dark,
    }
    texture = "depth" if job.photo is None else "photo"
    figures = (
        heatmap_figure(job.depth_m, **look),
        surface_figure(job.depth_m, prediction.camera, job.photo, texture=texture, edge_cut=job.edge_cut, **look),
    )
    packed = json.dumps([get_plotlyjs(), *(json.loads(figure.to_json()) for figure in figures)])
    near, far = depth_range(job.depth_m, "full")
    camera = prediction.camera
    caption = (
        f"{prediction.variant} · {near:.2f}–{far:.2f} m · camera {camera.fov_deg:.0f}° "
        f"({'assumed' if camera.assumed else camera.source})"
    )
    return _PAGE.format(
        title=html.escape(f"{job.stem}: depth in metres"),
        caption="<br>".join(html.escape(line) for line in (caption, *prediction.notes)),
        scheme="dark" if job.dark else "light",
        skin="background: #111827; color: #e5e7eb;" if job.dark else "background: #ffffff; color: #1f2937;",
        packed=base64.b64encode(gzip.compress(packed.encode(), 6, mtime=0)).decode(),
    ).encode()


_PACKED = ("depth-png", "kitti-png", "color-png", "tiff", "html")  # compressed already


def _zip(job: _Job) -> bytes:
    """Return all other formats in one file; those that this depth can't fill are left out, and listed in a note."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compresslevel=1) as archive:
        left_out = []
        for name, kind in FORMATS.items():
            if name == "zip":
                continue
            try:
                packed = zipfile.ZIP_STORED if name in _PACKED else zipfile.ZIP_DEFLATED
                archive.writestr(_file_name(kind, job), kind.encode(job), packed)
            except ExportError as error:
                left_out.append(f"{name}: {error}")
        if left_out:
            archive.writestr(f"{job.stem}_left_out.txt", "\n".join(left_out) + "\n")
    return buffer.getvalue()


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "depth-png": Format(
            "16-bit PNG, millimetres (1/256 m beyond 65.535 m)",
            "mm",
            "_depth_mm.png",
            lambda job: encode_depth_png(job.depth_m, _metric_scale(job.depth_m)),
            lambda job: "_depth_mm.png" if _metric_scale(job.depth_m) == 1000 else "_depth_256_per_m.png",
        ),
        "kitti-png": Format(
            "16-bit PNG, KITTI's convention",
            "1/256 m",
            "_depth_kitti_256_per_m.png",
            lambda job: encode_depth_png(job.depth_m, KITTI_SCALE),
        ),
        "npy": Format("NumPy array, float32", "m", "_depth_m.npy", _npy),
        "tiff": Format("TIFF, 32-bit float", "m", "_depth_m.tiff", _tiff),
        "color-png": Format(
            "PNG in colours, to look at",
            "none",
            "_depth_color.png",
            lambda job: _image_bytes(Image.fromarray(job.colored), "PNG"),
        ),
        "points": Format("PLY point cloud in the photo's colours", "m", "_points.ply", _points_ply),
        "ply": Format("PLY mesh in the photo's colours", "m", "_mesh.ply", _mesh_ply),
        "glb": Format("glTF mesh with the photo as texture", "m", "_mesh.glb", _glb),
        "obj": Format("Wavefront mesh in the photo's colours", "m", "_mesh.obj", _obj),
        "stl": Format("STL mesh, shape alone", "m", "_mesh.stl", _stl),
        "html": Format("Page to turn in a browser, offline", "m", "_depth.html", _html),
        "json": Format("What was estimated, how, with which camera", "m", "_prediction.json", _json),
        "zip": Format("All of these in one file", "as within", "_depth.zip", _zip),
    }
)


def _file_name(kind: Format, job: _Job) -> str:
    return job.stem + (kind.suffix_for(job) if kind.suffix_for else kind.suffix)


def _y_up(vectors: np.ndarray) -> np.ndarray:
    """Turn OpenCV's axes (y down, z forward) half about x to glTF's (y up, z towards the viewer)."""
    return vectors * np.array([1, -1, -1], np.float32)


def _image_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
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
