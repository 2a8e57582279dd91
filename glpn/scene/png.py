"""16-bit gray PNG files of depth, several times faster than Pillow writes them."""

import io
import struct
import zlib
from collections.abc import Mapping

import numpy as np
from PIL import Image, features


def encode_png_16_bit(values: np.ndarray, texts: Mapping[str, str], *, level: int) -> bytes:
    """Return `values` (H, W) uint16 as a PNG with text chunks, each row stored as its difference from the one above.

    Pillow tries all five of PNG's filters on every row and can't be told which to take; on depth, which is smooth, this
    one alone is many times faster at level 1 than Pillow at level 6.
    """
    height, width = values.shape
    own = values.astype(">u2").view(np.uint8).reshape(height, -1)
    rows = np.empty((height, 1 + own.shape[1]), np.uint8)
    rows[:, 0] = 2  # the filter "up"
    rows[0, 0] = 0  # the first row has none above, and is stored as it is
    rows[0, 1:] = own[0]
    np.subtract(own[1:], own[:-1], out=rows[1:, 1:])
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))]
    chunks += [(b"tEXt", f"{key}\0{text}".encode("latin-1")) for key, text in texts.items()]
    chunks += [(b"IDAT", _deflated(rows, level)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _deflated(rows: np.ndarray, level: int) -> bytes:
    """Return a zlib stream of `rows`, whose first byte is 0.

    Pillow mostly comes with zlib-ng, whose level 1 is faster than zlib with run lengths alone, and the stream half as
    long. It writes pixels of a palette as they are, after one byte 0 for a row.
    """
    if level > 1 or not features.check("zlib_ng"):
        deflate = zlib.compressobj(level, strategy=zlib.Z_RLE if level == 1 else zlib.Z_DEFAULT_STRATEGY)
        return deflate.compress(rows.tobytes()) + deflate.flush()
    pixels = rows.reshape(-1)[1:]
    file = io.BytesIO()
    Image.frombytes("P", (pixels.size, 1), pixels.tobytes()).save(file, "PNG", compress_level=1, bits=8)
    data, at, stream = file.getvalue(), 8, bytearray()
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            stream += data[at + 8 : at + 8 + length]
        at += 12 + length
    return bytes(stream)
