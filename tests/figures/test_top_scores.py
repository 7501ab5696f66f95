"""The highest scores of pictures: probabilities end at 1, cosines at the highest of them."""

import inspect

import numpy as np
import pytest

from fieldmark.figures.multilabel import SHOWN, Shown, top_scores

NAMES = [f"class {n}" for n in range(7)]


def axes_of(scores, cosines):
    pictures = [Shown(np.zeros((4, 4, 3), np.uint8), np.eye(7)[0], each) for each in scores]
    return inspect.unwrap(top_scores)(pictures, NAMES, cosines).axes


def test_bars_of_cosines_end_at_the_highest_and_those_of_probabilities_at_one():
    low = np.linspace(0.1, 0.28, 7)
    axes = axes_of(
        [{"zero-shot": low, "CPRFL": low}, {"zero-shot": low / 2, "CPRFL": low / 2}], {"zero-shot"}
    )
    ends = [panel.get_xlim()[1] for panel in axes]
    assert [ends[1], ends[2], ends[4], ends[5]] == pytest.approx([0.28, 1, 0.28, 1])
    assert [text.get_text() for text in axes[4].texts] == [
        f"class {n} {low[n] / 2:.2f}" for n in range(6, 6 - SHOWN, -1)
    ]


def test_cosines_below_zero_leave_a_panel():
    [_, panel] = axes_of([{"zero-shot": np.full(7, -0.2)}], {"zero-shot"})
    assert panel.get_xlim()[1] > 0
