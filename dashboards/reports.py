"""A sweep's trials as a report: a table for the terminal, Markdown, or the whole frame as CSV, Parquet or JSON."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterable
from typing import Any, Literal, get_args

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dashboards.analysis import last_score, searched, selected_metric, short_names
from dashboards.errors import nearest
from dashboards.pareto import VIOLATION, several_metrics
from dashboards.replicates import SEEDS, ranked_trials, spread
from dashboards.replicates import board as board_of
from dashboards.replicates_words import sentences
from dashboards.summary import configuration
from dashboards.words import plain

Format = Literal["table", "markdown", "csv", "parquet", "json"]

_DECIMALS = {"perplexity": 1, "iw_perplexity": 1, "active_units": 0, "examples_per_s": 0, "tokens_per_s": 0}
"""Digits after the point, by the last part of a metric's name; 2 for all others."""
CONFIGURATION = "configuration"
_FIXED = ("rank", "trial", "trials", "state", SEEDS, CONFIGURATION, "epochs", "time")
_DISPENSABLE = (
    "duration_s",
    "epochs",
    "test/iw_perplexity",
    "best/val/perplexity",
    "best/val/active_units",
    "best/val/rate",
    "train/examples_per_s",
    "train/tokens_per_s",
    "test/neg_elbo",
    "test/iw_nll",
)
"""What a narrow terminal goes without, first to last."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, or turns the direction of writing."""
_MOST = 200
"""Rows of a terminal's table where nobody says how many; of more, the first."""
_ROOM, _PROSE = 10_000, 100
"""Characters: wider than any table; of a line of text where no width is given."""


def render_report(
    trials: pd.DataFrame,
    sweep: pd.Series[Any],
    *,
    format: str = "table",
    sort: str | None = None,
    top: int | None = None,
    width: int | None = None,
    color: bool = False,
) -> str | bytes:
    """The report on one sweep.

    ``trials`` is ``load_trials(name)``, ``sweep`` the row of ``load_sweeps()``. ``table`` and ``markdown`` show what was
    searched, rounded, under the question and above the sentences of ``summary``; ``csv``, ``parquet`` (bytes) and ``json`` (a
    list of objects, null for what is no finite number) are every column, unrounded. In each, rows stand in the order of
    ``ranked``, the first ``top`` of them; of a ``table`` that many or 200. ``width`` (characters, of the table) and ``color`` are
    the terminal's.

    Raises:
        UnknownColumn: where ``sort`` is no column.
        ValueError: where ``format`` or ``top`` is none that there is.
    """
    if format not in get_args(Format):
        raise ValueError(f"no format {format!r}: {nearest(format, get_args(Format))}")
    if top is not None and top < 1:
        raise ValueError(f"top is {top}, but must be at least 1")
    if format == "table":
        return _terminal(trials, sweep, sort, top, width, color)
    if format == "markdown":
        return _markdown(trials, sweep, sort, top)
    rows = ranked_trials(trials, sweep, sort).head(top if top is not None else len(trials))
    if format == "csv":
        return rows.to_csv(index=False)
    if format == "json":
        return _json(rows)
    buffer = io.BytesIO()
    rows.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _json(rows: pd.DataFrame) -> str:
    """Python's own writer: pandas' keeps at most 15 digits."""
    records = [{name: _json_value(value) for name, value in row.items()} for row in rows.to_dict(orient="records")]
    return json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _json_value(value: Any) -> Any:
    if pd.isna(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _terminal(
    trials: pd.DataFrame, sweep: pd.Series[Any], sort: str | None, top: int | None, width: int | None, color: bool
) -> str:
    board = board_of(trials, sweep, sort)
    top = _MOST if top is None and len(board) > _MOST else top
    buffer = io.StringIO()
    console = Console(file=buffer, width=_ROOM, force_terminal=color, color_system="standard" if color else None)
    table, dropped = _fitting(console, board, sweep, sort, top, width)
    console.width = max(console.measure(table).minimum, width or _PROSE)
    console.print(Text(clean(sweep["name"]), style="bold"))
    if sweep["question"]:
        console.print(Text(clean(sweep["question"])), width=width or _PROSE)
    console.print(table)
    console.print()
    notes = _left_out(board, top) + ([f"For want of width without {', '.join(dropped)}."] if dropped else [])
    for sentence in [*notes, *_order(sweep, sort), *sentences(trials, sweep)]:
        console.print(Text(clean(sentence)), width=width or _PROSE)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _fitting(
    console: Console, board: pd.DataFrame, sweep: pd.Series[Any], sort: str | None, top: int | None, width: int | None
) -> tuple[Table, list[str]]:
    """The fullest table that fits into ``width``, and the columns that had to go.

    First go the dispensable columns, one by one; if that is not enough, all parameters share one column and its lines.
    """
    needed = {selected_metric(sweep["metric"]), sort, *(selected_metric(name) for name, _ in several_metrics(sweep))}
    dispensable = [name for name in _DISPENSABLE if name in board and name not in needed]
    table, dropped = _table(board, sweep, top), list[str]()
    for layout in (board, merged(board, sweep)):
        for count in range(len(dispensable) + 1):
            dropped = dispensable[:count]
            table = _table(layout.drop(columns=dropped), sweep, top)
            if width is None or console.measure(table).minimum <= width:
                return table, dropped
    return table, dropped


def merged(board: pd.DataFrame, sweep: pd.Series[Any]) -> pd.DataFrame:
    """The leaderboard with all searched parameters in one column of words."""
    parameters = searched(sweep)
    words = [configuration(row, parameters) for _, row in board.iterrows()]
    merged = board.drop(columns=parameters)
    merged.insert(list(merged.columns).index("state") + 1, CONFIGURATION, pd.Series(words, index=board.index, dtype="str"))
    return merged


def _table(board: pd.DataFrame, sweep: pd.Series[Any], top: int | None) -> Table:
    """The leaderboard; trials that are not ranked stand below a line."""
    headings, rows = cells_of(board, sweep, top)
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    for place, heading in enumerate(headings):
        lines = _broken(clean(heading))
        words = heading in ("state", CONFIGURATION)
        wraps = heading == CONFIGURATION
        content = max(map(cell_len, [*lines, *(clean(row[place]) for row in rows)]))
        table.add_column(
            Text("\n".join(lines)),
            justify="left" if words else "right",
            no_wrap=not wraps,
            min_width=min(content, 28) if wraps else content,
            vertical="top",
        )
    ranks = list(board["rank"].head(len(rows)))
    for place, (rank, row) in enumerate(zip(ranks, rows, strict=True)):
        last_ranked = pd.notna(rank) and place + 1 < len(ranks) and pd.isna(ranks[place + 1])
        style = "bold green" if pd.notna(rank) and rank == 1 else "" if pd.notna(rank) else "dim"
        table.add_row(*(Text(clean(cell)) for cell in row), style=style, end_section=last_ranked)
    return table


def _broken(heading: str) -> list[str]:
    """A heading in lines: its sections, and the words of a long name (``per_s`` is one)."""
    *sections, name = heading.split("/")
    words = re.split(r"(?<=_)(?!s$)", name) if len(name) > 9 else [name]
    return [f"{'/'.join(sections)}/", *words] if sections else words


def cells_of(board: pd.DataFrame, sweep: pd.Series[Any], top: int | None) -> tuple[list[str], list[list[str]]]:
    """Headings and rounded cells; an error, or a spread between seeds, goes into the cell of what it is the error of."""
    parameters = searched(sweep)
    short = short_names(parameters, reserved=_FIXED) | {"duration_s": "time"}
    errors = {"test/iw_nll": "test/iw_nll_se"} | {name: spread(name) for name in map(str, board) if spread(name) in board}
    lasts = {name: last_score(name) for name in map(str, board) if last_score(name) in board}
    shown = [str(name) for name in board if name not in (*errors.values(), *lasts.values())]
    rows = []
    for _, row in board.head(top if top is not None else len(board)).iterrows():
        cells = [_cell(name, row[name], is_metric="/" in name and name not in parameters) for name in shown]
        for name, error in errors.items():
            if name in shown and pd.notna(row.get(error)):
                cells[shown.index(name)] += f" ± {row[error]:.{decimals_of(name)}f}"
        for name, last in lasts.items():
            if pd.notna(row[last]):
                cells[shown.index(name)] = f"({_cell(name, row[last], is_metric=True)})"
        rows.append(cells)
    return [short.get(name, name) for name in shown], rows


def _cell(name: str, value: Any, is_metric: bool) -> str:
    if pd.isna(value):
        return ""
    if name == "rank":
        return f"★ {value}" if value == 1 else str(value)
    if name == "state":
        return str(value).lower()
    if name == "duration_s":
        return _duration(value)
    if name == VIOLATION:
        return "none" if value == 0 else f"{value:.3g}"
    return metric_cell(name, value) if is_metric else plain(value)


def metric_cell(name: str, value: float) -> str:
    """A score, rounded as its metric is."""
    return f"{value:z.{decimals_of(name)}f}"


def decimals_of(name: str) -> int:
    """Digits behind the point of such a metric."""
    return _DECIMALS.get(name.rpartition("/")[2], 2)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def _left_out(board: pd.DataFrame, top: int | None) -> list[str]:
    rest = len(board) - top if top is not None else 0
    what = "configurations" if SEEDS in board else "trials"
    told = [f"The first {top} of {len(board)} {what} are shown."] if rest > 0 else []
    shown = board.head(top if top is not None else len(board))
    if any(shown[name].notna().any() for name in map(str, board) if name.startswith(last_score(""))):
        told.append("In parentheses: the last score of a trial that was not trained to its end, or runs.")
    return told


def _order(sweep: pd.Series[Any], sort: str | None) -> list[str]:
    """A warning where the table's order is not that of the sweep's metric."""
    own = selected_metric(sweep["metric"])
    return [f"Ranked by {sort}; the winner below is by the sweep's own metric, {own}."] if sort not in (None, own) else []


def _markdown(trials: pd.DataFrame, sweep: pd.Series[Any], sort: str | None, top: int | None) -> str:
    """A GitHub table; the best row bold."""
    board = board_of(trials, sweep, sort)
    headings, rows = cells_of(board, sweep, top)
    lines = [f"## {escape(sweep['name'])}", ""]
    if sweep["question"]:
        lines += [f"Question: {escape(sweep['question'])}", ""]
    lines += [_row(map(escape, headings)), _row("---" if heading == "state" else "---:" for heading in headings)]
    for rank, row in zip(board["rank"], rows, strict=False):
        first = pd.notna(rank) and rank == 1
        lines.append(_row(f"**{escape(cell)}**" if first and cell else escape(cell) for cell in row))
    lines += ["", *(f"- {escape(line)}" for line in [*_left_out(board, top), *_order(sweep, sort), *sentences(trials, sweep)])]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def clean(text: object) -> str:
    """One line without control characters: what others wrote moves no cursor and reverses no direction."""
    return _CONTROL.sub("\ufffd", " ".join(str(text).split()))


def lines_of(text: str) -> str:
    """As ``clean``, but lines and spaces stay."""
    return "\n".join(_CONTROL.sub("\ufffd", line) for line in text.splitlines())


def escape(text: object) -> str:
    """Text that Markdown shows as it is: in a table's cell, and with no tag, link or emphasis of its own."""
    plain_text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    marked = re.sub(r"([\\`*\[\]|~$])", r"\\\1", plain_text)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", marked)
