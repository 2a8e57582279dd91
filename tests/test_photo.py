"""Every kind of picture that a user may bring, each as a real file: what comes out, or which sentence."""

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFile, PngImagePlugin

from glpn.errors import PhotoError, PhotoNotFound, PhotoTooLarge, PhotoUnreadable
from glpn.photo import load_photo

RAMP = np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(height: int, width: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack((x * 255 // width, y * 255 // height, (x + y) % 256), -1).astype(np.uint8))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has hardly any data."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))
    return b"".join(parts)


# --- sources


def test_every_source_gives_the_same_photo(tmp_path: Path) -> None:
    path = tmp_path / "ramp.png"
    Image.fromarray(RAMP).save(path)
    with Image.open(path) as opened:
        sources = [
            path,
            str(path),
            path.read_bytes(),
            bytearray(path.read_bytes()),
            opened,
            Image.fromarray(RAMP),
            RAMP,
        ]
        sources += [RAMP.transpose(2, 0, 1), torch.from_numpy(RAMP), torch.from_numpy(RAMP).permute(2, 0, 1)]
        photos = [load_photo(source) for source in sources]
    for photo in photos:
        assert photo.size == (48, 64)
        assert photo.rgb.dtype == np.uint8
        assert photo.rgb.flags.writeable
        np.testing.assert_array_equal(photo.rgb, RAMP)
        assert photo.notes == ()
    assert [photo.name for photo in photos[:3]] == ["ramp.png", "ramp.png", "photo"]
    assert photos[4].name == "ramp.png"


def test_the_photo_does_not_share_memory_with_the_array() -> None:
    array = RAMP.copy()
    photo = load_photo(array)
    array[:] = 0
    np.testing.assert_array_equal(photo.rgb, RAMP)


@pytest.mark.parametrize("layout", ["last", "first"])
def test_one_pixel_high_arrays_are_read_by_the_layout_of_their_library(layout: str) -> None:
    row = RAMP[:1]  # (1, 64, 3): one row of RGB, or one channel of 64 × 3
    if layout == "last":
        np.testing.assert_array_equal(load_photo(row).rgb, row)
    else:
        assert load_photo(torch.from_numpy(row)).size == (64, 3)


# --- values


def test_float_arrays() -> None:
    unit = RAMP.astype(np.float32) / 255
    np.testing.assert_array_equal(load_photo(unit).rgb, RAMP)
    np.testing.assert_array_equal(load_photo(torch.from_numpy(unit).bfloat16().float()).rgb.shape, RAMP.shape)
    np.testing.assert_array_equal(load_photo(RAMP.astype(np.float64) - 0.25 * (RAMP > 0)).rgb, RAMP)
    assert load_photo(torch.from_numpy(unit).bfloat16()).size == (48, 64)


def test_a_range_that_fits_nothing_is_stretched_and_said() -> None:
    photo = load_photo(np.linspace(-2, 2, 12).reshape(3, 4))
    assert (photo.rgb.min(), photo.rgb.max()) == (0, 255)
    assert "-2 to 2" in photo.notes[0]
    assert load_photo(np.full((3, 4), -5.0)).rgb.max() == 0


def test_integers_and_booleans() -> None:
    np.testing.assert_array_equal(load_photo(RAMP.astype(np.int64)).rgb, RAMP)
    np.testing.assert_array_equal(load_photo(RAMP.astype(np.uint16) * 257).rgb, RAMP)
    assert set(load_photo(RAMP > 100).rgb.ravel()) == {0, 255}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    array = np.zeros((4, 5, 3), np.float32)
    array[1, 2] = value
    with pytest.raises(PhotoUnreadable, match=r"3 NaN or infinite values.*nan_to_num"):
        load_photo(array)


@pytest.mark.parametrize(
    "array", [np.zeros((0, 5, 3)), np.zeros((6, 5, 7)), np.zeros(9), np.zeros((2, 4, 5, 3)), np.zeros((4, 5), complex)]
)
def test_arrays_that_are_no_photo(array: np.ndarray) -> None:
    with pytest.raises(PhotoUnreadable, match="Give "):
        load_photo(array)


@settings(deadline=None, max_examples=60)
@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, ">u2", np.int32, np.float16, np.float32, np.float64, bool]),
        st.one_of(
            st.tuples(st.integers(1, 6), st.integers(1, 6)),
            st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)),
        ),
    )
)
def test_any_array_is_a_photo_or_refused(array: np.ndarray) -> None:
    try:
        photo = load_photo(array)
    except PhotoUnreadable:
        assert array.dtype.kind == "f"
        assert not np.isfinite(array).all()
    else:
        assert photo.rgb.shape == (*photo.size, 3)
        assert photo.rgb.dtype == np.uint8


# --- modes


def test_transparency_is_laid_on_white() -> None:
    clear = np.dstack((RAMP, np.zeros((48, 64), np.uint8)))
    half = Image.fromarray(np.dstack((np.zeros_like(RAMP), np.full((48, 64), 128, np.uint8))))
    assert load_photo(encode(Image.fromarray(clear), "PNG")).rgb.min() == 255
    assert load_photo(clear).rgb.min() == 255
    assert load_photo(encode(half, "PNG")).rgb[0, 0].tolist() == [127, 127, 127]
    assert load_photo(encode(half.convert("LA"), "PNG")).rgb[0, 0].tolist() == [127, 127, 127]


def test_palette_with_transparency() -> None:
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.paste(1, (0, 0, 4, 8))
    for transparency in (0, b"\x00\xff"):  # one clear entry, or an opacity for each
        rgb = load_photo(encode(palette, "PNG", transparency=transparency)).rgb
        assert rgb[0, 0].tolist() == [200, 0, 0]
        assert rgb[0, 7].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    rgb = load_photo(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind)).rgb
    np.testing.assert_allclose(rgb[8, 8], (254, 0, 0), atol=3)


def test_gray_and_one_bit() -> None:
    gray = Image.fromarray(RAMP[..., 0])
    np.testing.assert_array_equal(load_photo(encode(gray, "PNG")).rgb, np.repeat(RAMP[..., :1], 3, -1))
    assert set(load_photo(encode(gray.convert("1"), "PNG")).rgb.ravel()) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray(kind: str) -> None:
    levels = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    np.testing.assert_array_equal(load_photo(encode(Image.fromarray(levels), kind)).rgb[..., 1], levels // 257)


def test_big_endian_16_bit_tiff() -> None:
    levels = (np.arange(256) * 257).astype(">u2").reshape(16, 16)
    data = encode(Image.frombytes("I;16B", (16, 16), levels.tobytes()), "TIFF")
    np.testing.assert_array_equal(load_photo(data).rgb[..., 1], np.arange(256).reshape(16, 16))


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 1e6])
def test_float_tiff(white: float) -> None:
    levels = np.linspace(0, white, 256, dtype=np.float32).reshape(16, 16)
    photo = load_photo(encode(Image.fromarray(levels), "TIFF"))
    np.testing.assert_allclose(photo.rgb[..., 0].ravel(), np.arange(256), atol=1)
    assert len(photo.notes) == (white == 1e6)


def test_float_tiff_with_nan_is_refused() -> None:
    levels = np.full((4, 4), np.nan, np.float32)
    with pytest.raises(PhotoUnreadable, match="16 NaN or infinite values"):
        load_photo(encode(Image.fromarray(levels), "TIFF"))


def test_32_bit_integer_tiff() -> None:
    levels = (np.arange(256, dtype=np.int32) * 257).reshape(16, 16)
    np.testing.assert_array_equal(load_photo(encode(Image.fromarray(levels), "TIFF")).rgb[..., 2], levels // 257)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    path = tmp_path / f"film.{kind.lower()}"
    frames[0].save(
        path, kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    photo = load_photo(path)
    assert photo.rgb[5, 5].tolist() == [255, 0, 0]
    assert photo.notes == (f"{path.name} has several frames; the first one is used.",)


# --- orientation, EXIF, draft


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(orientation: int, kind: str) -> None:
    upright = np.zeros((32, 64), np.uint8)
    upright[:16, :16] = 255  # one bright corner: top left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(np.ascontiguousarray(stored)).convert("RGB"), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as opened:
        photos = [load_photo(data), load_photo(opened)]
    for photo in photos:
        assert photo.size == (32, 64)
        assert photo.rgb.shape == (32, 64, 3)
        np.testing.assert_allclose(photo.rgb[..., 0].astype(int), upright, atol=12)


def test_exif_is_plain_and_holds_the_exif_folder() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Acme"
    folder = exif.get_ifd(0x8769)
    folder[0x920A] = 4.25  # FocalLength
    folder[0xA405] = 26  # FocalLengthIn35mmFilm
    folder[0x927C] = b"maker note"
    exif.get_ifd(0x8825)[1] = "N"
    photo = load_photo(encode(smooth(20, 30), "JPEG", exif=exif))
    assert photo.exif[0x010F] == "Acme"
    assert photo.exif[0xA405] == 26
    assert type(photo.exif[0x920A]) is float
    assert photo.exif[0x920A] == pytest.approx(4.25)
    assert 0x927C not in photo.exif
    assert all(type(value) in (int, float, str) for value in photo.exif.values())


def test_damaged_exif_is_ignored_and_said() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n4\nnot hexadecimal")
    photo = load_photo(encode(smooth(20, 30), "PNG", pnginfo=text))
    np.testing.assert_array_equal(photo.rgb, np.asarray(smooth(20, 30)))
    assert photo.exif == {}
    assert "EXIF data of the photo is damaged" in photo.notes[0]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_at_the_fraction_that_is_enough(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(smooth(800, 1200), "JPEG", exif=exif)
    size = (800, 1200) if orientation == 1 else (1200, 800)
    asked: list[tuple[int, int]] = []

    def a_seventh(own: tuple[int, int]) -> tuple[int, int]:
        asked.append(own)
        return own[0] // 7, own[1] // 7

    for at_least in (a_seventh, (size[0] // 7, size[1] // 7)):
        photo = load_photo(data, at_least=at_least)
        assert photo.size == size
        assert photo.rgb.shape == (size[0] // 4, size[1] // 4, 3)
    assert asked == [size]
    full = Image.fromarray(load_photo(data).rgb).resize((size[1] // 4, size[0] // 4), Image.Resampling.BOX)
    assert np.abs(photo.rgb[..., :2].astype(int) - np.asarray(full)[..., :2]).mean() < 2
    assert load_photo(data, at_least=size).rgb.shape == (*size, 3)
    assert load_photo(data, at_least=(5000, 5000)).rgb.shape == (*size, 3)


# --- sizes


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_tiny_and_narrow(size: tuple[int, int], kind: str) -> None:
    photo = load_photo(encode(Image.new("RGB", size[::-1], "red"), kind), at_least=(32, 32))
    assert photo.size == size
    assert photo.rgb.shape == (*size, 3)


def test_a_huge_header_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(20000, 20000))
    with pytest.raises(
        PhotoTooLarge, match=r"huge\.png has 20000 × 20000 pixels \(400\.0 megapixels\).* 50 megapixels"
    ):
        load_photo(path)


def test_the_limit_is_the_callers_not_pillows() -> None:
    """Pillow would warn above 89 and refuse above 179 megapixels."""
    with pytest.raises(PhotoUnreadable, match="cut short"):  # it tried to decode
        load_photo(png_header(7100, 7000))
    with pytest.raises(PhotoTooLarge):
        load_photo(png_header(14000, 14000))
    for source in (encode(smooth(20, 30), "PNG"), smooth(20, 30), np.zeros((20, 30, 3))):
        with pytest.raises(PhotoTooLarge, match="30 × 20"):
            load_photo(source, max_pixels=599)
        assert load_photo(source, max_pixels=600).size == (20, 30)


# --- files that are no photos


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(PhotoNotFound, match=r"nowhere\.jpg"):
        load_photo(tmp_path / "nowhere.jpg")
    with pytest.raises(PhotoNotFound, match="download URLs first"):
        load_photo("https://example.org/photo.jpg")


def test_a_folder_a_pipe_and_an_impossible_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in ((tmp_path, "folder"), (tmp_path / "pipe", "regular"), ("a\0b", "null"), ("x" * 999, "long")):
        with pytest.raises(PhotoUnreadable, match=reason):
            load_photo(path)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    Image.fromarray(RAMP).save(path)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything, nobody may not
    try:
        with pytest.raises(PhotoUnreadable, match="Permission denied"):
            load_photo(path)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    "data", [b"not an image", b"BM", b"%!PS-Adobe-3.0", b"\0\0\0\x18ftypheic" + b"\0" * 99, b"<svg/>"]
)
def test_not_an_image(data: bytes) -> None:
    with pytest.raises(PhotoUnreadable, match="JPEG"):
        load_photo(data)


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for source in (tmp_path / "empty.jpg", b""):
        with pytest.raises(PhotoUnreadable, match=r"is empty \(0 bytes\)"):
            load_photo(source)


@pytest.mark.parametrize("source", [None, 3, [RAMP], object()])
def test_not_a_source(source: object) -> None:
    with pytest.raises(PhotoUnreadable, match="Give a path"):
        load_photo(source)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_truncated(kind: str, tmp_path: Path) -> None:
    data = encode(smooth(200, 300), kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(PhotoUnreadable, match=r"cut\."):
        load_photo(path)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "AVIF", "JPEG2000"]),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
def test_any_damage_gives_a_photo_or_a_photo_error(kind: str, kept: float, changes: list[tuple[float, int]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(
        encode(smooth(20, 30), kind, **({"exif": exif} if kind in ("JPEG", "PNG", "TIFF", "WEBP") else {}))
    )
    for where, value in changes:
        data[int(where * min(len(data), 300))] = value
    try:
        photo = load_photo(bytes(data[: int(len(data) * kept) + 1]), max_pixels=1_000_000, at_least=(8, 8))
    except PhotoError as error:
        assert str(error).endswith((".", "first."))
    else:
        assert photo.rgb.ndim == 3


# --------------------------------------------------------------------------------------- what a stranger may send


def test_a_long_side_is_refused_however_few_its_pixels(tmp_path):
    Image.new("1", (40_000, 1)).save(tmp_path / "wide.png")
    with pytest.raises(PhotoTooLarge, match="a side may have 30,000"):
        load_photo(tmp_path / "wide.png")


def test_a_gif_with_megabytes_of_comments_is_refused_before_pillow_joins_them():
    header = b"GIF89a" + (16).to_bytes(2, "little") * 2 + b"\x00\x00\x00"
    comments = b"!\xfe" + (b"\xff" + b"x" * 255) * 20_000 + b"\x00"
    with pytest.raises(PhotoUnreadable, match="over 1 MB of text"):
        load_photo(header + comments + b";")
    data = io.BytesIO()
    Image.new("P", (16, 16)).save(data, "GIF", comment=b"a short one")
    assert load_photo(data.getvalue()).size == (16, 16)


def test_a_slow_photo_keeps_no_other_waiting(monkeypatch):
    """No lock is held while a photo is decoded: a second one is read while the first is stuck."""
    stuck, release, done = threading.Event(), threading.Event(), []
    load = ImageFile.ImageFile.load

    def slow(image):
        if image.size == (13, 7):
            stuck.set()
            assert release.wait(60)
        return load(image)

    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile.load", slow, raising=False)
    data = io.BytesIO()
    Image.new("RGB", (13, 7)).save(data, "BMP")
    thread = threading.Thread(target=lambda: done.append(load_photo(data.getvalue())))
    thread.start()
    try:
        assert stuck.wait(60)
        tiff = io.BytesIO()
        Image.new("RGB", (20, 10)).save(tiff, "TIFF")
        assert load_photo(tiff.getvalue()).size == (10, 20)
    finally:
        release.set()
        thread.join(60)


def test_too_little_memory_is_a_sentence(monkeypatch):
    def full(image):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", full)
    data = io.BytesIO()
    Image.new("RGB", (16, 16)).save(data, "PNG")
    with pytest.raises(PhotoTooLarge, match="more memory than there is"):
        load_photo(data.getvalue())
