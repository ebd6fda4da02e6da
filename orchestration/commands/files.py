"""Commands on sweep files: write one, check some, describe them all."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import SetOption, UsageFault


class Template(StrEnum):
    text = "text"
    image = "image"


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    template: Annotated[Template, typer.Option(help="What the sweep is about.")] = Template.text,
) -> None:
    """Write a commented starter sweep."""
    from orchestration.output import write_output
    from orchestration.templates import template_text

    if file.exists():
        raise UsageFault(f"{file} is there already and is not written over; choose another name or remove it")
    write_output(file, template_text(template.value, name=file.stem))
    typer.echo(f"wrote {file}; next: vae-sweeps validate {file}, then vae-sweeps run {file}")


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="SWEEP.yaml...", help="The sweep files.")],
    set_: SetOption = None,
) -> None:
    """Check sweep files and show every fault at once."""
    from orchestration.spec import SweepFileError, load_sweep
    from orchestration.spec.beware import warnings_of
    from orchestration.summary import summarise

    wrong = 0
    for file in files:
        try:
            spec = load_sweep(file, set_ or [], data_files=True)
        except SweepFileError as error:
            typer.echo(str(error), err=True)
            wrong += 1
        else:
            typer.echo(f"{file}: right. {summarise(spec)}")
            for warning in warnings_of(spec):
                typer.echo(f"{file}: beware: {warning}.")
    if wrong:
        raise typer.Exit(2)


def schema() -> None:
    """Print the JSON Schema of the sweep file, for editors."""
    import json

    from orchestration.spec.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
