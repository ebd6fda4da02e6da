"""What this machine can do at most: matrix products at the sizes of a text step, exponentials, copies, and kernels on few rows.

    python -m benchmarks.ceilings [--tokens 768] [--vocabulary 10000] [--rounds 9]

A training step of LSTM 256/256 at V = 10,000 is mostly three products of tokens x 256 x V and those of two LSTMs: the time that
they take at the rates below is what no code of ours can go below.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from tabulate import tabulate

from benchmarks.measure import as_a_worker, machine, take_turns

HIDDEN, BATCH = 256, 32
LINE = 16
"""Repetitions of the small ones, which a clock would miss."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=768)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    as_a_worker("benchmarks.ceilings")
    tokens, vocabulary = given.tokens, given.vocabulary
    hidden, weight, logits = torch.randn(tokens, HIDDEN), torch.randn(vocabulary, HIDDEN), torch.randn(tokens, vocabulary)
    narrow = [tensor.bfloat16() for tensor in (hidden, weight, logits)]
    state, gates = torch.randn(BATCH, HIDDEN), torch.randn(HIDDEN, 4 * HIDDEN)
    results = [torch.empty(tokens, vocabulary), torch.empty(tokens, HIDDEN), torch.empty(vocabulary, HIDDEN)]
    narrow_results = [result.bfloat16() for result in results]
    scratch = torch.empty_like(logits)

    def products(h: torch.Tensor, w: torch.Tensor, x: torch.Tensor, out: list[torch.Tensor]) -> None:
        torch.mm(h, w.T, out=out[0])
        torch.mm(x, w, out=out[1])
        torch.mm(x.T, h, out=out[2])

    def recurrence() -> None:
        for _ in range(LINE):
            torch.mm(state, gates)

    def exponentials() -> None:
        torch.exp(logits, out=scratch)

    sides: dict[str, Callable[[], object]] = {
        "head's three products, float32": lambda: products(hidden, weight, logits, results),
        "head's three products, bfloat16": lambda: products(narrow[0], narrow[1], narrow[2], narrow_results),
        "one step of an LSTM's recurrence": recurrence,
        "exponentials": exponentials,
        "a copy": lambda: scratch.copy_(logits),
    }
    found = take_turns(sides, given.rounds, warm=3)
    flops, entries = 3 * 2 * tokens * HIDDEN * vocabulary, tokens * vocabulary
    work = {
        "head's three products, float32": (flops, "GFLOP/s"),
        "head's three products, bfloat16": (flops, "GFLOP/s"),
        "one step of an LSTM's recurrence": (LINE * 2 * BATCH * HIDDEN * 4 * HIDDEN, "GFLOP/s"),
        "exponentials": (entries, "G/s"),
        "a copy": (2 * 4 * entries, "GB/s, read and written"),
    }
    print(machine() + "\n")
    rows = [(name, at.cpu * 1e3, work[name][0] / at.cpu / 1e9, work[name][1]) for name, at in found.items()]
    print(tabulate(rows, ("what", "ms CPU", "rate", "unit"), tablefmt="github", floatfmt=("", ".2f", ".1f", "")))


if __name__ == "__main__":
    main()
