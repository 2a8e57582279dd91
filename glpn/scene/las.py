"""A point cloud as LAS 1.2 (ASPRS), which surveying programs and CloudCompare open; laspy reads it in the tests."""

import struct

import numpy as np

from glpn import __version__

_HEADER = 227  # bytes of a header of LAS 1.2
_STEP_M = 0.001


def las(points: np.ndarray, colors: np.ndarray | None) -> bytes:
    """Encode points in millimetres, point format 2 (with colors) or 0.

    points  (N, 3) metres, z up as surveyors have it
    colors  (N, 3) uint8, or None; LAS holds 16 bits a color
    """
    fields = [("place", "<i4", 3), ("intensity", "<u2"), ("returns", "u1"), ("more", "u1", 3), ("source", "<u2")]
    fields += [] if colors is None else [("color", "<u2", 3)]
    records = np.zeros(len(points), fields)
    records["place"] = np.rint(points / _STEP_M)
    records["returns"] = 0b001_001  # the first of one
    if colors is not None:
        records["color"] = colors.astype(np.uint16) * 257
    low, high = (end(records["place"], axis=0) * _STEP_M for end in (np.min, np.max))
    bounds = [value for axis in range(3) for value in (high[axis], low[axis])]
    header = struct.pack("<4sHH16sBB32s32s", b"LASF", 0, 0, b"", 1, 2, b"", f"glpn {__version__}".encode())
    header += struct.pack("<HHHLL", 0, 0, _HEADER, _HEADER, 0)
    header += struct.pack("<BHL5L", 0 if colors is None else 2, records.itemsize, len(points), len(points), 0, 0, 0, 0)
    header += struct.pack("<12d", *[_STEP_M] * 3, *[0.0] * 3, *bounds)
    return header + records.tobytes()
