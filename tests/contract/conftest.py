from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from support.everything import Everything
from support.trainings import Training


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory of a whole file of tests."""
    folder = tmp_path_factory.mktemp("contract")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def training(here: Path) -> Callable[[str], Training]:
    """Returns the training of a name, made once."""
    everything = Everything(here / "data")
    return cache(everything.make)
