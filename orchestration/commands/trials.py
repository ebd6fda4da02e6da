"""Commands on one finished trial: show it, draw from it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.options import HomeOption, RunArgument, UsageFault
from orchestration.terminal import locate

if TYPE_CHECKING:
    from dashboards.home import Home


class Decoding(StrEnum):
    greedy = "greedy"
    ancestral = "ancestral"
    top_k = "top-k"
    nucleus = "nucleus"
    beam = "beam"


def show(run: RunArgument, home: HomeOption = None) -> None:
    """Show one trial: configuration, scores, samples."""
    from orchestration.trial_view import trial_text

    typer.echo(trial_text(run, locate(run.partition("/")[0], home)))


def generate(
    run: RunArgument,
    number: Annotated[int | None, typer.Option("-n", min=1, max=10_000, help="How many. Default: 10.")] = None,
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
    codes: Annotated[
        Path | None, typer.Option("--codes", metavar="FILE", help="Instead of the prior's: the codes of this file, a line each.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Text, or PNG for images (needed there).")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Draw codes from the prior, or take given ones, and decode them with a finished trial's model."""
    from orchestration.decoding_flags import decoding_of, svd_of
    from orchestration.trial_view import generate_samples

    options = {"temperature": temperature, "k": k, "p": p, "beams": beams, "length_penalty": length_penalty}
    chosen = decoding_of(decoding.value if decoding else None, options)
    svd = svd_of(svd_width, svd_top)
    if number is not None and codes is not None:
        raise UsageFault(f"-n {number} goes without --codes: each code of the file is decoded")
    number = number or 10
    if attribute is not None:
        from orchestration.attribute_view import generate_changed

        if label is not None or svd is not None or codes is not None:
            raise UsageFault("--attribute changes test examples: --label, --codes and --svd-width go without it")
        run, where = _told(run, home)
        typer.echo(generate_changed(run, number, attribute, minus, chosen, seed, output, where))
        return
    if minus is not None:
        raise UsageFault(f"--minus {minus} goes with --attribute NAME: the label that is added in its place")
    run, where = _told(run, home)
    typer.echo(generate_samples(run, number, chosen, seed, output, where, label, svd, codes))


def _told(run: str, home: Path | None) -> tuple[str, Home]:
    """The trial by its number, and where it is recorded; says which it is where the user did not."""
    from dashboards.trial import find_trial

    where = locate(run.partition("/")[0], home)
    if "/" not in run:
        record = find_trial(run, home=where.root, tracking_uri=where.tracking_uri)
        run = f"{record.sweep}/{record.number}"
        typer.echo(f"from trial {run}", err=True)
    return run, where
