"""The note on a sweep's run in the MLflow UI: its question, how it stands, the best trials, and links onto the trials.

A pure function of what the driver knows. The ids of experiment and runs are known only where the note is written, so
the links carry marks, which ``fill_in`` replaces.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.tracking.view import MODE, view_link

NOTE = "mlflow.note.content"
"""The tag of a run that the UI shows as its description."""
TOP = 10
_BESIDE = "test/neg_elbo"
"""Shown beside the metric that was searched on; more makes the table wider than the UI's page, which the view is not."""
_EXPERIMENT = "{{experiment}}"
_MARK = re.compile(r"\{\{(experiment|trial:(\d+))\}\}")
_LINK = re.compile(r"(?:^| · )\[([^\]\n]*)\]\(([^)\n]*)\)", re.MULTILINE)
"""Of the line of links."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "{": "&#123;", "}": "&#125;"}
_ORDER = ("RUNNING", "COMPLETE", "PRUNED", "COLLAPSED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class NoteRow:
    """One trial of the leaderboard."""

    trial: int
    state: str
    """RUNNING, or how it ended."""
    value: float | None
    """The searched metric at the selected epoch."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What was searched, by dotted name."""
    epochs: int = 0
    duration_s: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict)
    """Its metrics; of these one is shown, see ``_BESIDE``."""


def sweep_note(
    name: str,
    question: str,
    state: str,
    metric: str,
    goal: str,
    total: int | None,
    rows: Sequence[NoteRow],
    top: int = TOP,
    means: Sequence[NoteRow] | None = None,
) -> str:
    """Markdown with marks: the question, the count of trials by state, the ``top`` complete trials, and links.

    Args:
        metric: what is searched, such as val/neg_elbo; its values here are those of the selected epochs.
        goal: minimize or maximize.
        total: how many trials the sweep will have, if that is known.
        means: of a sweep with several seeds its configurations, each under its first trial: they make the leaderboard.
    """
    counts = Counter(row.state for row in rows)
    tally = ", ".join(f"{counts[state]} {state.lower()}" for state in _ORDER if counts[state]) or "no trial yet"
    planned = "" if total is None else f" of {total}"
    column = f"best/{metric}"
    runs = view_link(_EXPERIMENT, name)
    lines = [
        *([f"**Question.** {escape(question)}", ""] if question else []),
        f"**{escape(state.capitalize())}.** {tally}{planned}. {_better(goal)} {escape(metric)} is better.",
        "",
        f"[Trials]({runs}) · [Charts]({runs}&compareRunsMode=CHART)",
        "",
        *_leaderboard(rows if means is None else means, column, goal, top, "trial" if means is None else "first trial"),
    ]
    return "\n".join(lines)


def fill_in(markdown: str, experiment: str, runs: Mapping[int, str]) -> str:
    """Replaces the marks by the experiment's id and by the ids of the trials' runs, by number."""

    def link(mark: re.Match[str]) -> str:
        if mark[2] is None:
            return experiment
        run = runs.get(int(mark[2]))
        return f"#/experiments/{experiment}/runs" + (f"/{run}" if run else "") + f"?{MODE}"

    return _MARK.sub(link, markdown)


def with_link(markdown: str, title: str, link: str) -> str:
    """A filled note with one more link beside those onto the trials, in place of an earlier one of the same title."""
    without = re.sub(rf" · \[{re.escape(title)}\]\([^)]*\)", "", markdown)
    return re.sub(r"^\[Trials\]\(.*$", lambda line: f"{line[0]} · [{title}]({link})", without, count=1, flags=re.MULTILINE)


def with_links_of(before: str, markdown: str) -> str:
    """A filled note with the links that were added to the one before it."""
    line = re.search(r"^\[Trials\]\(.*$", before, re.MULTILINE)
    own = set(re.findall(_LINK, markdown))
    for title, link in re.findall(_LINK, line[0]) if line else ():
        if title not in {known for known, _ in own}:
            markdown = with_link(markdown, title, link)
    return markdown


def escape(text: str) -> str:
    """``text`` on one line, shown as it is: neither Markdown, nor HTML, nor a mark of a note."""
    flat = " ".join(text.split())
    shielded = re.sub(r"([\\`*_\[\]()#~])", r"\\\1", flat)
    return re.sub(r"[&<>|{}]", lambda match: _ENTITIES[match[0]], shielded)


def _better(goal: str) -> str:
    return "Lower" if goal == "minimize" else "Higher"


def _leaderboard(rows: Sequence[NoteRow], column: str, goal: str, top: int, link_to: str) -> list[str]:
    ranked = [(row.value, row) for row in rows if row.state == "COMPLETE" and row.value is not None]
    ranked.sort(key=lambda pair: (pair[0] if goal == "minimize" else -pair[0], pair[1].trial))
    if not ranked:
        return []
    shown = ranked[:top]
    names = sorted({name for _, row in shown for name in row.parameters})
    scores = [_BESIDE] if column != _BESIDE and any(_BESIDE in row.scores for _, row in shown) else []
    header = ["", link_to, column if link_to == "trial" else f"mean {column}", *scores, *short_names(names), "epochs", "time"]
    lines = [_spaced(map(escape, header)), _line("---" for _ in header)]
    for rank, (value, row) in enumerate(shown, start=1):
        cells = [f"{row.scores[name]:.6g}" if name in row.scores else "–" for name in scores]
        cells += [escape(_shown(row.parameters[name])) if name in row.parameters else "–" for name in names]
        link = f"[{row.trial:03d}]({{{{trial:{row.trial}}}}})"
        lines.append(_spaced([str(rank), link, f"{value:.6g}", *cells, str(row.epochs), clock(row.duration_s)]))
    return lines


def short_names(names: Sequence[str]) -> list[str]:
    """Of each dotted name the shortest end that no other has; of a choice's ``kind`` at least the family too."""
    ends: list[str] = []
    for name in names:
        parts = name.split(".")
        others = [other.split(".") for other in names if other != name]
        length = 2 if parts[-1] == "kind" and len(parts) > 1 else 1
        while length < len(parts) and any(other[-length:] == parts[-length:] for other in others):
            length += 1
        ends.append(".".join(parts[-length:]))
    return ends


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spaced(cells: Iterable[str]) -> str:
    return _line(f"{cell}&emsp;" for cell in cells)  # the UI draws tables without any space between columns


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def clock(seconds: float) -> str:
    """A length of time as 1:05 or 2:03:09."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
