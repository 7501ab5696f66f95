"""Decoding pictures to 8-bit RGB pixels; for a picture that cannot be used there is a reason in words."""

import contextlib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

Pixels = NDArray[np.uint8]

# Formats of photographs (MPO comes with JPEG). Others that Pillow knows start a program (EPS) or hold no pixels.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO", "TGA")
ORIENTATION = 0x0112  # the EXIF tag
TURNED = range(2, 9)  # its values that ask for a turn; cameras write 0 for "unknown", too
SIXTEEN_BIT = 65535


class BadImageError(Exception):
    """A picture that cannot be used; the message is the reason, a clause without the picture's name."""


@dataclass(frozen=True)
class Decoded:
    """The pixels of a picture, (H, W, 3) RGB, and the mode of its file.

    `verbatim` says that the file is an RGB JPEG with exactly these pixels, so that it can be stored as it is.
    """

    pixels: Pixels
    mode: str
    verbatim: bool

    @property
    def content_hash(self) -> str:
        """SHA-256 of size and pixels: equal for equal pictures, whatever the file format."""
        height, width = self.pixels.shape[:2]
        digest = hashlib.sha256(f"{width}x{height}".encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()


def decode(data: bytes) -> Decoded:
    """Decode a picture, turned as its EXIF orientation says. Raises BadImageError with the reason.

    Grey, 1-bit and palette pictures become RGB. Transparent ones are laid on white. CMYK is converted by Pillow's
    formula, without colour profile. 16-bit grey is divided by 257. Of an animation the first frame is taken.
    Refused are pixels of more than 16 bits, formats that are not for photographs, and decompression bombs (more
    than twice Pillow's MAX_IMAGE_PIXELS).
    """
    if not data:
        raise BadImageError("the file is empty")
    with _opened(data) as image:
        mode, jpeg = image.mode, image.format == "JPEG"
        upright = _upright(image)
        pixels = np.array(_rgb(upright), dtype=np.uint8)
        return Decoded(pixels, mode, verbatim=jpeg and mode == "RGB" and upright is image)


def pixels_of(image: Image.Image) -> Pixels:
    """Return the pixels (H, W, 3) of a picture that Pillow has opened: those that `decode` finds in its file.

    Raises BadImageError with the reason.
    """
    with _reasons():
        image.load()  # Pillow reads the pixels of an opened file when they are first wanted
    return np.array(_rgb(_upright(image)), dtype=np.uint8)


def decode_mask(data: bytes) -> Pixels:
    """Decode a mask to its labels, (H, W) uint8. Raises BadImageError unless it has one 8-bit channel."""
    if not data:
        raise BadImageError("the mask is empty")
    with _opened(data) as image:
        if image.mode not in ("L", "P"):
            raise BadImageError(f"the mask must have one 8-bit channel, its mode is {image.mode}")
        return np.array(image, dtype=np.uint8)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """Open and load a picture."""
    with _reasons():
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image.load()
    with image:
        yield image


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever Pillow raises while it reads unknown bytes into a BadImageError."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library may have asked Pillow to be lenient
    try:
        yield
    except UnidentifiedImageError:
        raise BadImageError("not a picture of a known format") from None
    except Image.DecompressionBombError:
        raise BadImageError("it has too many pixels: a decompression bomb?") from None
    except MemoryError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(f"cannot be decoded: {reason[:120]}") from None


def _upright(image: Image.Image) -> Image.Image:
    """Return the picture turned by its EXIF orientation: `image` itself where there is nothing to turn."""
    try:
        if image.getexif().get(ORIENTATION) not in TURNED:
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata says nothing about the pixels, which are whole
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_sixteen_bit(image)
    if image.mode == "F":
        raise BadImageError("floating-point pixels have no defined range")
    try:
        return _on_white(image) if image.has_transparency_data else image.convert("RGB")
    except (ValueError, OSError):
        raise BadImageError(f"mode {image.mode} cannot be converted to RGB") from None


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _from_sixteen_bit(image: Image.Image) -> Image.Image:
    values = np.array(image).astype(np.int64)
    if values.min() < 0 or values.max() > SIXTEEN_BIT:
        raise BadImageError("32-bit pixels have no defined range")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
