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


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Training]:
    """Returns the training of a name; each is made once."""
    everything = Everything(tmp_path_factory.mktemp("data"))
    return cache(everything.make)


@pytest.fixture
def training(here: Path, made: Callable[[str], Training]) -> Callable[[str], Training]:
    """The same for tests that train: live curves go to the folder of the file."""
    return made
