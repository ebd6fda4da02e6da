"""Commands on a trial that has ended: train it again, score it again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from orchestration.commands.options import HomeOption, RunArgument
from orchestration.messages import Message
from orchestration.terminal import locate


class Split(StrEnum):
    train = "train"
    valid = "valid"
    test = "test"


def reproduce(run: RunArgument, home: HomeOption = None) -> None:
    """Train a trial again from its record alone and compare every number; exit code 1 where one differs."""
    from orchestration.reproduce import lines, summary
    from orchestration.reproduce import reproduce as train_again

    def tell(message: Message) -> None:
        if (line := summary(message)) is not None:
            typer.echo(line)

    result = train_again(run, locate(run.partition("/")[0], home), tell)
    for line in lines(result):
        typer.echo(line)
    if not result.same:
        raise typer.Exit(1)


def evaluate(
    run: RunArgument,
    split: Annotated[Split, typer.Option(help="What is scored.")] = Split.test,
    importance_samples: Annotated[
        int | None,
        typer.Option("--importance-samples", min=1, metavar="K", help="Of the importance-weighted bound. Default: the trial's."),
    ] = None,
    examples: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Examples for that bound, evenly spread. Default: all.")
    ] = None,
    svd_width: Annotated[
        int | None,
        typer.Option("--svd-width", metavar="W", help="Beside it the score of an SVD softmax that ranks words in W dimensions"),
    ] = None,
    svd_top: Annotated[
        int | None, typer.Option("--svd-top", metavar="N", help="... and computes the N best exactly. For a full softmax.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the posterior samples.")] = 0,
    home: HomeOption = None,
) -> None:
    """Score a finished trial's model exactly: ELBO, rate, perplexity, and the importance-weighted bound."""
    from orchestration.decoding_flags import svd_of
    from orchestration.evaluation import evaluate_run

    svd, where = svd_of(svd_width, svd_top), locate(run.partition("/")[0], home)
    for line in evaluate_run(run, where, split.value, importance_samples, examples, seed, svd):
        typer.echo(line)
