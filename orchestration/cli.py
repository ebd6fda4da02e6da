"""The command line: what a user types, and what she is told when it is wrong.

Exit codes: 0 done, 1 the work failed, 2 the user's input is wrong, 130 interrupted.
Heavy imports stand inside the commands, so that ``--help`` and ``validate`` answer at once.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands import again
from orchestration.commands.options import HomeOption, NameArgument, RunArgument, SweepArgument, UsageFault
from orchestration.terminal import conclude, interruptible, locate, report_of

app = typer.Typer(
    name="vae-sweeps",
    help="Sweeps over variational autoencoders: one YAML in, a table that survives review out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Template(StrEnum):
    text = "text"
    image = "image"


class Format(StrEnum):
    table = "table"
    markdown = "markdown"
    csv = "csv"
    parquet = "parquet"
    json = "json"


class Decoding(StrEnum):
    greedy = "greedy"
    ancestral = "ancestral"
    top_k = "top-k"
    nucleus = "nucleus"
    beam = "beam"


@app.command()
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


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="SWEEP.yaml...", help="The sweep files.")],
) -> None:
    """Check sweep files and show every fault at once."""
    from orchestration.spec import SweepFileError, load_sweep
    from orchestration.summary import summarise

    wrong = 0
    for file in files:
        try:
            spec = load_sweep(file, data_files=True)
        except SweepFileError as error:
            typer.echo(str(error), err=True)
            wrong += 1
        else:
            typer.echo(f"{file}: right. {summarise(spec)}")
    if wrong:
        raise typer.Exit(2)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the sweep file, for editors."""
    import json

    from orchestration.spec.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def run(
    sweep: SweepArgument,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the file; repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Instead of the file's name.")] = None,
    home: HomeOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="One trial after the other in this process, without Ray.")] = False,
) -> None:
    """Run a sweep in the foreground; Ctrl-C ends it in good order, `resume` goes on."""
    from rich.console import Console

    from orchestration.launch import run_sweep
    from orchestration.spec import load_sweep
    from orchestration.summary import summarise

    spec = load_sweep(sweep, set_ or [], name=name, data_files=True)
    typer.echo(f"{spec.name}: {spec.question}\n{summarise(spec)}")
    with interruptible(spec.name):
        result = run_sweep(spec, home=home, debug=debug, console=Console())
    conclude(result)


@app.command()
def resume(
    name: NameArgument,
    home: HomeOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="In this process, without Ray.")] = False,
) -> None:
    """Go on with a sweep that was interrupted or killed."""
    from rich.console import Console

    from orchestration.launch import resume_sweep

    with interruptible(name):
        result = resume_sweep(name, home=home, debug=debug, console=Console())
    conclude(result)


@app.command("list")
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
    Console().print(sweeps_table(pd.concat(frames, ignore_index=True)))


@app.command()
def status(
    name: NameArgument,
    home: HomeOption = None,
) -> None:
    """Show how a sweep stands: its state, trials by state, the best so far."""
    from dashboards.status import status_lines
    from orchestration.launch import holder

    where = locate(name, home)
    for line in status_lines(name, home=where.root, tracking_uri=where.tracking_uri):
        typer.echo(line)
    driver = holder(name, where)
    typer.echo(f"driven by {driver}" if driver else f"no driver is running; if trials are left: vae-sweeps resume {name}")


@app.command()
def report(
    name: NameArgument,
    format: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.table,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Into a file; needed for parquet.")] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Order by this column; default: the searched metric.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N trials.")] = None,
    home: HomeOption = None,
) -> None:
    """The table of a sweep's trials."""
    from orchestration.output import write_output

    if output is None and format is Format.parquet:
        raise UsageFault("parquet is binary: name a file with --output FILE")
    content = report_of(name, format.value, sort, top, locate(name, home))
    if output is not None:
        write_output(output, content)
        typer.echo(f"wrote {output}")
    else:
        assert isinstance(content, str)
        typer.echo(content)


@app.command()
def show(run: RunArgument, home: HomeOption = None) -> None:
    """Show one trial: configuration, scores, samples."""
    from orchestration.trial_view import trial_text

    typer.echo(trial_text(run, locate(run.partition("/")[0], home)))


@app.command()
def generate(
    run: RunArgument,
    number: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many.")] = 10,
    decoding: Annotated[
        Decoding | None, typer.Option(help="How the words of a sentence are chosen. Default: ancestral, drawn from the model.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="ancestral, top-k, nucleus: words are drawn from p^(1/temperature). Default: 1.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="top-k: words to draw from. Default: 40.")] = None,
    p: Annotated[float | None, typer.Option("--p", help="nucleus: share of the probability to draw from. Default: 0.95.")] = None,
    beams: Annotated[int | None, typer.Option(help="beam: beginnings of a sentence to keep. Default: 5.")] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="beam: power of the length that log p is divided by; 0 is none. Default: 1.")
    ] = None,
    svd_width: Annotated[
        int | None,
        typer.Option(
            "--svd-width", metavar="W", help="Faster words, nearly the same: rank all of them in W dimensions (SVD softmax)"
        ),
    ] = None,
    svd_top: Annotated[
        int | None, typer.Option("--svd-top", metavar="N", help="... and compute the N best exactly. For a full softmax.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="NAME", help="For a model that knows labels: of this one. Default: N of each.")
    ] = None,
    attribute: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of samples: N test examples changed towards this label.")
    ] = None,
    minus: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --attribute: away from this label. Default: from all others.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Text, or PNG for images (needed there).")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Draw codes from the prior and decode them with a finished trial's model."""
    from orchestration.decoding_flags import decoding_of, svd_of
    from orchestration.trial_view import generate_samples

    options = {"temperature": temperature, "k": k, "p": p, "beams": beams, "length_penalty": length_penalty}
    chosen = decoding_of(decoding.value if decoding else None, options)
    svd = svd_of(svd_width, svd_top)
    if attribute is not None:
        from orchestration.attribute_view import generate_changed

        if label is not None or svd is not None:
            raise UsageFault("--attribute changes test examples: --label and --svd-width are for samples of the prior")
        where = locate(run.partition("/")[0], home)
        typer.echo(generate_changed(run, number, attribute, minus, chosen, seed, output, where))
        return
    if minus is not None:
        raise UsageFault(f"--minus {minus} goes with --attribute NAME: the label that is added in its place")
    typer.echo(generate_samples(run, number, chosen, seed, output, locate(run.partition("/")[0], home), label, svd))


app.command()(again.reproduce)
app.command()(again.evaluate)


@app.command()
def ui(
    home: HomeOption = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 5000, or the next free one.")] = None,
) -> None:
    """Serve the MLflow UI of the home, with links to each sweep's trials."""
    from orchestration.ui import serve

    locate(None, home)
    serve(home, host, port)


@app.command()
def doctor(home: HomeOption = None) -> None:
    """Say what of the machine and the home is ready."""
    from rich.console import Console

    from orchestration.doctor import examine, findings_table

    findings = examine(home)
    Console().print(findings_table(findings))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def _user_mistakes() -> tuple[type[Exception], ...]:
    from dashboards.errors import NotFound
    from dashboards.home import HomeError
    from orchestration.decoding_flags import DecodingFault
    from orchestration.errors import LaunchError
    from orchestration.output import OutputFault
    from orchestration.spec import SweepFileError
    from orchestration.ui import UiError
    from vae_core.data.errors import DataError

    return (UsageFault, DecodingFault, OutputFault, SweepFileError, LaunchError, DataError, NotFound, HomeError, UiError)


def main() -> None:
    """The entry point."""
    try:
        app()
    except Exception as error:
        from dashboards.errors import StoreError
        from orchestration.tracking.spool import SpoolBusy
        from vae_core.plugins import PluginError

        # With a broken plugin the modules of the other mistakes cannot even be imported.
        mistakes = (PluginError,) if isinstance(error, PluginError) else _user_mistakes()
        code = 2 if isinstance(error, mistakes) else 1 if isinstance(error, (StoreError, SpoolBusy)) else None
        if code is None:
            raise
        typer.echo(f"vae-sweeps: {error}", err=True)
        sys.exit(code)
