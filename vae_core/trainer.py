"""Training as a generator of records: the loop belongs to the caller, and stopping is not iterating on."""

from __future__ import annotations

import copy
import functools
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from vae_core.best import Best, put_weights, weights_of
from vae_core.config import TrialConfig
from vae_core.evaluate import evaluate, importance_weighted
from vae_core.gradient_variance import gradient_variance
from vae_core.model import Data, build_model
from vae_core.mutable import MUTABLE, changed
from vae_core.objectives.interface import ObjectiveSizes, Terms
from vae_core.procedures.interface import Surroundings
from vae_core.seeding import Streams, derive_seed, make_generator
from vae_core.updates import Updates

EVALUATION_BATCH = 128
"""Examples scored at a time, fewer where they are long; scores do not depend on it."""
_CHECK_EVERY = 50
"""Steps between looks at the losses: each look waits for the device."""


@dataclass(frozen=True)
class Record:
    """What one epoch, or the end, has to say; plain values."""

    epoch: int
    """From 1."""
    step: int
    """Optimiser steps so far."""
    metrics: dict[str, float]
    """By the names of ``vae_core.metrics``."""
    annealed: bool
    """Whether annealing has ended; only then is the epoch a candidate."""
    improved: bool
    """Whether it is the best candidate so far."""
    final: bool = False
    """Whether it is the last: best/* and test/* of the selected weights."""

    @functools.cached_property
    def as_json(self) -> str:
        """Every checkpoint holds all records so far, and torch takes as long for each value in a mapping as for a string."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Outcome:
    """How training ended."""

    state: Literal["COMPLETE", "FAILED"]
    reason: str
    """"epochs" (all trained), "patience", or what failed."""


def clock_s(device: torch.device) -> float:
    """Time that work on the device takes up, for differences: of the core on a CPU; elsewhere wall time, after waiting for it."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


class Trainer:
    """Trains and scores one trial.

    Each epoch is validated exactly at beta 1; the lowest val/neg_elbo from annealing's end on is selected. After the last
    epoch the model holds the selected weights.

    Args:
        config: the trial.
        data: its data, loaded; never written to.
        device: "cpu", "cuda", "cuda:1", ...
    """

    def __init__(self, config: TrialConfig, data: Data, device: torch.device | str = "cpu") -> None:
        self.config = config
        self.device = torch.device(device)
        self.model = build_model(config, data, make_generator(config.seed, "init")).to(self.device)
        self.history: list[Record] = []
        """The records of the epochs so far, without the final one."""
        self.outcome: Outcome | None = None
        """None until training has ended."""
        batches = math.ceil(len(data.splits["train"]) / config.training.batch_size)
        self.steps_per_epoch = math.ceil(batches / config.training.accumulate)
        self.total_steps = config.training.epochs * self.steps_per_epoch
        self._data = data
        self._streams = Streams.create(config.seed, self.device)
        sizes = ObjectiveSizes(len(data.splits["train"]), self.model.latent_size)
        self._procedure = config.training.procedure.build(Surroundings(config, self.model, data, sizes, self.device))
        objective = self._procedure.objective(config.objective.build(sizes))
        self._updates = Updates(config, self.model, objective, self.total_steps, self._streams)
        self._kept = Best(self.model, self._updates, config.training.rollback)
        self.annealing_end = self._updates.objective.annealing_end(self.total_steps)
        """The first step from which on epochs are candidates."""

    @property
    def step(self) -> int:
        """Optimiser steps so far."""
        return self._updates.step

    def run(self) -> Iterator[Record]:
        """One record an epoch, then the final one; goes on from where training stands.

        A loss or a validation that is not finite ends it early: no further record, and ``outcome`` says why.
        """
        while self.outcome is None:
            if (reason := self._reason_to_end()) is not None:
                yield from self._finish(reason)
                return
            if (best := self._best()) is not None and self._kept.roll_back_if_due(len(self.history), best.epoch):
                self._procedure.after_rollback(_validation(best))
            record = self._epoch(len(self.history) + 1)
            if record is not None:
                self.history.append(record)
                yield record

    def rehearse(self, seconds: float) -> tuple[int, float]:
        """Takes steps of the first epoch for about so long, to see what one costs; no training can follow.

        The first step is on the batch with the most tokens, for its memory, and is not counted; the weights are kept as a best
        epoch's are.

        Returns:
            Counted steps, one at least, and the seconds that they took together: of the core on a CPU, which other work on the
            machine does not lengthen.
        """
        self._procedure.before_epoch(0, self._updates)
        plan = self._plan()
        lengths = getattr(self._data.splits["train"], "lengths", None)
        largest = plan[0] if lengths is None else max(plan, key=lambda index: len(index) * int(lengths[index].max()))
        self._advance([largest])
        together, taken = self.config.training.accumulate, 0
        until_s, started_s = time.perf_counter() + seconds, clock_s(self.device)
        while not taken or (time.perf_counter() < until_s and taken < self.steps_per_epoch):
            self._advance(plan[taken * together : (taken + 1) * together])
            taken += 1
        self._kept.take()
        return taken, clock_s(self.device) - started_s

    def best_metrics(self) -> dict[str, float]:
        """best/epoch and best/val/* of the selected epoch; empty before there is a candidate."""
        best = self._best()
        if best is None:
            return {}
        values = {f"best/{name}": value for name, value in best.metrics.items() if name.startswith("val/")}
        return {"best/epoch": float(best.epoch), **values}

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of training depends on: plain values and tensors, which are the trainer's own, as torch has it.

        Copy what is to outlast the next step; a copy at every checkpoint would cost as much time as writing it, and memory.
        """
        return {
            "config": self.config.fingerprint(),
            "data": self._data.fingerprint,
            "model": weights_of(self.model),
            "best": self._kept.state_dict(),
            "updates": self._updates.state_dict(),
            "procedure": self._procedure.state_dict(),
            "streams": self._streams.state_dict(),
            "history": [record.as_json for record in self.history],
            "outcome": None if self.outcome is None else asdict(self.outcome),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts training to where the state was taken; what follows is bitwise the same on a CPU.

        Raises:
            ValueError: the state is of another config or other data.
        """
        self._put(state, self.config)

    def take_over(self, state: dict[str, Any], before: TrialConfig) -> None:
        """Goes on from the state of another trial, weights, moments, random numbers and history, under this one's options.

        Args:
            before: the other trial, which may differ in what ``vae_core.mutable`` names.

        Raises:
            ValueError: it differs in more, or the state is not of it or of other data.
        """
        if fixed := [name for name in changed(before, self.config) if name not in MUTABLE]:
            raise ValueError(f"a state of other options cannot be gone on with: {', '.join(fixed)} differ")
        self._put(state, before)

    def _put(self, state: dict[str, Any], config: TrialConfig) -> None:
        for name, own in (("config", config.fingerprint()), ("data", self._data.fingerprint)):
            if state[name] != own:
                raise ValueError(f"this state belongs to another trial: its {name} fingerprint is {state[name]}, not {own}")
        state = copy.deepcopy(state)
        put_weights(self.model, state["model"])
        self._kept.load_state_dict(state["best"])
        self._updates.load_state_dict(state["updates"])
        self._procedure.load_state_dict(state["procedure"])
        self._streams.load_state_dict(state["streams"])
        # Earlier states have mappings in place of strings.
        self.history = [Record(**each) if isinstance(each, dict) else Record.from_json(each) for each in state["history"]]
        self.outcome = None if state["outcome"] is None else Outcome(**state["outcome"])

    def _epoch(self, epoch: int) -> Record | None:
        """Trains and validates one epoch; None where something was not finite, with the outcome set."""
        self._procedure.before_epoch(epoch - 1, self._updates)
        trained = self._train()
        if trained is None:
            return None
        scores = evaluate(self.model, self._data, "valid", EVALUATION_BATCH, derive_seed(self.config.seed, "validation"))
        if not math.isfinite(scores["neg_elbo"]):
            self._fail(scores["neg_elbo"], f"val/neg_elbo at epoch {epoch}")
            return None
        self._procedure.after_epoch(scores)
        annealed = self.step >= self.annealing_end
        best = self._best()
        improved = annealed and (best is None or scores["neg_elbo"] < best.metrics["val/neg_elbo"])
        if improved:
            self._kept.take()
        metrics = trained | {f"val/{name}": value for name, value in scores.items()}
        metrics |= gradient_variance(self.model, self._updates.objective, self._updates.moment, self._data, self.config)
        return Record(epoch, self.step, metrics, annealed, improved)

    def _train(self) -> dict[str, float] | None:
        """One pass over the training split."""
        started_s = time.perf_counter()
        plan = self._plan()
        together = self.config.training.accumulate
        steps = [plan[start : start + together] for start in range(0, len(plan), together)]
        assert len(steps) == self.steps_per_epoch, "schedules count on it"
        first = self.step
        sizes, tokens = torch.zeros(len(steps), dtype=torch.float64), 0
        rows: list[Tensor] = []
        for place, indices in enumerate(steps):
            batches, found = self._advance(indices)
            rows.append(torch.stack((found.loss, found.distortion, found.rate, *found.extra.values())).detach())
            sizes[place] = sum(batch.size for batch in batches)
            tokens += sum(self.model.decoder.tokens(batch) for batch in batches)
            if (place + 1) % _CHECK_EVERY == 0 or place + 1 == len(steps):
                losses = torch.stack(rows)[:, 0]
                if not losses.isfinite().all():
                    bad = int((~losses.isfinite()).nonzero()[0, 0])
                    self._fail(losses[bad].item(), f"loss at step {first + bad + 1}")
                    return None
        loss, distortion, rate, *extra = (torch.stack(rows).double().cpu() * (sizes / sizes.sum()).unsqueeze(1)).sum(0).tolist()
        seconds = time.perf_counter() - started_s
        metrics = {
            "train/loss": loss,
            "train/distortion": distortion,
            "train/rate": rate,
            "train/beta": float(found.weight),
            "train/lr": self._updates.lr,
            "train/step": float(self.step),
            "train/examples_per_s": sizes.sum().item() / seconds,
        }
        metrics |= self._procedure.metrics()
        metrics |= {f"train/{name}": value for name, value in zip(found.extra, extra, strict=True)}
        if tokens:
            metrics["train/tokens_per_s"] = tokens / seconds
        return metrics

    def _plan(self) -> Sequence[Any]:
        """The batches of an epoch of train."""
        batch_size, mixed = self.config.training.batch_size, self.config.objective.compares_codes
        return self._data.plan("train", batch_size, self._streams.shuffle, mixed=mixed)

    def _advance(self, indices: Sequence[Any]) -> tuple[list[Any], Terms]:
        """One optimiser step on these batches of train; the batches, and what the objective said of them."""
        batches: list[Any] = [self._data.batch("train", index, self._streams.binarise).to(self.device) for index in indices]
        return batches, self._updates(*batches, of=self._procedure.before_step(self._updates))

    def _finish(self, reason: str) -> Iterator[Record]:
        """Scores the selected weights on the test split."""
        self._kept.put()
        config, seed = self.config.evaluation, derive_seed(self.config.seed, "test")
        scores = evaluate(self.model, self._data, "test", EVALUATION_BATCH, seed)
        if not math.isfinite(scores["neg_elbo"]):
            self._fail(scores["neg_elbo"], "test/neg_elbo")
            return
        bound = importance_weighted(
            self.model,
            self._data,
            "test",
            samples=config.importance_samples,
            examples=config.importance_examples,
            standard_error=config.importance_standard_error,
            seed=seed,
        )
        metrics = self.best_metrics() | {f"test/{name}": value for name, value in scores.items()}
        metrics |= {"test/iw_nll": bound.nll, "test/iw_nll_se": bound.se, "test/iw_nll_n": float(bound.n)}
        if bound.perplexity is not None:
            metrics["test/iw_perplexity"] = bound.perplexity
        self.outcome = Outcome("COMPLETE", reason)
        yield Record(len(self.history), self.step, metrics, annealed=True, improved=False, final=True)

    def _reason_to_end(self) -> str | None:
        training, best = self.config.training, self._best()
        if len(self.history) >= training.epochs:
            return "epochs"
        if training.patience is not None and best is not None and len(self.history) - best.epoch >= training.patience:
            return "patience"
        return None

    def _best(self) -> Record | None:
        return next((record for record in reversed(self.history) if record.improved), None)

    def _fail(self, value: float, what: str) -> None:
        self.outcome = Outcome("FAILED", f"{'NaN' if math.isnan(value) else 'infinite'} {what}")


def _validation(record: Record) -> dict[str, float]:
    """Its scores by the names of ``evaluate``."""
    return {name.removeprefix("val/"): value for name, value in record.metrics.items() if name.startswith("val/")}
