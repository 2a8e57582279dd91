"""Files of intrinsics to Camera: this project's own, and those of the tools that people calibrate and scan with.

JSON    fx, fy, cx, cy (also fl_x, ppx, …), a 3 × 3 matrix, fov_deg or focal_35mm; Nerfstudio, instant-ngp, RealSense,
        Open3D, Record3D, ARKit, Polycam, MoGe (normalized) and our own *_prediction.json
YAML    OpenCV (also its XML), ROS camera_info, Kalibr
text    `name: value` or `name = value` lines, KITTI, Middlebury, COLMAP's cameras.txt, ARKitScenes (.pincam), or just
        4 (fx fy cx cy), 9, 12 or 16 numbers
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .camera import PLAUSIBLE_FOV_DEG, Camera, by_sides, number, same_shape
from .errors import CameraError, printable

Size = tuple[int, int]
Values = dict[str, Any]

MAX_CAMERA_JSON_BYTES = 16 << 20  # a Nerfstudio file lists thousands of frames
MAX_TEXT_BYTES = 1 << 20
MAX_YAML_BYTES = 1 << 17  # PyYAML reads some 100 kB a second
CENTRAL = 0.1  # a principal point is at least this share of a side away from the edges

# Other tools' names, in lower case, for ours.
_ALIASES = {
    "fl_x": "fx",
    "fl_y": "fy",
    "focal_x": "fx",
    "focal_y": "fy",
    "ppx": "cx",
    "ppy": "cy",
    "w": "width",
    "h": "height",
    "image_width": "width",
    "image_height": "height",
    "fov_x": "fov_deg",
}
_MATRICES = (
    "k",
    "camera_matrix",
    "intrinsic_matrix",
    "cameramatrix",
    "intrinsics",
    "intrinsic",
    "cam0",
    "p2",
    "p_rect_02",
)
_SIZE_KEYS = ("resolution", "imageresolution", "image_size", "s_rect_02")  # width, height
_PARTS = ("camera", "color", "rgb", "intrinsics", "intrinsic", "cam0", "camera_intrinsics", "left")
_MODELS = ("camera_model", "distortion_model", "model")
_WIDE_MODELS = ("fish", "equidistant", "equirect", "omni", "spherical", "kannala", "mei", "double_sphere", "eucm")
_PIXELS_FROM_CORNER = ("fl_x", "camera_angle_x")  # files whose pixel centers are at 0.5, as in COLMAP
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TEXT_LINE = re.compile(r"\s*(?:([A-Za-z]\w*)\s*[:=])?([^#]*)(?:#.*)?")
_COLMAP = re.compile(r"\s*\d+\s+([A-Z][A-Z_]+)\s+(\d+)\s+(\d+)((?:\s+[-+.\deE]+)+)\s*")
_GIVE = "Give fx, fy, cx, cy in pixels of the photo, or a 3 × 3 matrix K, or fov_deg, or focal_35mm."


def read_camera(path: str | Path, size: Size) -> Camera:
    """Read intrinsics for a photo of `size` (height, width) from a file of any kind that this module's docstring lists.

    With a width and height in the file the intrinsics are scaled from that size to `size`; those of a landscape sensor
    are turned for a portrait photo. Normalized values (0 to 1) become pixels. Lens distortion is left out.

    Raises CameraError if the file can't be read, or gives what no ordinary camera has: a fisheye lens, a field of view
    outside 10° to 150°, a principal point at the edge, another shape than the photo's.
    """
    path = Path(path)
    name = printable(repr(path.name))
    try:
        values = _parse(path, size)
        camera, own = _camera(values, size)
    except _Refused as error:
        raise CameraError(f"The camera file {name} {error}") from None
    _check_plausible(camera, name)
    if same_shape(own[::-1], size) and not same_shape(own, size):
        camera = _turned(camera)
    elif not same_shape(own, size):
        raise CameraError(
            f"The camera file {name} is for pictures of {by_sides(own)}; the photo is {by_sides(size)}, another shape. "
            "Give intrinsics of the photo itself."
        )
    return camera.resized(size)


class _Refused(Exception):
    """Why a file is refused: the rest of a sentence that begins with its name."""


# ------------------------------------------------------------------------------------------------- from file to values


def _parse(path: Path, size: Size) -> Values:
    """Return what the file says as lower-case names and values."""
    text = _read(path)
    start = text.lstrip()[:20]
    if start.startswith(("{", "[")):
        return _named(_parse_json(text))
    if len(text) > MAX_TEXT_BYTES:
        raise _Refused(
            f"is larger than {MAX_TEXT_BYTES >> 20} MiB. Give a JSON, YAML or text file of intrinsics alone."
        )
    if start.startswith("<"):
        return _named(_parse_xml(text))
    if start.startswith("%YAML") or path.suffix.lower() in (".yaml", ".yml"):
        return _named(_parse_yaml(text))
    return _parse_colmap(text, size) or _parse_text(text)


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            raise _Refused("doesn't exist. Check the path." if not path.exists() else "is not a regular file.")
        if path.stat().st_size > MAX_CAMERA_JSON_BYTES:
            raise _Refused(f"is larger than {MAX_CAMERA_JSON_BYTES >> 20} MiB. Give a file of intrinsics alone.")
        data = path.read_bytes()
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise _Refused(f"can't be read: {reason}. Give a JSON, YAML or text file.") from None


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _Refused("is not valid JSON. Correct it, or give plain text.") from None


def _parse_yaml(text: str) -> Any:
    import yaml  # only these files cost its import

    class Loader(yaml.SafeLoader):
        """Reads OpenCV's `!!opencv-matrix` as the mapping that it is."""

    def mapping(loader: Any, _: str, node: Any) -> Any:
        return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None

    Loader.add_multi_constructor("", mapping)
    if len(text) > MAX_YAML_BYTES:
        raise _Refused(f"is larger than {MAX_YAML_BYTES >> 10} KiB. Give a YAML file of intrinsics alone.")
    if text.lstrip().startswith("%YAML"):  # OpenCV writes `%YAML:1.0`, which YAML does not allow
        text = text.lstrip().partition("\n")[2]
    try:
        return next(iter(yaml.load_all(text, Loader)), None)
    except Exception:  # the loader raises almost anything on foreign text
        raise _Refused("is not valid YAML. Correct it, or give plain text.") from None


def _parse_xml(text: str) -> Any:
    """Read OpenCV's XML: names and texts below the root; a matrix is its `data`."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError):
        raise _Refused("is not valid XML. Give JSON or plain text.") from None
    return {part.tag: _numbers_in(part.findtext("data") or part.text or "") for part in root}


def _parse_colmap(text: str, size: Size) -> Values | None:
    """Read COLMAP's cameras.txt: `id MODEL width height parameters`; return None for another kind of text."""
    found = {(*match.groups()[:3], match[4].strip()) for match in map(_COLMAP.fullmatch, text.splitlines()) if match}
    if not found:
        return None
    fitting = {one for one in found if same_shape((int(one[2]) or 1, int(one[1]) or 1), size)} or found
    if len(fitting) > 1:
        raise _Refused(f"lists {len(fitting)} cameras that could be the photo's. Keep the line of the right one.")
    model, width, height, rest = fitting.pop()
    parameters = _numbers_in(rest)
    single = model.startswith(("SIMPLE_", "RADIAL"))  # one focal length for both axes
    if len(parameters) < (3 if single else 4):
        raise _Refused(f"gives too few parameters for COLMAP's {printable(model)}. Export it again.")
    fx, fy, cx, cy = [parameters[0], *parameters[:3]] if single else parameters[:4]
    return {
        "model": model,
        "width": int(width),
        "height": int(height),
        "fx": fx,
        "fy": fy,
        "cx": cx - 0.5,
        "cy": cy - 0.5,
    }


def _parse_text(text: str) -> Values:
    """Read `name: numbers` and `name = numbers` lines; lines without a name make up one list."""
    values: Values = {}
    bare: list[float] = []
    for line in text.splitlines():
        match = _TEXT_LINE.fullmatch(line)
        name, rest = match.groups() if match else (None, line)
        found = _numbers_in(rest)
        if name and (found or _canonical(name) in _MODELS):
            values[_canonical(name)] = found or rest.strip()
        else:
            bare += found
    if len(bare) == 6:  # ARKitScenes: width height fx fy cx cy
        return {"width": bare[0], "height": bare[1], "k": bare[2:]}
    return values | ({"k": bare} if bare else {})


def _numbers_in(text: str) -> list[float]:
    return [float(found) for found in _NUMBER.findall(text)]


def _named(value: Any) -> Values:
    if isinstance(value, list):
        return {"k": value}
    if not isinstance(value, Mapping):
        raise _Refused(f"gives no intrinsics. {_GIVE}")
    named = {_canonical(str(name)[:64]): item for name, item in value.items()}
    if any(name in value for name in _PIXELS_FROM_CORNER):
        for name in ("cx", "cy"):
            named |= {name: given - 0.5} if (given := _one(named, name)) is not None else {}
    if (angle := number(value.get("camera_angle_x"))) is not None and "fx" not in named:
        named["fov_deg"] = math.degrees(angle)
    return named


def _canonical(name: str) -> str:
    name = name.lower().removesuffix("_px")
    return _ALIASES.get(name, name)


# ----------------------------------------------------------------------------------------------- from values to camera


def _camera(values: Values, size: Size) -> tuple[Camera, Size]:
    """Return the camera and the size (height, width) for which its numbers hold."""
    for part in _parts(values):
        own = _own_size(part) or size
        _check_model(part)
        if intrinsics := _intrinsics(part):
            return Camera(*_in_pixels(intrinsics, own), *own, source="file"), own
        if (fov_deg := _one(part, "fov_deg")) is not None:
            return replace(Camera.from_fov(fov_deg, own), source="file"), own
        if (focal_mm := _one(part, "focal_35mm")) is not None:
            return replace(Camera.from_35mm(focal_mm, own), source="file"), own
    raise _Refused(f"gives no intrinsics. {_GIVE}")


def _parts(values: Values) -> Iterator[Values]:
    """Yield the values themselves, then what is nested in them one level deep, a color camera's first."""
    yield values
    nested = {name: item for name, item in values.items() if isinstance(item, Mapping)}
    for name in sorted(nested, key=lambda name: _PARTS.index(name) if name in _PARTS else len(_PARTS)):
        if name not in ("depth", "ir", "infrared"):
            sizes = {key: values[key] for key in ("width", "height") if key in values}
            yield sizes | _named(nested[name])


def _own_size(values: Values) -> Size | None:
    width, height = _one(values, "width"), _one(values, "height")
    for name in _SIZE_KEYS:
        pair = _flat(values.get(name), 2)
        if pair and not (width and height):
            width, height = pair
    return (int(height), int(width)) if height and width and min(height, width) >= 1 else None


def _check_model(values: Values) -> None:
    for name in _MODELS:
        model = values.get(name)
        if isinstance(model, str) and any(wide in model.lower() for wide in (*_WIDE_MODELS, "fov")):
            raise _Refused(
                f"is of a wide-angle model ({printable(model, 40)}), not a pinhole. Undistort the photo first, and "
                "give the intrinsics of the result."
            )


def _intrinsics(values: Values) -> tuple[float, float, float, float] | None:
    """Return fx, fy, cx, cy from names or from a matrix (3 × 3, 3 × 4, 4 × 4 or column-major), if given."""
    fx, fy, cx, cy = (_one(values, name) for name in ("fx", "fy", "cx", "cy"))
    if fx is not None and cx is not None and cy is not None:
        return fx, fx if fy is None else fy, cx, cy
    given = next((values[name] for name in _MATRICES if values.get(name) is not None), None)
    if isinstance(given, Mapping):
        given = given.get("data")
    if given is None:
        return None
    for count in (4, 9, 12, 16):
        if flat := _flat(given, count):
            return _from_matrix(flat)
    raise _Refused("gives a camera matrix that is not 9 numbers (K), 12 or 16 (P) or 4 (fx fy cx cy).")


def _from_matrix(flat: list[float]) -> tuple[float, float, float, float]:
    if len(flat) == 4:
        return flat[0], flat[1], flat[2], flat[3]
    columns = 3 if len(flat) == 9 else 4
    rows = [flat[start : start + columns] for start in range(0, 3 * columns, columns)]
    if columns == 3 and rows[0][2] == 0 and rows[2][0] != 0:  # Open3D, Record3D and ARKit write columns
        return rows[0][0], rows[1][1], rows[2][0], rows[2][1]
    return rows[0][0], rows[1][1], rows[0][2], rows[1][2]


def _in_pixels(intrinsics: tuple[float, float, float, float], size: Size) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy in pixels: normalized ones, as MoGe writes them, are multiples of width and height."""
    fx, fy, cx, cy = intrinsics
    if 0 < cx < 1 and 0 < cy < 1 and max(fx, fy) < 20 and min(size) > 20:
        height, width = size
        return fx * width, fy * height, cx * width - 0.5, cy * height - 0.5
    return intrinsics


def _one(values: Values, name: str) -> float | None:
    value = values.get(name)
    return number(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _flat(value: Any, count: int) -> list[float] | None:
    """Return exactly `count` numbers from lists nested at most twice; else None. Looks at few items of a huge value."""
    if not isinstance(value, list) or len(value) > count:
        return None
    flat: list[Any] = []
    for item in value:
        flat += item[: count + 1] if isinstance(item, list) else [item]
    numbers = [found for item in flat[: count + 1] if (found := number(item)) is not None]
    return numbers if len(numbers) == len(flat) == count else None


def _check_plausible(camera: Camera, name: str) -> None:
    """Refuse what ordinary cameras don't have: the numbers are then of another unit or another picture."""
    focal, extent = (camera.fx_px, camera.width) if camera.width >= camera.height else (camera.fy_px, camera.height)
    fov_deg = 2 * math.degrees(math.atan(extent / 2 / focal))
    least, most = PLAUSIBLE_FOV_DEG
    if not least <= fov_deg <= most:
        raise CameraError(
            f"The camera file {name} means a field of view of {fov_deg:.3g}°; expected are {least:g}° to {most:g}°. "
            "Give focal lengths in pixels, not in millimetres, and the width and height for which they hold."
        )
    for center, side in ((camera.cx_px, camera.width), (camera.cy_px, camera.height)):
        if not CENTRAL * side <= center + 0.5 <= (1 - CENTRAL) * side:
            raise CameraError(
                f"The camera file {name} puts the principal point at ({camera.cx_px:g}, {camera.cy_px:g}), far from "
                f"the middle of a photo of {by_sides(camera.size)}. Give the width and height for which they hold."
            )


def _turned(camera: Camera) -> Camera:
    """Return the camera of the picture turned clockwise, as phones turn what their sensors see in landscape."""
    return replace(
        camera,
        fx_px=camera.fy_px,
        fy_px=camera.fx_px,
        cx_px=camera.height - 1 - camera.cy_px,
        cy_px=camera.cx_px,
        height=camera.width,
        width=camera.height,
    )
