"""Answers that no waiting changes: a wrong password, a database that does not exist, a right that is missing."""

from __future__ import annotations

import re

from dashboards.home import hide_passwords
from orchestration.patience import causes, no_room
from orchestration.sqlstate import sqlstate

_SQLSTATES = ("28", "3D000", "42501")
"""PostgreSQL's classes of them: who asks is not let in, there is no such database, a right is missing."""
_SERVER_CODES = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")
"""MLflow's words for HTTP 401 and 403."""
_TEXTS = re.compile(
    # PostgreSQL's, of a connection that did not come about, where its library has no way to the code.
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|is not permitted to log in"
    r"|(?:database|role) \"[^\"]*\" does not exist|permission denied"
    r"|access denied for user|unknown database"  # MySQL
    r"|login failed for user|cannot open database"  # SQL Server
    r"|readonly database|unable to open database file|file is not a database|disk image is malformed",  # SQLite
    re.IGNORECASE,
)


def refusal(error: BaseException) -> str | None:
    """What a database or an MLflow server refuses for good, in its own words; None where the trouble may pass."""
    if no_room(error):  # SQLite says of a full disk that it cannot open a file
        return None
    for cause in causes(error):
        code = sqlstate(cause) or getattr(cause, "pgcode", None)
        if getattr(cause, "error_code", None) in _SERVER_CODES or (isinstance(code, str) and code.startswith(_SQLSTATES)):
            return first_line(cause)
    for cause in causes(error):
        if (found := _TEXTS.search(str(cause))) is not None:
            return first_line(getattr(cause, "orig", None) or cause, found[0])
    return None


def first_line(error: BaseException, about: str = "") -> str:
    """The line of an error's text that says ``about``, else its first, without passwords."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return hide_passwords(next((line for line in lines if about in line), lines[0])).strip()
