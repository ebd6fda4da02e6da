"""Commands on the machine: serve the pages, say what is ready."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.commands.options import HomeOption
from orchestration.terminal import locate


def ui(
    home: HomeOption = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 5000, or the next free one.")] = None,
) -> None:
    """Serve the MLflow UI of the home, with links to each sweep's trials."""
    from orchestration.ui import serve

    locate(None, home)
    serve(home, host, port)


def doctor(home: HomeOption = None) -> None:
    """Say what of the machine and the home is ready."""
    from rich.console import Console

    from orchestration.doctor import examine, findings_table

    findings = examine(home)
    Console().print(findings_table(findings))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)
