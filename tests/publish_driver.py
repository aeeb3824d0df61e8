"""A small build for the tests of the publishing protocol, and ways to kill it; needs no heavy imports.

usage: publish_driver.py build OUT GENERATION [--limit BYTES] [--as-nobody] [--hold]
       publish_driver.py kill-at-every-step DIRECTORY {fresh,overwrite,two-steps}
       publish_driver.py kill-at-random DIRECTORY ROUNDS
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError
from instructify.publish import stage
from instructify.publish.verify import verify

FILES = 2
STEPS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir")


def content(generation: int, number: int) -> bytes:
    """Return bytes that differ for every generation and number, up to 71 kB."""
    return random.Random(f"{generation}/{number}").randbytes(1000 + 70_000 * number)


def build(out: Path, generation: int, *, hold: Callable[[], None] = lambda: None) -> None:
    """Publish one generation, going on from what an attempt before it left."""
    with stage.open_stage(out, f"generation {generation}") as opened:
        hold()
        records = []
        for number in range(FILES):
            data = content(generation, number)
            shard = f"work/{generation}-{number}"
            if not opened.find(shard):
                opened.write(shard, lambda file, data=data: write_in_pieces(file, data[:500]), {})
            path = f"out/data/{number}.bin"
            found = opened.find(path)
            records.append(
                found
                or opened.write(path, lambda file, data=data: write_in_pieces(file, data), {"n": number})
            )
        opened.publish(records, {"generation": generation})


def write_in_pieces(file: Any, data: bytes) -> None:
    for start in range(0, len(data), 4096):
        file.write(data[start : start + 4096])


def tree(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def reference(directory: Path, generation: int) -> dict[str, bytes]:
    """Return the files of an undisturbed build."""
    out = directory / f"reference-{generation}"
    if not out.exists():
        build(out, generation)
    return tree(out)


def state(out: Path, references: Mapping[int, dict[str, bytes]]) -> int | None:
    """Return the generation that is published whole, or None if nothing is; anything else is a failure."""
    if not out.exists():
        return None
    report = verify(out)
    if not report.ok:
        raise AssertionError(f"not a whole build: {[str(problem) for problem in report.problems]}")
    found = tree(out)
    for generation, files in references.items():
        if found == files:
            return generation
    raise AssertionError(f"neither the old nor the new build: {sorted(found)}")


def leftovers(out: Path) -> list[str]:
    """Return what lies beside an output directory and belongs to it."""
    return sorted(path.name for path in out.parent.glob(f".{out.name}.*"))


def at_every_step(patch: Callable[..., object], act: Callable[[int], None], *, two_steps: bool) -> None:
    """Call `act(n)` before the n-th step that changes the disk."""
    numbers = itertools.count()

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            act(next(numbers))
            return real(*args, **kwargs)

        return call

    for name in STEPS:
        patch(os, name, before(getattr(os, name)))
    patch(stage, "_exchange", (lambda one, other: False) if two_steps else before(stage._exchange))


def _in_child(work: Callable[[], None], kill_after: float | None = None) -> bool:
    """Run `work` in a forked child; return whether it was killed. Other failures are raised."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("the child failed")
    return os.WIFSIGNALED(status)


def kill_at_every_step(directory: Path, way: str) -> int:
    """Kill a build before each of its steps in turn, check, build again, check; return how many kills."""
    references = {generation: reference(directory, generation) for generation in (1, 2)}
    two_steps = way == "two-steps"
    before = None if way == "fresh" else 1
    for number in itertools.count():
        out = directory / f"{way}-{number}"
        if before:
            build(out, before)

        def work(out: Path = out, number: int = number) -> None:
            def act(step: int) -> None:
                if step == number:
                    os.kill(os.getpid(), signal.SIGKILL)

            at_every_step(setattr, act, two_steps=two_steps)
            build(out, 2)

        killed = _in_child(work)
        found = state(out, references)
        allowed = {before, 2} | ({None} if two_steps else set())
        assert found in allowed, f"step {number}: generation {found}"
        if found is None and before:
            with stage.open_stage(out, "only a look"):
                assert state(out, references) == before, "the old build was not put back"
        build(out, 2)
        assert state(out, references) == 2
        assert leftovers(out) == [], leftovers(out)
        if not killed:
            return number
    raise AssertionError("unreachable")


def kill_at_random(directory: Path, rounds: int) -> int:
    """Overwrite one build by the next, killed at a random moment; return how many were killed."""
    out = directory / "random"
    before = reference(directory, 0)
    build(out, 0)
    duration = float("inf")
    draws = random.Random(20240229)
    kills = 0
    for generation in range(1, rounds + 1):
        started = time.perf_counter()
        after = reference(directory, generation)
        duration = min(duration, time.perf_counter() - started)
        kills += _in_child(lambda generation=generation: build(out, generation), draws.uniform(0, duration))
        assert state(out, {generation - 1: before, generation: after}) is not None
        build(out, generation)
        assert state(out, {generation: after}) == generation
        before = after
    assert leftovers(out) == []
    return kills


def _hold() -> None:
    print("holding", flush=True)
    sys.stdin.readline()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode")
    parser.add_argument("path", type=Path)
    parser.add_argument("what")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--as-nobody", action="store_true")
    parser.add_argument("--hold", action="store_true")
    options = parser.parse_args()
    if options.limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.limit, options.limit))
    if options.as_nobody and os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        if options.mode == "kill-at-every-step":
            print(kill_at_every_step(options.path, options.what))
        elif options.mode == "kill-at-random":
            print(kill_at_random(options.path, int(options.what)))
        else:
            build(options.path, int(options.what), hold=_hold if options.hold else lambda: None)
    except InstructifyError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
