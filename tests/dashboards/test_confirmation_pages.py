"""A confirmation on the page and in print: as configurations under the search's numbers, and not as a search."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboards.confirmation_report import render
from dashboards.confirmation_words import confirmed
from dashboards.page.page import render_page
from dashboards.page.shown import Shown, shown
from tests.dashboards.test_confirmation import APART, plan_for, sweep_row, trials_of

PLAN = plan_for(APART)
TRIALS = trials_of(APART).assign(duration_s=1.0, epochs=2)
CURVES = pd.DataFrame(
    [(f"r{trial}", trial, epoch, epoch, "val/neg_elbo", 20.0 - epoch) for trial in TRIALS["trial"] for epoch in (1, 2)],
    columns=["run_id", "trial", "epoch", "step", "metric", "value"],
)


def figures(trials: pd.DataFrame) -> dict[str, Shown]:
    curves = CURVES[CURVES["trial"].isin(trials["trial"])]
    return {one.kind: one for one in shown(trials, sweep_row(PLAN, method="grid"), curves)}


def test_the_page_tells_of_configurations_and_then_of_each_training() -> None:
    page = render_page(TRIALS, sweep_row(PLAN, method="grid"), CURVES, {})
    table = page[page.index('id="leaderboard"') :].partition("</table>")[0]
    assert "Configurations" in table
    assert table.count("<tr") == 1 + len(APART)
    assert "Best on test/neg_elbo: trial 7 (beta 0.7)" in page
    assert "Each training" in page
    assert "What mattered" not in page, "who was chosen says nothing of the space"


@pytest.mark.parametrize("least_seed", [1, 3], ids=["all", "from the third seed on"])
def test_figures_have_the_searchs_numbers(least_seed: int) -> None:
    """Also of a part of the trainings, as the dashboard's filters leave it."""
    found = figures(TRIALS[TRIALS["seed"] >= least_seed])
    curves, _, best, *_ = found["learning_curves"].arguments
    assert set(curves["configuration"]) == set(APART)
    assert set(best) == set(APART)
    assert not {"importance", "parallel", "slices", "contour", "progress"} & set(found)


def test_the_differences_are_those_that_the_answer_tells() -> None:
    table, metric = figures(TRIALS)["seeds"].arguments
    assert metric == "test/neg_elbo"
    assert table["configuration"].tolist() == [7, 5, 3]
    assert table["words"].tolist() == ["beta 0.7", "beta 0.5", "beta 0.3"]


def test_in_print_bold_is_the_best_and_what_is_like_it() -> None:
    drawn = render(confirmed(TRIALS, sweep_row(PLAN), PLAN), sweep_row(PLAN, question="50 % of {it}?"), format="latex")
    rows = {line.split(" & ")[1]: line for line in drawn.splitlines() if line.count(" & ") > 5 and line[0].isdigit()}
    assert set(rows) == {"7", "5", "3"}
    assert [r"\textbf{10.12 [" in rows["7"], r"\textbf" in rows["5"], r"\textbf" in rows["3"]] == [True, True, False]
    assert r"50 \% of \{it\}?" in drawn
    assert r"\label{tab:s-confirm}" in drawn
