"""Commands on a sweep: run it, go on with it, look at it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.cluster import resume_detached
from orchestration.commands.options import (
    AddressOption,
    HomeOption,
    NameArgument,
    NewNameOption,
    SetOption,
    SweepArgument,
    UsageFault,
)
from orchestration.terminal import conclude, interruptible, locate, report_of

if TYPE_CHECKING:
    from dashboards.page.shown import Shown


class Format(StrEnum):
    table = "table"
    markdown = "markdown"
    csv = "csv"
    parquet = "parquet"
    json = "json"
    latex = "latex"
    html = "html"


def run(
    sweep: SweepArgument,
    set_: SetOption = None,
    name: NewNameOption = None,
    home: HomeOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="One trial after the other in this process, without Ray.")] = False,
    address: AddressOption = None,
) -> None:
    """Run a sweep in the foreground; Ctrl-C ends it in good order, `resume` goes on."""
    from rich.console import Console

    from orchestration.launch import run_sweep
    from orchestration.spec import load_sweep
    from orchestration.spec.beware import warnings_of
    from orchestration.summary import summarise

    spec = load_sweep(sweep, set_ or [], name=name, data_files=True)
    typer.echo(f"{spec.name}: {spec.question}\n{summarise(spec)}")
    for warning in warnings_of(spec):
        typer.echo(f"beware: {warning}.", err=True)
    with interruptible(spec.name):
        result = run_sweep(spec, home=home, debug=debug, console=Console(), address=address)
    conclude(result)


def resume(
    name: NameArgument,
    run_cap: Annotated[
        int | None, typer.Option("--run-cap", min=1, metavar="N", help="Trials at most from now on, in place of the file's.")
    ] = None,
    home: HomeOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="In this process, without Ray.")] = False,
    address: AddressOption = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="On a cluster, as `submit` does; --address is then its URL, by default where it was sent."),
    ] = False,
) -> None:
    """Go on with a sweep that was interrupted or killed."""
    if detach:
        if debug:
            raise UsageFault("--debug trains in this process: it does not go with --detach")
        resume_detached(name, home, address, run_cap)
        return
    from rich.console import Console

    from orchestration.launch import resume_sweep

    with interruptible(name):
        result = resume_sweep(name, home=home, run_cap=run_cap, debug=debug, console=Console(), address=address)
    conclude(result)


def list_sweeps(home: HomeOption = None) -> None:
    """List the sweeps of the home."""
    import pandas as pd
    from rich.console import Console

    from dashboards import NoHome, load_sweeps
    from dashboards.status import sweeps_table
    from orchestration.tracking.sweep_record import tracking_uris

    where = locate(None, home)
    frames, absent = [], None
    for uri in tracking_uris(where):
        try:
            frames.append(load_sweeps(tracking_uri=uri))
        except NoHome as error:
            absent = error
    if not frames and absent is not None:
        raise absent
    console = Console()
    console.print(sweeps_table(pd.concat(frames, ignore_index=True), console.width))


def status(
    name: NameArgument,
    home: HomeOption = None,
) -> None:
    """Show how a sweep stands: its state, trials by state, the best so far."""
    from dashboards.errors import NotFound
    from dashboards.status import status_lines
    from orchestration.commands.waiting import not_driven, waiting_lines
    from orchestration.driver_lock import holder

    where = locate(name, home)
    before = waiting_lines(name, where)
    for line in before:
        typer.echo(line)
    try:
        for line in status_lines(name, home=where.root, tracking_uri=where.tracking_uri):
            typer.echo(line)
    except NotFound:
        if not before:
            raise
        typer.echo(f"{name} has not begun: there is no record of it yet")
    driver = holder(name, where)
    typer.echo(f"driven by {driver}" if driver else not_driven(name, where))


def report(
    name: NameArgument,
    format: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.table,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Into a file; needed for parquet and html.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Order by this column; default: the searched metric.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N trials.")] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also, or with no --output only, its figures for print into a folder: PDF and SVG."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """The table of a sweep's trials; with --figures its figures for print."""
    from orchestration.output import write_output

    if figures is not None:
        _write_figures(name, figures, home)
        if output is None and format is Format.table:
            return
    if output is None and format in (Format.parquet, Format.html):
        raise UsageFault(f"{format} is not for the terminal: name a file with --output FILE")
    content = report_of(name, format.value, sort, top, locate(name, home))
    if output is not None:
        write_output(output, content)
        typer.echo(f"wrote {output}")
    else:
        assert isinstance(content, str)
        typer.echo(content)


class ComparisonFormat(StrEnum):
    table = "table"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    latex = "latex"


def compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME NAME...", help="Two sweeps or more.")],
    format: Annotated[ComparisonFormat, typer.Option("--format", help="How it is written.")] = ComparisonFormat.table,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Into a file.")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also the best so far by hours for print into a folder: PDF and SVG.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Sweeps beside each other: who is ahead, at equal cost too, and whether that is a comparison."""
    from rich.console import Console

    from dashboards.comparison_report import load_compared, render_comparison
    from orchestration.output import write_output

    if len(set(names)) < 2:
        raise UsageFault("compare wants two sweeps or more: vae-sweeps compare NAME NAME...")
    places = {name: locate(name, home) for name in dict.fromkeys(names)}
    uris = {name: where.tracking_uri for name, where in places.items()}
    sweeps = load_compared(list(places), home=next(iter(places.values())).root, tracking_uris=uris)
    terminal = Console()
    shown = terminal.is_terminal and output is None
    content = render_comparison(
        sweeps, format=format.value, width=terminal.width if shown else None, color=shown and format is ComparisonFormat.table
    )
    if figures is not None:
        from dashboards.analyses.comparison import alike, best_by_hours
        from dashboards.analyses.scores import metric_of
        from dashboards.page.shown import Shown

        curves = best_by_hours({name: sweeps[name] for name in alike(sweeps)})
        metrics = {name: metric_of(sweep, None) for name, (_, sweep) in sweeps.items()}
        _save([Shown("sweeps", "", (curves, metrics))] if len(curves) else [], figures)
    if output is None:
        typer.echo(content, nl=False)
    else:
        write_output(output, content)
        typer.echo(f"wrote {output}")


def _write_figures(name: str, directory: Path, home: Path | None) -> None:
    from dashboards.page.page import shown_of
    from dashboards.records import load_trials, sweep_row

    where = locate(name, home)
    trials = load_trials(name, home=where.root, tracking_uri=where.tracking_uri)
    sweep = sweep_row(name, home=where.root, tracking_uri=where.tracking_uri)
    _save(shown_of(trials, sweep, home=where.root, tracking_uri=where.tracking_uri), directory)


def _save(figures: Iterable[Shown], directory: Path) -> None:
    from dashboards.paper.write import write_figures
    from orchestration.output import with_output

    written: list[Path] = []
    with_output(directory, lambda: written.extend(write_figures(figures, directory)))
    if not written:
        typer.echo("there is nothing to draw yet", err=True)
    for file in written:
        typer.echo(f"wrote {file}")
