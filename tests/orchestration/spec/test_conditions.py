"""The grammar of constraints: what holds, by how much it does not, and what is no condition."""

from __future__ import annotations

import math
import random

import pytest

from orchestration.spec.conditions import MAX_LENGTH, MOST, Condition, ConditionFault

VALUES = {"a": 1.0, "b.c": 4.0, "val/rate": 0.5, "zero": 0.0}
HOLDS = [
    "a < b.c",
    "a <= 1",
    "a == 1",
    "a != 2",
    "1 < b.c < 5",
    "a + 1 >= 2 * a",
    "-a < 0",
    "(a + b.c) / 5 == 1",
    "a / b.c / 2 == 0.125",
    "b.c - a - 1 == 2",
    "not a > 1",
    "not (a > 1 or b.c < 4)",
    "a > 1 or b.c > 1",
    "a < 2 and (b.c < 3 or b.c == 4)",
    "val/rate >= 0.5",
    "val/rate / 2 == .25",
    "1e-3 < a",
    "((a)) < ((b.c))",
    "missing > 3",
    "a > 2 or missing > 3",
]
FAILS = {
    "a > b.c": 3.0,
    "a >= 1.5": 0.5,
    "a == 3": 2.0,
    "a != 1": 1.0,
    "1 < b.c < 3": 1.0,
    "a > 2 and b.c < 1": 4.0,
    "a > 2 or b.c < 1": 1.0,
    "not (a < 2 and b.c < 5)": 1.0,
    "val/rate >= 1": 0.5,
    "a / zero < 1": MOST,
    "b.c * 1e300 * 1e300 < 0": MOST,
}
REFUSED = {
    "": 0,
    "a": 1,
    "a <": 3,
    "a < 1 1": 6,
    "a b": 2,
    "a < (1": 6,
    "a = 1": 2,
    "a < 'x'": 4,
    "a ** 2 < 1": 3,
    "f(a) < 1": 1,
    "a < 1 and": 9,
    "a[0] < 1": 1,
    "__import__('os') < 1": 11,
    "1 + 2": 5,
    "a < 4x": 4,
    "lambda: 1 < 2": 6,
    "(a < 1) + 1 < 2": 8,
    "a . b < 1": 2,
    "a < 1)": 5,
}


@pytest.mark.parametrize("text", HOLDS)
def test_what_holds(text: str) -> None:
    assert Condition(text).violation(VALUES) == 0.0


@pytest.mark.parametrize(("text", "amount"), FAILS.items())
def test_what_does_not_and_by_how_much(text: str, amount: float) -> None:
    assert Condition(text).violation(VALUES) == pytest.approx(amount, abs=1e-8)


@pytest.mark.parametrize(("text", "at"), REFUSED.items())
def test_what_is_no_condition(text: str, at: int) -> None:
    with pytest.raises(ConditionFault) as fault:
        Condition(text)
    assert fault.value.at == at, str(fault.value)


def test_neither_depth_nor_length_is_a_danger() -> None:
    for text in ("(" * 390 + "a", "not " * 90 + "a < 1", "-" * 300 + "a < 1", "a < 1 and " * 200 + "a < 1"):
        with pytest.raises(ConditionFault):
            Condition(text)
    assert Condition("a<9 and " * ((MAX_LENGTH - 3) // 8) + "a<9").violation(VALUES) == 0.0


def test_it_agrees_with_python() -> None:
    """2,000 random conditions against Python's own verdict."""
    generator = random.Random(0)

    def number(depth: int) -> str:
        if depth == 0 or generator.random() < 0.3:
            return generator.choice(["a", "b", "2", "0.5", "3"])
        return f"({number(depth - 1)} {generator.choice('+-*')} {number(depth - 1)})"

    def condition(depth: int) -> str:
        if depth == 0 or generator.random() < 0.3:
            return f"{number(2)} {generator.choice(['<', '<=', '>', '>=', '==', '!='])} {number(2)}"
        if generator.random() < 0.2:
            return f"not ({condition(depth - 1)})"
        return f"({condition(depth - 1)}) {generator.choice(['and', 'or'])} ({condition(depth - 1)})"

    for _ in range(2000):
        text = condition(2)
        values = {"a": generator.choice([0.0, 1.0, 2.5]), "b": generator.choice([-1.0, 0.5, 2.0])}
        if len(text) <= MAX_LENGTH:
            assert (Condition(text).violation(values) == 0.0) == eval(text, {}, values), text


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("text", ["nan {} 1", "1 {} nan", "not nan {} 1", "a < 2 and nan {} 1", "nan / 2 {} a"])
def test_what_is_not_a_number_violates_all(text: str, sign: str) -> None:
    assert Condition(text.format(sign)).violation({**VALUES, "nan": math.nan}) == MOST


@pytest.mark.parametrize("text", ["nan < 1 or a < 2", "a < 2 or nan < 1"])
def test_what_is_not_a_number_leaves_the_other_alternative(text: str) -> None:
    assert Condition(text).violation({**VALUES, "nan": math.nan}) == 0.0
