"""What a parameter of a sweep file may be: a value, values, a range, or choices with parameters of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator

from vae_core.configurable import Config

Number = int | float
Distribution = Literal["int_uniform", "uniform", "q_uniform", "log_uniform_values", "q_log_uniform_values"]


class Fixed(Config):
    """One value, the same in every trial."""

    value: JsonValue
    distribution: Literal["constant"] | None = None

    @property
    def values(self) -> tuple[JsonValue, ...]:
        return (self.value,)

    @model_validator(mode="after")
    def _plain(self) -> Self:
        _refuse_mappings(self.values)
        return self


class Values(Config):
    """One of several values; a list is one value."""

    values: Annotated[tuple[JsonValue, ...], Field(min_length=1)]
    distribution: Literal["categorical"] | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _refuse_mappings(self.values)
        seen: list[Any] = []
        for value in map(encoded, self.values):
            if value in seen:
                raise ValueError(f"values holds {json.dumps(value)} twice")
            seen.append(value)
        return self


class Range(Config):
    """A number between min and max, both included."""

    min: Number
    max: Number
    distribution: Distribution | None = None
    """null: int_uniform where min and max are integers, else uniform; with q, q_uniform."""
    q: Number | None = None
    """The step: min, min + q, min + 2q ... up to max."""

    @property
    def log(self) -> bool:
        """Whether it is even on the logarithmic scale."""
        return self.distribution in ("log_uniform_values", "q_log_uniform_values")

    @property
    def integer(self) -> bool:
        """Whether it gives integers: integer ends, and no distribution or step that says otherwise."""
        whole = all(isinstance(number, int) for number in (self.min, self.max, 1 if self.q is None else self.q))
        return whole and self.distribution not in ("uniform", "log_uniform_values")

    @property
    def step(self) -> Number | None:
        """Between two neighbouring values; None where the range is continuous."""
        return (1 if self.q is None else self.q) if self.integer else self.q

    @property
    def count(self) -> int | None:
        """How many values it holds; None where it is continuous."""
        if self.step is None:
            return None
        return 1 + (_exact(self.max) - _exact(self.min)) // _exact(self.step)

    def point(self, index: int) -> Number:
        """The value number ``index`` of a stepped range, by exact arithmetic on what was written: 0.1 + 2 x 0.1 is 0.3."""
        assert self.step is not None
        exact = _exact(self.min) + index * _exact(self.step)
        return int(exact) if self.integer else float(exact)

    def points(self) -> Iterator[Number]:
        """Every value of a stepped range."""
        assert self.count is not None
        return map(self.point, range(self.count))

    def nearest(self, value: Number) -> Number:
        """``value`` itself, or in a stepped range the value next to it."""
        if self.step is None or self.count is None:
            return value
        index = round((_exact(value) - _exact(self.min)) / _exact(self.step))
        return self.point(min(max(index, 0), self.count - 1))

    @property
    def ends(self) -> tuple[Number, Number]:
        """The lowest and the highest value that it gives."""
        return self.min, self.max if self.count is None else self.point(self.count - 1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        distribution = self.distribution
        if not all(map(math.isfinite, (self.min, self.max, self.q or 0))):
            raise ValueError("min, max and q must be finite")
        if any(isinstance(number, int) and abs(number) > 2**53 for number in (self.min, self.max)):
            raise ValueError("min and max must be integers that a float holds exactly, at most 2**53")
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        if self.log and self.min <= 0:
            raise ValueError(f"min must be above 0 where the scale is logarithmic, not {self.min}")
        if self.q is not None and self.q <= 0:
            raise ValueError(f"q must be above 0, not {self.q}")
        if distribution in ("q_uniform", "q_log_uniform_values") and self.q is None:
            raise ValueError(f"distribution {distribution} needs q, the step")
        if distribution in ("uniform", "log_uniform_values") and self.q is not None:
            raise ValueError(f"q goes with distribution q_{distribution}, not {distribution}")
        if distribution == "int_uniform" and not self.integer:
            raise ValueError("distribution int_uniform needs integers for min, max and q")
        if self.q is not None and self.q > self.max - self.min:
            raise ValueError(f"q ({self.q}) is larger than max - min")
        return self


class Choices(Config):
    """One member of a family, each with parameters of its own; the chosen one becomes the ``kind``."""

    choices: Annotated[dict[str, Annotated[dict[str, AnyParameter], Field(max_length=100)]], Field(min_length=1)]
    """By the member's kind: its parameters, by their dotted names below it."""


class Variants(Config):
    """One of several named changes of the trial, each of any number of places at once."""

    variants: Annotated[dict[str, Annotated[dict[str, JsonValue], Field(max_length=100)]], Field(min_length=1, max_length=100)]
    """By the variant's name: values by dotted name, in place of what the trial has there; a mapping replaces a whole one."""


_FORMS = (
    ("choices", "<choices>"),
    ("variants", "<variants>"),
    ("values", "<values>"),
    ("value", "<fixed>"),
    ("min", "<range>"),
    ("max", "<range>"),
)


def _form(plain: Any) -> str | None:
    """Which form a parameter has, by its keys; so that each fault is told of the form that was meant."""
    if isinstance(plain, Config):
        return f"<{type(plain).__name__.lower()}>"
    keys = plain.keys() if isinstance(plain, dict) else ()
    return next((form for key, form in _FORMS if key in keys), None)


AnyParameter = Annotated[
    Annotated[Fixed, Tag("<fixed>")]
    | Annotated[Values, Tag("<values>")]
    | Annotated[Range, Tag("<range>")]
    | Annotated[Choices, Tag("<choices>")]
    | Annotated[Variants, Tag("<variants>")],
    Discriminator(
        _form,
        custom_error_type="no_form",
        custom_error_message="must be a mapping with value, with values, with min and max, with choices, or with variants",
    ),
]
"""The table of forms."""
Leaf = Fixed | Values | Range
Choices.model_rebuild()


def encoded(value: Any) -> Any:
    """A value as Optuna stores it: a list as JSON text, everything else as it is."""
    return json.dumps(value) if isinstance(value, list) else value


def _exact(number: Number) -> Fraction:
    """The decimal number that was written, not its binary neighbour."""
    return Fraction(repr(number))


def _refuse_mappings(values: tuple[JsonValue, ...]) -> None:
    for value in values:
        if isinstance(value, dict):
            raise ValueError("values are numbers, text, true, false, null or lists; a mapping is searched by choices")
