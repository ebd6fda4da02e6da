"""Conditions over numbers, as text: ``model.latent.size <= model.decoder.hidden / 4 and optimizer.lr < 0.01``.

    condition   = clause {"or" clause};  clause = term {"and" term}
    term        = "not" term | comparison | "(" condition ")"
    comparison  = sum ("<" | "<=" | ">" | ">=" | "==" | "!=") sum {...}        as in Python, 1 < a < 3 is both
    sum         = product {("+" | "-") product};  product = factor {("*" | "/") factor}
    factor      = number | name | "-" factor | "(" sum ")"

A name is dotted, or a metric such as val/rate. Nothing is ever evaluated as Python.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

MAX_LENGTH = 400
"""Characters."""
MOST = 1e9
"""The amount of a violation at most; also where a condition cannot be computed, as in a division by 0."""
_MAX_DEPTH = 20
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])"
    r"|(?P<name>(?:best/)?(?:val|train|test)/[A-Za-z_]\w*|[A-Za-z_]\w*(?:\.\w+)*)"
    r"|(?P<sign><=|>=|==|!=|[-+*/()<>])|(?P<end>$)|(?P<other>.))",
    re.DOTALL,
)
_WORDS = ("and", "or", "not")

Values = Mapping[str, float]
Amount = Callable[[Values], float]
"""Of a number, or by how much a condition is violated: 0 where it holds."""


class ConditionFault(ValueError):
    """A text that is no condition; ``at`` is the character where that shows, from 0."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Truth(NamedTuple):
    """A condition, and its opposite: each by how much it is violated."""

    held: Amount
    opposite: Amount


@dataclass(frozen=True)
class Condition:
    """One condition; equal texts are equal conditions."""

    text: str

    def __post_init__(self) -> None:
        _ = self._parsed

    @functools.cached_property
    def names(self) -> dict[str, int]:
        """The names in it, each with the character at which it stands first."""
        places: dict[str, int] = {}
        for token in _tokens(self.text):
            if token.kind == "name":
                places.setdefault(token.text, token.at)
        return places

    def violation(self, values: Values) -> float:
        """By how much it is violated, 0 where it holds; at most ``MOST``.

        Where a name has no value it holds: it is about others. NaN violates whatever it is compared in.
        """
        if any(name not in values for name in self.names):
            return 0.0
        try:
            amount = self._parsed.held(values)
        except (ZeroDivisionError, OverflowError):
            return MOST
        return MOST if math.isnan(amount) else min(amount, MOST)

    @functools.cached_property
    def _parsed(self) -> _Truth:
        if len(self.text) > MAX_LENGTH:
            raise ConditionFault(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
        return _Parser(self.text).whole()


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        assert match is not None
        assert match.lastgroup is not None, "the last group takes whatever there is"
        kind, start = match.lastgroup, match.start(match.lastgroup)
        token = _Token("word" if match[kind] in _WORDS else kind, match[kind], start)
        if kind == "other":
            raise ConditionFault(f"{token.text!r} has no meaning here", start)
        yield token
        if kind == "end":
            return
        at = match.end()


class _Parser:
    """Recursive descent, a method a rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def whole(self) -> _Truth:
        truth = self._either()
        if self._now.kind != "end":
            raise self._fault("and, or, or the end")
        return truth

    @property
    def _now(self) -> _Token:
        return self._tokens[self._next]

    def _fault(self, wanted: str) -> ConditionFault:
        found = "the end" if self._now.kind == "end" else repr(self._now.text)
        return ConditionFault(f"{wanted} is wanted where {found} stands", self._now.at)

    def _take(self, *texts: str) -> str | None:
        if self._now.kind in ("sign", "word") and self._now.text in texts:
            self._next += 1
            return self._tokens[self._next - 1].text
        return None

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ConditionFault(f"nested deeper than {_MAX_DEPTH}", self._now.at)

    def _either(self) -> _Truth:
        truth = self._both()
        while self._take("or"):
            truth = _or(truth, self._both())
        return truth

    def _both(self) -> _Truth:
        truth = self._term()
        while self._take("and"):
            truth = _and(truth, self._term())
        return truth

    def _term(self) -> _Truth:
        self._deeper()
        if self._take("not"):
            inner = self._term()
            truth = _Truth(inner.opposite, inner.held)
        elif self._opens_condition():
            self._take("(")
            truth = self._either()
            if not self._take(")"):
                raise self._fault("a closing bracket")
        else:
            truth = self._comparison()
        self._depth -= 1
        return truth

    def _opens_condition(self) -> bool:
        """Whether the bracket that stands here holds a condition, and not a number: by a comparison or a word inside it."""
        if self._now.text != "(":
            return False
        depth = 0
        for token in self._tokens[self._next :]:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth == 0:
                return False
            if token.kind == "word" or token.text in _COMPARISONS:
                return True
        return False

    def _comparison(self) -> _Truth:
        left = self._sum()
        truth = None
        while sign := self._take(*_COMPARISONS):
            right = self._sum()
            one = _Truth(_violated(sign, left, right), _violated(_OPPOSITE[sign], left, right))
            truth = one if truth is None else _and(truth, one)
            left = right
        if truth is None:
            raise self._fault(f"a comparison ({' '.join(_COMPARISONS)})")
        return truth

    def _sum(self) -> Amount:
        value = self._product()
        while sign := self._take("+", "-"):
            value = _combined(sign, value, self._product())
        return value

    def _product(self) -> Amount:
        value = self._factor()
        while sign := self._take("*", "/"):
            value = _combined(sign, value, self._factor())
        return value

    def _factor(self) -> Amount:
        self._deeper()
        token = self._now
        value: Amount
        if self._take("-"):
            inner = self._factor()
            value = lambda values: -inner(values)  # noqa: E731 - one of four, read together
        elif self._take("("):
            value = self._sum()
            if not self._take(")"):
                raise self._fault("a closing bracket")
        elif token.kind == "number":
            self._next += 1
            number = float(token.text)
            value = lambda values: number  # noqa: E731
        elif token.kind == "name":
            self._next += 1
            value = lambda values: float(values[token.text])  # noqa: E731
        else:
            raise self._fault("a number or a name")
        self._depth -= 1
        return value


_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_COMPARISONS = tuple(_OPPOSITE)
_TOUCH = 1e-9
"""By how much a strict inequality is violated where both sides are equal."""


def _violated(sign: str, left: Amount, right: Amount) -> Amount:
    def amount(values: Values) -> float:
        above = left(values) - right(values)
        if math.isnan(above):
            return MOST
        match sign:
            case "<=":
                return max(above, 0.0)
            case ">=":
                return max(-above, 0.0)
            case "<":
                return above + _TOUCH if above >= 0 else 0.0
            case ">":
                return _TOUCH - above if above <= 0 else 0.0
            case "==":
                return abs(above)
            case _:
                return 1.0 if above == 0 else 0.0

    return amount


def _combined(sign: str, left: Amount, right: Amount) -> Amount:
    match sign:
        case "+":
            return lambda values: left(values) + right(values)
        case "-":
            return lambda values: left(values) - right(values)
        case "*":
            return lambda values: left(values) * right(values)
        case _:
            return lambda values: left(values) / right(values)


def _and(one: _Truth, other: _Truth) -> _Truth:
    return _Truth(
        lambda values: one.held(values) + other.held(values), lambda values: min(one.opposite(values), other.opposite(values))
    )


def _or(one: _Truth, other: _Truth) -> _Truth:
    opposite = _and(_Truth(one.opposite, one.held), _Truth(other.opposite, other.held))
    return _Truth(opposite.opposite, opposite.held)
