"""Entries of the spool that wait together: those of one trial amount to one story, which takes fewer requests than they do."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Entry = Mapping[str, Any]
OF_TRIALS = frozenset({"started", "epoch", "pictures", "artifacts", "ended"})
OF_SWEEPS = frozenset({"open", "note", "closed"})


class Point(NamedTuple):
    """Of a metric's curve."""

    name: str
    value: float
    timestamp_ms: int
    epoch: int


@dataclass
class Story:
    """What is to be written of one trial, in this order."""

    first: Entry
    """Which trial, and when it was first spoken of."""
    started: Entry | None = None
    points: list[Point] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    """Of values that no curve can show."""
    pictures: list[str] = field(default_factory=list)
    """Directories, one an epoch."""
    artifacts: list[str] = field(default_factory=list)
    """Directories."""
    ended: Entry | None = None


def entry_of(line: str) -> Entry:
    """A line of the spool.

    Raises:
        ValueError: it is damaged, such that it cannot even be told what it speaks of.
    """
    try:
        entry = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("sweep"), str):
        raise ValueError("names no sweep")
    match entry:
        case {"op": str(op)} if op in OF_SWEEPS:
            return entry
        case {"op": str(op), "trial": int(), "seed": int() | None} if op in OF_TRIALS:
            return entry
    raise ValueError("says nothing that is known of a sweep or a trial")


def story_of(entries: Sequence[Entry]) -> Story:
    """What entries of one trial amount to; see ``together`` for which can be."""
    story = Story(entries[0])
    for entry in entries:
        match entry["op"]:
            case "started":
                story.started = entry
            case "epoch":
                for name, value in entry["metrics"].items():
                    if math.isfinite(value):
                        story.points.append(Point(name, value, entry["at"], entry["epoch"]))
                    else:  # MLflow would store inf as 1.8e308
                        story.tags[f"nonfinite.{name}"] = f"{value} at epoch {entry['epoch']}"
            case "pictures":
                story.pictures.append(entry["directory"])
            case "artifacts":
                story.artifacts.append(entry["directory"])
            case "ended":
                story.ended = entry
    return story


def together(entries: Sequence[Entry]) -> list[list[int]]:
    """The positions of entries that can be written as one: of one trial, from its start or later to its end or earlier.

    Trials know nothing of each other, so theirs may change places; what is said of the sweep keeps its place.
    """
    groups: list[list[int]] = []
    open_: dict[tuple[Any, ...], list[int]] = {}
    for position, entry in enumerate(entries):
        if entry["op"] not in OF_TRIALS:
            open_.clear()
            groups.append([position])
            continue
        trial = (entry["sweep"], entry["trial"], entry["seed"])
        if entry["op"] == "started" or trial not in open_:
            open_ = {key: group for key, group in open_.items() if key[:2] != trial[:2]}
            open_[trial] = []
            groups.append(open_[trial])
        open_[trial].append(position)
        if entry["op"] == "ended":
            del open_[trial]
    return groups
