"""The command that trains a search's best again under fresh seeds."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.commands.options import HomeOption, NameArgument
from orchestration.terminal import conclude, interruptible, locate


def confirm(
    name: NameArgument,
    top: Annotated[
        int | None,
        typer.Option(min=1, max=100, metavar="K", help="Configurations, best first. Default: confirm.top of the file, 5."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=1000, metavar="S", help="Fresh seeds for each. Default: confirm.seeds of the file, 5."),
    ] = None,
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the new sweep. Default: NAME-confirm.")
    ] = None,
    home: HomeOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="One trial after the other in this process, without Ray.")] = False,
) -> None:
    """Train a search's best configurations under fresh seeds, as a sweep of its own: means, intervals, paired tests."""
    from rich.console import Console

    from orchestration.confirm import AlreadyConfirmed, make_confirmation, unfinished_plan
    from orchestration.launch import resume_sweep, run_sweep
    from orchestration.stored_sweeps import is_stored
    from orchestration.tracking.champion import register_champion

    child = new_name or f"{name}-confirm"
    where = locate(name, home)

    with interruptible(child):
        if is_stored(child, where):
            try:
                trials, fresh = unfinished_plan(child, name, where, top, seeds)
            except AlreadyConfirmed:
                typer.echo(register_champion(child, where))  # which the end of the confirmation may have failed at
                raise
            typer.echo(f"{child} is there, unfinished, and is gone on with: {_planned(name, trials, fresh)}")
            result = resume_sweep(child, home=where.root, debug=debug, console=Console())
        else:
            made = make_confirmation(name, where, top=top, seeds=seeds, name=child)
            for remark in made.remarks:
                typer.echo(remark)
            typer.echo(f"{child}: {_planned(name, made.trials, made.seeds)}")
            result = run_sweep(made.spec, home=where.root, tracking_uri=where.tracking_uri, debug=debug, console=Console())
    conclude(result)
    if not result.unsent:
        typer.echo(register_champion(child, where))


def _planned(search: str, trials: list[int], seeds: list[int]) -> str:
    listed = f"trial {trials[0]}" if len(trials) == 1 else f"trials {', '.join(map(str, trials))}"
    under = f"seed {seeds[0]}" if len(seeds) == 1 else f"each under seeds {', '.join(map(str, seeds))}"
    return f"{listed} of {search}, {under}: {len(trials) * len(seeds)} trainings at full budget"
