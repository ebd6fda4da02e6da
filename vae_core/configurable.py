"""The base of every config: frozen, nested, typed, and without unknown keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A dropout rate: 1 is left out, for it would drop everything."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A share of a whole, such as of the planned steps."""
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class Misfits(ValueError):
    """Values that are right each in itself and do not go together; each sentence begins with the name that it is about."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = tuple(sentences)


class Config(BaseModel):
    """A frozen value that refuses unknown keys, inf and NaN, and anything of the wrong type.

    Strict: ``"3"`` is no integer and ``1`` is no boolean; an integer is accepted where a float is wanted.
    A list is accepted where a tuple is wanted, since YAML and JSON know only lists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)

    def __hash__(self) -> int:
        """By content, as a mapping among the fields has no hash of its own."""
        return hash(self.fingerprint())

    def to_dict(self) -> dict[str, Any]:
        """A plain nested dict of str, int, float, bool, None, list and dict; ``from_dict`` is its inverse."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Builds the config from a plain nested dict.

        Raises:
            pydantic.ValidationError: with every fault in it.
        """
        return cls.model_validate_json(json.dumps(plain))

    def flat(self) -> dict[str, Any]:
        """The config under dotted names; a list is one value."""
        return flatten(self.to_dict())

    def fingerprint(self) -> str:
        """The first 16 hex digits of the SHA-256 of the canonical JSON: equal configs, equal fingerprints."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns ``{"a": {"b": 1}}`` into ``{"a.b": 1}``; an empty dict contributes nothing."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
