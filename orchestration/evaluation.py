"""Scores a recorded model on a split of its data, with as many importance samples as wanted."""

from __future__ import annotations

from collections.abc import Iterator

from dashboards.home import Home
from dashboards.trial import find_trial, trial_artifacts
from orchestration.decoding_flags import svd_head
from orchestration.reproduce import recorded_data


def evaluate_run(
    run: str,
    where: Home,
    split: str,
    samples: int | None,
    examples: int | None,
    seed: int,
    svd: tuple[int, int] | None = None,
) -> Iterator[str]:
    """The scores, a line each.

    Args:
        split: "train", "valid" or "test".
        samples: K of the importance-weighted bound; None: the trial's own.
        examples: that it is computed on; None: all of the split.
        seed: of the posterior samples.
        svd: width and top of an SVD softmax, whose score comes beside the exact one; None: none.

    Raises:
        DecodingFault: the model has no softmax that an SVD could stand in for, or width or top is out of range.
        UnknownRun, UnknownSweep: there is no such trial, or it kept no model.
        DataError: the data cannot be read.
        LaunchError: the data are not those that it was trained on.
    """
    import torch

    from vae_core.checkpoint import load_model
    from vae_core.evaluate import evaluate, evaluate_svd, importance_weighted
    from vae_core.trainer import EVALUATION_BATCH

    torch.set_num_threads(1)
    record = find_trial(run, tracking_uri=where.tracking_uri)
    with trial_artifacts(record, "checkpoint", tracking_uri=where.tracking_uri) as directory:
        loaded = load_model(directory)
    head = None if svd is None else svd_head(loaded, svd)
    data = recorded_data(record, loaded.config)
    yield f"{record.sweep}/{record.number} on {split}, {len(data.splits[split])} examples"
    for name, value in evaluate(loaded.model, data, split, EVALUATION_BATCH, seed).items():
        yield f"  {name:<22}{value:.6g}"
    if head is not None:
        found = evaluate_svd(loaded.model, data, split, EVALUATION_BATCH, seed, head)
        yield f"  {'svd_perplexity':<22}{found['svd_perplexity']:.6g} (width {head.width}, top {head.top})"
        yield f"  {'svd_gap':<22}{found['svd_gap']:.6g}"
    wanted = samples or loaded.config.evaluation.importance_samples
    bound = importance_weighted(loaded.model, data, split, samples=wanted, examples=examples, seed=seed)
    yield f"  {'iw_nll':<22}{bound.nll:.6g} ± {bound.se:.2g} (standard error; K = {bound.k}, {bound.n} examples)"
    if bound.perplexity is not None:
        yield f"  {'iw_perplexity':<22}{bound.perplexity:.6g}"
