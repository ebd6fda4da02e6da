"""The command that hands a sweep to a running Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.options import HomeOption, NewNameOption, SetOption, SweepArgument

if TYPE_CHECKING:
    from dashboards.home import Home
    from orchestration.jobs import SubmittedJob


def submit(
    sweep: SweepArgument,
    address: Annotated[str, typer.Option(metavar="URL", help="Of the cluster's dashboard, such as http://HEAD:8265.")],
    set_: SetOption = None,
    name: NewNameOption = None,
    home: HomeOption = None,
) -> None:
    """Hand a sweep to a running Ray cluster and come back; the home must be a directory that its machines share."""
    from dashboards.home import resolve_home
    from orchestration.jobs import submit as send
    from orchestration.spec import SweepFileError, check_data_files, load_sweep
    from orchestration.summary import summarise

    spec = load_sweep(sweep, set_ or [], name=name)
    typer.echo(f"{spec.name}: {spec.question}\n{summarise(spec)}")
    try:
        check_data_files(spec, str(sweep))
    except SweepFileError as error:
        typer.echo(f"this machine has not all of the data; the cluster must have them under the same paths:\n{error}", err=True)
    where = resolve_home(home, spec.tracking.uri)
    job = send(spec, where, address)
    _say_sent(spec.name, job, where)


def resume_detached(name: str, home: Path | None, address: str | None, run_cap: int | None) -> None:
    """Hands a sweep of the home to a cluster, which goes on with it."""
    from dashboards.home import resolve_home
    from orchestration.jobs import submit_resume

    where = resolve_home(home)
    _say_sent(name, submit_resume(name, where, address, run_cap), where)


def _say_sent(name: str, job: SubmittedJob, where: Home) -> None:
    at = f"{name} --home {where.root}"
    typer.echo(f"submitted as {job.id} to {job.address}")
    typer.echo(f"next: vae-sweeps status {at}   vae-sweeps logs {at} --job   vae-sweeps stop {at}")
