from __future__ import annotations

import csv
import io
import json
import math
import re
from typing import Any

import pandas as pd
import pytest

from dashboards import UnknownColumn, load_sweeps, load_trials, render_report
from tests.dashboards.conftest import Writer
from tests.dashboards.test_analysis import sweep_row, trials_of


@pytest.fixture
def recorded(softmax: Writer) -> tuple[pd.DataFrame, pd.Series[Any]]:
    return load_trials("softmax", home=softmax.home), load_sweeps(home=softmax.home).iloc[0]


HOSTILE = "a|b\nc\x1b[31m [red]x[/red] <script>alert(1)</script> `d` *e* \u202eevil \\ $x$ ![i](http://x)"


def hostile() -> tuple[pd.DataFrame, pd.Series[Any]]:
    trials = trials_of([2.0, 1.0, 3.0], objective__beta=[HOSTILE, "plain", '=1+1,"q"'], state=["COMPLETE", "COMPLETE", "FAILED"])
    trials["reason"] = ["", "", HOSTILE]
    return trials, sweep_row(question=HOSTILE, name=HOSTILE)


def text_of(report: str | bytes) -> str:
    assert isinstance(report, str)
    return report


def rows_of(lines: list[str]) -> list[list[str]]:
    """Rank and trial (or trial and state, without a rank) of each row of the terminal's table."""
    states = ("complete", "running", "pruned", "failed")
    return [
        cells[:2] for cells in (re.split(r"  +", line.strip()) for line in lines) if any(cell in states for cell in cells[:3])
    ]


def test_the_table(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    lines = text_of(render_report(*recorded)).splitlines()
    assert lines[0].strip() == "softmax"
    assert lines[1].strip() == "Which softmax?"
    [best] = [line for line in lines if "★" in line]
    assert re.split(r"  +", best.strip()) == [
        "★ 1", "2", "complete", "1", "sampled", "1024", "0.001",
        "87.12", "4.00", "7", "120.2", "87.62", "86.12 ± 0.25", "3", "30.0 s",
    ]  # fmt: skip
    assert rows_of(lines) == [["★ 1", "2"], ["2", "0"], ["4", "running"], ["1", "pruned"], ["3", "failed"]]
    assert "\x1b" not in "".join(lines)
    assert "Trial 2 won (beta 1, softmax sampled, samples 1024, lr 0.001)" in " ".join(lines)
    assert any(line.startswith("5 trials: 2 complete, 1 running, 1 pruned, 1 failed.") for line in lines)


def test_the_headings_are_short_and_under_their_section(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    words = text_of(render_report(*recorded)).split("───")[0].split()
    assert {"rank", "trial", "beta", "softmax", "samples", "cutoffs", "lr", "neg_elbo", "iw_nll", "epochs", "time"} <= set(words)
    assert {"best/val/", "test/"} <= set(words)
    assert "objective.beta" not in words


def test_colour_only_where_it_is_asked_for(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    assert "\x1b[1;32m" in text_of(render_report(*recorded, color=True))


@pytest.mark.parametrize("width", [70, 80, 100, 120])
def test_a_narrow_terminal_gets_fewer_columns_and_is_told(width: int, recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    report = text_of(render_report(*recorded, width=width))
    assert max(map(len, report.splitlines())) <= width
    assert "For want of width without duration_s" in report
    assert "87.12" in report
    assert ("configuration" in report) == (width < 80)
    assert "For want of width" not in text_of(render_report(*recorded, width=1000))


def test_speed_and_perplexity_go_before_the_scores_where_there_is_no_room() -> None:
    columns = {"test/iw_perplexity": [99.04, 98.0], "test/iw_nll": [4.0, 5.0], "train/tokens_per_s": [12345.6, 7.0]}
    trials = trials_of([2.0, 1.0], **columns)
    wide = text_of(render_report(trials, sweep_row()))
    [second] = [line for line in wide.splitlines() if line.endswith("1:00") and "★" not in line]
    assert second.split() == ["2", "0", "complete", "0.1", "2.00", "4.00", "99.0", "12346", "20", "1:00"]
    assert {"train/", "tokens_", "per_s"} <= set(wide.split("───")[0].split())
    narrow = text_of(render_report(trials, sweep_row(), width=48))
    assert "without duration_s, epochs, test/iw_perplexity, train/tokens_per_s." in " ".join(narrow.split())
    assert "iw_nll" in narrow.split("───")[0]


def test_sort_and_top(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    report = text_of(render_report(*recorded, sort="duration_s", top=1))
    [best] = [line for line in report.splitlines() if "★" in line]
    assert rows_of([best]) == [["★ 1", "0"]]
    assert "The first 1 of 5 trials are shown." in report
    assert "Ranked by duration_s; the winner below is by the sweep's own metric, best/val/neg_elbo." in report
    assert "Trial 2 won" in report
    frame = pd.read_csv(io.StringIO(text_of(render_report(*recorded, format="csv", top=2))))
    assert list(frame["trial"]) == [2, 0]


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json", "parquet"])
def test_faults_of_the_user(format: str, recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    with pytest.raises(UnknownColumn, match="did you mean best/val/neg_elbo"):
        render_report(*recorded, format=format, sort="best/val/neg_elb")
    with pytest.raises(ValueError, match="top is 0"):
        render_report(*recorded, format=format, top=0)
    with pytest.raises(ValueError, match=r"no format 'markdwn': did you mean markdown\?"):
        render_report(*recorded, format="markdwn")


def test_csv_is_the_whole_frame_unrounded(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    trials, sweep = recorded
    trials.loc[trials["trial"] == 2, "best/val/neg_elbo"] = 0.1 + 0.2
    frame = pd.read_csv(io.StringIO(text_of(render_report(trials, sweep, format="csv"))), dtype={"threads": "str"})
    assert list(frame) == list(trials)
    assert frame["best/val/neg_elbo"].iloc[0] == 0.1 + 0.2
    assert list(frame["trial"]) == [2, 0, 4, 1, 3]
    samples = [row["model.softmax.samples"] for row in csv.DictReader(io.StringIO(frame.to_csv()))]
    assert samples.count("") == 4


def test_parquet_is_the_whole_frame_with_its_types(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    trials, sweep = recorded
    report = render_report(trials, sweep, format="parquet")
    assert isinstance(report, bytes)
    frame = pd.read_parquet(io.BytesIO(report)).sort_values("trial", ignore_index=True)
    pd.testing.assert_frame_equal(frame, trials)


def test_json_is_the_whole_frame_and_strict(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    trials, sweep = recorded
    trials.loc[trials["trial"] == 0, "best/val/neg_elbo"] = math.inf
    trials.loc[trials["trial"] == 2, "best/val/neg_elbo"] = 1 / 3
    report = text_of(render_report(trials, sweep, format="json"))
    rows = json.loads(report, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [list(row) for row in rows] == [list(trials)] * 5
    assert rows[0]["best/val/neg_elbo"] == 1 / 3
    assert (rows[0]["model.softmax.samples"], rows[1]["model.softmax.samples"]) == (1024, None)
    assert rows[1]["best/val/neg_elbo"] is None
    assert rows[3]["model.softmax.cutoffs"] == "[2000, 10000]"


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_hostile_strings_come_back_unchanged(format: str) -> None:
    trials, sweep = hostile()
    report = render_report(trials, sweep, format=format)
    if format == "parquet":
        assert isinstance(report, bytes)
        found = pd.read_parquet(io.BytesIO(report))["objective.beta"].tolist()
    elif format == "csv":
        found = pd.read_csv(io.StringIO(text_of(report)))["objective.beta"].tolist()
    else:
        found = [row["objective.beta"] for row in json.loads(text_of(report))]
    assert found == ["plain", HOSTILE, '=1+1,"q"']


def test_hostile_strings_stay_in_their_cell_of_the_table() -> None:
    report = text_of(render_report(*hostile()))
    assert "\x1b" not in report
    assert "\u202e" not in report
    assert "[red]x[/red]" in report
    assert rows_of(report.splitlines()) == [["★ 1", "1"], ["2", "0"], ["2", "failed"]]


def test_hostile_strings_stay_in_their_cell_of_the_markdown() -> None:
    from markdown_it import MarkdownIt

    report = text_of(render_report(*hostile(), format="markdown"))
    assert not any(control in report for control in "\x1b\u202e")
    html = MarkdownIt("commonmark").enable("table").render(report)
    assert html.count("<table>") == 1
    assert html.count("<tr>") == 1 + 3
    assert len(re.findall("<td[ >]", html)) == 3 * len(re.findall("<th[ >]", html)) == 3 * 7
    assert not any(tag in html for tag in ("<script", "<img", "<a ", "<code", "<em"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; `d` *e*" in html
    assert html.count("<h2>") == 1


def test_markdown_is_a_table_that_renders(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    from markdown_it import MarkdownIt

    report = text_of(render_report(*recorded, format="markdown"))
    html = MarkdownIt("commonmark").enable("table").render(report)
    assert html.count("<tr>") == 1 + 5
    assert "<strong>87.12</strong>" in html
    assert ">best/val/neg_elbo</th>" in html
    assert "<h2>softmax</h2>" in html
    assert "Question: Which softmax?" in html
    assert "One seed each" in html


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json", "parquet"])
def test_no_trials_at_all(format: str, writer: Writer) -> None:
    writer.sweep("s", ["objective.beta"])
    report = render_report(load_trials("s", home=writer.home), load_sweeps(home=writer.home).iloc[0], format=format)
    if isinstance(report, bytes):
        assert len(pd.read_parquet(io.BytesIO(report))) == 0
    elif format == "json":
        assert json.loads(report) == []
    elif format == "csv":
        assert report.startswith("run_id,trial,state")
    else:
        assert "0 trials" in report
        assert "nothing to rank" in report


def test_the_last_score_of_a_pruned_trial_stands_in_parentheses(recorded: tuple[pd.DataFrame, pd.Series[Any]]) -> None:
    table = text_of(render_report(*recorded))
    assert "(80.00)" in table, "of trial 1, which was pruned"
    assert "In parentheses: the last score of a trial that was not trained to its end, or runs." in " ".join(table.split())
    assert "(87." not in table
    assert "(80.00)" in text_of(render_report(*recorded, format="markdown"))
    complete = recorded[0][recorded[0]["state"] == "COMPLETE"]
    assert "parentheses" not in text_of(render_report(complete, recorded[1]))


def test_a_rate_just_below_nothing_is_shown_without_a_sign() -> None:
    trials = trials_of([2.0, 1.0])
    trials["best/val/rate"] = [-1e-7, 3.0]
    report = text_of(render_report(trials, sweep_row()))
    assert "-0.00" not in report
    assert "0.00" in report
    assert text_of(render_report(trials, sweep_row(), format="csv")).count("-1e-07") == 1, "the record itself is exact"


def test_trials_scored_on_different_things_are_warned_of() -> None:
    trials = trials_of([2.0, 1.0], **{"model__likelihood__kind": ["gaussian", "continuous_bernoulli"]})
    words = " ".join(text_of(render_report(trials, sweep_row(("model.likelihood.kind",)))).split())
    assert "NOT equal, so beware: best/val/neg_elbo is of different things" in words
    assert "where these differ: model.likelihood.kind (the likelihood: a probability, or a density)." in words
    trials = trials_of([2.0, 1.0], scores=["p(x)", "p(x|y)"])
    words = " ".join(text_of(render_report(trials, sweep_row())).split())
    assert "where these differ: model.condition (p(x) or, told the label, p(x|y))." in words
    assert "different things" not in text_of(render_report(trials_of([2.0, 1.0], scores=["p(x)"] * 2), sweep_row()))


def test_variants_have_one_column_and_their_places_none() -> None:
    trials = trials_of([2.0, 1.0], objective__beta=[0.5, 1.0], model__decoder__kind=["mlp", "conv"], remedy=["weaker", "plain"])
    sweep = sweep_row(("objective.beta", "model.decoder.kind"), variants='{"remedy": ["objective.beta", "model.decoder.kind"]}')
    lines = text_of(render_report(trials, sweep, format="markdown")).splitlines()
    heading = next(line for line in lines if line.startswith("|"))
    assert "| remedy |" in heading
    assert "beta" not in heading
    assert "decoder" not in heading
    assert any("remedy plain" in line for line in lines)
    called_state = sweep_row(("objective.beta",), variants='{"state": ["objective.beta"]}')
    trials["variant.state"] = ["weaker", "plain"]
    assert "weaker" in text_of(render_report(trials, called_state, format="markdown")), "a name that a column has already"
