"""A mesh with its photo as binary glTF 2.0, no larger than it has to be."""

import json
import struct

import numpy as np

# Numbers of the glTF 2.0 specification.
_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_ARRAY, _INDEX = 34962, 34963


def glb(positions: np.ndarray, uv: np.ndarray, faces: np.ndarray, jpeg: bytes, *, comment: str) -> bytes:
    """Encode a textured mesh that is shown in the photo's own light (KHR_materials_unlit), and so needs no normals.

    positions  (N, 3) float32, metres, y up
    uv         (N, 2) float32, 0 to 1 from the photo's bottom-left corner
    faces      (M, 3) integers, counter-clockwise
    """
    index = faces.astype("<u2" if len(positions) < 65_535 else "<u4")
    flipped = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1).astype("<f4")  # glTF counts from the top-left corner
    parts = [positions.astype("<f4").tobytes(), flipped.tobytes(), index.tobytes(), jpeg]
    padded = [part + bytes(-len(part) % 4) for part in parts]
    starts = np.cumsum([0, *map(len, padded)]).tolist()
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(part)} for start, part in zip(starts, parts, strict=False)
    ]
    for view, target in zip(views, (_ARRAY, _ARRAY, _INDEX), strict=False):
        view["target"] = target
    vertices = {"componentType": _FLOAT, "count": len(positions)}
    bounds = {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
    kind = _UNSIGNED_SHORT if index.itemsize == 2 else _UNSIGNED_INT
    tree = {
        "asset": {"version": "2.0", "generator": "glpn", "extras": {"comment": comment}},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}],
        "materials": [
            {
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0.0,
                    "roughnessFactor": 1.0,
                },
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": 3, "mimeType": "image/jpeg"}],
        "accessors": [
            {"bufferView": 0, "type": "VEC3", **vertices, **bounds},
            {"bufferView": 1, "type": "VEC2", **vertices},
            {"bufferView": 2, "type": "SCALAR", "componentType": kind, "count": index.size},
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": starts[-1]}],
    }
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", starts[-1], b"BIN\0") + b"".join(padded)
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
