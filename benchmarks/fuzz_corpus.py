"""Hostile files, made by code from a seed: photos, depth files, cameras, manifests, configs and checkpoints.

Nothing here is larger than 30 MB on disk; what it becomes in a careless reader is another matter.
"""

import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

Encode = Callable[[Image.Image], bytes]


@dataclass(frozen=True)
class Case:
    """One file: which reader gets it, under which name, and the bytes, made when asked for."""

    kind: str
    name: str
    make: Callable[[], bytes]
    heavy: bool = False


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _heic(image: Image.Image) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=60)
    return file.getvalue()


def _gray(image: Image.Image, dtype: type) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(dtype))


# One encoder for each way in which a picture can be stored.
ENCODERS: dict[str, Encode] = {
    "base.jpg": lambda image: encode(image, "JPEG"),
    "progressive.jpg": lambda image: encode(image, "JPEG", progressive=True, subsampling=0),
    "gray.jpg": lambda image: encode(image.convert("L"), "JPEG"),
    "cmyk.jpg": lambda image: encode(image.convert("CMYK"), "JPEG"),
    "two.mpo": lambda image: encode(image, "MPO", save_all=True, append_images=[image.resize((20, 15))]),
    "rgb.png": lambda image: encode(image, "PNG"),
    "rgba.png": lambda image: encode(image.convert("RGBA"), "PNG"),
    "palette.png": lambda image: encode(image.quantize(32), "PNG", transparency=bytes(range(32))),
    "bits.png": lambda image: encode(image.convert("1"), "PNG"),
    "gray16.png": lambda image: encode(_gray(image, np.uint16), "PNG"),
    "film.apng": lambda image: encode(image, "PNG", save_all=True, append_images=[image.rotate(90)]),
    "lossy.webp": lambda image: encode(image, "WEBP"),
    "lossless.webp": lambda image: encode(image.convert("RGBA"), "WEBP", lossless=True),
    "film.webp": lambda image: encode(image, "WEBP", save_all=True, append_images=[image.rotate(90)]),
    "photo.avif": lambda image: encode(image, "AVIF", speed=10),
    "photo.heic": _heic,
    "film.gif": lambda image: encode(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
    "raw.tif": lambda image: encode(image, "TIFF"),
    "lzw.tif": lambda image: encode(image, "TIFF", compression="tiff_lzw"),
    "deflate.tif": lambda image: encode(image.convert("RGBA"), "TIFF", compression="tiff_adobe_deflate"),
    "jpeg.tif": lambda image: encode(image, "TIFF", compression="jpeg"),
    "float.tif": lambda image: encode(_gray(image, np.float32), "TIFF"),
    "cmyk.tif": lambda image: encode(image.convert("CMYK"), "TIFF"),
    "lab.tif": lambda image: encode(Image.new("LAB", image.size), "TIFF"),
    "photo.bmp": lambda image: encode(image, "BMP"),
    "photo.ppm": lambda image: encode(image, "PPM"),
    "gray16.pgm": lambda image: encode(_gray(image, np.uint16), "PPM"),
    "photo.jp2": lambda image: encode(image, "JPEG2000"),
    "tiles.j2k": lambda image: encode(image, "JPEG2000", no_jp2=True, tile_size=(32, 32)),
}
NAMES = [
    *(
        "..jpg",
        ".jpg",
        " .jpg",
        "a b.jpg",
        "a%2e.jpg",
        "#.jpg",
        "?.jpg",
        "*.jpg",
        "[1].jpg",
        "~.jpg",
        "-rf.jpg",
        "CON.jpg",
    ),
    *("<img src=x onerror=alert(1)>.jpg", "$(id).jpg", "`id`.jpg", ";ls.jpg", "a\nb.jpg", "a\tb.jpg"),
    *("\x1b[31mred.jpg", "\x1b]0;title\x07.jpg", "\x9b2J.jpg", "\u202egpj.exe.jpg", "\ufeffa.jpg", "é" * 100 + ".jpg"),
    *(
        "x" * 251 + ".jpg",
        "山" * 80 + ".jpg",
        "👩‍👩‍👧.jpg",
        "a.jpg.exe",
        "noending",
        "ending.",
        ".hidden",
        "%s%n.jpg",
        "{}.jpg",
    ),
    *("photo.nef", "photo.dng", "photo.heic", "photo.png", "photo.tif", "\udcff\udcfe.jpg"),
]


def base_picture() -> Image.Image:
    """60 × 80 pixels with edges and noise, so that no encoder finds it trivial."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:60, :80]
    picture = np.stack((x * 3, y * 4, (x // 8 + y // 8) % 2 * 200), -1) + rng.integers(0, 30, (60, 80, 3))
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, color: int, *, chunks: bytes = b"", palette: bytes = b"") -> bytes:
    """A PNG of zeros, which deflate makes a thousand times smaller."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = bytes(1 + (width * depth * channels + 7) // 8)
    packer = zlib.compressobj(9)
    parts = [packer.compress(row) for _ in range(height)]
    data = b"".join([*parts, packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    table = chunk(b"PLTE", palette) if palette else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + table + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif(width: int, height: int, *, before: bytes = b"", after: bytes = b"") -> bytes:
    screen = b"GIF89a" + struct.pack("<HH", width, height) + b"\xf0\0\0" + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0"
    return screen + before + frame + after + b";"


def comment(megabytes: int) -> bytes:
    return b"!\xfe" + (b"\xff" + b"x" * 255) * (megabytes * 4000) + b"\0"


def tiff(entries: list[tuple[int, int, int, int]], *, body: bytes = b"", order: str = "<") -> bytes:
    """A TIFF of one directory; each entry is (tag, type, count, value or offset). `body` lies at offset 8."""
    start = 8 + len(body)
    directory = struct.pack(order + "H", len(entries))
    for tag, kind, count, value in sorted(entries):
        directory += struct.pack(order + "HHII", tag, kind, count, value & 0xFFFFFFFF)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", start) + body + directory + struct.pack(order + "I", start)  # a loop


def plain_tiff(width: int, height: int, **changes: int) -> bytes:
    values = {"w": (256, 4, 1, width), "h": (257, 4, 1, height), "bits": (258, 3, 1, 8), "packed": (259, 3, 1, 1),
              "white": (262, 3, 1, 1), "at": (273, 4, 1, 8), "rows": (278, 4, 1, height), "bytes": (279, 4, 1, 64)}  # fmt: skip
    for name, value in changes.items():
        tag, kind, count, _ = values.get(name, (int(name.lstrip("t")), 4, 1, 0) if name[1:].isdigit() else (0, 4, 1, 0))
        values[name] = (tag, kind, count, value)
    return tiff(list(values.values()), body=bytes(64))


def exif_block(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    return b"Exif\0\0" + tiff(list(entries))[:-4] + struct.pack("<I", following)


def with_exif(block: bytes) -> bytes:
    data = encode(base_picture(), "JPEG")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


# --------------------------------------------------------------------------------------------------------------- photos


def photos(seed: int = 0) -> Iterator[Case]:
    """More than 500 photos: every encoder whole, cut, flipped and extended; bombs; chunks; names."""
    picture = base_picture()
    for name, make in ENCODERS.items():
        data = make(picture)
        yield Case("photo", f"whole_{name}", lambda data=data: data)
        for share in (0.02, 0.1, 0.3, 0.6, 0.9, 0.99):
            yield Case("photo", f"cut_{share}_{name}", lambda data=data, share=share: data[: int(len(data) * share)])
        for index in range(10):
            yield Case("photo", f"flipped_{index}_{name}", lambda data=data, index=index: flipped(data, seed + index))
        yield Case("photo", f"prolonged_{name}", lambda data=data: data + bytes(100_000))
    yield from _bombs()
    yield from _chunks()
    small = encode(picture.resize((32, 32)), "JPEG")
    for name in NAMES:
        yield Case("photo", name, lambda: small)
    for index in range(20):
        noise = np.random.default_rng(seed + index).bytes(2000)
        yield Case("photo", f"noise_{index}.jpg", lambda noise=noise: noise)
        start = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"RIFF\x10\0\0\0WEBPVP8 "][index % 5]
        yield Case("photo", f"started_noise_{index}", lambda noise=noise, start=start: start + noise)


def flipped(data: bytes, seed: int) -> bytes:
    """Change some bytes, half of them among the first 200, where formats keep sizes and counts."""
    rng = np.random.default_rng([seed, len(data)])
    changed = bytearray(data)
    for where in (*rng.integers(0, min(200, len(data)), 3), *rng.integers(0, len(data), 3)):
        changed[int(where)] = int(rng.integers(256))
    return bytes(changed)


def _bombs() -> Iterator[Case]:
    """Small files that claim, or are, very many pixels."""
    side = 7000
    zeros = Image.new("RGB", (side, side))
    bombs: dict[str, Callable[[], bytes]] = {
        "1_by_100e6.png": lambda: (
            png(1, 10_000, 8, 0)[:16] + struct.pack(">II", 1, 100_000_000) + png(1, 10_000, 8, 0)[24:]
        ),
        "40000_by_1.png": lambda: png(40_000, 1, 8, 2),
        "30000_by_1600.png": lambda: png(30_000, 1600, 8, 2),
        "1600_by_30000_rgba.png": lambda: png(1600, 30_000, 8, 6),
        "49e6_rgba.png": lambda: png(side, side, 8, 6),
        "49e6_rgba16.png": lambda: png(side, side, 16, 6),
        "49e6_gray16.png": lambda: png(side, side, 16, 0),
        "49e6_bits.png": lambda: png(side, side, 1, 0),
        "49e6_palette.png": lambda: png(side, side, 8, 3, palette=bytes(768), chunks=b""),
        "49e6_palette_clear.png": lambda: encode(Image.new("P", (side, side)), "PNG", transparency=b"\x80"),
        "400e6.png": lambda: (
            png(20_000, 100, 8, 2)[:16] + struct.pack(">II", 20_000, 20_000) + png(20_000, 100, 8, 2)[24:]
        ),
        "49e6.gif": lambda: gif(side, side),
        "65535.gif": lambda: gif(65_535, 65_535),
        "49e6.tif": lambda: encode(zeros, "TIFF", compression="tiff_adobe_deflate"),
        "49e6_one_strip.tif": lambda: encode(zeros, "TIFF", compression="tiff_lzw", tiffinfo={278: side}),
        "49e6_float.tif": lambda: encode(Image.new("F", (side, side)), "TIFF", compression="tiff_adobe_deflate"),
        "49e6_lab.tif": lambda: encode(Image.new("LAB", (side, side)), "TIFF", compression="tiff_adobe_deflate"),
        "49e6_cmyk.tif": lambda: encode(Image.new("CMYK", (side, side)), "TIFF", compression="tiff_adobe_deflate"),
        "49e6.jpg": lambda: encode(zeros, "JPEG"),
        "49e6_progressive.jpg": lambda: encode(zeros, "JPEG", progressive=True, subsampling=0),
        "49e6_progressive_cmyk.jpg": lambda: encode(Image.new("CMYK", (side, side)), "JPEG", progressive=True),
        "65500.jpg": lambda: _jpeg_of_size(65_500, 65_500),
        "34e6.webp": lambda: encode(Image.new("RGBA", (5830, 5830)), "WEBP", lossless=True, quality=0, method=0),
        "16383.webp": lambda: _webp_of_size(16_383, 16_383),
        "49e6.avif": lambda: encode(zeros, "AVIF", speed=10),
        "49e6_444_alpha.avif": lambda: encode(zeros.convert("RGBA"), "AVIF", speed=10, subsampling="4:4:4"),
        "36e6.heic": lambda: _heic(Image.new("RGB", (6000, 6000))),
        "14e6.jp2": lambda: encode(Image.new("RGB", (3800, 3800)), "JPEG2000"),
        "49e6.jp2": lambda: encode(zeros, "JPEG2000"),
        "49e6_runs.bmp": lambda: _bmp_of_runs(side, side),
        "plain.ppm": lambda: b"P3\n2000 2000\n255\n" + b"7 7 7\n" * 4_000_000,
        "plain_bits.pbm": lambda: b"P1\n7000 3500\n" + b"1" * 24_500_000,
        "claims.ppm": lambda: b"P6\n7000 7000\n255\n" + bytes(100),
        "tile_bomb.tif": lambda: plain_tiff(1, 1, t322=30_000, t323=30_000),
        "strip_bomb.tif": lambda: plain_tiff(7000, 7000, rows=0xFFFFFFFF, bytes=0xFFFFFFF0),
        "bits_64.tif": lambda: plain_tiff(7000, 7000, bits=64),
    }
    for name, make in bombs.items():
        yield Case("photo", f"bomb_{name}", make, heavy=True)


def _jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(encode(base_picture(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _webp_of_size(width: int, height: int) -> bytes:
    data = bytearray(encode(base_picture(), "WEBP"))
    start = data.index(b"\x9d\x01\x2a") + 3
    data[start : start + 4] = struct.pack("<HH", width, height)
    return bytes(data)


def _bmp_of_runs(width: int, height: int) -> bytes:
    """RLE8, whose decoder in Pillow is Python, with the longest runs."""
    runs = (b"\xff\x01" * (width // 255) + bytes((width % 255, 1)) + b"\0\0") * height + b"\0\x01"
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(info) + 1024
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + info + bytes(1024) + runs


def _chunks() -> Iterator[Case]:
    """Text, profiles and EXIF that are long, looped, nested or wrong."""
    picture = base_picture()
    zeros = zlib.compress(bytes(60_000_000), 9)
    profile = bytes(128) + struct.pack(">I", 0xFFFFFFFF) + bytes(400)
    looped = exif_block((0x8769, 4, 1, 8), following=8)
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n99999999\n" + "41" * 1000)
    xmp = b"<x:xmpmeta " + b"<a>" * 20_000 + b' tiff:Orientation="6"'
    cases: dict[str, Callable[[], bytes]] = {
        "text.png": lambda: _png_with(chunk(b"zTXt", b"a\0\0" + zeros)),
        "many_texts.png": lambda: _png_with(chunk(b"tEXt", b"a\0b") * 100_000),
        "itxt.png": lambda: _png_with(chunk(b"iTXt", b"a\0\1\0\0\0" + zeros)),
        "profile.png": lambda: _png_with(chunk(b"iCCP", b"a\0\0" + zeros)),
        "damaged_profile.png": lambda: encode(picture, "PNG", icc_profile=profile),
        "empty_profile.jpg": lambda: encode(picture, "JPEG", icc_profile=b"\0" * 200),
        "profile_of_noise.tif": lambda: encode(picture, "TIFF", icc_profile=np.random.default_rng(1).bytes(5000)),
        "cmyk_profile_of_noise.jpg": lambda: encode(picture.convert("CMYK"), "JPEG", icc_profile=bytes(3000)),
        "gamma.png": lambda: _png_with(chunk(b"gAMA", struct.pack(">I", 1))),
        "gamma_0.png": lambda: _png_with(chunk(b"gAMA", bytes(4))),
        "exif.png": lambda: encode(picture, "PNG", pnginfo=text),
        "many_chunks.png": lambda: _png_with(chunk(b"abCd", b"") * 300_000),
        "looped_exif.jpg": lambda: with_exif(looped),
        "huge_count.jpg": lambda: with_exif(exif_block((0x0112, 2, 0x7FFFFFFF, 8), (0x920A, 5, 0xFFFFFFF, 8))),
        "zero_rational.jpg": lambda: with_exif(exif_block((0x920A, 5, 1, 200), (0xA405, 3, 1, 0))),
        "orientation_99.jpg": lambda: with_exif(exif_block((0x0112, 3, 1, 99))),
        "orientation_text.jpg": lambda: with_exif(exif_block((0x0112, 2, 4, 0x36363636))),
        "sizes_of_0.jpg": lambda: with_exif(exif_block((0xA405, 3, 1, 26), (0xA002, 4, 1, 0), (0xA003, 4, 1, 0xFFFFFFFF))),
        "exif_at_end.jpg": lambda: with_exif(exif_block((0x8769, 4, 1, 0xFFFFFFF0))),
        "exif_cut.jpg": lambda: with_exif(looped[:20]),
        "exif_of_noise.jpg": lambda: with_exif(b"Exif\0\0" + np.random.default_rng(2).bytes(3000)),
        "two_exifs.jpg": lambda: with_exif(looped)[:2] + with_exif(looped)[2:200] + with_exif(looped)[2:],
        "many_segments.jpg": lambda: _jpeg_with((b"\xff\xe5" + struct.pack(">H", 65_000) + bytes(64_998)) * 100),
        "many_short_segments.jpg": lambda: _jpeg_with(b"\xff\xe5\0\2" * 500_000),
        "long_comment.jpg": lambda: _jpeg_with((b"\xff\xfe" + struct.pack(">H", 65_000) + bytes(64_998)) * 100),
        "mpf_of_noise.jpg": lambda: _jpeg_with(b"\xff\xe2\0\x40MPF\0" + np.random.default_rng(3).bytes(58)),
        "xmp.jpg": lambda: encode(picture, "JPEG", xmp=xmp[:60_000]),
        "xmp.webp": lambda: encode(picture, "WEBP", xmp=xmp),
        "xmp.avif": lambda: encode(picture, "AVIF", speed=10, xmp=xmp),
        "exif_of_noise.webp": lambda: encode(picture, "WEBP", exif=np.random.default_rng(4).bytes(3000)),
        "exif_of_noise.avif": lambda: encode(picture, "AVIF", speed=10, exif=looped),
        "comment_1.gif": lambda: gif(16, 16, before=comment(1)),
        "comment_8.gif": lambda: gif(16, 16, before=comment(8)),
        "comment_after_8.gif": lambda: gif(16, 16, after=comment(8)),
        "comment_after_junk_8.gif": lambda: gif(16, 16, before=b"junk" + comment(8)),
        "junk_20.gif": lambda: gif(16, 16, before=b"j" * 20_000_000),
        "frames.gif": lambda: gif(16, 16, after=gif(16, 16)[19:-1] * 50_000),
        "looped.tif": lambda: plain_tiff(8, 8),
        "sub_directories.tif": lambda: plain_tiff(8, 8, t330=8),
        "thumbnail.tif": lambda: plain_tiff(8, 8, t254=1),
        "many_strips.tif": lambda: tiff([(256, 4, 1, 8), (257, 4, 1, 8), (273, 4, 5_000_000, 8), (279, 4, 5_000_000, 8)]),
        "types.tif": lambda: tiff([(256, 12, 1, 8), (257, 2, 4, 8), (258, 7, 9, 8), (273, 5, 1, 8)], body=bytes(64)),
        "big_endian.tif": lambda: tiff([(256, 3, 1, 8 << 16), (257, 3, 1, 8 << 16)], body=bytes(64), order=">"),
        "gzip.png": lambda: gzip.compress(bytes(10_000_000)),
    }  # fmt: skip
    for name, make in cases.items():
        yield Case("photo", f"chunk_{name}", make, heavy=name in ("junk_20.gif", "frames.gif", "many_chunks.png"))


def _png_with(chunks: bytes) -> bytes:
    data = encode(base_picture(), "PNG")
    return data[:33] + chunks + data[33:]


def _jpeg_with(segments: bytes) -> bytes:
    data = encode(base_picture(), "JPEG")
    return data[:2] + segments + data[2:]


# ---------------------------------------------------------------------------------------------- depth, cameras, the rest


def npy(shape: str, dtype: str = "'<f4'", order: str = "False", body: bytes = b"") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) & 0xFFFF) + text + body


def depth_files(seed: int = 0) -> Iterator[Case]:
    metres = np.linspace(0.1, 9, 60 * 80, dtype=np.float32).reshape(60, 80)
    good = {
        "a_depth_mm.png": encode(Image.fromarray((metres * 1000).astype(np.uint16)), "PNG"),
        "a.tiff": encode(Image.fromarray(metres), "TIFF"),
        "a.npy": _saved(np.save, metres),
        "a.npz": _saved(np.savez_compressed, metres),
    }
    for name, data in good.items():
        yield Case("depth", f"whole_{name}", lambda data=data: data)
        for share in (0.05, 0.3, 0.7, 0.95):
            yield Case("depth", f"cut_{share}_{name}", lambda data=data, share=share: data[: int(len(data) * share)])
        for index in range(8):
            yield Case("depth", f"flipped_{index}_{name}", lambda data=data, index=index: flipped(data, seed + index))
    for number, (shape, dtype) in enumerate(
        [("(10**6, 10**6)", "'<f4'"), ("(1000000, 1000000)", "'<f4'"), ("(True, True)", "'<f4'"), ("(4, 5)", "'|O'"),
         ("(4, 5)", "'<c16'"), ("(4, 5)", "'<M8[s]'"), ("(4, 5)", "'<U999'"), ("(4, 5)", "[('a', '<f4')]"), ("()", "'<f4'"),
         ("(-1, 5)", "'<f4'"), ("(0, 0)", "'<f4'"), ("(4,)", "'<f4'"), ("(2, 2, 2, 2)", "'<f4'"), ("'x'", "'<f4'"),
         ("(7000, 7000)", "'<f8'"), ("(50000000, 1)", "'<f4'"), ("[" * 500, "'<f4'"), ("(4, 5)", "'<f4' * 10**9")]
    ):  # fmt: skip
        for ending in ("npy", "npz"):
            data = npy(shape, dtype)
            packed = _zipped({"depth.npy": data}) if ending == "npz" else data
            yield Case("depth", f"header_{number}.{ending}", lambda packed=packed: packed)
    yield Case("depth", "bomb.npz", lambda: _zipped({"depth.npy": npy("(7000, 7000)", body=bytes(196_000_000))}), True)
    yield Case("depth", "many.npz", lambda: _zipped({f"{i}.npy": good["a.npy"] for i in range(500)}))
    yield Case("depth", "npz_as.npy", lambda: good["a.npz"])
    yield Case("depth", "npy_as.png", lambda: good["a.npy"])
    yield Case("depth", "49e6_depth_mm.png", lambda: png(7000, 7000, 16, 0), heavy=True)
    yield Case("depth", "177e6_depth_mm.png", lambda: png(13_300, 13_300, 16, 0), heavy=True)
    yield Case(
        "depth",
        "49e6.tiff",
        lambda: encode(Image.new("F", (7000, 7000)), "TIFF", compression="tiff_adobe_deflate"),
        heavy=True,
    )
    for name in ("rgb.png", "palette.png", "bits.png", "film.gif", "base.jpg", "lab.tif", "cmyk.tif"):
        yield Case("depth", f"picture_{name}", lambda name=name: ENCODERS[name](base_picture()))


def _saved(save: Callable[..., None], array: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, array)
    return file.getvalue()


def _zipped(members: dict[str, bytes]) -> bytes:
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def cameras(seed: int = 0) -> Iterator[Case]:
    good = {
        "a.json": json.dumps({"fx": 500, "fy": 500, "cx": 40, "cy": 30, "width": 80, "height": 60}).encode(),
        "a.txt": b"500 0 40\n0 500 30\n0 0 1\n",
        "a.yaml": b"image_width: 80\nimage_height: 60\ncamera_matrix: {rows: 3, cols: 3, data: [90,0,40,0,90,30,0,0,1]}\n",
        "cameras.txt": b"1 PINHOLE 80 60 90 90 40 30\n",
        "a.xml": b"<opencv_storage><camera_matrix><data>90 0 40 0 90 30 0 0 1</data></camera_matrix></opencv_storage>",
    }
    for name, data in good.items():
        yield Case("camera", f"whole_{name}", lambda data=data: data)
        for index in range(6):
            yield Case("camera", f"flipped_{index}_{name}", lambda data=data, index=index: flipped(data, seed + index))
    alias = "".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    odd = {
        "deep.json": b"[" * 1_000_000,
        "deep_values.json": b'{"K": ' + b"[" * 900 + b"]" * 900 + b"}",
        "digits.json": b'{"fx": ' + b"9" * 10_000 + b"}",
        "huge.json": b'{"fx": 1e308, "fy": 1e308, "cx": 1e308, "cy": 1e308}',
        "tiny.json": b'{"fx": 1e-300, "fy": 1e-300, "cx": 0, "cy": 0}',
        "nan.json": b'{"fx": NaN, "fy": Infinity, "cx": -Infinity, "cy": 1}',
        "fov_0.json": b'{"fov_deg": 1e-9}',
        "fov_180.json": b'{"fov_deg": 179.9999999}',
        "types.json": b'{"fx": {}, "fy": [], "cx": "x", "cy": null, "width": true, "height": [[1]]}',
        "size_0.json": b'{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "width": 1e300, "height": 1e300}',
        "control.json": b'{"model": "\\u001b[2J fisheye \\n", "fx": 1}',
        "nested.json": json.dumps({"camera": {"camera": {"camera": {}}}}).encode(),
        "bom16.txt": "500 500 40 30".encode("utf-16"),
        "nul.txt": b"\0" * 10_000,
        "spaces.txt": b" " * 1_000_000,
        "hashes.txt": b"#" * 1_000_000,
        "signs.txt": b"+-.e" * 200_000,
        "one_line.txt": b"1 " * 400_000,
        "colmap.txt": b"1 PINHOLE 80 60 " + b"1 " * 200_000 + b"!",
        "aliases.yaml": b"a: &a [1,1,1,1,1,1,1,1,1]\n" + alias.encode() + b"camera_matrix: *i\n",
        "tags.yaml": b"a: !!python/object/apply:os.system ['true']\ncamera_matrix: !x {data: !y [1]}\n",
        "deep.yaml": b"a: " + b"[" * 50_000,
        "keys.yaml": b"? [a, {b: c}]\n: 1\n? {x: y}\n: 2\n",
        "long.yaml": b"a: 1\n" * 100_000,
        "entities.xml": b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + b"".join(
            f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>".encode() for i in range(12)
        ) + b"]><x><camera_matrix>&m;</camera_matrix></x>",
        "deep.xml": b"<a>" * 300_000,
        "empty.json": b"",
        "picture.json": encode(base_picture(), "JPEG"),
    }  # fmt: skip
    for name, data in odd.items():
        yield Case("camera", name, lambda data=data: data)


def manifests(seed: int = 0) -> Iterator[Case]:
    from glpn.zoo.manifest import MANIFEST

    good = MANIFEST.read_bytes()
    rows = json.loads(good)["variants"]
    yield Case("manifest", "whole.json", lambda: good)
    for index in range(12):
        yield Case("manifest", f"flipped_{index}.json", lambda index=index: flipped(good, seed + index))
    many = [{**rows[0], "id": f"a-{number}"} for number in range(3000)]
    odd = {
        "deep.json": b"[" * 500_000,
        "deep_row.json": b'{"schema": 1, "variants": ' + b"[" * 900 + b"]" * 900 + b"}",
        "keys.json": json.dumps({str(number): 0 for number in range(100_000)}).encode(),
        "rows.json": json.dumps({"schema": 1, "variants": many}).encode(),
        "control.json": b'{"schema": 1, "variants": [{"id": "\\u001b[2J\\u202e"}]}',
        "surrogate.json": b'{"schema": 1, "\\ud800": 1, "variants": []}',
        "number.json": b'{"schema": 1' + b"0" * 10_000 + b', "variants": []}',
        "types.json": b'{"schema": true, "variants": {"a": [null, 1e400, NaN]}}',
        "bytes.json": bytes(range(256)),
        "large.json": b" " * 5_000_000,
    }
    for name, data in odd.items():
        yield Case("manifest", name, lambda data=data: data)


def configs(seed: int = 0) -> Iterator[Case]:
    from glpn.zoo.manifest import PACKAGE

    good = (PACKAGE / "weights" / "rooms-b0" / "config.json").read_bytes()
    values = json.loads(good)
    yield Case("config", "whole.json", lambda: good)
    for index in range(12):
        yield Case("config", f"flipped_{index}.json", lambda index=index: flipped(good, seed + index))
    for field, wrong in (
        ("depths", [10**6] * 4), ("depths", [2, 2, 2, 10**5]), ("depths", [2] * 1000), ("depths", []), ("depths", "2222"),
        ("hidden_sizes", [10**9] * 4), ("hidden_sizes", [0, 1, 2, 3]), ("hidden_sizes", [1.5] * 4), ("strides", [0, 0, 0, 0]),
        ("max_depth", 1e308), ("max_depth", -1), ("max_depth", "far"), ("max_depth", float("nan")), ("mlp_ratios", [1e300] * 4),
        ("mlp_ratios", [1e-9] * 4), ("num_attention_heads", [7] * 4), ("sr_ratios", [10**9] * 4), ("patch_sizes", [-1] * 4),
        ("hidden_act", "\u001b[2J"), ("layer_norm_eps", []), ("decoder_hidden_size", 10**12), ("num_encoder_blocks", 10**6),
    ):  # fmt: skip
        data = json.dumps(values | {field: wrong}).encode()
        yield Case("config", f"{field}_{str(wrong)[:12]}.json".replace("\x1b", "ESC"), lambda data=data: data)


def checkpoints(seed: int = 0) -> Iterator[Case]:
    from safetensors.numpy import save

    good = save({"a.weight": np.ones((3, 4), np.float32), "b.bias": np.zeros(3, np.float32)})
    for index in range(12):
        yield Case("checkpoint", f"flipped_{index}.safetensors", lambda index=index: flipped(good, seed + index))

    def header(text: str, length: int | None = None) -> bytes:
        return struct.pack("<Q", len(text) if length is None else length) + text.encode() + bytes(64)

    odd = {
        "whole.safetensors": good,
        "cut.safetensors": good[:-5],
        "long_header.safetensors": header("{}", 2**62),
        "shape.safetensors": header('{"a": {"dtype": "F32", "shape": [1000000000, 1000000000], "data_offsets": [0, 64]}}'),
        "overlap.safetensors": header('{"a": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]}, '
                                      '"b": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]}}'),
        "dtype.safetensors": header('{"a": {"dtype": "Q7", "shape": [16], "data_offsets": [0, 64]}}'),
        "deep.safetensors": header("[" * 100_000),
        "control.safetensors": header('{"\\u001b[2J": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 64]}}'),
        "empty.safetensors": b"",
        "pickle.bin": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "noise.bin": np.random.default_rng(seed).bytes(5000),
        "zip.bin": _zipped({"archive/data.pkl": b"\x80\x02cos\nsystem\nX\x04\0\0\0trueq\0\x85R.", "archive/version": b"3"}),
        "index.json": b'{"weight_map": {"a": "../../etc/passwd"}}',
        "control_index.json": b'{"weight_map": {"a": "\\u001b[2J\\n.safetensors"}}',
        "deep_index.json": b'{"weight_map": ' + b"[" * 900 + b"]" * 900 + b"}",
        "types_index.json": b'{"weight_map": {"a": {"b": 1}, "c": null}}',
    }  # fmt: skip
    for name, data in odd.items():
        yield Case("checkpoint", name, lambda data=data: data)


def everything(seed: int = 0) -> Iterator[Case]:
    for kind in (photos, depth_files, cameras, manifests, configs, checkpoints):
        yield from kind(seed)
