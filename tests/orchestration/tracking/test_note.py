"""The note ranks rightly, shows foreign text as it is, and its links name what they open."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.tracking.dashboard_link import DASHBOARD, dashboard_link
from orchestration.tracking.note import NoteRow, escape, fill_in, short_names, sweep_note, with_link, with_links_of
from orchestration.tracking.view import quoted, trials_link


def board(markdown: str) -> list[list[str]]:
    return [
        [cell.replace("&emsp;", "").strip() for cell in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith("|")
    ]


def note(rows: list[NoteRow], goal: str = "minimize", question: str = "Why?") -> str:
    return sweep_note("demo", question, "FINISHED", "val/neg_elbo", goal, 12, rows)


@pytest.mark.parametrize(("goal", "order"), [("minimize", ["002", "000", "004"]), ("maximize", ["004", "000", "002"])])
def test_only_complete_trials_are_ranked_best_first(goal: str, order: list[str]) -> None:
    rows = [
        NoteRow(0, "COMPLETE", 5.0),
        NoteRow(1, "PRUNED", 0.1),
        NoteRow(2, "COMPLETE", 4.0),
        NoteRow(3, "COMPLETE", None),
        NoteRow(4, "COMPLETE", 6.0),
        NoteRow(5, "RUNNING", 0.0),
    ]
    markdown = note(rows, goal)
    assert [re.findall(r"\[(\d+)\]", row[1])[0] for row in board(markdown)[2:]] == order
    assert "1 running, 4 complete, 1 pruned of 12" in markdown


def test_ten_are_shown() -> None:
    rows = [NoteRow(number, "COMPLETE", float(-number)) for number in range(30)]
    assert len(board(note(rows))) == 2 + 10
    assert "029" in board(note(rows))[2][1]


def test_a_parameter_that_a_trial_does_not_have_is_a_dash() -> None:
    rows = [
        NoteRow(0, "COMPLETE", 1.0, {"optimizer.lr": 0.00123456, "objective.annealing.kind": "linear", "w": [1, 2]}, 3, 65.2),
        NoteRow(1, "COMPLETE", 2.0, {"optimizer.lr": 0.5}, 2, 3661),
    ]
    lines = board(note(rows))
    assert lines[0] == ["", "trial", "best/val/neg\\_elbo", "annealing.kind", "lr", "w", "epochs", "time"]
    assert lines[2][2:] == ["1", "linear", "0.001235", "\\[1, 2\\]", "3", "1:05"]
    assert lines[3][2:] == ["2", "–", "0.5", "–", "2", "1:01:01"]


def test_the_test_score_stands_beside_the_searched_metric() -> None:
    rows = [NoteRow(0, "COMPLETE", 1.0, scores={"test/neg_elbo": 1.25, "test/rate": 9.0}), NoteRow(1, "COMPLETE", 2.0)]
    lines = board(note(rows))
    assert lines[0] == ["", "trial", "best/val/neg\\_elbo", "test/neg\\_elbo", "epochs", "time"]
    assert [line[3] for line in lines[2:]] == ["1.25", "–"]


def test_a_link_is_added_once_and_beside_the_others() -> None:
    filled = fill_in(note([NoteRow(0, "COMPLETE", 1.0)]), "9", {})
    once = with_link(filled, "Report", "#/a")
    again = with_link(with_link(once, "Champion", "#/c"), "Report", "#/b")
    (line,) = [line for line in again.splitlines() if line.startswith("[Trials]")]
    assert line.endswith(" · [Champion](#/c) · [Report](#/b)")
    assert again.count("[Report]") == 1
    assert with_link("", "Report", "#/a") == ""


def test_the_next_note_keeps_the_links_that_were_added() -> None:
    filled = fill_in(note([NoteRow(0, "COMPLETE", 1.0)]), "9", {})
    before = with_link(with_link(filled, "Champion", "#/c"), "Report", "#/b")
    assert with_links_of(before, filled) == before
    assert with_links_of(before, with_link(filled, "Report", "#/new")).count("[Report](#/new)") == 1
    assert with_links_of(filled, filled) == with_links_of("", filled) == filled


def test_without_trials_there_is_no_table() -> None:
    assert board(note([])) == []
    assert "no trial yet of 12" in note([])


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["a.lr", "b.beta"], ["lr", "beta"]),
        (["encoder.hidden", "decoder.hidden"], ["encoder.hidden", "decoder.hidden"]),
        (["model.softmax.kind", "objective.annealing.kind"], ["softmax.kind", "annealing.kind"]),
        (["hidden", "decoder.hidden"], ["hidden", "decoder.hidden"]),
        (["x.a.b", "y.a.b", "seed"], ["x.a.b", "y.a.b", "seed"]),
    ],
)
def test_names_are_shortened_only_as_far_as_they_stay_distinct(names: list[str], short: list[str]) -> None:
    assert short_names(names) == short


def test_the_link_filters_by_sweep_and_sorts_by_the_metric() -> None:
    link = trials_link("7", "it's & more", "best/val/neg_elbo", "minimize", base="http://127.0.0.1:5000/")
    page, _, query = urlsplit(link).fragment.partition("?")
    assert page == "/experiments/7/runs"
    assert parse_qs(query) == {
        "workflowType": ["machine_learning"],
        "searchFilter": ["tags.kind = 'trial' and tags.sweep = \"it's & more\""],
        "orderByKey": ["metrics.`best/val/neg_elbo`"],
        "orderByAsc": ["true"],
    }


def test_a_name_that_no_filter_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="both"):
        quoted("a'b\"c")


def test_marks_become_ids() -> None:
    rows = [NoteRow(3, "COMPLETE", 1.0), NoteRow(4, "COMPLETE", 2.0)]
    filled = fill_in(note(rows), "9", {3: "abc"})
    assert "[003](#/experiments/9/runs/abc?workflowType=machine_learning)" in filled
    assert "[004](#/experiments/9/runs?workflowType=machine_learning)" in filled
    assert "#/experiments/9/runs?workflowType" in filled
    assert "{{" not in filled


@given(st.text())
def test_foreign_text_can_be_neither_mark_nor_html_nor_table_nor_second_line(text: str) -> None:
    shown = escape(text)
    assert fill_in(shown, "9", {1: "run"}) == shown
    assert not re.search(r"[<>|{}\n\r]", shown)
    assert not re.search(r"(?<!\\)(\\\\)*[*_`\[\]#]", re.sub(r"&#\d+;", "", shown))


def test_a_hostile_question_is_shown_as_it_is() -> None:
    markdown = note([], question="<script>alert(1)</script> **bold** {{experiment}} [x](javascript:alert(1))\n# head")
    assert "<script>" not in markdown
    assert "**bold**" not in markdown
    assert "[x](" not in markdown
    assert "\n# head" not in markdown
    assert "&#123;&#123;experiment" in fill_in(markdown, "9", {})


def test_the_way_back_to_the_dashboard_is_there_where_it_has_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DASHBOARD, raising=False)
    assert dashboard_link("demo") == ""
    monkeypatch.setenv(DASHBOARD, "https://lab:8501")
    assert dashboard_link("a) [b]&c") == "\n\n[Dashboard](https://lab:8501/sweep?sweep=a%29%20%5Bb%5D%26c)"
    monkeypatch.setenv(DASHBOARD, "javascript:alert(1)")
    assert dashboard_link("demo") == ""
