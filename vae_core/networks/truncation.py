"""Truncated back-propagation through time, BPTT(h; h') of Williams & Peng 1990.

Shapes: B sequences, T steps, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vae_core.networks.recurrent_config import Truncation

State = tuple[Tensor, ...]
Run = Callable[[int, int, State], tuple[Tensor, State]]
"""From a first step up to a last one, which is left out, and from a state: hidden states (B, steps, H), and the state after them.

A function of its arguments: what is run twice is the same twice.
"""


def run_truncated(run: Run, state: State, length: int, truncation: Truncation) -> Tensor:
    """Hidden states of all steps (B, T, H), as ``run(0, length, state)`` gives them but for their gradient.

    The hidden states of each ``every`` steps are taken from a run of ``back`` steps that ends with them, and whose first state
    is a constant, unless it is the sequence's own. Where these windows overlap, their common steps are run again.
    """
    ends = [min(first + truncation.every, length) for first in range(0, length, truncation.every)]
    starts = [max(0, end - truncation.back) for end in ends]
    kept, begin = [], 0
    for start, following, end in zip(starts, [*starts[1:], ends[-1]], ends, strict=True):
        pieces, reached, here = [], state, start
        for stop in sorted({following, end} - {start}):
            piece, reached = run(here, stop, reached)
            pieces.append(piece)
            if stop == following:  # where the next window starts; if that is step 0 again, so does its state
                state = tuple(part.detach() for part in reached)
            here = stop
        kept.append(torch.cat(pieces, 1)[:, begin - start :])
        begin = end
    return torch.cat(kept, 1)
