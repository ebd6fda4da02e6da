"""The live table of a running sweep, and plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dashboards.standing import words_of
from orchestration.driver import Driver
from orchestration.spec.variants import in_words
from orchestration.tracking.note import clock
from orchestration.trial_state import TrialView

_COLOURS = {"RUNNING": "cyan", "COMPLETE": "green", "PRUNED": "yellow", "COLLAPSED": "magenta", "FAILED": "red", "STOPPED": "red"}
_ROWS = 8
"""Running trials first, then the last ones that ended."""


class Display(AbstractContextManager["Display"]):
    """Shows a driver's state while the sweep runs: a live table in a terminal, a line a trial elsewhere."""

    def __init__(self, driver: Driver, console: Console) -> None:
        self._driver = driver
        self._console = console
        self._started_s = time.time()
        self._before = len(driver.trials)
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._driver.listeners.append(self._say)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def _say(self, view: TrialView) -> None:
        value = "" if view.value is None else f"  {self._driver.spec.metric.name} {view.value:.4f}"
        reason = f"  ({view.reason})" if view.reason else ""
        ended = sum(trial.state != "RUNNING" for trial in self._driver.trials.values())
        self._console.print(
            f"[{ended}/{self._total()}] trial {view.number} {view.state}{value}  {view.duration_s:.0f} s{reason}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _total(self) -> int:
        return self._driver.total_trials

    def _render(self) -> RenderableType:
        trials = list(self._driver.trials.values())
        return Group(self._head(trials), self._table(trials), self._best())

    def _head(self, trials: list[TrialView]) -> RenderableType:
        # A running trial counts for the share of its epochs that it has behind it.
        done = sum(1.0 if view.state != "RUNNING" else view.epoch / max(view.epochs + 1, 1) for view in trials)
        total = self._total()
        counts = Counter(view.state for view in trials)
        states = Text("  ").join(
            Text(f"{count} {state.lower()}", style=_COLOURS[state]) for state, count in sorted(counts.items())
        )
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text(self._driver.spec.name, style="bold"),
            ProgressBar(total=total, completed=done, width=30),
            f"{len(trials) - counts['RUNNING']}/{total}",
            self._time_left(done - self._before, total - self._before),
            states,
        )
        return grid

    def _time_left(self, done: float, total: float) -> str:
        elapsed = time.time() - self._started_s
        if done < 0.5:
            return f"{clock(elapsed)} so far"
        return f"{clock(elapsed)} so far, about {clock(elapsed * (total - done) / done)} left"

    def _table(self, trials: list[TrialView]) -> RenderableType:
        metric = self._driver.spec.metric.name
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
        for heading, justify in (("trial", "right"), ("state", "left"), ("epoch", "right"), (metric, "right"), ("rate", "right")):
            table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]  # a literal in a tuple
        table.add_column("parameters", overflow="ellipsis", no_wrap=True)
        running = [view for view in trials if view.state == "RUNNING"]
        ended = [view for view in trials if view.state != "RUNNING"]
        for view in [*running, *ended[::-1]][:_ROWS]:
            waits = view.waiting and view.state == "RUNNING"  # at a barrier
            table.add_row(
                str(view.number),
                Text("waiting" if waits else view.state.lower(), style=_COLOURS[view.state]),
                f"{view.epoch}/{view.epochs}",
                "" if view.value is None else f"{view.value:.3f}",
                "" if "val/rate" not in view.metrics else f"{view.metrics['val/rate']:z.2f}",
                escape(self._words(view)),
            )
        return table

    def _best(self) -> RenderableType:
        best = self._driver.best()
        if best is None:
            return Text("no trial has finished yet", style="dim")
        assert best.value is not None
        return Text(
            f"best so far: {words_of(best.number, self._driver.spec.seeds)}, {best.value:.4f}  {self._words(best)}",
            style="green",
            overflow="ellipsis",
        )

    def _words(self, view: TrialView) -> str:
        return describe(in_words(self._driver.spec.parameters, view.assignment))


def describe(assignment: dict[str, Any]) -> str:
    """A trial's searched parameters on one line, under the last part of their names (``linear`` for ``annealing.kind``)."""
    parts = []
    for name, value in assignment.items():
        *_, parent, leaf = ("", *name.split("."))
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(f"{parent}={shown}" if leaf == "kind" else f"{leaf}={shown}")
    return " ".join(parts)
