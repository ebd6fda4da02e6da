"""Ctrl-C, whatever the interpreter is at."""

from __future__ import annotations

import signal
import time
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestration.signals import signals_end


class Thing:
    """What goes away."""


def test_the_first_is_an_order_and_the_second_an_interrupt() -> None:
    driver = cast(Any, SimpleNamespace(stopping=False))
    with signals_end(driver):
        signal.raise_signal(signal.SIGTERM)
        assert driver.stopping
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_where_nothing_can_be_raised_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    """It falls into the callback of a weak reference, as an import has them."""
    driver, thing = cast(Any, SimpleNamespace(stopping=True)), Thing()
    noted = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    with signals_end(driver):
        del thing
        assert noted() is None, "the callback is over, and the interrupt was not raised in it"
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)
    assert "Exception ignored" not in capfd.readouterr().err
