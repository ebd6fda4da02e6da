"""Every softmax on WikiText-2 at its whole vocabulary, equal steps, one thread: speed, exact perplexity, gap, memory.

    python -m benchmarks.wikitext2_softmax --data DIR [--steps 400] [--only full sampled ...]

DIR holds train.txt, valid.txt and test.txt. Each member trains the same model from the same first weights on the same batches
in a process of its own, one after the other; the score is the validation ELBO by the exact softmax. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import time
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from benchmarks.measure import peak_mebibytes
from vae_core.config import TrialConfig
from vae_core.data.text import TextData
from vae_core.evaluate import evaluate
from vae_core.model import build_model
from vae_core.objectives.interface import ObjectiveSizes
from vae_core.seeding import Streams, make_generator
from vae_core.updates import Updates

BATCH = 64
SOFTMAXES: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "chunked": {"kind": "chunked"},
    "adaptive 2k, 10k": {"kind": "adaptive", "cutoffs": [2000, 10000]},
    "hierarchical": {"kind": "hierarchical"},
    "hierarchical, 3 levels": {"kind": "hierarchical", "levels": 3},
    "sampled 1024, log-uniform, include": {"kind": "sampled"},
    "sampled 1024, unigram, exclude": {"kind": "sampled", "proposal": "unigram", "targets": "exclude"},
    "sampled 1024, uniform, include": {"kind": "sampled", "proposal": "uniform"},
    "nce 1024, unigram": {"kind": "nce"},
    "negative sampling 1024": {"kind": "negative_sampling"},
    "one-vs-each 1024": {"kind": "one_vs_each"},
}
OF_THE_ORDER_OF_V: dict[str, Any] = {
    "objective": {"kind": "elbo", "beta": 100.0},
    "training": {"batch_size": BATCH, "clip_norm": None},
}
"""One-vs-each has a loss beside which a KL at weight 1 counts for nothing, and gradients that are not for clipping at 5."""


@dataclass(frozen=True)
class Result:
    """Of one member."""

    tokens_per_s: float
    """Of the thread's own time."""
    perplexity: float
    gap: float
    peak_mib: float
    """Resident at most while training, above what it was with the data loaded and nothing built."""


def config_for(data: Path, softmax: dict[str, Any]) -> TrialConfig:
    """LSTM 256/256, a latent of 32, every sentence and every word that WikiText-2 kept."""
    files = {split: str(data / f"{split}.txt") for split in ("train", "valid", "test")}
    vocabulary = {"max_size": 40000, "min_count": 1}
    return TrialConfig.from_dict(
        {
            "data": {"kind": "text_file", **files, "unit": "sentence", "vocabulary": vocabulary, "max_length": 60, "long": "cut"},
            "model": {
                "encoder": {"kind": "lstm", "embedding": 256, "hidden": 256},
                "decoder": {"kind": "lstm", "hidden": 256},
                "latent": {"kind": "gaussian", "size": 32},
                "softmax": softmax,
            },
            "optimizer": {"kind": "adam", "lr": 2e-3},
            "training": {"batch_size": BATCH},
        }
        | (OF_THE_ORDER_OF_V if softmax["kind"] == "one_vs_each" else {})
    )


def measure(config: TrialConfig, data: TextData, steps: int) -> Result:
    """Trains for so many steps, then scores validation."""
    torch.set_num_threads(1)
    before = peak_mebibytes()
    model = build_model(config, data, make_generator(0, "init"))
    streams = Streams.create(0)
    objective = config.objective.build(ObjectiveSizes(len(data.splits["train"]), model.latent_size))
    updates = Updates(config, model, objective, steps, streams)
    plan = data.plan("train", BATCH, streams.shuffle)
    tokens, started_s = 0, time.process_time()
    for index in islice(plan, steps):
        batch = data.batch("train", index)
        updates(batch)
        tokens += batch.tokens
    seconds = time.process_time() - started_s  # of the one thread: a busy machine disturbs it least
    peak = peak_mebibytes()
    scores = evaluate(model, data, "valid", 128, 0)
    return Result(tokens / seconds, scores["perplexity"], scores.get("softmax_gap", float("nan")), peak - before)


def in_its_own_process(config: TrialConfig, data: TextData, steps: int) -> Result:
    """A forked child shares the data, and its memory is its own."""

    def child(end: Connection) -> None:
        end.send(measure(config, data, steps))

    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(there,))
    process.start()
    there.close()
    result: Result = here.recv()
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", nargs="*", choices=list(SOFTMAXES), default=list(SOFTMAXES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = config_for(given.data, SOFTMAXES["full"]).data.load()
    assert isinstance(data, TextData)
    print(f"WikiText-2 sentences: {len(data.splits['train'])}; V = {len(data.vocabulary.words)}; {given.steps} steps of {BATCH}")
    print(f"torch {torch.__version__}, one thread, {platform.processor() or platform.machine()}\n", flush=True)
    rows = []
    for name in given.only:
        found = in_its_own_process(config_for(given.data, SOFTMAXES[name]), data, given.steps)
        rows.append((name, found.tokens_per_s, found.perplexity, found.gap, found.peak_mib))
        print(f"{name}: {found}", flush=True)
    headers = ("softmax", "tokens/CPU s", "exact val perplexity", "gap (nats/sentence)", "peak MiB")
    print("\n" + tabulate(rows, headers, tablefmt="github", floatfmt=("", ".0f", ".1f", ".2f", ".0f")))


if __name__ == "__main__":
    main()
