"""DVC compares few values: each is a row of `dvc metrics diff` and a column of `dvc exp show`."""

import json

import pytest
from support.pipeline import ROOT

from fieldmark.base.errors import UserError
from fieldmark.reporting.revisions import Commit

MOST = 80


def test_the_committed_metrics_are_flat_and_few():
    """The default run's, as they are in Git: an experiment in the working tree may have more variants."""
    try:
        head = Commit.named(ROOT, "HEAD")
    except UserError as error:
        pytest.skip(str(error))
    values = {file: json.loads(head.read(file)) for file in head.files("reports/metrics")}
    assert values
    for file, content in values.items():
        kinds = {type(value) for value in content.values()}
        assert kinds <= {int, float}, f"{file} is not flat; `make repro` writes it again"
    assert sum(map(len, values.values())) <= MOST
