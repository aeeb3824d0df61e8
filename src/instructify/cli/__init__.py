"""The command line. Nothing heavy is imported here: each command imports what it needs."""

from __future__ import annotations

import os
import sys

from instructify.errors import InstructifyError

INTERRUPTED = "interrupted; an interrupted build goes on from here when it is started again"


def main() -> None:
    """Run the command line and exit: 0 ok, 1 failed, 2 wrong usage, 75 locked, 130 interrupted."""
    from instructify.cli.app import app

    try:
        app()
    except InstructifyError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)  # noqa: T201  (the one place errors are shown)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except SystemExit as end:
        if end.code == 130:  # typer has caught the interrupt
            print(INTERRUPTED, file=sys.stderr)  # noqa: T201
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("INSTRUCTIFY_DEBUG"):
            raise
        text = f"error: {type(error).__name__}: {error} (INSTRUCTIFY_DEBUG=1 shows where)"
        print(text, file=sys.stderr)  # noqa: T201
        sys.exit(1)
