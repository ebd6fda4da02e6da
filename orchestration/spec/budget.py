"""``budget``: what ends a sweep before its trials are used up, whichever comes first."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from vae_core.configurable import Config, Count, Positive

_DURATION = r"^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def _duration(text: str) -> str:
    if not re.fullmatch(_DURATION, text) or len(text) > 32:
        raise ValueError("must be a time such as 90s, 30m, 2h or 1h30m")
    return text


def _some_time(text: str) -> str:
    if seconds(_duration(text)) == 0:
        raise ValueError("must be longer than 0 s")
    return text


def seconds(duration: str) -> float:
    """A duration such as 1h30m in seconds."""
    return float(sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", duration)))


class Budget(Config):
    """What ends the sweep before its trials are used up, whichever comes first; the sweep says which."""

    wall_time: Annotated[str, AfterValidator(_duration), Field(json_schema_extra={"pattern": _DURATION})] | None = None
    """90s, 30m, 2h, 1h30m, from this start on; after it no trial is started. null: no limit."""
    device_hours: Positive | None = None
    """Hours of training over all trials and starts, each times resources.gpu, or resources.cpu where no GPU is asked for;
    after them no trial is started. null: no limit."""
    target: float | None = None
    """No trial is started once one, past its annealing and not collapsed, has reached this value of the metric. null: none."""
    max_failures: Count | None = None
    """So many failed trials end the sweep; null: none does, but for the first three if they fail alike."""
    trial_timeout: Annotated[str, AfterValidator(_some_time), Field(json_schema_extra={"pattern": _DURATION})] | None = None
    """A worker that has said nothing for so long is killed and its trial taken up again, three times in all; longer than an
    epoch and than the final evaluation. Not with --debug. null: no limit."""

    @property
    def wall_time_s(self) -> float:
        """In seconds; infinite where there is no limit."""
        return float("inf") if self.wall_time is None else seconds(self.wall_time)

    @property
    def trial_timeout_s(self) -> float | None:
        """In seconds; None where there is no limit."""
        return None if self.trial_timeout is None else seconds(self.trial_timeout)
