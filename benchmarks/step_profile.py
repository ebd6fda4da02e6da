"""Where a training step goes: shares of the processor's time by part, as torch's profiler sees them.

    python -m benchmarks.step_profile text [--data DIR] [--precision bfloat16] [--steps 20]
    python -m benchmarks.step_profile image [--images mnist.npz] [--steps 200]

The models and the data are those of ``benchmarks.trainer``. Each operation counts by its own time (what it calls counts for
itself), for the innermost known part among its callers. What the profiler itself costs lies mostly in "Python and the rest".
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.measure import as_a_worker, machine
from benchmarks.trainer import BATCH, config_for, load
from vae_core.trainer import Trainer

_PARTS = (
    ("Nll", "softmax"),
    ("lstm", "LSTMs"),
    ("mkldnn_rnn", "LSTMs"),
    ("MkldnnRnn", "LSTMs"),
    ("Optimizer.step", "optimiser"),
    ("Optimizer.zero_grad", "optimiser"),
    ("embedding", "word vectors"),
    ("Embedding", "word vectors"),
    ("_foreach_norm", "clipping"),
    ("_foreach_mul", "clipping"),
    ("aten::linear", "other products"),
    ("AddmmBackward", "other products"),
    ("AccumulateGrad", "gradients added up"),
)
"""Of the names of operations: the part that one belongs to which has this in its name, or is called by such a one."""
_PRODUCTS, _CASTS = ("mm", "matmul", "linear"), ("_to_copy", "to", "copy_")
_STEP = "a step"


def part_of(event: Any) -> str:
    """The part of an operation; in the softmax also what kind of work it is."""
    caller = event
    while caller is not None:
        part = next((part for name, part in _PARTS if name in caller.name), None)
        if part is not None:
            return part if part != "softmax" else f"softmax: {_kind(event)}"
        caller = caller.cpu_parent
    return "Python and the rest"


def _kind(event: Any) -> str:
    operation = event.name.removeprefix("aten::")
    if any(product in operation for product in _PRODUCTS):
        return "products"
    return "copies and conversions" if operation in _CASTS else "exponentials, sums, scaling"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=("text", "image"))
    parser.add_argument("--data", type=Path, help="a folder of text")
    parser.add_argument("--images", type=Path, help="an .npz file with x_train and x_test")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int)
    given = parser.parse_args()
    as_a_worker("benchmarks.step_profile")
    given.steps = given.steps or {"text": 20, "image": 200}[given.kind]
    config, data = load(given.kind, given)
    trainer = Trainer(config_for(given.kind, config, given.precision), data)
    plan = trainer._plan()
    for index in plan[:3]:
        trainer._advance([index])
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for index in plan[: given.steps]:
            with record_function(_STEP):
                trainer._advance([index])
    spent: Counter[str] = Counter()
    for event in seen.events():
        spent[part_of(event)] += event.self_cpu_time_total
    total, steps = sum(spent.values()), min(given.steps, len(plan))
    print(f"{machine()}\n{data.name}, batches of {BATCH[given.kind]}, {given.precision}: {total / steps / 1e3:.1f} ms a step\n")
    rows = [(part, microseconds / steps / 1e3, microseconds / total) for part, microseconds in spent.most_common()]
    print(tabulate(rows, ("part", "ms a step", "share"), tablefmt="github", floatfmt=("", ".2f", ".0%")))


if __name__ == "__main__":
    main()
