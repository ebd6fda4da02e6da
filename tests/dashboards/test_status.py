from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from dashboards import UnknownSweep, load_sweeps, load_trials, render_report
from dashboards.status import report_sweep, status_lines, sweeps_table
from dashboards.summary import summary
from tests.dashboards.conftest import Writer

HOSTILE = "[red]a[/red] [/] \x1b[31mb\nc \u202ed"


def drawn(sweeps: pd.DataFrame, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(sweeps_table(sweeps, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_status_of_a_running_sweep(softmax: Writer) -> None:
    lines = status_lines("softmax", home=softmax.home)
    assert lines[:3] == [
        "softmax: RUNNING, started 2023-11-14 22:13 UTC",
        "Which softmax?",
        "trial 4 runs: epoch 2 of 3, val/neg_elbo 98",
    ]
    assert lines[3].startswith("5 trials: 2 complete, 1 running, 1 pruned, 1 failed.")
    assert any(line.startswith("Trial 2 won") for line in lines)


def test_the_status_ends_with_the_summary(softmax: Writer) -> None:
    told = summary(load_trials("softmax", home=softmax.home), load_sweeps(home=softmax.home).iloc[0])
    assert status_lines("softmax", home=softmax.home)[3:] == told


def test_the_status_before_the_first_epoch_and_without_a_question(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"], state="RUNNING", question="")
    writer.trial(parent, 0, {"a": "1"}, state="RUNNING")
    writer.trial(parent, 1, {"a": "1", "training.epochs": "null"}, state="RUNNING")
    assert status_lines("s", home=writer.home)[1:4] == [
        "trial 0 runs: epoch 0 of 3",
        "trial 1 runs: epoch 0 of ?",
        "2 trials: 2 running. The sweep still runs: this is provisional.",
    ]


def test_the_status_of_a_sweep_without_trials(writer: Writer) -> None:
    writer.sweep("s", ["a"])
    assert status_lines("s", home=writer.home)[1:] == [
        "Which one?",
        "0 trials.",
        "No trial is complete: there is nothing to rank.",
    ]


def test_the_status_moves_no_cursor(writer: Writer) -> None:
    parent = writer.sweep("s", ["a"], question=HOSTILE)
    writer.trial(parent, 0, {"a": "1"}, state="FAILED", reason=HOSTILE)
    lines = status_lines("s", home=writer.home)
    assert not any(mark in "".join(lines) for mark in "\x1b\n\u202e")
    assert "[red]a[/red] [/] \ufffd[31mb c \ufffdd" in lines


def test_an_unknown_sweep_offers_the_nearest(softmax: Writer) -> None:
    for ask in (status_lines, report_sweep):
        with pytest.raises(UnknownSweep, match=r"no sweep 'sofmax': did you mean softmax\?"):
            ask("sofmax", home=softmax.home)


def test_the_report_by_name_is_the_report(softmax: Writer) -> None:
    trials, sweep = load_trials("softmax", home=softmax.home), load_sweeps(home=softmax.home).iloc[0]
    for format in ("table", "markdown", "csv"):
        by_name = report_sweep("softmax", format=format, sort="duration_s", top=2, home=softmax.home, width=120)
        assert by_name == render_report(trials, sweep, format=format, sort="duration_s", top=2, width=120)


def test_the_list_of_sweeps(softmax: Writer) -> None:
    softmax.sweep("empty", ["a"])
    heading, *rows = (" ".join(line.split()) for line in drawn(load_sweeps(home=softmax.home)).splitlines())
    assert heading == "name state trials best metric started question"
    assert rows == [
        "softmax RUNNING 5 87.12 val/neg_elbo 2023-11-14 22:13 Which softmax?",
        "empty FINISHED 0 val/neg_elbo 2023-11-14 23:13 Which one?",
    ]


def test_the_list_of_sweeps_shows_what_was_written_and_obeys_none_of_it(writer: Writer) -> None:
    writer.sweep("[bold]s[/bold]", ["a"], question=HOSTILE)
    table = drawn(load_sweeps(home=writer.home))
    assert "[bold]s[/bold]" in table
    assert "[red]a[/red] [/] \ufffd[31mb c \ufffdd" in table
    assert not any(mark in table for mark in "\x1b\u202e")
    assert len(table.splitlines()) == 2


def test_a_home_without_sweeps(writer: Writer) -> None:
    assert drawn(load_sweeps(home=writer.home)).split() == ["name", "state", "trials", "best", "metric", "started", "question"]


def test_a_narrow_terminal_has_no_questions_and_all_else(softmax: Writer) -> None:
    told = drawn(load_sweeps(home=softmax.home), width=90)
    assert "Which softmax?" not in told
    assert {"softmax", "RUNNING", "val/neg_elbo"} <= set(told.split())
