"""PostgreSQL's code of an error, by which it is known in whatever language the server speaks."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

_WAIT_S = 5.0
_CODE = re.compile(rb'ErrorResponse\t.*? C "([0-9A-Z]{5})"')


def sqlstate(error: BaseException) -> str | None:
    """The code; None where the error is not PostgreSQL's, or the server has not answered at all.

    Of a connection that did not come about libpq keeps the words alone. It is then tried once more, and the code read from what
    libpq traces of the conversation: on Linux, from libpq 17 on.
    """
    code = getattr(error, "sqlstate", None)
    if code is None and sys.platform == "linux" and (refused := getattr(error, "pgconn", None)) is not None:
        # What cannot be had in this way stays unknown, whatever is wrong with it (no descriptor, an odd byte in a setting): the
        # error whose code is sought must not be hidden by another.
        with contextlib.suppress(Exception):
            code = _traced(refused)
    return code if isinstance(code, str) else None


def _traced(refused: PGconn) -> str | None:
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    options = {option.keyword.decode(): option.val.decode() for option in refused.info if option.val}
    connection = pq.PGconn.connect_start(make_conninfo(**options).encode())
    trace = os.memfd_create("trace")  # a password may stand in it: nowhere but in memory
    try:
        connection.trace(trace)
        deadline_s = time.monotonic() + _WAIT_S
        while (state := connection.connect_poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            poll = select.poll()  # select takes no descriptor beyond 1023
            poll.register(connection.socket, select.POLLIN if state == pq.PollingStatus.READING else select.POLLOUT)
            if not poll.poll(1000 * max(0.0, deadline_s - time.monotonic())):
                break
        connection.untrace()
        found = _CODE.search(os.pread(trace, 1 << 20, 0))
    finally:
        connection.finish()
        os.close(trace)
    return found[1].decode() if found else None
