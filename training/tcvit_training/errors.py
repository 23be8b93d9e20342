"""Errors that are reported to the user in one line."""

import sys
from collections.abc import Callable


class TrainingError(Exception):
    """An error for the user to read: what was expected, what was found, and what to do."""


def exit_status(program: str, run: Callable[[], None]) -> int:
    """Runs a program. Returns 0, or 2 after printing one line about the error (130 when interrupted)."""
    try:
        run()
    except TrainingError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    return 0
