from __future__ import annotations

import warnings

from rlprune.envs.plan_figure import new_figure, pixels_of
from rlprune.experiments.presenting.styles import legend_below


def test_a_legend_of_many_methods_leaves_a_small_picture_its_curves() -> None:
    figure, (axes,) = new_figure(1, 3.1, 2.6)
    for number in range(13):
        axes.plot([0, 1], [0, number], label=f"evolutionary, seed {number}")
    legend_below(figure, [axes], 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where no room is left
        assert pixels_of(figure).shape[0] > 300
    assert axes.get_window_extent().height > 80
