"""A trial as Ray Tune's workers see it. They import this and what it names, and nothing of the driver's: each waits for that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from orchestration.messages import Job
from orchestration.watchdog import watched
from orchestration.worker import run_trial

if TYPE_CHECKING:
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData


class TrialTrainable(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """One step says the next message; a reused actor begins its next trial afresh."""

    def setup(self, config: dict[str, Any], data: TextData | ImageData | None = None, timeout_s: float | None = None) -> None:
        self._data = data
        self._timeout_s = timeout_s
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        with watched(self._directory, self._timeout_s):
            told = [next(self._messages)]
            if told[0].kind == "final":  # the end follows at once
                told.append(next(self._messages))
            return {"messages": [message.to_json() for message in told]}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the trial's own directory has its checkpoints."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: the trial goes on from its own directory."""

    def cleanup(self) -> None:
        self._messages.close()

    def _begin(self, config: dict[str, Any]) -> None:
        job = Job(**json.loads(config["job"]))
        self._directory = Path(job.directory)
        self._messages: Any = run_trial(job, self._data)
