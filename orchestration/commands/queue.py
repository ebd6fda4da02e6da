"""Commands on the queue of sweeps in one home: put one in, list them, take one out, work them off."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.options import AddressOption, HomeOption, NameArgument, NewNameOption, SetOption, UsageFault

if TYPE_CHECKING:
    from dashboards.home import Home
    from orchestration.sweep_queue import Entry

queue_app = typer.Typer(help="The queue of sweeps in one home, by priority.", rich_markup_mode=None)
DebugOption = Annotated[bool, typer.Option("--debug", help="Each sweep's trials one after the other, without Ray.")]


@queue_app.callback(invoke_without_command=True)
def queue(context: typer.Context, home: HomeOption = None) -> None:
    """Sweeps that run one after the other, the highest priority first; without a further word, lists them."""
    if context.invoked_subcommand is None:
        list_(home)
    elif home is not None:
        raise UsageFault(f"--home stands at the end: vae-sweeps queue {context.invoked_subcommand} --home DIR")


@queue_app.command("add")
def add(
    sweep: Annotated[Path | None, typer.Argument(metavar="[SWEEP.yaml]", help="The sweep file.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of a file: go on with this sweep of the home.")
    ] = None,
    priority: Annotated[int, typer.Option(metavar="N", help="The highest first; of equal ones the oldest.")] = 0,
    set_: SetOption = None,
    name: NewNameOption = None,
    home: HomeOption = None,
) -> None:
    """Put a sweep into the queue, checked as `run` does."""
    from dashboards.home import resolve_home
    from orchestration.sweep_queue import Queue

    if (sweep is None) == (resume is None):
        raise UsageFault("wanted is either a sweep file or --resume NAME")
    if resume is not None:
        if set_ or name:
            raise UsageFault("--resume goes on with a sweep as it is: neither --set nor --name goes with it")
        where = resolve_home(home)
        _require_resumable(resume, where)
        entry = Queue(where).add(resume, None, priority)
    else:
        from orchestration.spec import load_sweep, spec_text
        from orchestration.stored_sweeps import require_new_name
        from orchestration.summary import summarise

        assert sweep is not None
        spec = load_sweep(sweep, set_ or [], name=name, data_files=True)
        where = resolve_home(home, spec.tracking.uri)
        require_new_name(spec, where)
        typer.echo(f"{spec.name}: {spec.question}\n{summarise(spec)}")
        entry = Queue(where).add(spec.name, spec_text(spec), priority)
    runner = Queue(where).runner()
    typer.echo(f"{entry.name} is in the queue, {_place(entry.name, Queue(where).entries())}, priority {entry.priority}")
    typer.echo(
        f"worked off by {runner}" if runner else f"nobody works the queue off yet: vae-sweeps queue run --home {where.root}"
    )


@queue_app.command("list")
def list_(home: HomeOption = None) -> None:
    """List the queue, in the order of the turns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dashboards.home import resolve_home
    from orchestration.sweep_queue import Queue

    where = resolve_home(home)
    queue = Queue(where)
    entries = queue.entries()
    runner = queue.runner()
    typer.echo(f"worked off by {runner}" if runner else "nobody works this queue off")
    if not entries:
        typer.echo(f"the queue of {where.root} is empty")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("place", "name", "priority", "state", "reason"):
        numeric = heading in ("place", "priority")
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=heading != "reason", overflow="fold")
    for entry in entries:
        place = _numbers(entries).get(entry.name, "")
        table.add_row(*map(Text, (str(place), entry.name, str(entry.priority), entry.state, " ".join(entry.reason.split()))))
    Console().print(table)


@queue_app.command("remove")
def remove(name: NameArgument, home: HomeOption = None) -> None:
    """Take a sweep out of the queue; what of it has run stays in the home."""
    from dashboards.home import resolve_home
    from orchestration.sweep_queue import Queue

    entry = Queue(resolve_home(home)).remove(name)
    typer.echo(f"{name} is out of the queue; it was {entry.state}")


@queue_app.command("run")
def run(
    keep: Annotated[bool, typer.Option("--keep", help="When the queue is empty, wait for further sweeps.")] = False,
    debug: DebugOption = False,
    address: AddressOption = None,
    home: HomeOption = None,
) -> None:
    """Work the queue off in the foreground; Ctrl-C ends the running sweep in good order and leaves it in the queue."""
    from dashboards.home import resolve_home
    from orchestration.queue_runner import Runner
    from orchestration.sweep_queue import OPEN, Queue

    if debug and address is not None:
        raise UsageFault("--debug trains in this process: it does not go with --address")
    where = resolve_home(home)
    queue = Queue(where)
    options = ["--debug"] * debug + ([] if address is None else ["--address", address])
    with queue.only_runner():
        runner = Runner(where, options, _say)
        runner.work(keep)
    left = [entry.name for entry in queue.entries() if entry.state in OPEN]
    if runner.ending:
        _say(f"interrupted; in the queue: {', '.join(left) or 'nothing'}. Go on with: vae-sweeps queue run --home {where.root}")
        raise typer.Exit(130)
    _say(f"left in the queue: {', '.join(left)}" if left else "the queue is empty")
    if runner.failed:
        _say(f"failed: {', '.join(runner.failed)}")
        raise typer.Exit(1)


@queue_app.command("turn", hidden=True)
def turn(
    name: NameArgument,
    number: Annotated[int, typer.Argument(help="Which turn of the entry.")],
    runner: Annotated[int, typer.Option(help="The process that works the queue off.")],
    debug: DebugOption = False,
    address: AddressOption = None,
    home: HomeOption = None,
) -> None:
    """What `queue run` starts for each sweep; no command for people."""
    from rich.console import Console

    from dashboards.home import resolve_home
    from orchestration.queue_turn import end_with, take_turn
    from orchestration.terminal import conclude

    try:
        end_with(runner)
        result, state = take_turn(name, number, resolve_home(home), debug=debug, console=Console(), address=address)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if state in ("done", "failed"):
        conclude(result)
    raise typer.Exit(130 if state in ("waiting", "stopped") else 0)


def _require_resumable(name: str, where: Home) -> None:
    """Raises ``UsageFault`` where the home's sweep runs, or has no trials left; ``LaunchError`` where there is none."""
    from orchestration.driver_lock import holder
    from orchestration.spec.search_space import planned_trials
    from orchestration.stored import ended_trials
    from orchestration.stored_sweeps import stored_sweep

    spec, _ = stored_sweep(name, where)
    if (driver := holder(name, where)) is not None:
        raise UsageFault(f"{name!r} is being run by {driver}")
    ended, planned = ended_trials(spec, where.study_url(name)), planned_trials(spec)
    if ended >= planned:
        more = where.command(f"resume {name} --run-cap N")
        raise UsageFault(f"{name!r} has ended with its {planned} trials; more of them: {more}")


def _numbers(entries: list[Entry]) -> dict[str, int]:
    """The places of those whose turn is or will be."""
    from orchestration.sweep_queue import OPEN

    return {entry.name: place for place, entry in enumerate((e for e in entries if e.state in OPEN), start=1)}


def _place(name: str, entries: list[Entry]) -> str:
    places = _numbers(entries)
    return f"place {places[name]} of {len(places)}" if name in places else "ended"


def _say(text: str) -> None:
    typer.echo(f"queue: {text}")
