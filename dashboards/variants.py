"""Parameters with variants: one column that says which a trial had, in place of all that it sets."""

from __future__ import annotations

import json

TAG = "variant."
"""Before the parameter's name, on a trial's run: the variant's name."""
_FIXED = ("rank", "run_id", "trial", "state", "reason", "seed", "duration_s", "epochs", "configuration", "seeds")
_TAKEN = (*_FIXED, "threads", "torch", "scores")
"""Columns of every sweep's frame that a parameter could be called like."""


def variant_columns(text: str) -> dict[str, list[str]]:
    """From the record's JSON, empty where there are none: the names that each sets, by its column."""
    return {column_of(name): list(map(str, places)) for name, places in json.loads(text or "{}").items()}


def column_of(name: str) -> str:
    """The column of a parameter with variants: its name, if no other column has it."""
    return f"{TAG}{name}" if name in _TAKEN else name


def with_variants(names: list[str], columns: dict[str, list[str]]) -> list[str]:
    """The searched names with each variants' column in place of what it sets."""
    owner = {place: column for column, places in columns.items() for place in places}
    return list(dict.fromkeys([*(owner.get(name, name) for name in names), *columns]))
