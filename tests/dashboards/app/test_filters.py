"""Which trials a filter keeps, which a plot draws, and how a picture falls into pieces."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
from PIL import Image

from dashboards.app.exhibits import pieces_of
from dashboards.app.filters import drawn, filtered, judged_by, stops_of
from tests.dashboards.test_analysis import sweep_row, trials_of


def test_a_range_keeps_what_lies_in_it_and_has_the_parameter() -> None:
    trials = trials_of([1.0, 2.0, 3.0, 4.0], lr=[0.1, 0.2, None, 0.4], softmax=["full", "full", "nce", None])
    assert list(filtered(trials, [], {"lr": (0.1, 0.2)})["trial"]) == [0, 1]
    assert list(filtered(trials, [], {"softmax": ["nce", "not active"]})["trial"]) == [2, 3]
    assert list(filtered(trials, [], {"softmax": [], "lr": (0.2, 9.0)})["trial"]) == [1, 3]
    assert list(filtered(trials.assign(state=["COMPLETE", "PRUNED"] * 2), ["PRUNED"], {})["trial"]) == [1, 3]


def test_of_many_values_some_are_stops_and_both_ends() -> None:
    stops = stops_of(pd.Series(np.arange(1000) / 7))
    assert len(stops) == 60
    assert (stops[0], stops[-1]) == (0.0, 999 / 7)
    assert stops_of(pd.Series([2, None, 1])) == [1.0, 2.0]


def test_the_best_are_drawn_and_others_evenly() -> None:
    trials = trials_of([float(100 - place) for place in range(100)])
    kept = drawn(trials, [99, 98], "best/val/neg_elbo", 12)
    assert len(kept) == 12
    assert {98, 99} <= set(kept["trial"])
    assert np.diff(kept["trial"].iloc[:-2]).max() <= 10
    assert len(drawn(trials, [], "best/val/neg_elbo", 100)) == 100


def test_another_metric_changes_what_is_judged_and_not_the_sweep() -> None:
    sweep = sweep_row(["lr"])
    assert judged_by(sweep, str(sweep["metric"]), "minimize") is sweep
    metrics = [{"name": "val/neg_elbo", "goal": "minimize"}, {"name": "val/rate", "goal": "maximize"}]
    metrics = [{"name": "val/neg_elbo", "goal": "minimize"}, {"name": "val/rate", "goal": "maximize"}]
    several = sweep_row(["lr"], metrics=json.dumps(metrics))
    assert judged_by(several, "val/neg_elbo", "minimize") is several, "its Pareto set stays"
    changed = judged_by(sweep, "val/active_units", "maximize")
    assert (changed["metric"], changed["goal"], sweep["metric"]) == ("val/active_units", "maximize", "val/neg_elbo")


def test_a_grid_falls_into_its_images() -> None:
    grid = np.full((2 * 9 - 1, 8 * 9 - 1), 255, np.uint8)
    for place in range(11):
        row, column = divmod(place, 8)
        grid[9 * row : 9 * row + 8, 9 * column : 9 * column + 8] = place
    picture = io.BytesIO()
    Image.fromarray(grid.repeat(8, 0).repeat(8, 1)).save(picture, "PNG")
    files = {"samples.png": picture.getvalue(), "reconstructions.png": picture.getvalue()}
    images = pieces_of("samples", files, {}, (8, 8))
    assert [int(piece.pixels.max()) for piece in images if piece.pixels is not None] == list(range(11))
    pairs = pieces_of("reconstructions", files, {}, (8, 8))
    assert len(pairs) == 6
    assert pairs[0].pixels is not None
    assert pairs[0].pixels.shape == (64, 17 * 8)
    (whole,) = pieces_of("samples", files, {}, (7, 5))
    assert whole.pixels is not None
    assert whole.pixels.shape == (136, 568), "a shape that does not fit is no reason to cut"
