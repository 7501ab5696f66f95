"""ROxford5k (Radenovic et al. 2018): 70 queries for buildings of Oxford among 4,993 photographs from Flickr.

The photographs are those of Oxford Buildings (Philbin et al. 2007), as published since 2022 with blurred faces. For
research.
"""

from collections.abc import Mapping
from typing import ClassVar

from fieldmark.datasets.acquire.official import OfficialParams
from fieldmark.datasets.acquire.revisited import Revisited


class Roxford5kParams(OfficialParams):
    """`path` is the folder with gnd_roxford5k.pkl and jpg, or its parent; None downloads (1.9 GB)."""


class Roxford5k(Revisited):
    """The benchmark with its published ground truth."""

    Params = Roxford5kParams
    name, title = "roxford5k", "ROxford5k"
    archives: ClassVar[Mapping[str, int | None]] = {
        "https://www.robots.ox.ac.uk/~vgg/data/oxbuildings/oxbuild_images-v1.tgz": None,
    }
    counts: ClassVar[tuple[int, int]] = (70, 4_993)


SOURCE = Roxford5k
