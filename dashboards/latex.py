r"""The leaderboard as a LaTeX table: booktabs, the best in bold, and a caption that says what the numbers are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from dashboards.analysis import STATES, best_value, goal_of, searched, selected_metric, short_names
from dashboards.pareto import several_metrics
from dashboards.replicates import SEEDS, spread
from dashboards.replicates import board as board_of
from dashboards.reports import clean, metric_cell
from dashboards.words import listed, plain

HEADINGS = {
    "best/val/neg_elbo": r"$-$ELBO (val)",
    "best/val/rate": "rate",
    "best/val/active_units": "active units",
    "best/val/perplexity": "ppl (val)",
    "test/neg_elbo": r"$-$ELBO (test)",
    "test/iw_nll": "NLL (test)",
    "test/iw_perplexity": "ppl (test)",
    "train/tokens_per_s": "tokens/s",
    "train/examples_per_s": "examples/s",
}
"""The metrics that a paper has room for, and what it calls them."""
_UNRANKED = ("train/tokens_per_s", "train/examples_per_s", "best/val/rate", "best/val/active_units")
"""Not what is compared: no bold."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "β": r"$\beta$",
}
_PATTERN = re.compile("|".join(map(re.escape, _SPECIAL)))


def render_latex(trials: pd.DataFrame, sweep: pd.Series[Any], *, sort: str | None = None, top: int | None = None) -> str:
    r"""A ``table`` environment with the ranked trials; it wants ``\usepackage{booktabs}``, and ``graphicx`` to fit the line.

    Raises:
        UnknownColumn: where ``sort`` is no column.
    """
    board = board_of(trials, sweep, sort)
    board = board[board["rank"].notna()].head(top if top is not None else len(board))
    there = [name for name in searched(sweep) if name in board and board[name].notna().any()]
    parameters = [name for name in there if len(board) == 1 or len(_levels(board[name])) > 1]
    fixed = [f"{name} {plain(board[other].iloc[0])}" for other, name in short_names(there).items() if other not in parameters]
    own = [selected_metric(name) for name, _ in several_metrics(sweep)] or [selected_metric(str(sweep["metric"]))]
    metrics = [name for name in dict.fromkeys([*own, *HEADINGS, *([sort] if sort else [])]) if name in board]
    short = short_names(parameters)
    first = str(board.columns[1])  # trial, or of a sweep with seeds trials
    headings = [first, *(escape(short[name]) for name in parameters)]
    headings += [heading(name) for name in metrics]
    best = {name: best_value(board[name], goal_of(name, sweep)) for name in metrics if name not in _UNRANKED}
    words = "".join("r" if pd.api.types.is_numeric_dtype(board[name]) else "l" for name in parameters)
    rows = []
    for _, row in board.iterrows():
        cells = [str(row[first]), *("" if pd.isna(row[name]) else escape(plain(row[name])) for name in parameters)]
        rows.append([*cells, *(_score(row, name, best) for name in metrics)])
    caption = escape(_caption(trials, sweep, SEEDS in board, fixed))
    return table(caption, str(sweep["name"]), f"r{words}{'r' * len(metrics)}", headings, rows)


def table(caption: str, name: str, columns: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    r"""A ``table`` environment of cells that are LaTeX already, narrowed to the line where it is wider."""
    lines = [r"\begin{table}", r"\centering", f"\\caption{{{caption}}}", f"\\label{{tab:{_label(name)}}}", r"\medskip"]
    lines += [r"\setlength{\tabcolsep}{4pt}", r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"]
    lines += [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", _row(headings), r"\midrule", *map(_row, rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}"]) + "\n"


def heading(metric: str) -> str:
    """What a paper calls it."""
    return HEADINGS.get(metric, escape(metric))


def _levels(values: pd.Series[Any]) -> set[Any]:
    """A parameter's values, and whether some trials do not have it."""
    return set(values.astype("object").where(values.notna(), None))


def escape(text: object) -> str:
    """Text that LaTeX sets as it is."""
    return _PATTERN.sub(lambda found: _SPECIAL[found[0]], clean(text))


def _score(row: pd.Series[Any], name: str, best: dict[str, float]) -> str:
    """A rounded score, bold where it is the column's best, with its error, or its spread between seeds, where it has one."""
    if pd.isna(row[name]):
        return ""
    shown = escape(metric_cell(name, row[name]))
    bold = f"\\textbf{{{shown}}}" if name in best and row[name] == best[name] else shown
    error = row.get(spread(name), row.get(f"{name}_se"))
    return bold if error is None or pd.isna(error) else f"{bold} $\\pm$ {escape(metric_cell(name, error))}"


def _caption(trials: pd.DataFrame, sweep: pd.Series[Any], replicated: bool, fixed: Sequence[str]) -> str:
    """The question, then estimator, K, seeds and split of what stands below."""
    complete = trials[trials["state"] == "COMPLETE"]
    told = []
    if "best/val/neg_elbo" in complete:
        told.append("−ELBO: at β = 1 with the exact likelihood, on validation (val) at the selected epoch and on test")
    if "test/iw_nll" in complete:
        samples = _values(complete, "evaluation.importance_samples")
        examples = _values(complete, "evaluation.importance_examples") or "all"
        error = "" if replicated else ", ± one standard error over them"
        told.append(f"NLL: importance-weighted bound, K = {samples}, {examples} test examples{error}")
    if "test/iw_perplexity" in complete or "best/val/perplexity" in complete:
        told.append("ppl: exact perplexity a token")
    if replicated:
        told.append("means over seeds ± their standard deviation (n − 1)")
    told.append(f"nats an example; seed {_values(complete, 'seed')}, {_values(complete, 'training.epochs')} epochs")
    if fixed:
        told.append(f"the same in all rows: {', '.join(fixed)}")
    left = [f"{count} {state.lower()}" for state in STATES[1:] if (count := int((trials["state"] == state).sum()))]
    out = f" Not in it: {listed(left)}." if left else ""
    return f"{sweep['question']} {'; '.join(told)}. The best of each column is bold.{out}".strip()


def _values(trials: pd.DataFrame, name: str) -> str:
    """What the trials have of it, in words."""
    return ", ".join(plain(value) for value in sorted(trials[name].dropna().unique())) if name in trials else ""


def _label(name: object) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", str(name))


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
