"""The command line. Nothing heavy is imported here: each command imports what it needs."""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
from pathlib import Path

from instructify.errors import InstructifyError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
ESCAPED = "instructify.escaped"
INTERRUPTED = "interrupted; a build, training or evaluation goes on from here when started again"


def main() -> None:
    """Run the command line and exit: 0 ok, 1 failed, 2 wrong usage, 75 locked, 130 interrupted."""
    if sys.stderr is None:  # closed by the shell
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (open to the end)
    if sys.stdout is None:
        _say("error: standard output is closed")
        sys.exit(1)
    codecs.register_error(ESCAPED, _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=ESCAPED)
    code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        if not code and not isinstance(error, BrokenPipeError):
            _say(_unwritten(error))
        code = code or 1
        _drop_output()
    sys.exit(code)


def _run() -> int | str | None:
    """Run the command and return the exit code, having said what went wrong."""
    try:
        from instructify.cli.app import app

        app()
    except InstructifyError as error:
        for problem in error.problems:
            _say(f"error: {problem}")
        return error.exit_code
    except KeyboardInterrupt:
        _say_interrupted()
        return 130
    except SystemExit as end:
        if end.code == 130:  # typer has caught the interrupt
            _say_interrupted()
        return end.code
    except BrokenPipeError:
        _drop_output()
        return 1
    except Exception as error:
        if os.environ.get("INSTRUCTIFY_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            _say(_unwritten(error))
        elif isinstance(error, MemoryError):
            _say("error: the memory is used up; fewer workers (as -j 1) or shorter rows need less")
        else:
            _say(f"error: {type(error).__name__}: {error} (INSTRUCTIFY_DEBUG=1 shows where)")
        return 1
    return 0


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Return what the output's encoding lacks, and halves of characters in file names, as JSON escapes it."""
    import json

    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _say_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is in a hurry need not see how it ends
    _say(INTERRUPTED)


def _unwritten(error: OSError) -> str:
    return f"error: the output cannot be written: {(error.strerror or str(error)).lower()}"


def _drop_output() -> None:
    """Send what is left of the output nowhere, so that Python does not complain of it on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  (the one place errors are shown)
