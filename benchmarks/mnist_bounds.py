"""ELBO, IWAE and VampPrior on dynamically binarised MNIST, each for the same training time: importance-weighted test NLL.

    python -m benchmarks.mnist_bounds --data mnist.npz --output DIR [--minutes 8] [--device cuda]

The network of Burda et al. 2016 with one stochastic layer, 784-200-200-50, but for its tanh: with it the VampPrior, to which no
scale of the code is dear, collapses at once and for good. An epoch of each is timed first, and as many are trained as fit the
minutes (of the thread's own time, so that a busy machine changes nothing); so the ELBO sees the data far more often than IWAE.
Prints a Markdown table, and writes samples.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.evaluate import importance_weighted
from vae_core.samples import write_samples
from vae_core.trainer import Trainer

MEMBERS: dict[str, dict[str, Any]] = {
    "ELBO": {},
    "IWAE-50, DReG": {"objective": {"kind": "iwae", "samples": 50, "gradient": "dreg"}},
    "ELBO, VampPrior 500": {"prior": {"kind": "vamp", "components": 500}},
}
COLUMNS = ("method", "epochs", "training s", "test -ELBO", "test IW-NLL", "s.e.", "active units")


def config_for(data: Path, member: dict[str, Any], epochs: int) -> TrialConfig:
    """One trial of so many epochs."""
    layers = {"kind": "mlp", "hidden": [200, 200], "activation": "relu"}
    model = {"encoder": layers, "decoder": layers, "latent": {"kind": "gaussian", "size": 50}}
    if "prior" in member:
        model["prior"] = member["prior"]
    return TrialConfig.from_dict(
        {
            "data": {"kind": "npz", "path": str(data)},
            "model": model,
            "objective": member.get("objective", {"kind": "elbo"}),
            "training": {"epochs": epochs, "batch_size": 100},
            "evaluation": {"importance_samples": 50, "importance_examples": 100, "samples": 64},
        }
    )


def epoch_s(config: TrialConfig, data: ImageData, device: str) -> float:
    """What an epoch takes once it is under way, its validation included, in s of this thread."""
    records = Trainer(config, data, device).run()
    next(records)
    started_s = time.process_time()
    next(records)
    return time.process_time() - started_s


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="an .npz with x_train and x_test")
    parser.add_argument("--output", type=Path, required=True, help="where samples are written, a folder a method")
    parser.add_argument("--minutes", type=float, default=8.0, help="training time of each, of the thread")
    parser.add_argument("--samples", type=int, default=1000, help="K of the importance-weighted bound")
    parser.add_argument("--examples", type=int, default=1000, help="test images that it is computed on")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", choices=list(MEMBERS), default=list(MEMBERS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = config_for(given.data, {}, 1).data.load()
    assert isinstance(data, ImageData)
    rows = []
    for name in given.only:
        epochs = max(1, math.floor(60 * given.minutes / epoch_s(config_for(given.data, MEMBERS[name], 3), data, given.device)))
        config = config_for(given.data, MEMBERS[name], epochs)
        trainer = Trainer(config, data, given.device)
        started_s = time.process_time()
        for record in trainer.run():
            if not record.final and record.epoch == epochs:
                seconds = time.process_time() - started_s
            final = record.metrics
        if trainer.outcome is None or trainer.outcome.state != "COMPLETE":
            raise SystemExit(f"{name} did not come to its end: {trainer.outcome}")
        bound = importance_weighted(trainer.model, data, "test", samples=given.samples, examples=given.examples)
        write_samples(trainer.model, config, data, given.output / name.replace(", ", "-").replace(" ", "-").lower())
        rows.append((name, epochs, seconds, final["test/neg_elbo"], bound.nll, bound.se, final["test/active_units"]))
        print(rows[-1], flush=True)
    print(f"\nK = {given.samples}, {given.examples} test images, one thread, torch {torch.__version__}, {given.device}")
    print(tabulate(rows, COLUMNS, tablefmt="github", floatfmt=("", ".0f", ".0f", ".2f", ".2f", ".2f", ".0f")))


if __name__ == "__main__":
    main()
