"""The image store: all pictures of a data set in one memory-mapped Arrow file, with random access by row.

A store is a folder with `images.arrow` and, where there are masks, `masks.arrow`: Arrow IPC files with the
columns `data` (encoded or raw pixels), `height` and `width`. `mask_names.json` lists the names of the values
0, 1, ... of the masks. A record batch holds about `BATCH_BYTES`: writing then needs little memory, and opening
reads a few hundred bytes per record batch, however many pictures there are.
"""

import io
import json
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from fieldmark.base.errors import UserError

Pixels = NDArray[np.uint8]
Encoding = Literal["raw", "jpeg", "png"]

BATCH_BYTES = 8 << 20
JPEG_QUALITY = 95
IMAGES = "images.arrow"
MASKS = "masks.arrow"
MASK_NAMES = "mask_names.json"
NO_LABEL = 255  # the stored value of a mask where a pixel has no label
_FIELDS = [pa.field("data", pa.large_binary()), pa.field("height", pa.int32()), pa.field("width", pa.int32())]


@dataclass(frozen=True)
class Encoded:
    """A picture or mask as the store keeps it."""

    data: bytes
    height: int
    width: int


def encode(pixels: Pixels, encoding: Encoding) -> Encoded:
    """Encode (H, W, 3) or (H, W) pixels: "raw" bytes, "jpeg" at quality 95 without subsampling, or "png"."""
    height, width = pixels.shape[:2]
    if encoding == "raw":
        return Encoded(pixels.tobytes(), height, width)
    stream = io.BytesIO()
    options: dict[str, Any] = {"quality": JPEG_QUALITY, "subsampling": 0} if encoding == "jpeg" else {}
    Image.fromarray(pixels).save(stream, encoding, **options)
    return Encoded(stream.getvalue(), height, width)


class StoreWriter:
    """Writes a store into an existing folder, in the order of the calls; use it in a `with` statement.

    Masks are kept raw where pictures are raw, and as PNG, which loses nothing, where pictures are JPEG. The same
    calls give the same bytes.
    """

    def __init__(self, folder: Path, encoding: Literal["raw", "jpeg"]) -> None:
        self.encoding: Encoding = encoding
        self.mask_encoding: Encoding = "raw" if encoding == "raw" else "png"
        self._folder = folder
        self._images = _Packer(folder / IMAGES, self.encoding)
        self._masks: _Packer | None = None

    def add(self, pixels: Pixels) -> int:
        """Append a picture, (H, W, 3), and return its row."""
        return self.add_encoded(encode(pixels, self.encoding))

    def add_encoded(self, picture: Encoded) -> int:
        """Append a picture that is already in this store's encoding and return its row."""
        return self._images.add(picture)

    def add_encoded_mask(self, mask: Encoded) -> int:
        """Append a mask that is already in this store's `mask_encoding` and return its row."""
        if self._masks is None:
            self._masks = _Packer(self._folder / MASKS, self.mask_encoding)
        return self._masks.add(mask)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for packer in (self._images, self._masks):
            if packer is not None:
                packer.close(finish=error is None)


class ImageStore:
    """Random access to the pictures of a prepared data set.

    The file is mapped into memory, not read: workers share its pages, and pickling a store keeps its folder only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._images = _Packed(folder / IMAGES)
        self._masks = _Packed(folder / MASKS) if (folder / MASKS).exists() else None

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the store in `folder`. Raises UserError when there is none or it is damaged."""
        return cls(Path(folder))

    @property
    def encoding(self) -> Encoding:
        """How the pictures are kept: "raw" or "jpeg"."""
        return self._images.encoding

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> Pixels:
        """Return the picture at `row`, (H, W, 3) uint8 RGB; a read-only view of the map when raw."""
        return self._images.pixels(row, channels=3)

    def mask(self, mask_row: int) -> Pixels:
        """Return the mask at `mask_row` (the manifest's column), (H, W) uint8."""
        if self._masks is None:
            raise IndexError(f"{self.folder} has no masks")
        return self._masks.pixels(mask_row, channels=1)

    @property
    def square(self) -> int | None:
        """The side of the pictures in pixels where all are shown as squares of one side; else None."""
        sides = self._images.sides()
        return sides.pop() if len(sides) == 1 else None

    @property
    def mask_names(self) -> tuple[str, ...]:
        """What the values 0, 1, ... of the masks are called (255 is no label); none without masks."""
        path = self.folder / MASK_NAMES
        if not path.exists():
            return ()
        try:
            return tuple(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise UserError(f"{path} is damaged; delete its folder and run `prepare` again") from None

    def __reduce__(self) -> tuple[Callable[..., "ImageStore"], tuple[Any, ...]]:
        return type(self), (self.folder,)


class _Packer:
    """Appends encoded pictures to one Arrow IPC file, a record batch at a time."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._sink = pa.OSFile(str(path), "wb")
        self._schema = pa.schema(_FIELDS, metadata={"encoding": encoding})
        self._writer = pa.ipc.new_file(self._sink, self._schema)
        self._waiting: list[Encoded] = []
        self._bytes = 0
        self._rows = 0

    def add(self, picture: Encoded) -> int:
        self._waiting.append(picture)
        self._bytes += len(picture.data)
        self._rows += 1
        if self._bytes >= BATCH_BYTES:
            self._flush()
        return self._rows - 1

    def close(self, finish: bool) -> None:
        """Close the file, after writing what waits and the footer; not these with `finish=False`, after an error."""
        try:
            if finish:
                self._flush()
                self._writer.close()
        finally:
            self._sink.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_batch(_record_batch(self._waiting, self._schema))
        self._waiting = []
        self._bytes = 0


def _record_batch(pictures: list[Encoded], schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        pa.array([picture.data for picture in pictures], pa.large_binary()),
        pa.array([picture.height for picture in pictures], pa.int32()),
        pa.array([picture.width for picture in pictures], pa.int32()),
    ]
    return pa.record_batch(columns, schema=schema)


@dataclass(frozen=True)
class _Batch:
    """The buffers of one record batch, as views of the map."""

    data: memoryview
    offsets: NDArray[np.int64]
    heights: NDArray[np.int32]
    widths: NDArray[np.int32]


class _Packed:
    """Random access to one Arrow IPC file of pictures."""

    def __init__(self, path: Path) -> None:
        self.encoding, batches = _read_batches(path)
        ends = np.cumsum([batch.num_rows for batch in batches], dtype=np.int64)
        self._ends: list[int] = ends.tolist()
        self._batches = [_views(batch) for batch in batches]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def sides(self) -> set[int]:
        """Return the heights and widths that occur."""
        columns = [column for batch in self._batches for column in (batch.heights, batch.widths)]
        return {int(side) for column in columns for side in np.unique(column)}

    def pixels(self, row: int, channels: int) -> Pixels:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is outside a store of {len(self)}")
        index = bisect_right(self._ends, row)
        batch = self._batches[index]
        local = int(row) - (self._ends[index - 1] if index else 0)
        data = batch.data[batch.offsets[local] : batch.offsets[local + 1]]
        if self.encoding == "raw":
            shape = (batch.heights[local], batch.widths[local], channels)[: 2 + (channels > 1)]
            return np.frombuffer(data, np.uint8).reshape(shape)
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB" if channels > 1 else "L"))


def _read_batches(path: Path) -> tuple[Encoding, list[pa.RecordBatch]]:
    """Return how the pictures of a store are kept, and its record batches."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        encoding = reader.schema.metadata[b"encoding"].decode()
        return encoding, [reader.get_batch(index) for index in range(reader.num_record_batches)]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `prepare` first") from None
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        raise UserError(f"{path} is damaged; delete its folder and run `prepare` again") from None


def _views(batch: pa.RecordBatch) -> _Batch:
    _, offsets, data = batch.column("data").buffers()
    return _Batch(
        data=memoryview(data),
        offsets=np.frombuffer(offsets, np.int64),
        heights=batch.column("height").to_numpy(),
        widths=batch.column("width").to_numpy(),
    )
