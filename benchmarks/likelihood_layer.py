"""Every softmax, forward and backward, against the naive full softmax: time and memory at large vocabularies.

    python -m benchmarks.likelihood_layer [--sizes 50000 250000] [--only full sampled ...] [--rounds 5]

1,024 tokens, 256 features, targets by Zipf's law. Naive is ``cross_entropy(linear(hidden, weight, bias), targets)`` and its
backward. Members that share its table score the same tokens exactly as it does, and full and chunked have its gradients, which is
checked first; those with classes of their own must sum to 1. Draws of negatives are part of the time. "rows" are the same members
with the sparse gradients that ``optimizer.kind: lazy_adam`` takes (Adam lazy by rows, which is another optimiser than Adam);
without them each step fills a gradient of the table's size.

Peak memory is that of the process (resident at most) above hidden states and weights, each side in a fresh process. Last, the
whole training step of an LSTM text VAE, 256/256, 32 sentences of 31 words and their end: row-lazy Adam included, 1,024 sampled
classes or three levels, at each size and at V = 10,000.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, linear

from benchmarks.measure import as_a_worker, machine, peak_mebibytes, take_turns
from vae_core.config import TrialConfig
from vae_core.data.text import TextData, TextSplit
from vae_core.data.text_config import Vocabulary
from vae_core.data.vocabulary import BOS, EOS, PAD, WordList
from vae_core.model import build_model
from vae_core.objectives.interface import ObjectiveSizes
from vae_core.seeding import Streams, make_generator
from vae_core.softmax import (
    AdaptiveSoftmax,
    ChunkedSoftmax,
    FullSoftmax,
    HierarchicalSoftmax,
    NoiseContrastive,
    SampledSoftmax,
    SoftmaxConfig,
)
from vae_core.softmax.head import HeadSizes, ReadsFewRows, SoftmaxHead
from vae_core.updates import Updates

TOKENS, FEATURES = 1024, 256
SMALL = 10_000
MEMBERS: dict[str, SoftmaxConfig] = {
    "full": FullSoftmax(),
    "chunked": ChunkedSoftmax(),
    "adaptive": AdaptiveSoftmax(),
    "hierarchical": HierarchicalSoftmax(),
    "hierarchical, 3 levels": HierarchicalSoftmax(levels=3),
    "sampled": SampledSoftmax(samples=1024),
    "nce": NoiseContrastive(samples=1024),
}
WHOLE_STEPS = ("sampled", "hierarchical, 3 levels")
OWN_CLASSES = [name for name, config in MEMBERS.items() if not config.full]
TOLERANCE = 1e-4
MIB = 2**20

Side = Callable[[], Tensor]


class Layer:
    """Hidden states, targets and one table for all members but the adaptive, whose tails are narrower."""

    def __init__(self, vocabulary: int) -> None:
        generator = Generator().manual_seed(0)
        self.counts = zipf(vocabulary)
        self.hidden = torch.randn(TOKENS, FEATURES, generator=generator).requires_grad_()
        bound = FEATURES**-0.5
        self.weight = nn.Parameter(torch.empty(vocabulary, FEATURES).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.targets = torch.multinomial(torch.from_numpy(self.counts).double(), TOKENS, True, generator=generator)
        self.negatives = make_generator(0, "negatives")

    def head(self, name: str) -> SoftmaxHead:
        """The member of that name, "... rows" with sparse gradients."""
        config = MEMBERS[name.removesuffix(", rows")]
        if isinstance(config, AdaptiveSoftmax):
            config = AdaptiveSoftmax(cutoffs=(len(self.counts) // 25, len(self.counts) // 5))  # at 50,000 the defaults
        tied = None if isinstance(config, AdaptiveSoftmax) else self.weight
        head = config.build(HeadSizes(FEATURES, self.counts, tied, make_generator(0, "init")))
        if isinstance(head, ReadsFewRows):
            head.sparse = name.endswith(", rows")
        return head

    def sides(self, names: Sequence[str]) -> dict[str, Side]:
        """Forward and backward of naive and of these members; each gives the summed loss."""
        found: dict[str, Side] = {"naive": partial(self._run, self._naive, [self.weight, self.bias])}
        for name in names:
            head = self.head(name)
            loss = partial(head.loss, self.hidden, self.targets, self.negatives)
            found[name] = partial(self._run, loss, list(head.parameters()))
        return found

    def check(self, names: Sequence[str]) -> None:
        """Equal scores where the table is the same, equal gradients where the loss is, and classes of one's own that sum to 1.

        Raises:
            SystemExit: something differs.
        """
        exact = float(self._run(self._naive, [self.weight, self.bias]))
        wanted = [self.hidden.grad, self.weight.grad]
        for name in names:
            head = self.head(name)
            if name in OWN_CLASSES:
                with torch.no_grad():
                    apart = float(head.log_probs(self.hidden[:8]).double().exp().sum(1).sub(1).abs().max())
            else:
                with torch.no_grad():
                    apart = abs(float(head.nll(self.hidden, self.targets).double().sum()) / exact - 1)
            if head.normalised and name not in OWN_CLASSES:
                self._run(partial(head.loss, self.hidden, self.targets), list(head.parameters()))
                found = [self.hidden.grad, self.weight.grad]
                apart = max(apart, *(_difference(a, b) for a, b in zip(found, wanted, strict=True)))
            if apart > TOLERANCE:
                raise SystemExit(f"{name} does not compute what naive does: {apart:.1e} apart")

    def _naive(self) -> Tensor:
        return cross_entropy(linear(self.hidden, self.weight, self.bias), self.targets, reduction="none")

    def _run(self, loss: Side, parameters: list[nn.Parameter]) -> Tensor:
        for tensor in (self.hidden, self.weight, self.bias, *parameters):
            tensor.grad = None
        total = loss().sum()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return total.detach()


def zipf(vocabulary: int) -> np.ndarray:
    """Counts that fall as 1 / rank, ten at least."""
    return 10 * vocabulary // (np.arange(vocabulary) + 1)


def _difference(a: Tensor | None, b: Tensor | None) -> float:
    assert a is not None
    assert b is not None
    return float((a - b).norm() / b.norm())


def peak_mib(vocabulary: int, name: str) -> float:
    """Of one forward and backward in a fresh process, which has the inputs and the weights already."""
    context = multiprocessing.get_context("spawn")
    queue: Any = context.SimpleQueue()
    child = context.Process(target=_measure_peak, args=(vocabulary, name, queue))
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"{name} at V = {vocabulary} ended with exit code {child.exitcode}")
    return float(queue.get())


def _measure_peak(vocabulary: int, name: str, queue: Any) -> None:
    torch.set_num_threads(1)
    layer, small = Layer(vocabulary), Layer(2048)
    for warm in small.sides([] if name == "naive" else [name]).values():  # libraries that load on first use
        warm()
    side = layer.sides([] if name == "naive" else [name])[name]
    before = peak_mebibytes()
    side()
    queue.put(peak_mebibytes() - before)


def training_step(vocabulary: int, name: str) -> Callable[[], None]:
    """Ten steps of the model with a member of few rows and row-lazy Adam."""
    config = TrialConfig.from_dict(
        {
            "data": {"kind": "python_docs"},  # named in the trial and never read
            "model": {
                "encoder": {"kind": "lstm"},
                "decoder": {"kind": "lstm"},
                "latent": {"kind": "gaussian", "size": 32},
                "softmax": MEMBERS[name].to_dict(),
            },
            "optimizer": {"kind": "lazy_adam"},
            "training": {"batch_size": 32},
        }
    )
    counts = {f"word{rank:07d}": int(count) for rank, count in enumerate(zipf(vocabulary - 4))}
    words = WordList.from_counts(counts, 1, Vocabulary(max_size=vocabulary, min_count=1))
    weights = torch.from_numpy(words.counts.copy()).double()
    weights[[words.words.index(special) for special in (BOS, EOS, PAD)]] = 0.0
    drawn = torch.multinomial(weights, 31 * 32 * 20, True, generator=make_generator(0, "words")).numpy()
    split = TextSplit(drawn.astype(np.int32), np.arange(0, len(drawn) + 1, 31))
    data = TextData.make(dict.fromkeys(("train", "valid", "test"), split), words, "zipf")
    model, streams = build_model(config, data, make_generator(0, "init")), Streams.create(0)
    objective = config.objective.build(ObjectiveSizes(len(split), model.latent_size))
    updates = Updates(config, model, objective, 1000, streams)
    plan = cycle(data.plan("train", 32, streams.shuffle))

    def steps() -> None:
        for _ in range(10):
            updates(data.batch("train", next(plan)))

    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 250_000])
    parser.add_argument("--only", nargs="*", choices=list(MEMBERS), default=list(MEMBERS))
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    as_a_worker("benchmarks.likelihood_layer")
    print(machine(), flush=True)
    names = [each for name in given.only for each in ([name, f"{name}, rows"] if MEMBERS[name].few_rows else [name])]
    rows = []
    for vocabulary in given.sizes:
        memory = {name: peak_mib(vocabulary, name) for name in ("naive", *names)}
        layer = Layer(vocabulary)
        layer.check(given.only)
        timings = take_turns(layer.sides(names), given.rounds)
        naive = timings["naive"]
        rows += [
            (
                f"{vocabulary:,}",
                name,
                at.cpu * 1e3,
                naive.cpu / at.cpu,
                naive.wall / at.wall,
                memory[name],
                memory[name] / memory["naive"],
            )
            for name, at in timings.items()
        ]
    headers = ("V", "softmax", "ms CPU", "times naive, CPU", "times naive, wall", "peak MiB", "of naive's")
    print(tabulate(rows, headers, tablefmt="github", floatfmt=("", "", ".1f", ".2f", ".2f", ",.0f", ".2f")), flush=True)
    for name in WHOLE_STEPS:
        if name not in given.only:
            continue
        sizes = [SMALL, *given.sizes]
        steps = take_turns({f"{size:,}": training_step(size, name) for size in sizes}, given.rounds)
        first = steps[f"{SMALL:,}"]
        table = [(size, at.cpu * 100, at.cpu / first.cpu, at.wall / first.wall) for size, at in steps.items()]
        print(f"\nThe whole training step, {name}, row-lazy Adam\n")
        titles = ("V", "ms CPU a step", "over the first, CPU", "over the first, wall")
        print(tabulate(table, titles, tablefmt="github", floatfmt=("", ".1f", ".2f", ".2f")), flush=True)


if __name__ == "__main__":
    main()
