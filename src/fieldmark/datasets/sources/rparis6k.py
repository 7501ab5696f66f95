"""RParis6k (Radenovic et al. 2018): 70 queries for buildings of Paris among 6,322 photographs from Flickr.

The photographs are those of Paris (Philbin et al. 2008), as they are published since 2022 with blurred faces. For
research. About twenty of them are damaged; the ground truth names none of these.
"""

from collections.abc import Mapping
from typing import ClassVar

from fieldmark.datasets.acquire.official import OfficialParams
from fieldmark.datasets.acquire.revisited import Revisited


class Rparis6kParams(OfficialParams):
    """`path` is the folder with gnd_rparis6k.pkl and jpg, or its parent; None downloads (2.2 GB)."""


class Rparis6k(Revisited):
    """The benchmark with its published ground truth."""

    Params = Rparis6kParams
    name, title = "rparis6k", "RParis6k"
    archives: ClassVar[Mapping[str, int | None]] = {
        "https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/paris_1-v1.tgz": None,
        "https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/paris_2-v1.tgz": None,
    }
    counts: ClassVar[tuple[int, int]] = (70, 6_322)


SOURCE = Rparis6k
