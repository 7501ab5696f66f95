"""What a source says about one picture, before it is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """One picture as its source describes it.

    `id` is unique in the data set; `image` is the encoded picture or the file that holds it; `split` is the
    source's own ("train", "test", "val", "query" or "gallery"); `box` is x, y, width, height in pixels of the
    original picture; `mask` is an 8-bit one-channel PNG of the picture's size whose values are part or object
    labels; `labels` are the class names of a multi-label picture. `cut_below` rows of pixels at the bottom are
    no part of the photograph (a credit line, say) and are cut off before anything else.
    """

    id: str
    image: bytes | Path
    class_name: str | None
    group: str | None = None
    split: str | None = None
    captions: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: bytes | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    cut_below: int = 0
