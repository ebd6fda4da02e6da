"""The report on a confirmation: a row a configuration with its means and intervals, and what can be told apart, in words."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dashboards.confirmation_words import Confirmed, between, method_of, p_value, sentences_of, signed
from dashboards.reports import clean, escape

_PROSE, _ROOM = 100, 10_000
"""Characters: of a line of text where no width is given; wider than any table."""
_CONFIGURATION = "configuration"
_PRINTED = ("test/iw_nll", "test/iw_perplexity")
"""What a line of print has room for, beside the metric that is compared."""
_ODD = ("COLLAPSED", "FAILED", "STOPPED", "RUNNING", "PRUNED", "MISSING")
_DISPENSABLE = ("best/val/rate", "best/val/active_units", "test/iw_perplexity", "test/perplexity")
"""What a narrow terminal goes without, first to last."""


FORMATS = ("table", "markdown", "latex")


def render(
    found: Confirmed, sweep: pd.Series[Any], *, format: str = "table", width: int | None = None, color: bool = False
) -> str:
    """The table and the sentences, as one of ``FORMATS``; that of a terminal is of ``width`` characters."""
    sentences = sentences_of(found, sweep)
    if format == "markdown":
        return _markdown(found, sweep, sentences)
    if format == "latex":
        return _latex(found, sweep)
    buffer = io.StringIO()
    console = Console(file=buffer, width=_ROOM, force_terminal=color, color_system="standard" if color else None)
    table, dropped = _fitting(console, found, width)
    console.width = max(console.measure(table).minimum, width or _PROSE)
    console.print(Text(clean(sweep["name"]), style="bold"))
    console.print(Text(clean(sweep["question"])), width=width or _PROSE)
    console.print(table)
    console.print()
    notes = [f"For want of width without {', '.join(dropped)}."] if dropped else []
    for sentence in [*notes, *sentences]:
        console.print(Text(clean(sentence)), width=width or _PROSE)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _headings(found: Confirmed, without: Sequence[str] = ()) -> list[str]:
    return [name for name in dict.fromkeys(found.estimates["metric"]) if name not in without]


def _row(found: Confirmed, row: pd.Series[Any], metrics: Sequence[str], newline: str) -> list[str]:
    trial = int(row["configuration"])
    cells = [_with_interval(found.estimate(trial, metric), newline) for metric in metrics]
    gap = "" if math.isnan(row["difference"]) else signed(row["difference"])
    if gap and not math.isnan(row["low"]):
        gap += f"{newline}{between(row['low'], row['high'])}"
    place = {0: "", 1: "★ 1"}.get(row["place"], str(row["place"]))
    return [place, str(trial), found.words[trial], _seeds_told(found, trial, newline), *cells, gap, p_value(row["p_holm"])]


def _seeds_told(found: Confirmed, trial: int, newline: str) -> str:
    """``4 of 5``: seeds with a score of the compared metric, then what became of others."""
    runs = found.cells[found.cells["configuration"] == trial]
    scored = found.estimate(trial, found.metric)["seeds"]
    odd = [f"{count} {state.lower()}" for state in _ODD if (count := int((runs["state"] == state).sum()))]
    return newline.join([f"{scored} of {len(runs)}", *odd])


def _with_interval(estimate: pd.Series[Any], newline: str) -> str:
    if math.isnan(estimate["mean"]):
        return ""
    mean = f"{estimate['mean']:z.2f}"
    return mean if math.isnan(estimate["low"]) else f"{mean}{newline}{between(estimate['low'], estimate['high'])}"


def _fitting(console: Console, found: Confirmed, width: int | None) -> tuple[Table, list[str]]:
    """The fullest table that fits into ``width``, and the metrics that had to go."""
    dispensable = [name for name in _DISPENSABLE if name in _headings(found) and name != found.metric]
    for count in range(len(dispensable) + 1):
        table = _table(found, dispensable[:count])
        if width is None or console.measure(table).minimum <= width:
            break
    return table, dispensable[:count]


def _table(found: Confirmed, without: Sequence[str]) -> Table:
    metrics = _headings(found, without)
    rows = [[_kept(cell) for cell in _row(found, row, metrics, "\n")] for _, row in found.comparisons.iterrows()]
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    for place, heading in enumerate(_around(metrics)):
        words = heading == _CONFIGURATION
        lines = heading.replace("/", "/\n")
        content = max(cell_len(line) for cell in [lines, *(row[place] for row in rows)] for line in cell.split("\n"))
        least = min(content, 24) if words else content
        table.add_column(Text(lines), justify="left" if words else "right", no_wrap=not words, min_width=least, vertical="top")
    places = list(found.comparisons["place"])
    for index, (cells, (_, row)) in enumerate(zip(rows, found.comparisons.iterrows(), strict=True)):
        style = "bold green" if row["place"] == 1 else "" if row["apart"] or math.isnan(row["p"]) else "green"
        last_able = row["place"] > 0 and places[index + 1 : index + 2] == [0]  # below the line: what cannot be the best
        table.add_row(*map(Text, cells), style=style if row["place"] else "dim", end_section=last_able)
    return table


def _around(metrics: Sequence[str]) -> list[str]:
    """The headings, with those of the metrics among them."""
    return ["", "trial", _CONFIGURATION, "seeds", *metrics, "from the best", "p (Holm)"]


def cells_of(found: Confirmed) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table, a row a configuration."""
    metrics = _headings(found)
    return _around(metrics), [_row(found, row, metrics, " ") for _, row in found.comparisons.iterrows()]


def _latex(found: Confirmed, sweep: pd.Series[Any]) -> str:
    """With what a paper has room for; bold is the best, and what cannot be told apart from it."""
    from dashboards.latex import escape as tex
    from dashboards.latex import heading, table

    metrics = [name for name in _headings(found) if name == found.metric or name in _PRINTED]
    rows = []
    for _, row in found.comparisons.iterrows():
        place, trial, words, seeds, *scores, gap, p = _row(found, row, metrics, " ")
        cells = [place.removeprefix("★ "), trial, *map(tex, (words, seeds, *scores, gap, p))]
        if row["place"] == 1 or (row["place"] > 1 and not row["apart"] and not math.isnan(row["p"])):
            at = 4 + metrics.index(found.metric)
            cells[at] = f"\\textbf{{{cells[at]}}}"
        rows.append(cells)
    headings = [heading(name) for name in _around(metrics)]
    told = " ".join(method_of(found))
    caption = tex(f"{sweep['question']} {told} Bold: the best by {found.metric}, and what cannot be told apart from it.".strip())
    return table(caption, str(sweep["name"]), f"rrl{'r' * (len(headings) - 3)}", headings, rows)


def _markdown(found: Confirmed, sweep: pd.Series[Any], sentences: Sequence[str]) -> str:
    headings, rows = cells_of(found)
    lines = [f"## {escape(sweep['name'])}", "", f"Question: {escape(sweep['question'])}", ""]
    lines += [_line(map(escape, headings)), _line("---" if heading == _CONFIGURATION else "---:" for heading in headings)]
    lines += [_line(map(escape, row)) for row in rows]
    return "\n".join([*lines, "", *(f"- {escape(sentence)}" for sentence in sentences)]) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _kept(cell: str) -> str:
    """``clean``, line by line."""
    return "\n".join(clean(line) for line in cell.split("\n"))
