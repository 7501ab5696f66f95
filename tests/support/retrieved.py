"""What every evaluation of a retrieval method must say of its variants."""

from collections.abc import Mapping

import pytest

from fieldmark.contract.variants import AnyMethod
from fieldmark.engine.task import Task
from fieldmark.evaluation import retrieval_metrics
from fieldmark.results.schema import Evaluation

MEASURES = ("recall@1", "recall@2", "map@r", "r_precision", "map")


def check_measures(result: Evaluation, models: Mapping[str, AnyMethod], task: Task) -> None:
    """Compare every variant's measures with those of its descriptors, computed here, and look at the intervals."""
    test = task.subset("test")
    for variant in result.variants:
        model = models[variant.name]
        vectors = task.run(model, model.embed, test, model.loaded, variant.name)  # type: ignore[arg-type]
        expected = retrieval_metrics(vectors, test.labels, ks=task.split_params.ks)
        for name in MEASURES:
            measure = variant.measures[name]
            assert measure.value == pytest.approx(expected[name])
            assert measure.low is not None
            assert measure.high is not None
            assert measure.low <= measure.value <= measure.high
