import contextlib
import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from support.pictures import encoded, noise

from fieldmark.datasets.preparing.decoding import FORMATS, BadImageError, decode, decode_mask

PIXELS = noise(0)
PICTURE = Image.fromarray(PIXELS)


def difference(pixels, reference):
    return np.abs(pixels.astype(int) - np.asarray(reference).astype(int)).max()


def test_rgb_png_is_exact():
    np.testing.assert_array_equal(decode(encoded(PIXELS)).pixels, PIXELS)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "CMYK", "RGBA"])
def test_every_mode_becomes_rgb_as_pillow_converts_it(mode):
    image = PICTURE.convert(mode)
    decoded = decode(encoded(image, "TIFF"))
    assert decoded.pixels.shape == (40, 48, 3)
    assert decoded.mode == mode
    assert difference(decoded.pixels, image.convert("RGB")) == 0


def test_cmyk_jpeg_is_not_inverted():
    decoded = decode(encoded(PICTURE.convert("CMYK"), "JPEG", quality=100))
    assert difference(decoded.pixels, PIXELS) < 12
    assert not decoded.verbatim


def test_sixteen_bit_grey_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 40 * 48).astype(np.uint16).reshape(40, 48)
    expected = np.round(ramp / 257)[..., None].repeat(3, axis=2)
    for file_format in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode(encoded(Image.fromarray(ramp), file_format)).pixels, expected)


def test_sixteen_bit_colour_keeps_the_high_byte():
    values = np.random.default_rng(0).integers(0, 65536, (3, 5, 3)).astype(">u2")
    assert difference(decode(png16(values)).pixels, values >> 8) <= 1


def png16(values):
    """Write a 16-bit RGB PNG, which Pillow itself cannot."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(np.full((4, 4), 1e3, np.float32)),
        Image.fromarray(np.full((4, 4), 1 << 20, np.int32)),
    ],
)
def test_pixels_without_a_defined_range_are_refused(image):
    with pytest.raises(BadImageError, match="no defined range"):
        decode(encoded(image, "TIFF"))


def test_transparency_is_laid_on_white():
    clear = np.zeros((4, 6, 4), np.uint8)
    clear[:, :3] = (200, 0, 0, 255)
    pixels = decode(encoded(Image.fromarray(clear))).pixels
    assert (pixels[:, 3:] == 255).all()
    assert (pixels[:, :3] == (200, 0, 0)).all()


def test_a_transparent_palette_colour_is_laid_on_white():
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    pixels = decode(encoded(palette, "PNG", transparency=1)).pixels
    assert (pixels == 255).all()


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(orientation, file_format):
    turns = {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.transpose(1, 0, 2),
        6: np.rot90(PIXELS, -1),
        7: PIXELS[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(PIXELS),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if file_format == "JPEG" else {}
    decoded = decode(encoded(PIXELS, file_format, exif=exif, **options))
    assert difference(decoded.pixels, turns.get(orientation, PIXELS)) <= 6
    assert decoded.verbatim == (file_format == "JPEG" and orientation not in range(2, 9))


@pytest.mark.filterwarnings("ignore")
def test_damaged_exif_does_not_spoil_whole_pixels():
    decoded = decode(encoded(PIXELS, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01"))
    assert decoded.pixels.shape == PIXELS.shape


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(file_format):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert difference(decode(data).pixels, frames[0]) <= 2


def test_a_picture_of_one_pixel_decodes():
    assert decode(encoded(np.full((1, 1, 3), 7, np.uint8))).pixels.tolist() == [[[7, 7, 7]]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"this is no picture", "not a picture of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture of a known format"),
        (encoded(PIXELS, "JPEG")[:-200], "truncated"),
        (encoded(PIXELS, "PNG")[:-200], "cannot be decoded"),
        (encoded(PIXELS, "JPEG")[:4], "not a picture of a known format"),
    ],
)
def test_what_is_no_whole_picture_is_refused_with_the_reason(data, reason):
    with pytest.raises(BadImageError, match=reason):
        decode(data)


def test_truncation_is_refused_even_where_another_library_asked_for_leniency(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(BadImageError, match="truncated"):
        decode(encoded(PIXELS, "JPEG")[:-200])


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 900)
    with pytest.raises(BadImageError, match="too many pixels"):
        decode(encoded(PIXELS))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file_format", FORMATS)
def test_random_damage_is_either_decoded_or_refused_with_a_reason(file_format):
    draw = random.Random(file_format)
    whole = encoded(PIXELS, file_format)
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 20)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        with contextlib.suppress(BadImageError):  # anything else is a fault of decode
            assert decode(bytes(data[: draw.randint(1, 2 * len(data))])).pixels.ndim == 3


def test_equal_pixels_have_equal_content_hashes_whatever_the_format():
    hashes = {decode(encoded(PIXELS, file_format)).content_hash for file_format in ("PNG", "BMP", "TIFF")}
    assert len(hashes) == 1
    changed = PIXELS.copy()
    changed[5, 5, 0] ^= 1
    hashes.add(decode(encoded(changed)).content_hash)
    hashes.add(decode(encoded(PIXELS.reshape(48, 40, 3))).content_hash)  # same bytes, another shape
    assert len(hashes) == 3


def test_masks_keep_their_labels():
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(decode_mask(encoded(mask)), mask)
    palette = Image.fromarray(mask).convert("P")
    np.testing.assert_array_equal(decode_mask(encoded(palette)), np.asarray(palette))
    with pytest.raises(BadImageError, match="one 8-bit channel"):
        decode_mask(encoded(PIXELS))
    with pytest.raises(BadImageError, match="the mask is empty"):
        decode_mask(b"")
