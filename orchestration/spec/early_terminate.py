"""``early_terminate``: the stopping rules' options. What each decides: ``orchestration.stopping``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive, Share


class NoStopping(Config):
    """Every trial runs to its end."""

    type: Literal["none"]


class Stopping(Config):
    """A rule that stops trials."""

    waits: ClassVar[str]
    """The option that holds it back at first."""

    @property
    def first_epoch(self) -> int:
        """The first epoch at which it may stop a trial."""
        raise NotImplementedError


class Asha(Stopping):
    """Asynchronous successive halving (Li et al. 2020): at each rung the best 1/eta go on."""

    waits: ClassVar[str] = "min_epochs"
    type: Literal["asha"]
    min_epochs: Count = 1
    """No trial is stopped before this epoch, nor before the end of its annealing."""
    eta: Annotated[int, Field(ge=2)] = 3
    """Rungs lie at min_epochs x eta^k; 1/eta of the trials pass each."""

    @property
    def first_epoch(self) -> int:
        return self.min_epochs


class Hyperband(Stopping):
    """Hyperband (Li et al. 2018), asynchronous: brackets of successive halving, each begins eta times later than the last."""

    waits: ClassVar[str] = "min_epochs"
    type: Literal["hyperband"]
    min_epochs: Count = 1
    """No trial is stopped before this epoch, nor before the end of its annealing."""
    eta: Annotated[int, Field(ge=2)] = 3
    """Rungs of bracket b lie at min_epochs x eta^(b + k); 1/eta of its trials pass each."""
    brackets: Annotated[int, Field(ge=1, le=20)] = 3
    """A trial's number alone decides in which it is."""

    @property
    def first_epoch(self) -> int:
        return self.min_epochs

    @property
    def last_start(self) -> int:
        """The first rung of the last bracket, in epochs."""
        return int(self.min_epochs * self.eta ** (self.brackets - 1))


class Median(Stopping):
    """The median stopping rule (Golovin et al. 2017): a trial whose best is worse than most others' running averages ends."""

    waits: ClassVar[str] = "warmup_epochs"
    type: Literal["median"]
    warmup_epochs: Annotated[int, Field(ge=0)] = 1
    """No trial is stopped in these, nor before the end of its annealing."""
    min_trials: Count = 4
    """So many others must have come as far before a trial is judged."""

    @property
    def first_epoch(self) -> int:
        return self.warmup_epochs + 1


class Patient(Stopping):
    """A trial that has not become better for a while ends, unless it leads."""

    waits: ClassVar[str] = "patience"
    type: Literal["patient"]
    patience: Count = 5
    """So many epochs without a better value, from annealing's end on."""
    min_delta: Annotated[float, Field(ge=0.0)] = 0.0
    """A value counts as better where it is so by more than this, in the metric's units."""

    @property
    def first_epoch(self) -> int:
        return self.patience + 1


class Wilcoxon(Config):
    """A configuration that is significantly worse than the best under the same seeds gets no further ones (Wilcoxon 1945)."""

    type: Literal["wilcoxon"]
    p_threshold: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Of the one-sided signed-rank test: it is stopped below this."""
    min_seeds: Annotated[int, Field(ge=2)] = 3
    """None is stopped before it has ended under so many."""

    @property
    def first_seeds(self) -> int:
        """The fewest seeds at which it may stop a configuration: n signs that are all alike have the probability 2^-n."""
        least = self.min_seeds
        while 0.5**least >= self.p_threshold:
            least += 1
        return least


class Pbt(Stopping):
    """Population-based training (Jaderberg et al. 2017): the trials are trained side by side and meet at barriers.

    There the worst go on from the weights of the best, with other parameters. It stops none.
    """

    waits: ClassVar[str] = "interval"
    type: Literal["pbt"]
    interval: Count
    """Epochs between two barriers; the first is the first multiple of it at which annealing has ended."""
    quantile: Annotated[float, Field(gt=0.0, le=0.5)] = 0.25
    """The share of the population that takes over at a barrier, and that is taken over from; one trial at least."""
    perturb: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.8, 1.25)
    """A number that is taken over is multiplied by one of these; where it counts in steps, or is one of values, it moves by at
    least one step, or to a value beside it in the file's order."""
    resample: Share = 0.25
    """The probability that it is drawn anew instead."""
    parameters: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """What changes when it is taken over, by dotted name; the others are taken over as they are. null: all that is searched."""

    @property
    def first_epoch(self) -> int:
        return self.interval + 1

    @model_validator(mode="after")
    def _perturbs(self) -> Self:
        if 1.0 in self.perturb:
            raise ValueError("perturb: 1.0 would change nothing")
        return self


AnyStopping = Annotated[NoStopping | Asha | Hyperband | Median | Patient | Wilcoxon | Pbt, Field(discriminator="type")]
"""The family's table."""
