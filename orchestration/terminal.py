"""What the commands share: where a sweep's record is, and how a run ends on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dashboards.home import Home
    from orchestration.launch import SweepResult


def locate(sweep: str | None, home: Path | None) -> Home:
    """The home, with the place of the sweep's record; sends first what earlier commands could not."""
    from dashboards.home import resolve_home
    from orchestration.tracking.sweep_record import send_waiting, tracking_uri_of

    where = resolve_home(home)
    for trouble in send_waiting(where):
        typer.echo(trouble, err=True)
    return resolve_home(where.root, tracking_uri_of(sweep, where)) if sweep else where


def report_of(name: str, format: str, sort: str | None, top: int | None, where: Home) -> str | bytes:
    from rich.console import Console

    from dashboards.status import report_sweep

    terminal = Console()
    return report_sweep(
        name,
        format=format,
        sort=sort,
        top=top,
        home=where.root,
        tracking_uri=where.tracking_uri,
        width=terminal.width if terminal.is_terminal else None,
        color=terminal.is_terminal,
    )


@contextlib.contextmanager
def interruptible(name: str) -> Iterator[None]:
    """A Ctrl-C that came before the sweep could take it, or a second one, ends here with a word."""
    from orchestration.signals import heard_wherever_it_falls

    try:
        with heard_wherever_it_falls():
            yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted; if it had begun, go on with: vae-sweeps resume {name}", err=True)
        raise typer.Exit(130) from None


def conclude(result: SweepResult) -> None:
    """The end of a run: the table, where to look next, and the exit code."""
    from dashboards.home import without_password

    command = result.home.command
    if result.unsent.refused:
        where = result.home.sweep_dir(result.name)
        typer.echo(
            f"{result.unsent.refused} records were refused by MLflow for good; they lie in {where} with the reasons", err=True
        )
    if result.unsent.waiting:
        typer.echo(
            f"{result.unsent.waiting} records wait in {result.home.root} for"
            f" {without_password(result.home.tracking_uri)} ({result.unsent.trouble}); the next command sends them",
            err=True,
        )
    else:
        typer.echo(report_of(result.name, "table", None, None, result.home))
    if result.state == "INTERRUPTED":
        typer.echo(f"{result.ended_by}; its state is saved. Go on with: {command(f'resume {result.name}')}", err=True)
        raise typer.Exit(130)
    if result.state == "FAILED":
        typer.echo(f"the sweep failed ({result.ended_by}){result.causes}", err=True)
        raise typer.Exit(1)
    if not result.worked:
        more = f"; more trials: {command(f'resume {result.name} --run-cap N')}" if result.ended_by == "run_cap" else ""
        typer.echo(f"nothing was left to do{more}")
    typer.echo(f"ended by {result.ended_by}; {result.budget_used}")
    if result.worked and not result.unsent.waiting:
        from orchestration.tracking.publish import REPORT_FILE, publish_report

        if (fault := publish_report(result.name, result.home)) is not None:
            typer.echo(f"{REPORT_FILE} was not added to the sweep's record ({fault})", err=True)
    typer.echo(f"look at it with: {command('ui')}   show a trial: {command(f'show {result.name}')}")
