"""Kills, refusing disks and rivals: an output directory is absent, the old build or the complete new one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import publish_driver as driver
from instructify.errors import InstructifyError, LockedError
from instructify.publish import stage
from instructify.publish.verify import verify

DRIVER = [sys.executable, driver.__file__]
SOURCE = str(Path(stage.__file__).parents[2])


def run(*args: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DRIVER, *map(str, args)], env=environment(), capture_output=True, text=True, timeout=120, **options
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": SOURCE}


@pytest.mark.parametrize("way", ["fresh", "overwrite", "two-steps"])
def test_a_build_killed_before_any_step_leaves_a_whole_build_and_resumes_to_the_same_bytes(
    tmp_path: Path, way: str
) -> None:
    done = run("kill-at-every-step", tmp_path, way)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40  # every one of these steps was killed once


def test_a_build_killed_at_a_random_moment_leaves_a_whole_build_and_resumes_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    done = run("kill-at-random", tmp_path, "50")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20


@pytest.mark.parametrize(
    ("code", "forever"), [(errno.ENOSPC, True), (errno.EIO, False)], ids=["full from then on", "broken once"]
)
@pytest.mark.parametrize("way", ["fresh", "overwrite", "two-steps"])
def test_a_disk_that_refuses_any_step_gives_one_clear_error_and_never_a_broken_build(
    tmp_path: Path, way: str, code: int, forever: bool
) -> None:
    references = {generation: driver.reference(tmp_path, generation) for generation in (1, 2)}
    before = None if way == "fresh" else 1
    failures = 0
    for number in range(1000):
        out = tmp_path / f"build-{number}"
        if before:
            driver.build(out, before)
        reached = False

        def act(step: int, number: int = number) -> None:
            nonlocal reached
            if step == number or (forever and step > number):
                reached = True
                raise OSError(code, os.strerror(code))

        with pytest.MonkeyPatch.context() as patch:
            driver.at_every_step(patch.setattr, act, two_steps=way == "two-steps")
            try:
                driver.build(out, 2)
                assert driver.state(out, references) == 2
            except InstructifyError as exc:
                failures += 1
                assert ("the disk is full" if code == errno.ENOSPC else "input/output error") in str(exc)
                assert len(exc.problems) == 1
                assert exc.problems[0].where.startswith(str(tmp_path))
        found = driver.state(out, references)
        # only a second refusal, of the way back, can keep the old build from its place for a while
        assert found in {before, 2} | ({None} if forever and way == "two-steps" else set())
        driver.build(out, 2)
        assert driver.state(out, references) == 2
        assert driver.leftovers(out) == []
        if not reached:
            break
    assert not reached
    assert failures > 35


def test_every_file_is_flushed_before_it_gets_its_name_and_the_manifest_is_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, str]] = []
    real_sync, real_replace, real_rename = os.fsync, os.replace, os.rename

    def sync(handle: int) -> None:
        events.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        real_sync(handle)

    def replace(source: Path, target: Path) -> None:
        assert events[-1] == ("sync", str(source))
        events.append(("named", str(target)))
        real_replace(source, target)

    def rename(source: Path, target: Path) -> None:
        events.append(("published", str(target)))
        real_rename(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "rename", rename)
    out = tmp_path / "out"
    driver.build(out, 1)
    named = [name for kind, name in events if kind == "named"]
    assert len(named) == 2 * 2 * driver.FILES + 2  # file and sidecar, shard and output; key and manifest
    assert named[-1].endswith("/out/manifest.json")
    publishing = events.index(("published", str(out)))
    staged = tmp_path / ".out.staging" / "out"
    last_named = max(number for number, event in enumerate(events) if event[0] == "named")
    flushed = {name for kind, name in events[last_named:publishing] if kind == "sync"}
    assert {str(staged), str(staged / "data")} <= flushed
    assert events[publishing + 1 :] == [("sync", str(tmp_path))]


def test_a_killed_worker_leaves_nothing_that_counts_as_done(tmp_path: Path) -> None:
    worker = (
        "import os, signal, sys, pathlib\n"
        "from instructify.publish.files import write_file\n"
        "def write(file):\n"
        "    file.write(b'x' * 100_000)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_file(pathlib.Path(sys.argv[1]), 'work/shard', write, {})\n"
    )
    out = tmp_path / "out"
    with stage.open_stage(out, "key") as opened:
        done = subprocess.run([sys.executable, "-c", worker, opened.staging], env=environment())
        assert done.returncode == -9
        assert opened.find("work/shard") is None
        assert not (opened.staging / "work" / "shard").exists()
        opened.publish([], {})
    assert verify(out).ok
    assert driver.leftovers(out) == []


def test_two_builders_of_one_directory_cannot_both_win(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*DRIVER, "build", str(out), "1", "--hold"]
    holder = subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "holding\n"
        second = run("build", out, "2")
        assert second.returncode == 75
        assert second.stderr.count("\n") == 1
        assert f"process {holder.pid} is building" in second.stderr
        with pytest.raises(LockedError), stage.open_stage(out, "key"):
            pass
        holder.stdin.write("\n")
    assert holder.returncode == 0
    assert driver.state(out, {1: driver.reference(tmp_path, 1)}) == 1
    assert run("build", out, "2").returncode == 0


def test_of_many_builders_at_once_each_wins_or_is_told_that_another_builds(tmp_path: Path) -> None:
    out = tmp_path / "out"
    commands = [[*DRIVER, "build", str(out), str(number % 2 + 1)] for number in range(8)]
    builders = [
        subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) for command in commands
    ]
    codes = [builder.wait(60) for builder in builders]
    assert set(codes) <= {0, 75}
    assert 0 in codes
    assert driver.state(out, {number: driver.reference(tmp_path, number) for number in (1, 2)}) in (1, 2)
    assert driver.leftovers(out) == []


def test_a_lock_ends_with_its_process_even_when_that_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*DRIVER, "build", str(out), "1", "--hold"]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
    assert driver.leftovers(out) == [".out.lock", ".out.staging"]
    driver.build(out, 1)
    assert driver.leftovers(out) == []


def test_a_file_size_limit_gives_one_line_and_a_rerun_without_it_resumes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    failed = run("build", out, "1", "--limit", "50000")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "cannot write: the file would exceed the size limit" in failed.stderr
    assert "a rerun goes on from what is already done" in failed.stderr
    assert not out.exists()
    assert (tmp_path / ".out.staging" / "out" / "data" / "0.bin").exists()
    driver.build(out, 1)
    assert driver.state(out, {1: driver.reference(tmp_path, 1)}) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_gives_one_clear_error_and_a_larger_one_resumes(small_disk: Path, tmp_path: Path) -> None:
    out = small_disk / "out"
    failed = run("build", out, "1")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "cannot write: the disk is full" in failed.stderr
    assert not out.exists()
    assert list((small_disk / ".out.staging" / "tmp").iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    assert run("build", out, "1").returncode == 0
    assert driver.tree(out) == driver.reference(tmp_path, 1)


def test_a_read_only_file_system_gives_one_clear_error(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    failed = run("build", small_disk / "out", "1")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "the file system is read-only" in failed.stderr


@pytest.mark.parametrize("place", ["out", "deep/er/out"])
def test_a_directory_without_permission_gives_one_clear_error_and_stays_as_it_was(place: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o555)
        failed = run("build", directory / place, "1", "--as-nobody")
        assert failed.returncode == 1
        assert failed.stderr.count("\n") == 1
        assert "permission denied" in failed.stderr
        assert list(directory.iterdir()) == []
        directory.chmod(0o755)
