"""What a source says about one picture, before it is decoded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fieldmark.datasets.data.packed.store import NO_LABEL

VALUES = 256  # how many values a pixel of an 8-bit mask can have


@dataclass(frozen=True)
class MaskLabels:
    """What the values of a source's masks mean.

    `names` are the names of the stored values 0, 1, ...; the stored value 255 is a pixel without label. `stored`
    says what each of the 256 values of a mask file becomes in the store; with None they stay as they are. `absent` says
    what a label without a pixel in any mask is: refused, said as what was left out, or nothing to speak of.
    """

    names: tuple[str, ...]
    stored: bytes | None = None
    absent: Literal["refused", "said", "allowed"] = "allowed"

    @classmethod
    def skipping(cls, names: Sequence[str], ignored: Collection[int]) -> "MaskLabels":
        """Give `names` to the values that are not `ignored`, in rising order; ignored values and 255 have no label."""
        rest = [value for value in range(VALUES - 1) if value not in ignored]
        labels = {value: label for label, value in enumerate(rest[: len(names)])}
        return cls(tuple(names), _stored(len(names), labels, ignored))

    @classmethod
    def of_values(cls, names: Sequence[str], values: Sequence[int], ignored: Collection[int]) -> "MaskLabels":
        """Give each of `names` its value, which may be 255; ignored values, and 255 without a name, have no label."""
        return cls(
            tuple(names), _stored(len(names), dict(zip(values, range(len(names)), strict=True)), ignored)
        )


def _stored(beyond: int, labels: Mapping[int, int], ignored: Collection[int]) -> bytes:
    """Return what each value becomes; values that are neither named nor ignored become `beyond`, which is refused."""
    stored = bytearray([beyond] * VALUES)
    for value in (*ignored, NO_LABEL):
        stored[value] = NO_LABEL
    for value, label in labels.items():
        stored[value] = label
    return bytes(stored)


@dataclass(frozen=True)
class LeftOut:
    """A file of which a source makes no record: its path, the reason as a clause, and its class where it has one.

    The path is that of a folder where a whole class has no file. `ending` is the path's, for files. `kind` says what
    it is where it is no file: an annotation, a caption, or a whole class. `labels` are those of a picture with several.
    """

    path: str
    reason: str
    class_name: str | None = None
    ending: str = ""
    kind: Literal["file", "annotation", "caption", "class"] = "file"
    labels: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """All classes that lose something by it."""
        return self.labels if self.class_name is None else (self.class_name,)


@dataclass(frozen=True)
class Record:
    """One picture as its source describes it.

    `id` is unique in the data set. `image` is the encoded picture or the file that holds it. `split` is the role
    that the source gives it ("train", "test", "val", "query" or "gallery"). `box` is x, y, width, height in pixels
    of the original picture. `mask` is an 8-bit one-channel PNG (or the file that holds it) of the size of the
    picture; its values are labels of parts or objects, and `mask_labels` says what they mean. `labels` are the class
    names of a picture with several labels. `cut_below` is how many rows of pixels at the bottom do not belong to the
    photograph (a credit line, for example); they are cut off before anything else.
    """

    id: str
    image: bytes | Path
    class_name: str | None
    group: str | None = None
    split: str | None = None
    captions: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: bytes | Path | None = None
    mask_labels: MaskLabels | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    cut_below: int = 0
