"""Pictures of phones, cameras and microscopes, each next to its plain twin: the same pixels, or a note."""

import io
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from glpn import formats
from glpn.errors import PhotoTooLarge, PhotoUnreadable
from glpn.estimator import load_estimator
from glpn.formats import PHOTO_FORMATS, PHOTO_SUFFIXES
from glpn.photo import Photo, load_photo, photo_size
from glpn.web.samples import FOLDER

pillow_heif = pytest.importorskip("pillow_heif")


@pytest.fixture(scope="module")
def plain() -> Image.Image:
    """A real room, 8-bit sRGB."""
    return Image.fromarray(np.asarray(Image.open(FOLDER / "stairs.jpg").resize((320, 240))))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def heic(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95, **options)
    return file.getvalue()


def display_p3() -> bytes:
    """A matrix profile of ICC version 2 with Display P3's primaries (adapted to D50) and gamma 2.2."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(map(fixed, values))

    name = b"P3 test\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.5151, 0.2412, -0.0011),
        b"gXYZ": xyz(0.2919, 0.6922, 0.0419),
        b"bXYZ": xyz(0.1572, 0.0666, 0.7841),
        **{
            channel + b"TRC": b"curv" + bytes(4) + struct.pack(">IHH", 1, round(2.2 * 256), 0)
            for channel in (b"r", b"g", b"b")
        },
    }
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ") + bytes(12)
    header += b"acsp" + bytes(28) + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return header.ljust(128, b"\0") + table + body


def cmyk_profile() -> bytes:
    """A printer's profile: A2B0 as an 8-bit table of the 16 corners, in which full cyan is a dull blue."""
    corners = []
    for index in range(16):
        c, m, y, k = (index >> 3) & 1, (index >> 2) & 1, (index >> 1) & 1, index & 1
        lightness = max(0.0, (100 - 45 * c - 45 * m - 10 * y) * (1 - 0.9 * k))
        a, b = (-30 * c + 70 * m - 5 * y) * (1 - k), (-45 * c - 5 * m + 90 * y) * (1 - k)
        corners += [round(lightness * 2.55), round(a + 128), round(b + 128)]
    identity = bytes(range(256))
    matrix = b"".join(struct.pack(">i", 65536 * one) for one in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + identity * 4 + bytes(corners) + identity * 3
    name = b"ink\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061),
        b"A2B0": table,
    }
    offset, index, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        index += tag + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ") + bytes(12)
    header += b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + index + body


def in_p3(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(display_p3())), "RGB", "RGB"
    )
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


def gray16(image: Image.Image, bits: int) -> np.ndarray:
    return (np.asarray(image.convert("L"), np.float64) / 255 * (2**bits - 1)).round().astype(np.uint16)


def tiff(*tags: tuple[int, int, int]) -> bytes:
    """A little-endian TIFF of 4 × 4 gray pixels with `tags` (number, type, value) besides the needed ones."""
    needed = ((256, 4, 4), (257, 4, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, 4), (279, 4, 16))
    entries = sorted({tag[0]: tag for tag in (*needed, *tags)}.values())
    directory = struct.pack("<H", len(entries))
    for number, kind, value in entries:
        directory += struct.pack("<HHII", number, kind, 4 if kind == 1 else 1, value)
    return b"II*\0" + struct.pack("<I", 24) + bytes(16) + directory + bytes(4)


# ------------------------------------------------------------------------------------------------------ the same depth

SAME = {
    "heic": lambda image: heic(image),
    "avif": lambda image: encode(image, "AVIF", quality=95),
    "webp": lambda image: encode(image, "WEBP", lossless=True),
    "jfif": lambda image: encode(image, "JPEG", quality=97, subsampling=0),
    "mpo": lambda image: encode(image, "MPO", quality=97, save_all=True, append_images=[image.resize((80, 60))]),
    "jpeg 2000": lambda image: encode(image, "JPEG2000"),
    "tiff": lambda image: encode(image, "TIFF", compression="tiff_lzw"),
    "png, transparent": lambda image: encode(image.convert("RGBA"), "PNG"),
    "png, P3": lambda image: encode(in_p3(image), "PNG", icc_profile=display_p3()),
    "jpeg, P3": lambda image: encode(in_p3(image), "JPEG", quality=97, icc_profile=display_p3()),
    "float tiff": lambda image: encode(Image.fromarray(np.asarray(image.convert("L"), np.float32) / 255), "TIFF"),
    "16 bits": lambda image: encode(Image.fromarray(gray16(image, 16)), "PNG"),
    "cmyk": lambda image: encode(image.convert("CMYK"), "TIFF"),
}
GUESSED = {
    "10 bits in 16": lambda image: encode(Image.fromarray(gray16(image, 10)), "PNG"),
    "12 bits in 16": lambda image: encode(Image.fromarray(gray16(image, 12)), "TIFF"),
    "14 bits in 16": lambda image: encode(Image.fromarray(gray16(image, 14)), "PNG"),
    "8 bits in 16": lambda image: encode(Image.fromarray(gray16(image, 8)), "PNG"),
    "gif": lambda image: encode(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
}


@pytest.fixture(scope="module")
def estimate():
    estimator = load_estimator("rooms-b0", device="cpu")
    return lambda source: estimator(source, resolution=128)


@pytest.mark.parametrize("kind", [*SAME, *GUESSED])
def test_depth_is_that_of_the_plain_twin(kind, plain, estimate):
    prediction = estimate((SAME | GUESSED)[kind](plain))
    gray = kind.endswith(("bits", "in 16")) or kind == "float tiff"
    twin = estimate(plain.convert("L").convert("RGB") if gray else plain)
    assert np.median(np.abs(prediction.depth_m / twin.depth_m - 1)) < 0.05
    assert bool(prediction.notes) == (kind in GUESSED)


# ------------------------------------------------------------------------------------------------------------- formats


def test_heic_is_upright_with_its_exif(plain):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 26
    photo = load_photo(heic(plain, exif=exif.tobytes()))
    assert photo.exif[0xA405] == 26
    assert photo_size(heic(plain, exif=exif.tobytes())) == photo.size
    assert photo.rgb.shape == (*photo.size, 3)


def test_heic_without_its_reader_gives_the_cure(plain, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pi_heif.as_plugin", None)
    with pytest.raises(PhotoUnreadable, match=r"HEIC photo.*pip install pi-heif"):
        load_photo(heic(plain))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "a video"),
        (b"%PDF-1.7" + bytes(40), "a PDF"),
        (b"<svg/>", "a drawing"),
        (b"\0\0\0\x18ftypcrx " + bytes(40), "camera raw"),
        (b"FUJIFILMCCD-RAW " + bytes(40), "camera raw"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "camera raw"),
        (tiff((254, 4, 1)), "thumbnail"),
        (tiff((50706, 1, 0x00000401)), "camera raw"),
        (tiff((322, 4, 30_000), (323, 4, 30_000)), "tiles far larger"),
    ],
)
def test_others_are_refused_with_a_cure(data, what):
    with pytest.raises(PhotoUnreadable, match=rf"{what}.*[Ee]xport it"):
        load_photo(data)


def test_the_helper_writes_a_tiff_that_is_read():
    assert load_photo(tiff()).size == (4, 4)


def test_a_raw_file_is_refused_by_its_name(tmp_path, plain):
    (tmp_path / "DSC_0001.NEF").write_bytes(encode(plain, "TIFF"))
    with pytest.raises(PhotoUnreadable, match=r"DSC_0001\.NEF is a camera raw file"):
        load_photo(tmp_path / "DSC_0001.NEF")


def test_one_list_of_formats():
    for name in (".jfif", ".heic", ".avif", ".mpo", ".jpe"):
        assert name in PHOTO_SUFFIXES
    with pytest.raises(PhotoUnreadable) as refused:
        load_photo(b"not an image at all, but longer than a header")
    assert all(kind in str(refused.value) for kind in PHOTO_FORMATS)


# -------------------------------------------------------------------------------------------------------- values, color


@pytest.mark.parametrize(("low", "high"), [(-0.02, 1.07), (0.0, 1.4), (-12.0, 290.0)])
def test_floats_that_overshoot_are_clipped_and_said(low, high):
    values = np.linspace(low, high, 256, dtype=np.float32).reshape(16, 16)
    photo = load_photo(values)
    white = 1 if high < 2 else 255
    np.testing.assert_allclose(photo.rgb[..., 0], np.clip(values / white, 0, 1) * 255, atol=0.51)
    assert "clipped" in photo.notes[0]


def test_linear_floats_beyond_white_are_not_black():
    photo = load_photo(np.linspace(0, 6, 256, dtype=np.float32).reshape(16, 16))
    assert photo.rgb.max() == 255
    assert "0 to 6" in photo.notes[0]


def test_a_black_16_bit_picture_needs_no_note():
    assert load_photo(np.zeros((4, 4), np.uint16)).notes == ()


def test_wide_gamut_becomes_srgb(plain):
    photo = load_photo(encode(in_p3(plain), "PNG", icc_profile=display_p3()))
    difference = np.abs(photo.rgb.astype(int) - np.asarray(plain))
    assert difference.mean() < 1.5
    raw = np.abs(np.asarray(in_p3(plain)).astype(int) - np.asarray(plain)).mean()
    assert raw > 2 * difference.mean()  # unconverted it would be farther off


def test_cmyk_follows_its_profile():
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    profile = cmyk_profile()
    r, g, b = load_photo(encode(cyan, "TIFF", icc_profile=profile)).rgb[4, 4].astype(int)
    assert max(r, g, b) < 220 and r < b  # L* 55, a* −30, b* −45 and not the screen's (0, 255, 255)
    assert load_photo(encode(cyan, "TIFF")).rgb[4, 4].tolist() == [0, 255, 255]


@pytest.mark.parametrize("profile", [b"not a profile", display_p3()[:200], bytes(3000)])
def test_a_damaged_profile_is_ignored_and_said(plain, profile):
    photo = load_photo(encode(plain, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(photo.rgb, np.asarray(plain))
    assert "color profile of photo can't be used" in photo.notes[0]


def test_a_linear_png_is_converted_and_said(plain):
    linear = Image.fromarray(np.rint((np.asarray(plain) / 255) ** 2.2 * 255).astype(np.uint8))
    data = encode(linear, "PNG")
    chunk = b"gAMA" + struct.pack(">I", 100_000)
    chunk = struct.pack(">I", 4) + chunk + struct.pack(">I", __import__("zlib").crc32(chunk))
    photo = load_photo(data[:33] + chunk + data[33:])
    assert np.abs(photo.rgb.astype(int) - np.asarray(plain)).mean() < 4
    assert "gamma of 1/1" in photo.notes[0]


def test_a_360_degree_picture_has_no_lens(plain):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    xmp = b'<x xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:ProjectionType="equirectangular"/>'
    photo = load_photo(encode(plain, "JPEG", exif=exif, xmp=xmp))
    assert 0xA405 not in photo.exif
    assert "panorama" in photo.notes[0]


def test_unknown_rationals_are_left_out(plain):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x920A] = (0, 0)
    data = encode(plain, "JPEG", exif=exif)
    assert 0x920A not in load_photo(data).exif


# ------------------------------------------------------------------------------------------------------ bands and sizes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_bands_make_the_same_picture(orientation, kind, plain, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(plain.crop((0, 0, 317, 239)), kind, exif=exif)
    whole = load_photo(data)
    small = load_photo(data, at_least=(50, 50))
    monkeypatch.setattr("glpn.pixels.BAND_PIXELS", 5000)
    np.testing.assert_array_equal(load_photo(data).rgb, whole.rgb)
    np.testing.assert_array_equal(load_photo(data, at_least=(50, 50)).rgb, small.rgb)
    assert small.rgb.shape == (*(-(-side // 4) for side in whole.size), 3)
    assert photo_size(data) == whole.size == small.size


def test_a_costly_format_may_have_fewer_pixels(monkeypatch, plain):
    costs = dict(PHOTO_FORMATS) | {"PNG": formats.Format((".png",), 24)}
    monkeypatch.setattr(formats, "PHOTO_FORMATS", costs)
    pixels = plain.width * plain.height
    with pytest.raises(PhotoTooLarge, match="the limit for PNG is"):
        load_photo(encode(plain, "PNG"), max_pixels=2 * pixels - 1)
    assert load_photo(encode(plain, "PNG"), max_pixels=2 * pixels).size == (240, 320)


# ------------------------------------------------------------------------------------------------------- time and names


def test_a_photo_that_takes_too_long_is_given_up(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile.load", lambda image: release.wait(60), raising=False)
    try:
        with pytest.raises(PhotoUnreadable, match=r"longer than 0\.05 s"):
            load_photo(encode(Image.new("RGB", (5, 5)), "BMP"), seconds=0.05)
    finally:
        release.set()


def test_gif_text_between_junk_is_counted():
    header = b"GIF89a" + struct.pack("<HH", 16, 16) + b"\0\0\0"
    comments = b"!\xfe" + (b"\xff" + b"x" * 255) * 5_000 + b"\0"
    with pytest.raises(PhotoUnreadable, match="over 1 MB of text"):
        load_photo(header + b"junk" + comments + b";")


@pytest.mark.parametrize("name", ["\x1b[31mred.jpg", "a\nb.jpg", "\x9b2J.png", "\u202egpj.exe.png"])
def test_names_are_cleaned_in_messages(name, tmp_path):
    (tmp_path / name).write_bytes(b"no picture, but more bytes than a header has")
    with pytest.raises(PhotoUnreadable) as refused:
        load_photo(tmp_path / name)
    assert str(refused.value).isprintable()
    (tmp_path / name).write_bytes(
        encode(Image.new("RGB", (5, 5)), "GIF", save_all=True, append_images=[Image.new("L", (5, 5))])
    )
    assert all(note.isprintable() for note in load_photo(tmp_path / name).notes)


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff" + bytes(40), b"\x89PNG\r\n\x1a\n" + bytes(40), tiff()[:30], b"BM" + bytes(40)]
)
def test_no_decoders_jargon(data):
    with pytest.raises(PhotoUnreadable) as refused:
        load_photo(data)
    assert "(" not in str(refused.value)


def test_the_size_alone(tmp_path, plain):
    plain.save(tmp_path / "a.jpg")
    assert photo_size(tmp_path / "a.jpg") == photo_size(np.asarray(plain)) == photo_size(plain) == (240, 320)
    assert isinstance(load_photo(plain), Photo)
    assert photo_size(Path(tmp_path / "a.jpg").read_bytes()) == (240, 320)
