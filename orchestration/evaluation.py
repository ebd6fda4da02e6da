"""Scores a recorded model on a split of its data, with as many importance samples as wanted."""

from __future__ import annotations

from collections.abc import Iterator

from dashboards.home import Home
from dashboards.trial import find_trial, trial_artifacts
from orchestration.reproduce import recorded_data


def evaluate_run(run: str, where: Home, split: str, samples: int | None, examples: int | None, seed: int) -> Iterator[str]:
    """The scores, a line each.

    Args:
        split: "train", "valid" or "test".
        samples: K of the importance-weighted bound; None: the trial's own.
        examples: that it is computed on; None: all of the split.
        seed: of the posterior samples.

    Raises:
        UnknownRun, UnknownSweep: there is no such trial, or it kept no model.
        DataError: the data cannot be read.
        LaunchError: the data are not those that it was trained on.
    """
    import torch

    from vae_core.checkpoint import load_model
    from vae_core.evaluate import evaluate, importance_weighted
    from vae_core.trainer import EVALUATION_BATCH

    torch.set_num_threads(1)
    record = find_trial(run, tracking_uri=where.tracking_uri)
    with trial_artifacts(record, "checkpoint", tracking_uri=where.tracking_uri) as directory:
        loaded = load_model(directory)
    data = recorded_data(record, loaded.config)
    yield f"{record.sweep}/{record.number} on {split}, {len(data.splits[split])} examples"
    for name, value in evaluate(loaded.model, data, split, EVALUATION_BATCH, seed).items():
        yield f"  {name:<22}{value:.6g}"
    wanted = samples or loaded.config.evaluation.importance_samples
    bound = importance_weighted(loaded.model, data, split, samples=wanted, examples=examples, seed=seed)
    yield f"  {'iw_nll':<22}{bound.nll:.6g} ± {bound.se:.2g} (standard error; K = {bound.k}, {bound.n} examples)"
    if bound.perplexity is not None:
        yield f"  {'iw_perplexity':<22}{bound.perplexity:.6g}"
