"""What several commands are told, and the fault that their words may have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Where sweeps are kept. Default: $VAE_SWEEPS_HOME, else ./vae-sweeps-home."),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="SWEEP/NUMBER, SWEEP for its best trial (where none is complete, the best collapsed one), or an MLflow run id.",
    ),
]
SweepArgument = Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="The sweep file.")]
AddressOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="A running Ray cluster to train on, auto or its head; it must share the home."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the file; repeatable.")
]
NewNameOption = Annotated[str | None, typer.Option(help="Instead of the file's name.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The sweep.")]


class UsageFault(ValueError):
    """The command's words are wrong; the message says how."""
