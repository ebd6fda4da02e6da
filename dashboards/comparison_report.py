"""Two sweeps or more beside each other: a table, and in words who is ahead and whether that is a comparison."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dashboards.analyses.comparison import alike, compare
from dashboards.analyses.sampling import no_random_sample
from dashboards.analyses.scores import compared, configurations
from dashboards.analysis import goal_of
from dashboards.records import load_trials, sweep_row
from dashboards.replicates import grouped, seeds_of
from dashboards.reports import clean, escape, metric_cell
from dashboards.standing import words_of
from dashboards.words import BEWARE, listed, number

FORMATS = ("table", "markdown", "csv", "json", "latex")
_HEADINGS = {
    "sweep": "sweep",
    "method": "method",
    "trials": "trials",
    "complete": "complete",
    "best": "best",
    "trial": "by trial",
    "median": "median",
    "hours": "hours",
    "at_equal_hours": "best at equal hours",
    "hypervolume": "hypervolume",
    "same_data": "same data",
}
_LEVEL = 0.05


def load_compared(
    names: Sequence[str], *, home: str | Path | None = None, tracking_uris: Mapping[str, str] | None = None
) -> dict[str, tuple[pd.DataFrame, pd.Series[Any]]]:
    """What ``compare`` takes, by name: trials, or of a sweep with seeds its configurations.

    Raises:
        UnknownSweep: with the nearest name.
        NoHome, StoreError: as ``open_store``.
    """
    found = {}
    for name in names:
        where: dict[str, Any] = {"home": home, "tracking_uri": (tracking_uris or {}).get(name)}
        sweep = sweep_row(name, **where)
        found[name] = (grouped(load_trials(name, **where), sweep), sweep)
    return found


def render_comparison(
    sweeps: Mapping[str, tuple[pd.DataFrame, pd.Series[Any]]],
    *,
    format: str = "table",
    width: int | None = None,
    color: bool = False,
) -> str:
    """``compare`` as one of ``FORMATS``; in the first two above the sentences of ``verdict``.

    Raises:
        ValueError: there is no such format.
    """
    table = compare(sweeps)
    if format == "csv":
        return table.to_csv(index=False)
    if format == "json":
        plain = table.astype("object").where(table.notna(), None)
        return (
            json.dumps(plain.to_dict(orient="records"), indent=1, ensure_ascii=False, default=lambda value: value.item()) + "\n"
        )
    headings, rows = _cells(table)
    told = verdict(table, sweeps)
    if format == "latex":
        return _latex(headings, rows, table, told)
    if format == "markdown":
        lines = [_line(map(escape, headings)), _line("---" if place < 2 else "---:" for place in range(len(headings)))]
        lines += [_line(map(escape, row)) for row in rows]
        return "\n".join([*lines, "", *(f"- {escape(sentence)}" for sentence in told)]) + "\n"
    if format != "table":
        raise ValueError(f"no format {format!r}: there are {', '.join(FORMATS)}")
    buffer = io.StringIO()
    console = Console(file=buffer, width=width or 120, force_terminal=color, color_system="standard" if color else None)
    drawn = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, heading in enumerate(headings):
        drawn.add_column(heading, justify="left" if place < 2 else "right")
    for row in rows:
        drawn.add_row(*(Text(clean(cell)) for cell in row))
    console.print(drawn)
    console.print()
    for sentence in told:
        console.print(Text(clean(sentence)))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def verdict(table: pd.DataFrame, sweeps: Mapping[str, tuple[pd.DataFrame, pd.Series[Any]]]) -> list[str]:
    """Who is ahead, also at equal cost; whether the sweeps' scores differ beyond chance; and what makes it no comparison.

    Among those with the data of the first: scores on others are not set beside them.
    """
    ranked = table[table["best"].notna()]
    if ranked.empty:
        return ["No sweep has a complete trial with a score: there is nothing to compare."]
    unfair, ranked = _unfair(table), ranked[ranked["sweep"].isin(alike(sweeps))]
    if table["metric"].nunique() > 1 or (unfair and len(ranked) < 2):
        return unfair
    metric = str(table["metric"].iloc[0])
    minimize = goal_of(metric, next(iter(sweeps.values()))[1]) == "minimize"
    order = ranked.sort_values("best", ascending=minimize, kind="stable")
    first = order.iloc[0]
    who = words_of(int(first["trial"]), seeds_of(sweeps[first["sweep"]][1]))
    told = [f"The best {metric} is {number(first['best'])}, of {first['sweep']} ({who})."]
    equal = ranked[ranked["at_equal_hours"].notna()].sort_values("at_equal_hours", ascending=minimize, kind="stable")
    if len(equal) > 1:
        scores = listed(f"{number(row['at_equal_hours'])} ({row['sweep']})" for _, row in equal.iterrows())
        hours = float(table["hours"].min())
        told.append(f"Within the first {hours:.2g} hours in trials, which the shortest took: {scores}.")
    told += [_beyond_chance(str(first["sweep"]), str(name), sweeps, metric) for name in order["sweep"].iloc[1:]]
    return [*told, *unfair]


def _beyond_chance(first: str, second: str, sweeps: Mapping[str, tuple[pd.DataFrame, pd.Series[Any]]], metric: str) -> str:
    """Whether the scores of all configurations differ: Mann and Whitney's (1947) test, which asks for no distribution, but for
    independent draws: a configuration under several seeds counts once, and what a search chose is not tested."""
    from scipy.stats import mannwhitneyu

    for name in (first, second):
        if why := no_random_sample(*sweeps[name]):
            return f"No test says whether {first} and {second} differ: the scores of {name} are no random sample ({why})."
    among = {name: (compared(sweeps[name][0], metric), sweeps[name][1]) for name in (first, second)}
    one, two = (trials.groupby(configurations(trials, sweep))[metric].mean() for trials, sweep in among.values())
    replicated = any(seeds_of(sweep) > 1 or configurations(trials, sweep).duplicated().any() for trials, sweep in among.values())
    noun = "configuration" if replicated else "trial"
    if few := [f"{name} ({len(scores)})" for name, scores in ((first, one), (second, two)) if len(scores) < 3]:
        verb = "have" if len(few) > 1 else "has"
        return f"{listed(few)} {verb} too few scores to say whether those of {first} and {second} differ beyond chance."
    p = float(mannwhitneyu(one, two).pvalue)
    share = float((one.to_numpy()[:, None] < two.to_numpy()[None, :]).mean())
    verb = "differ" if p <= _LEVEL else "cannot be told apart"
    return (
        f"The scores of all {noun}s of {first} and {second} {verb} (Mann-Whitney, p {'< 0.001' if p < 0.001 else f'{p:.3f}'}):"
        f" a {noun} of {first} is lower than one of {second} in {share:.0%} of the pairs."
    )


def _unfair(table: pd.DataFrame) -> list[str]:
    told = []
    if table["metric"].nunique() > 1:
        told.append(f"{BEWARE}: the sweeps are judged by different metrics: {listed(dict.fromkeys(table['metric']))}.")
    other = list(table.loc[~table["same_data"], "sweep"])
    if other:
        told.append(f"{BEWARE}: the data of {listed(other)} are not those of {table['sweep'].iloc[0]}, or not all the same.")
    return told


def _cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    shown = [name for name in _HEADINGS if name == "sweep" or table[name].notna().any()]
    rows = [[_cell(name, row[name], str(row["metric"])) for name in shown] for _, row in table.iterrows()]
    return [_HEADINGS[name] for name in shown], rows


def _cell(name: str, value: Any, metric: str) -> str:
    if pd.isna(value):
        return ""
    if name in ("best", "median", "at_equal_hours"):
        return metric_cell(metric, value)
    if name == "same_data":
        return "yes" if value else "no"
    return f"{value:.2f}" if name in ("hours", "hypervolume") else str(value)


def _latex(headings: Sequence[str], rows: Sequence[Sequence[str]], table: pd.DataFrame, told: Sequence[str]) -> str:
    from dashboards.latex import escape as tex
    from dashboards.latex import table as environment

    metrics = listed(dict.fromkeys(table["metric"]))
    caption = tex(f"Sweeps by {metrics}; hours are summed over trials. {' '.join(told)}")
    name = "-".join(table["sweep"])
    return environment(caption, name, f"ll{'r' * (len(headings) - 2)}", map(tex, headings), ([*map(tex, row)] for row in rows))


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"
