"""The command that says what a sweep will be and cost, before it is run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from orchestration.commands.options import SetOption, SweepArgument


class Profile(StrEnum):
    none = "none"
    short = "short"


class PlanFormat(StrEnum):
    text = "text"
    json = "json"


def plan(
    sweep: SweepArgument,
    set_: SetOption = None,
    profile: Annotated[
        Profile, typer.Option(help="short: train and score a little of each variant; none: from the file alone.")
    ] = Profile.short,
    profile_seconds: Annotated[
        float, typer.Option("--profile-seconds", min=1.0, max=3600.0, metavar="S", help="For all variants, without loading.")
    ] = 60.0,
    trials: Annotated[int, typer.Option(min=0, max=500, metavar="N", help="Show so many of the trials that run will draw.")] = 10,
    format: Annotated[PlanFormat, typer.Option("--format", help="How it is written.")] = PlanFormat.text,
) -> None:
    """Say what a sweep will be and cost: space, rungs, first trials; time, memory and disk from a short profile."""
    from rich.console import Console

    from orchestration.planning.plan import make_plan
    from orchestration.spec import load_sweep

    spec = load_sweep(sweep, set_ or [], data_files=True)
    watching = Console(stderr=True)
    with watching.status("planning") as status:
        made = make_plan(
            spec,
            profile="short" if profile is Profile.short else "none",
            trials=trials,
            seconds=profile_seconds,
            tell=lambda line: status.update(line),
        )
    if format is PlanFormat.json:
        import json

        typer.echo(json.dumps(made.to_dict(), indent=2))
        return
    from orchestration.planning.text import render

    Console(highlight=False).print(render(made))
