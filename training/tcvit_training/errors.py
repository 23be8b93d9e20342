"""What a user can do wrong, said in one line."""

import sys
from collections.abc import Callable


class TrainingError(Exception):
    """Why something cannot be done, for the user to read: what was expected, what was there, what to do."""


def exit_status(program: str, run: Callable[[], None]) -> int:
    """Runs a program; 0, or 2 after one line about what is wrong (130 when interrupted)."""
    try:
        run()
    except TrainingError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    return 0
