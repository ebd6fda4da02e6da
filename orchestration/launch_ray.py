"""The Ray launcher: Ray Tune executes the trials; what to train and when to stop is the driver's.

Tune is used through three small adapters: a searcher that hands out the driver's jobs, a scheduler that passes every
message on and stops what the driver stops, and a trainable (``orchestration.trainable``) that says one message a step.
Import this after ``environment.prepare_ray``: Tune reads its switches when it is imported.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from orchestration.driver import Driver
from orchestration.errors import LaunchError
from orchestration.messages import Message
from orchestration.node_watch import NodeWatch
from orchestration.spec import Resources
from orchestration.trainable import TrialTrainable
from orchestration.watchdog import Hang, keep_hang, take_hang

if TYPE_CHECKING:
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData

RETRIES = 2
"""How often a trial whose worker died is taken up again from its checkpoint."""
_LOOK_EVERY_S = 1.0
"""At what Ray has free."""


def run(driver: Driver, data: TextData | ImageData | None) -> None:
    """Runs the sweep to its end on the Ray that this process is connected to.

    Raises:
        LaunchError: Ray has not what one trial takes.
    """
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what fails is said by the driver
    _require_resources(driver.spec.resources)
    try:
        _fit(driver, data, driver.spec.resources)
    finally:
        # Tune's objects are in cycles, and take their placement groups with them when they go: in whatever thread that happened
        # while Ray goes, the process would end.
        gc.collect()


def _require_resources(resources: Resources) -> None:
    """A trial that can never be placed would wait for ever.

    Raises:
        LaunchError: Ray has not what one trial takes.
    """
    there = ray.cluster_resources()
    for name, wanted in (("CPU", resources.cpu), ("GPU", resources.gpu)):
        if wanted > there.get(name, 0.0):
            raise LaunchError(f"a trial wants {wanted:g} {name}, and Ray has {there.get(name, 0.0):g} here")


def _fit(driver: Driver, data: TextData | ImageData | None, resources: Resources) -> None:
    trainable = tune.with_parameters(TrialTrainable, data=data, timeout_s=driver.spec.budget.trial_timeout_s)
    trainable = tune.with_resources(trainable, {"cpu": resources.cpu, "gpu": resources.gpu})
    with tempfile.TemporaryDirectory(prefix="vae-sweeps-ray-") as scratch:  # Tune's own bookkeeping, which nobody reads
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=DriverSearcher(driver),
                scheduler=DriverScheduler(driver),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=driver.spec.name,
                storage_path=scratch,
                verbose=0,
                stop=DriverStopper(driver),
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()


class _HoldsDriver:
    """Tune copies and pickles its parts for a restore that is not used here; the driver stays where it is."""

    _driver: Driver

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_driver"}


class DriverSearcher(_HoldsDriver, Searcher):  # type: ignore[misc]
    """Hands out the driver's next job, at most so many at once.

    Tune asks until it gets none, so that all workers start together: as many jobs are handed out as there is free room for, and
    one more, which begins as soon as another trial ends, and by which a cluster that grows by demand sees that there is some.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver
        self._room, self._looked_s = 0, -math.inf

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        at_once = self._driver.at_once
        if (at_once is not None and self._driver.at_work >= at_once) or self._driver.unbegun > self._free():
            return None
        job = self._driver.next_job()
        if job is not None:
            take_hang(Path(job.directory))  # of a worker whose driver was killed with it
            return {"job": json.dumps(job.to_dict())}
        return None if self._driver.waits else Searcher.FINISHED

    def _free(self) -> int:
        """How many trials Ray has room for just now."""
        if time.monotonic() - self._looked_s > _LOOK_EVERY_S:
            there, wanted = ray.available_resources(), self._driver.spec.resources
            each = {name: size for name, size in (("CPU", wanted.cpu), ("GPU", wanted.gpu)) if size}
            self._room = min(int(there.get(name, 0.0) / size + 1e-9) for name, size in each.items())
            self._looked_s = time.monotonic()
        return self._room

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the driver has heard the trial's last message."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""


class DriverScheduler(_HoldsDriver, FIFOScheduler):  # type: ignore[misc]
    """Passes every message to the driver, and its word back."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        told = map(Message.from_json, result["messages"])
        go_on = all(self._driver.hear(_number(trial), message) for message in told)  # up to the one that stops it
        return self.CONTINUE if go_on else self.STOP  # type: ignore[no-any-return]

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        hang = take_hang(_directory(trial))
        cause = _cause(trial, hang)
        if trial.status == Trial.ERROR:  # about to be tried again from its checkpoint
            self._driver.retried(_number(trial), cause)
        else:
            if hang is not None:
                keep_hang(_directory(trial), hang)
            self._driver.lost(_number(trial), f"worker lost {RETRIES + 1} times: {cause}")


class DriverStopper(_HoldsDriver, tune.Stopper):  # type: ignore[misc]
    """Ends everything when the user has asked for it; asked itself several times a second, also while no trial has a word."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._nodes = NodeWatch(driver.spec.resources)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._driver.look()
        if self._driver.running:
            self._nodes.look()
        return self._driver.stopping


def _number(trial: Trial) -> int:
    return int(json.loads(trial.config["job"])["number"])


def _directory(trial: Trial) -> Path:
    return Path(json.loads(trial.config["job"])["directory"])


def _cause(trial: Trial, hang: Hang | None) -> str:
    """Why the trial's worker is gone, in words."""
    if hang is not None:
        return f"no message within budget.trial_timeout; it hung in {hang.place}"
    error = trial.get_error()
    lines = str(error).strip().splitlines() if error else []
    return lines[-1] if lines else "no cause known"
