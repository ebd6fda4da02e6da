"""Commands on the machine: serve the pages, say what is ready."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.commands.options import HomeOption
from orchestration.terminal import locate


def ui(
    home: HomeOption = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of MLflow. Default: 5000, or the next free one.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard/--no-dashboard", help="The dashboard beside the MLflow UI.")] = True,
    dashboard_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of the dashboard. Default: 8501, or the next free one.")
    ] = None,
) -> None:
    """Serve the MLflow UI and the dashboard of the home, with links to each sweep."""
    from orchestration.ui import Wanted, serve

    locate(None, home)
    serve(home, Wanted(host, port, dashboard, dashboard_port))


def doctor(home: HomeOption = None) -> None:
    """Say what of the machine and the home is ready."""
    from rich.console import Console

    from orchestration.doctor import examine, findings_table

    findings = examine(home)
    Console().print(findings_table(findings))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)
