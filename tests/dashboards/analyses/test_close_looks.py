"""Slices, contours, codes by dimension, seeds and sweeps compared: against answers known, and against other libraries."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards.analyses.collapse import kl_by_dimension
from dashboards.analyses.comparison import best_by_hours, compare
from dashboards.analyses.seeds import paired, partly_collapsed
from dashboards.analyses.slices import contour, pair, slices
from dashboards.comparison_report import FORMATS, load_compared, render_comparison, verdict
from tests.dashboards.analyses.test_analyses import SCORE, sweep_of, trials_of
from tests.dashboards.conftest import Writer, text_trial
from tests.dashboards.test_reports import HOSTILE


def test_slices_agree_with_optuna() -> None:
    import optuna
    from optuna.visualization._slice import _get_slice_plot_info

    draw = np.random.default_rng(0)
    x, kind = draw.uniform(0, 1, 12), draw.choice(["a", "b"], 12)
    scores = draw.uniform(0, 9, 12)
    study = optuna.create_study()
    spaces = {"x": optuna.distributions.FloatDistribution(0, 1), "kind": optuna.distributions.CategoricalDistribution(["a", "b"])}
    for at, name, score in zip(x, kind, scores, strict=True):
        params = {"x": float(at), "kind": str(name)}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spaces, value=float(score)))
    table = slices(trials_of(x=x, kind=kind, **{SCORE: scores}), sweep_of("x", "kind"))
    for panel in _get_slice_plot_info(study, None, None, "").subplots:
        own = table[table["parameter"] == panel.param_name]
        assert own["score"].tolist() == pytest.approx(panel.y)
        assert own["trial"].tolist() == panel.trial_numbers
        if panel.param_name == "x":
            assert own["number"].tolist() == pytest.approx(panel.x)
        else:
            assert own["level"].tolist() == list(panel.x)
            assert own["number"].isna().all()


def test_a_trial_without_a_parameter_is_in_no_slice_of_it() -> None:
    trials = trials_of(kind=["a", "b", "b"], warmup=[np.nan, 0.1, 0.2], **{SCORE: [1.0, 2.0, 3.0]})
    table = slices(trials, sweep_of("kind", "warmup"))
    assert table.loc[table["parameter"] == "warmup", "trial"].tolist() == [1, 2]


def test_a_surface_through_a_plane_is_the_plane() -> None:
    """Linear between neighbours: exact for a linear function, and on a logarithmic axis for one that is linear there."""
    draw = np.random.default_rng(1)
    x, y = draw.uniform(0, 1, 60), 10 ** draw.uniform(-4, -1, 60)
    table = contour(trials_of(x=x, y=y, **{SCORE: 3 * x + 2 * np.log10(y)}), sweep_of("x", "y"), "x", "y")
    inside = table[table["score"].notna()].astype("float64")
    assert len(inside) > 400
    np.testing.assert_allclose(inside["score"], 3 * inside["x"] + 2 * np.log10(inside["y"]), atol=1e-9)
    assert table["score"].isna().any(), "beyond the trials nothing is known"


def test_a_grid_s_cells_are_the_means_of_their_trials() -> None:
    levels = [(a, b) for a in (1, 2) for b in ("p", "q") for _ in range(2)]
    trials = trials_of(a=[a for a, _ in levels], b=[b for _, b in levels], **{SCORE: np.arange(8.0)})
    table = contour(trials, sweep_of("a", "b"), "a", "b")
    assert table.values.tolist() == [[1, "p", 0.5], [1, "q", 2.5], [2, "p", 4.5], [2, "q", 6.5]]
    assert pair(trials, sweep_of("a", "b"), ["b", "a"]) == ("b", "a")
    assert contour(trials.iloc[:4], sweep_of("a", "b"), "a", "b").empty
    line = trials_of(a=np.arange(20.0), b=np.arange(20.0), **{SCORE: np.arange(20.0)})
    assert contour(line, sweep_of("a", "b"), "a", "b").empty, "all on one line: there is no surface"


def test_the_rate_by_dimension() -> None:
    tables = pd.DataFrame(
        [(3, "0", 0.001), (3, "1", 2.0), (3, "2", 1.0), (1, "all", 4.0), (2, "0", 0.0)], columns=["trial", "part", "kl"]
    )
    trials = trials_of(trial=[1, 2, 3], state=["COMPLETE", "COLLAPSED", "COMPLETE"])
    table = kl_by_dimension(tables, trials)
    assert table[["trial", "place", "part", "used"]].values.tolist() == [
        [3, 1, "1", True],
        [3, 2, "2", True],
        [3, 3, "0", False],
        [1, 1, "all", True],
        [2, 1, "0", False],
    ]
    assert table["share"].iloc[:3].tolist() == pytest.approx([2 / 3.001, 1 / 3.001, 0.001 / 3.001])
    assert np.isnan(table["share"].iloc[4])


def test_configurations_are_compared_seed_by_seed() -> None:
    """Paired differences against scipy's own paired test; Holm's correction by hand for two pairs of three."""
    from scipy import stats

    shared = np.array([5.0, 9.0, 2.0, 7.0])  # what a seed adds to all: unpaired, it would hide the differences
    noise = np.random.default_rng(2).normal(0, 0.05, (3, 4))
    scores = np.concatenate([shared + gain + own for gain, own in zip((0.0, 1.0, 0.02), noise, strict=True)])
    trials = trials_of(x=np.repeat([1.0, 2.0, 3.0], 4), seed=[0, 1, 2, 3] * 3, **{SCORE: scores})
    table = paired(trials, sweep_of("x", "seed")).set_index("configuration")
    best, worst = table.index[0], 4
    assert best in (0, 8)
    expected = stats.ttest_rel(scores[4:8], scores[best : best + 4])
    assert table.loc[worst, "p"] == pytest.approx(expected.pvalue)
    assert table.loc[worst, "difference"] == pytest.approx((scores[4:8] - scores[best : best + 4]).mean())
    assert table.loc[worst, "low"] < table.loc[worst, "difference"] < table.loc[worst, "high"]
    assert table["apart"].to_dict() == {best: False, worst: True, 8 - best: False}
    assert table.loc[worst, "words"] == "x 2"
    assert paired(trials.drop_duplicates("x"), sweep_of("x", "seed")).empty, "one seed each: there are no pairs"


def test_only_scores_that_can_win_are_compared() -> None:
    scores = [1.0, 1.2, 2.0, 2.1, 3.0, 3.2]
    trials = trials_of(x=np.repeat([1.0, 2.0, 3.0], 2), seed=[0, 1] * 3, **{SCORE: scores})
    sweep = sweep_of("x", "seed")
    barred = trials.assign(**{"best/violation": [0.1, 0.0, 0.0, 0.0, 0.0, 0.0]})
    assert paired(barred, sweep)["configuration"].tolist() == [2, 4]
    collapsed = trials.assign(state=["COLLAPSED"] + ["COMPLETE"] * 5)
    assert paired(collapsed, sweep)["configuration"].tolist() == [2, 4]
    assert partly_collapsed(collapsed, sweep) == 1
    again = pd.concat([trials.iloc[:1].assign(state="FAILED", **{SCORE: np.nan}), trials.assign(trial=range(1, 7))])
    assert paired(again, sweep)["mean"].tolist() == pytest.approx([1.1, 2.05, 3.1]), "a first attempt that failed hides no second"
    assert paired(trials, sweep)["sd"].tolist() == pytest.approx([0.141421, 0.0707107, 0.141421], abs=1e-5)
    part = trials.drop(index=[1, 3, 5]).assign(trial=[0, 2, 4])
    assert paired(part, sweep_of("x", seeds=2)).empty


def two() -> dict[str, tuple[pd.DataFrame, pd.Series[Any]]]:
    first = trials_of(x=[1, 2, 3], **{SCORE: [3.0, 2.0, 4.0], "duration_s": [3600.0] * 3, "data.fingerprint": ["d"] * 3})
    times, scores = [3600.0, 7200.0, 60.0], [9.0, 1.0, 8.0]
    second = trials_of(x=[1, 2, 3], **{SCORE: scores, "duration_s": times, "data.fingerprint": ["e"] * 3})
    return {HOSTILE: (first, sweep_of("x")), "two": (second, sweep_of("x", method="tpe"))}


def test_at_equal_hours_a_long_sweep_is_cut() -> None:
    table = compare(two())
    assert table["at_equal_hours"].tolist() == [2.0, 1.0], "both had their best within three hours"
    slow = two()
    slow["two"][0]["duration_s"] = [7200.0, 7200.0, 60.0]
    assert compare(slow)["at_equal_hours"].tolist() == [2.0, 9.0]
    curve = best_by_hours(slow)
    assert curve.loc[curve["sweep"] == "two", ["hours", "best"]].values.tolist() == [
        [2, 9],
        [4, 1],
        [pytest.approx(4 + 1 / 60), 1],
    ]


def test_hypervolumes_share_their_reference() -> None:
    planes = [
        {"best/val/rate": [1.0], "best/val/distortion": [1.0]},
        {"best/val/rate": [3.0, 2.0], "best/val/distortion": [4.0, 2.0]},
    ]
    sweeps = {str(place): (trials_of(**columns), sweep_of("x")) for place, columns in enumerate(planes)}
    assert compare(sweeps)["hypervolume"].tolist() == [2.0 * 3.0, 1.0 * 2.0]


def test_the_verdict_says_how_sure_it_is_and_what_is_no_comparison() -> None:
    from scipy.stats import mannwhitneyu

    drawn = two()
    assert len(told := verdict(compare(drawn), drawn)) == 1, "no winner among what cannot be compared"
    assert "the data of two are not those of" in told[0]
    assert compare(drawn)["hypervolume"].isna().tolist()[1:] == [True]
    drawn = {name: (trials.assign(**{"data.fingerprint": "d"}), sweep) for name, (trials, sweep) in two().items()}
    by_tpe = dict(drawn)
    drawn["two"] = (drawn["two"][0], sweep_of("x"))
    told = " ".join(verdict(compare(drawn), drawn))
    p = mannwhitneyu([3.0, 2.0, 4.0], [9.0, 1.0, 8.0]).pvalue
    assert f"cannot be told apart (Mann-Whitney, p {p:.3f})" in told
    assert "the data of two" not in told
    assert "the scores of two are no random sample (drawn by tpe)" in " ".join(verdict(compare(by_tpe), by_tpe))
    drawn["two"] = (drawn["two"][0].assign(state=["COMPLETE", "COMPLETE", "PRUNED"]), sweep_of("x"))
    assert "no random sample (pruned ones are left out)" in " ".join(verdict(compare(drawn), drawn))


def test_seeds_of_one_configuration_are_one_draw() -> None:
    """Six trials that are three configurations, of a sweep that searched over the seed."""
    from scipy.stats import mannwhitneyu

    one = trials_of(x=np.repeat([1.0, 2.0, 3.0], 2), seed=[0, 1] * 3, **{SCORE: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    other = trials_of(x=[1.0, 2.0, 3.0], **{SCORE: [7.0, 8.0, 9.0]})
    sweeps = {"one": (one, sweep_of("x", "seed")), "other": (other, sweep_of("x"))}
    p = mannwhitneyu([1.5, 3.5, 5.5], [7.0, 8.0, 9.0]).pvalue
    told = " ".join(verdict(compare(sweeps), sweeps))
    assert f"all configurations of one and other cannot be told apart (Mann-Whitney, p {p:.3f})" in told


def test_a_sweep_with_seeds_is_compared_by_its_configurations(writer: Writer) -> None:
    parent = writer.sweep("seeded", ["objective.beta"], seeds="2")
    for number, loss in enumerate([80.0, 90.0, 84.0, 84.5]):
        tags = {"seed": str(number % 2), "configuration": str(number // 2)}
        writer.trial(parent, number, {"objective.beta": str(number // 2)}, **text_trial(loss), tags=tags)
    sweeps = load_compared(["seeded"], home=writer.home)
    table = compare(sweeps)
    assert table[["trials", "complete", "best", "trial"]].values.tolist() == [[2, 2, 84.25, 2]]
    assert "of seeded (configuration 1 (trials 2 to 3))" in verdict(table, sweeps)[0]


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_holds_what_anybody_wrote(format: str) -> None:
    text = render_comparison(two(), format=format)
    if format in ("csv", "json"):
        found = pd.DataFrame(json.loads(text)) if format == "json" else pd.read_csv(io.StringIO(text, newline=""))
        assert found["sweep"].tolist() == [HOSTILE, "two"]
    else:
        assert "\x1b" not in text
        assert "\u202e" not in text
    if format == "markdown":
        assert "<script>" not in text
        assert len({line.count("|") - line.count("\\|") for line in text.splitlines()[:4]}) == 1
