"""Sweeps with ``seeds``: configurations ranked by the means of their trials, from records that MLflow's own client wrote."""

from __future__ import annotations

import csv
import io
import json
import re

import pandas as pd
import pytest

from dashboards import load_sweeps, load_trials, render_report
from dashboards.analysis import ranked
from dashboards.errors import StoreError
from dashboards.replicates import board, grouped
from dashboards.standing import NO_FURTHER, reason_of, standing, words_of
from dashboards.status import status_lines
from dashboards.trial import find_trial
from tests.dashboards.conftest import Writer

CUT = f"{NO_FURTHER}: worse than configuration 1, p = 0.0625 over 2 seeds"
SCORES = {
    0: ([7.0, 9.0, 8.0], ["COMPLETE"] * 3, ""),
    1: ([5.0, 8.0, 5.0], ["COMPLETE"] * 3, ""),
    2: ([4.0, 4.0], ["COMPLETE"] * 2, CUT),
    3: ([1.0, 1.0], ["COMPLETE", "PRUNED"], "not among the best"),
    4: ([2.0, 2.0, 2.0], ["COMPLETE", "COMPLETE", "COLLAPSED"], ""),
}
"""Score and state of each trial of each configuration, and the last one's reason. Its best single trials win nothing."""


def write(writer: Writer, state: str = "FINISHED") -> str:
    """The sweep's run."""
    parent = writer.sweep("seedy", ["optimizer.lr"], state=state, seeds="3", run_cap="15")
    for number, (scores, states, reason) in SCORES.items():
        for place, (score, ended) in enumerate(zip(scores, states, strict=True)):
            final = {"best/val/neg_elbo": score, "test/neg_elbo": score + 1, "test/iw_nll": score, "test/iw_nll_se": 0.1}
            writer.trial(
                parent,
                3 * number + place,
                {"optimizer.lr": str(number / 100)},
                [{"val/neg_elbo": score}],
                final if ended != "PRUNED" else None,
                state=ended,
                reason=reason if place == len(scores) - 1 else "",
                tags={"seed": str(place)},
            )
    return parent


@pytest.fixture
def recorded(writer: Writer) -> Writer:
    write(writer)
    return writer


@pytest.mark.parametrize(
    ("trials", "stands"),
    [
        ([], "RUNNING"),
        (["COMPLETE"], "RUNNING"),
        (["COMPLETE"] * 3, "COMPLETE"),
        (["COMPLETE", "RUNNING"], "RUNNING"),
        (["PRUNED", "RUNNING"], "RUNNING"),
        (["COMPLETE", "STOPPED"], "STOPPED"),
        (["PRUNED"], "PRUNED"),
        (["PRUNED", "COLLAPSED", "COMPLETE"], "COLLAPSED"),
        (["COLLAPSED", "FAILED", "PRUNED"], "FAILED"),
    ],
)
def test_a_configuration_stands_as_its_worst_trial(trials: list[str], stands: str) -> None:
    assert standing([(state, "") for state in trials], 3) == stands


def test_one_that_gets_no_further_seeds_is_pruned_unless_all_ran_already() -> None:
    assert standing([("COMPLETE", ""), ("COMPLETE", f"patience; {CUT}")], 3) == "PRUNED"
    assert standing([("COMPLETE", ""), ("COMPLETE", CUT), ("COMPLETE", "")], 3) == "COMPLETE"
    assert (words_of(6, 3), words_of(6, 1)) == ("configuration 2 (trials 6 to 8)", "trial 6")


def test_means_rank_and_only_of_whole_configurations(recorded: Writer) -> None:
    sweep = load_sweeps(home=recorded.home).iloc[0]
    trials = load_trials("seedy", home=recorded.home)
    table = ranked(grouped(trials, sweep), sweep)
    assert list(table["trial"]) == [3, 0, 6, 9, 12]
    assert list(table["state"]) == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED", "COLLAPSED"]
    assert list(table["seeds"]) == ["3/3", "3/3", "2/3", "1/3", "2/3"]
    assert list(table["rank"].dropna()) == [1, 2]
    assert list(table["best/val/neg_elbo"]) == [6.0, 8.0, 4.0, 1.0, 2.0]
    assert list(table["best/val/neg_elbo sd"].iloc[:2]) == [pytest.approx(3**0.5), 1.0]
    assert list(table["duration_s"].iloc[:2]) == [40.0 + 50 + 60, 10.0 + 20 + 30]
    assert "test/iw_nll_se" not in table
    assert sweep["best"] == 6.0
    assert sweep["trials"] == 13
    assert find_trial("seedy", home=recorded.home).number == 3


def test_the_report_has_a_line_a_configuration(recorded: Writer) -> None:
    sweep = load_sweeps(home=recorded.home).iloc[0]
    trials = load_trials("seedy", home=recorded.home)
    text = render_report(trials, sweep)
    assert isinstance(text, str)
    rows = [re.split(r"  +", line.strip()) for line in text.splitlines()]
    assert ["★ 1", "3-5", "complete", "3/3", "0.01", "6.00 ± 1.73", "7.00 ± 1.73", "6.00 ± 1.73", "1", "2:30"] in rows
    assert ["6-8", "pruned", "2/3", "0.02", "4.00 ± 0.00", "5.00 ± 0.00", "4.00 ± 0.00", "1", "2:30"] in rows
    said = " ".join(text.split())
    assert "13 trials: 11 complete, 1 pruned, 1 collapsed. 5 configurations of 3 seeds: 2 complete, 2 pruned" in said
    assert "Configuration 2 (trials 6 to 8) was stopped after 2 of 3 seeds: worse than configuration 1, p = 0.0625" in said
    assert "Configuration 1 (trials 3 to 5; lr 0.01) won: mean best/val/neg_elbo 6 ± 1.7 over 3 seeds, 2 lower than" in said
    assert "Seed by seed it is better under 3 of 3." in said
    assert "Each configuration was trained with the same seeds, 0, 1 and 2." in said
    assert "standard error" not in said
    assert "NOT equal" not in said
    assert "**6.00 ± 1.73**" in str(render_report(trials, sweep, format="markdown"))
    assert "The first 2 of 5 configurations are shown." in str(render_report(trials, sweep, top=2))


def test_files_keep_a_row_a_trial(recorded: Writer) -> None:
    sweep = load_sweeps(home=recorded.home).iloc[0]
    trials = load_trials("seedy", home=recorded.home)
    rows = list(csv.DictReader(io.StringIO(str(render_report(trials, sweep, format="csv")))))
    assert [int(row["trial"]) for row in rows] == [3, 4, 5, 0, 1, 2, 6, 7, 9, 10, 12, 13, 14]
    assert [row["configuration"] for row in rows[:4]] == ["1", "1", "1", "0"]
    assert json.loads(str(render_report(trials, sweep, format="json")))[0]["seed"] == 0


def test_another_column_sorts_by_its_means(recorded: Writer) -> None:
    sweep = load_sweeps(home=recorded.home).iloc[0]
    table = board(load_trials("seedy", home=recorded.home), sweep, "test/neg_elbo")
    assert list(table["trials"].head(2)) == ["3-5", "0-2"]


@pytest.mark.parametrize(("state", "stands"), [("INTERRUPTED", "STOPPED"), ("RUNNING", "RUNNING")])
def test_unfinished_configurations_are_told_as_such(writer: Writer, state: str, stands: str) -> None:
    """A sweep that was stopped between two seeds of configuration 5, against one that still runs."""
    parent = write(writer, state)
    writer.trial(parent, 15, {"optimizer.lr": "0.5"}, [{"val/neg_elbo": 0.1}], {"best/val/neg_elbo": 0.1}, tags={"seed": "0"})
    sweep = load_sweeps(home=writer.home).iloc[0]
    table = grouped(load_trials("seedy", home=writer.home), sweep)
    assert list(table["state"])[-1] == stands
    assert sweep["best"] == 6.0
    [counts] = [line for line in status_lines("seedy", home=writer.home) if "6 configurations of 3 seeds" in line]
    assert re.search(rf"\b1 {stands.lower()}\b", counts)


def test_nothing_complete_is_said_so(writer: Writer) -> None:
    parent = writer.sweep("seedy", ["optimizer.lr"], state="RUNNING", seeds="3")
    lines = status_lines("seedy", home=writer.home)
    assert "No configuration is complete under its 3 seeds: there is nothing to rank." in lines
    writer.trial(parent, 0, {"optimizer.lr": "0.5"}, [{"val/neg_elbo": 0.1}], state="FAILED", reason="it diverged")
    assert any("trial 0 failed: it diverged" in line.lower() for line in status_lines("seedy", home=writer.home))
    assert pd.isna(load_sweeps(home=writer.home).iloc[0]["best"])


def test_a_record_of_something_else_is_refused(writer: Writer) -> None:
    writer.sweep("seedy", ["optimizer.lr"], seeds="many")
    with pytest.raises(StoreError, match=r"the tag 'seeds' of the run .* is no number of seeds: 'many'"):
        load_sweeps(home=writer.home)


@pytest.mark.parametrize(
    ("endings", "stands", "reason"),
    [
        (
            [("COMPLETE", "patience"), ("COMPLETE", "patience; no further seeds: worse")],
            "PRUNED",
            "patience; no further seeds: worse",
        ),
        ([("COMPLETE", "patience"), ("FAILED", "NaN loss at step 3")], "FAILED", "NaN loss at step 3"),
        ([("COMPLETE", "no further seeds: worse"), ("FAILED", "NaN loss at step 3")], "FAILED", "NaN loss at step 3"),
        ([("COMPLETE", ""), ("COMPLETE", "patience")], "COMPLETE", "patience"),
        ([("COMPLETE", "")], "COMPLETE", ""),
    ],
)
def test_a_configuration_stands_so_for_what_decided_it(endings: list[tuple[str, str]], stands: str, reason: str) -> None:
    assert standing(endings, seeds=len(endings) + (stands == "PRUNED")) == stands
    assert reason_of(endings, stands) == reason
