"""The command that hands a sweep to a running Ray cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.commands.options import HomeOption, NewNameOption, SetOption, SweepArgument


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
    at = f"{spec.name} --home {where.root}"
    typer.echo(f"submitted as {job.id} to {job.address}")
    typer.echo(f"next: vae-sweeps status {at}   vae-sweeps logs {at} --job   vae-sweeps stop {at}")
