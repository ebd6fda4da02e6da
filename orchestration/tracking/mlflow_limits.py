"""What MLflow cuts silently or refuses, and how values are put so that it does neither."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

MAX_PARAM, MAX_TAG = 6000, 8000
"""Cut silently beyond, in characters."""
MAX_BATCH = 100
"""Refused beyond, in parameters or tags a request."""


def as_text(value: Any) -> str:
    """A parameter's value as MLflow keeps it: a string bare, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def cut(text: str, limit: int) -> str:
    """``text``, or its beginning with an ellipsis, in at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def cut_all(values: Mapping[str, str], limit: int) -> dict[str, str]:
    """``cut`` of each value."""
    return {name: cut(value, limit) for name, value in values.items()}


def chunks(items: list[tuple[str, str]]) -> Iterable[list[tuple[str, str]]]:
    """As many as one request takes."""
    return (items[start : start + MAX_BATCH] for start in range(0, len(items), MAX_BATCH))
