"""What MLflow cuts silently or refuses, and how values are put so that it does neither."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

MAX_PARAM, MAX_TAG = 6000, 8000
"""Cut silently beyond, in characters."""
MAX_BATCH, MAX_METRICS = 100, 800
"""Refused beyond, in parameters or tags a request, and in metrics; a thousand things at most in all."""
P = TypeVar("P")
M = TypeVar("M")
T = TypeVar("T")


def as_text(value: Any) -> str:
    """A parameter's value as MLflow keeps it: a string bare, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def cut(text: str, limit: int) -> str:
    """``text``, or its beginning with an ellipsis, in at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def cut_all(values: Mapping[str, str], limit: int) -> dict[str, str]:
    """``cut`` of each value."""
    return {name: cut(value, limit) for name, value in values.items()}


def batches(
    params: Sequence[P], metrics: Sequence[M], tags: Sequence[T]
) -> Iterator[tuple[Sequence[P], Sequence[M], Sequence[T]]]:
    """What one request after the other takes of each, the tags in the last; nothing where there is nothing."""
    of_tags = math.ceil(len(tags) / MAX_BATCH)
    count = max(of_tags, math.ceil(len(params) / MAX_BATCH), math.ceil(len(metrics) / MAX_METRICS))
    for at in range(count):
        late = at - (count - of_tags)
        yield (
            params[at * MAX_BATCH : (at + 1) * MAX_BATCH],
            metrics[at * MAX_METRICS : (at + 1) * MAX_METRICS],
            tags[max(late, 0) * MAX_BATCH : max(late + 1, 0) * MAX_BATCH],
        )
