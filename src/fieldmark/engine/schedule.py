"""Learning-rate schedules as functions of the step, so that resuming needs no state."""

import math

from fieldmark.engine.params import TrainParams

ONECYCLE_START = 0.04  # first rate as a fraction of the peak


def learning_rate(params: TrainParams, step: int) -> float:
    """Return the learning rate of optimiser step `step`, counted from 0."""
    if step < params.warmup_steps:
        return params.lr * (step + 1) / params.warmup_steps
    if params.drop_every:
        return params.lr * params.drop ** ((step - params.warmup_steps) // params.drop_every)
    done = (step - params.warmup_steps) / max(1, params.steps - params.warmup_steps)
    return params.lr * _factor(params, min(1.0, done))


def _factor(params: TrainParams, done: float) -> float:
    if params.schedule == "constant":
        return 1.0
    if params.schedule == "cosine":
        return _cosine(1.0, params.final, done)
    if (
        params.schedule == "poly"
    ):  # DeepLab (arXiv 1606.00915, section 4.1), with the floor that Segmenter adds
        return float(params.final + (1.0 - params.final) * (1.0 - done) ** params.power)
    if done < params.rise:
        return _cosine(ONECYCLE_START, 1.0, done / params.rise)
    return _cosine(1.0, params.final, (done - params.rise) / (1 - params.rise))


def _cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * done))
