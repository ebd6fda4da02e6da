"""Whether the cluster still has a machine that can train a trial: without one, Ray lets trials wait for ever and says nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import ray

from orchestration.cluster import described, fits
from orchestration.patience import notice
from orchestration.spec import Resources

LOOK_EVERY_S = 5.0
PATIENCE_S = 20.0
"""Machines come and go: for so long nothing is said."""


@dataclass
class NodeWatch:
    """Says that the sweep waits for a machine, once, and when one has come. It waits on, until it is stopped."""

    wanted: Resources
    """Of one trial."""
    _looked_s: float = 0.0
    _without_since_s: float | None = None
    _said: bool = False

    def look(self) -> None:
        """Call it as often as you like; it asks Ray every ``LOOK_EVERY_S``."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now_s
        alive = [node for node in ray.nodes() if node["Alive"]]
        if any(fits(node["Resources"], self.wanted) for node in alive):
            if self._said:
                notice("a machine that can train a trial is there again; the sweep goes on")
            self._without_since_s, self._said = None, False
            return
        if self._without_since_s is None:
            self._without_since_s = now_s
        if now_s - self._without_since_s >= PATIENCE_S and not self._said:
            self._said = True
            there = "; ".join(map(described, alive)) or "none at all"
            notice(
                f"no machine of the cluster has the {self.wanted.cpu:g} CPU and {self.wanted.gpu:g} GPU of a trial any more"
                f" (there are: {there}); the sweep waits for one and goes on by itself"
            )
