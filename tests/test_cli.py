"""The command line as a person and as a script meet it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer

from build_kit import (
    COMMAND,
    cli,
    environment,
    fail,
    promptsource_file,
    recipe,
    rows_file,
    succeed,
    template,
    tree,
    world,
)
from instructify.cli import templating
from instructify.cli.app import app
from instructify.publish.verify import verify
from instructify.templates import install
from instructify.templates.promptsource import read_templates

# every command and its options


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        yield (*path, name), command


def test_every_command_and_option_says_what_it_is_for() -> None:
    found = dict(commands(typer.main.get_command(app)))
    assert len(found) >= 11
    leaves = {path: command for path, command in found.items() if not hasattr(command, "commands")}
    for path, command in leaves.items():
        assert command.help.strip().endswith((".", ")")) or "Example:" in command.help, path
        assert f"Example: instructify {' '.join(path)}" in command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{' '.join(path)}: {parameter.name} has no help"


@pytest.mark.parametrize("path", [["plan"], ["build"], ["preview"], ["templates"], ["templates", "list"]])
def test_help_is_printed_on_request(path: list[str]) -> None:
    assert "Usage:" in succeed(*path, "-h")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["build"],
        ["biuld"],
        ["build", "recipe.yaml", "--nope"],
        ["build", "recipe.yaml", "-j", "0"],
        ["build", "recipe.yaml", "-j", "two"],
        ["preview", "world/facts", "-n", "0"],
        ["preview", "world/facts", "--seed", "-1"],
        ["templates", "show", "world/facts"],
        ["verify"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    fail(*arguments, code=2)


# from nothing to a build


def test_init_then_plan_then_build_then_verify_works_in_an_empty_folder(tmp_path: Path) -> None:
    said = succeed("init", cwd=tmp_path)
    assert "next: instructify plan my-recipe.yaml" in said
    assert sorted(tree(tmp_path)) == ["my-recipe.yaml", "recipe.schema.json"]
    planned = json.loads(succeed("plan", "my-recipe.yaml", "--json", cwd=tmp_path))
    assert planned["train"] >= 1000
    built = json.loads(succeed("build", "my-recipe.yaml", "-j", "1", "--json", cwd=tmp_path))
    assert built["examples"] == {"train": planned["train"], "eval": planned["eval"]}
    assert json.loads(succeed("verify", built["out"], "--json"))["ok"] is True
    assert ["is already there" in line for line in fail("init", cwd=tmp_path)] == [True]


def test_the_schema_is_valid_and_accepts_the_starter_recipe(tmp_path: Path) -> None:
    import yaml

    schema = json.loads(succeed("schema"))
    jsonschema.Draft202012Validator.check_schema(schema)
    succeed("init", tmp_path)
    assert json.loads((tmp_path / "recipe.schema.json").read_text("utf-8")) == schema
    jsonschema.validate(yaml.safe_load((tmp_path / "my-recipe.yaml").read_text("utf-8")), schema)


def test_the_reference_of_recipes_shows_what_init_writes(tmp_path: Path) -> None:
    succeed("init", cwd=tmp_path)
    (written,) = tmp_path.glob("*.yaml")
    reference = (Path(__file__).resolve().parents[1] / "docs" / "recipe.md").read_text("utf-8")
    assert f"```yaml\n{written.read_text('utf-8')}```\n" in reference


def test_doctor_finds_nothing_wrong_here() -> None:
    found = json.loads(succeed("doctor", "--json"))
    assert {"Python", "pyarrow", "templates", "offline world"} <= {finding["what"] for finding in found}
    assert "offline world" in succeed("doctor")


def test_json_is_all_that_goes_to_standard_output(small_build: Path) -> None:
    for arguments in (
        ["plan", small_build.parent / "small.yaml", "--json"],
        ["build", small_build.parent / "small.yaml", "--json", "-j", "1", "-o", small_build.parent / "again"],
        ["verify", small_build, "--json"],
        ["preview", "world/facts", "-n", "1", "--json"],
        ["templates", "list", "--json"],
        ["templates", "list", "world/facts", "--json"],
        ["templates", "show", "world/reviews", "terse", "--json"],
        ["templates", "stats", "world/facts", "--json"],
        ["doctor", "--json"],
        ["schema"],
    ):
        assert json.loads(succeed(*arguments)), arguments


# preview and templates


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    rows_file(tmp_path / "tickets.jsonl", [{"text": f"표 {n}", "label": n % 2} for n in range(9)])
    folder = tmp_path / "own" / "tickets"
    template(folder, "sort", "{{ text }}?\n|||\n{{ answer_choices[label] }}", answer_choices=["no", "yes"])
    template(folder, "echo", "Repeat: {{ text }}\n|||\n{{ text }}")
    return tmp_path


def previewed(*arguments: str | Path, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(succeed("preview", *arguments, "--json", **options))
    return found


def test_preview_shows_one_template_file(tickets: Path) -> None:
    found = previewed(tickets / "own/tickets/sort.jinja", "--data", tickets / "tickets.jsonl", "--row", "3")
    assert [(one["inputs"], one["targets"], one["label"]) for one in found] == [("표 3?", "yes", 1)]


def test_preview_shows_every_template_of_a_folder(tickets: Path) -> None:
    found = previewed(tickets / "own" / "tickets", "--data", tickets / "tickets.jsonl", "-n", "2")
    assert sorted({one["template"] for one in found}) == ["echo", "sort"]
    assert len(found) == 4


def test_preview_shows_a_dataset_by_name() -> None:
    found = previewed("world/ko_reviews", "-t", "korean*", "--row", "0", "--row", "5")
    assert [(one["template"], one["row"]) for one in found] == [("korean_label", 0), ("korean_label", 5)]


def test_preview_shows_the_tasks_of_a_recipe(tickets: Path) -> None:
    task = {"dataset": "tickets", "cluster": "c", "source": {"kind": "files", "path": "tickets.jsonl"}}
    path = recipe(tickets, [task, world("facts")], template_sources=["own", "builtin"])
    found = previewed(path, "--task", "tick*", "-n", "1", cwd="/")
    assert [(one["task"], one["template"]) for one in found] == [("tickets", "echo"), ("tickets", "sort")]
    assert "did you mean 'tickets'" in fail("preview", path, "--task", "ticket")[0]


def test_preview_shows_promptsource_templates_over_a_file(tickets: Path) -> None:
    body = "{{ text }} {{ ['a', 'b'] | choice }} ||| {{ answer_choices[label] }}"
    promptsource_file(tickets / "theirs" / "imdb", {"drawn": (body, "bad ||| good")})
    found = previewed(tickets / "theirs" / "imdb", "--data", tickets / "tickets.jsonl", "--row", "0")
    assert [(one["targets"], one["answer_choices"]) for one in found] == [("bad", ["bad", "good"])]


def test_preview_shows_an_installed_promptsource_dataset_over_a_file(tickets: Path) -> None:
    pytest.importorskip("importlib.metadata").packages_distributions()
    root = install.installed_root()
    if root is None:
        pytest.skip("promptsource is not installed")
    found = previewed("imdb", "--data", tickets / "tickets.jsonl", "-n", "1")
    theirs = read_templates(root / "imdb" / "templates.yaml", "", "")
    assert {one["template"] for one in found} >= {template.name for template in theirs}
    assert len(theirs) == 11
    assert {one["targets"] for one in found if one["answer_choices"]}


def test_preview_says_why_a_row_is_dropped_and_fails_when_none_is_left(tickets: Path) -> None:
    rows_file(tickets / "tickets.jsonl", [{"text": "a", "label": -1}])
    done = cli("preview", tickets / "own/tickets/sort.jinja", "--data", tickets / "tickets.jsonl")
    assert done.returncode == 1
    assert "dropped: unlabelled" in done.stdout
    assert "0 of 1 rows make an example" in done.stdout


def test_preview_of_a_row_that_is_not_there_names_the_range(tickets: Path) -> None:
    lines = fail("preview", tickets / "own/tickets", "--data", tickets / "tickets.jsonl", "--row", "9")
    assert lines == ["tickets: there is no row 9; expected an index in 0..8"]


def test_preview_agrees_with_the_build(tickets: Path) -> None:
    source = {"kind": "files", "path": "tickets.jsonl"}
    task = {"dataset": "tickets", "cluster": "c", "source": source}
    path = recipe(tickets, [task], template_sources=["own"], output={"dir": "out", "formats": ["jsonl"]})
    succeed("build", path, "-q", "-j", "1")
    lines = (tickets / "out/jsonl/train-00000-of-00001.jsonl").read_text("utf-8").splitlines()
    built = {(row["template"], row["row"]): (row["inputs"], row["targets"]) for row in map(json.loads, lines)}
    found = previewed(path, "-n", "9")
    assert {(one["template"], one["row"]): (one["inputs"], one["targets"]) for one in found} == built
    assert len(built) == 18


def test_templates_show_prints_a_template_and_suggests_the_nearest_name() -> None:
    said = succeed("templates", "show", "world/ko_reviews", "korean_label")
    assert "answer_choices: 부정 ||| 긍정" in said
    assert "{{ answer_choices[label] }}" in said
    assert "did you mean 'korean_label'" in fail("templates", "show", "world/ko_reviews", "korean_lable")[0]
    assert "did you mean 'world/ko_reviews'" in fail("templates", "show", "world/ko_review", "x")[0]


def test_templates_list_filters_by_name(tickets: Path) -> None:
    found = json.loads(succeed("templates", "list", "tick", "--from", tickets / "own", "--json"))
    assert found == {"tickets": ["echo", "sort"]}
    every = json.loads(succeed("templates", "list", "--from", "builtin", "--json"))
    assert f"{len(every)} datasets" in succeed("templates", "list", "--from", "builtin")
    assert len(every) >= 20


def test_templates_add_installs_once_and_tells_the_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "site" / "templates"
    mark = tmp_path / "installed"
    promptsource_file(root / "imdb", {"one": ("{{ text }} ||| a", None), "two": ("{{ text }} ||| b", None)})
    for module in ("install", "promptsource", "library.promptsource"):
        found = lambda: root if mark.exists() else None  # noqa: E731
        monkeypatch.setattr(f"instructify.templates.{module}.installed_root", found)
    monkeypatch.setattr(install, "install_command", lambda: ["touch", str(mark)])
    templating.add("promptsource")
    assert mark.exists()
    assert capsys.readouterr().out == f"promptsource: 2 templates in {root}\n"


def test_templates_add_tells_why_an_installation_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "installed_root", lambda: None)
    monkeypatch.setattr(install, "install_command", lambda: ["sh", "-c", "echo no route to host >&2; exit 1"])
    with pytest.raises(install.InstructifyError, match=r"could not install promptsource==.*no route to host"):
        install.install_promptsource()


def test_templates_add_knows_one_collection() -> None:
    assert fail("templates", "add", "flan") == ["no collection is called 'flan'; expected promptsource"]


# progress, terminals, interrupts


def slow_recipe(folder: Path) -> Path:
    return recipe(folder, [world("reviews", 6_000), world("facts", 6_000)])


def test_progress_is_plain_lines_on_standard_error_when_that_is_no_terminal(small_build: Path) -> None:
    path = small_build.parent / "small.yaml"
    done = cli("build", path, "-j", "1", "-o", small_build.parent / "progress")
    phases = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert phases[:2] == ["plan", "compare"]
    assert any(phase.startswith("make") for phase in phases)
    assert phases[-1] == "write"
    assert "\x1b" not in done.stderr + done.stdout
    assert cli("build", path, "-q", "-j", "1", "-o", small_build.parent / "progress").stderr == ""


def on_a_terminal(columns: int, *arguments: str | Path) -> list[str]:
    """Run a command on a pseudo-terminal and return the lines that it writes, escapes and all."""
    pid, screen = pty.fork()
    if pid == 0:
        full = [*COMMAND, *map(str, arguments)]
        os.execve(full[0], full, environment(TERM="xterm-256color", COLUMNS=str(columns)))
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    shown = b""
    while True:
        try:
            piece = os.read(screen, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(screen)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return shown.decode().replace("\r\n", "\n").split("\n")


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_and_bars_fit_the_terminal_with_korean_and_long_names(tickets: Path, columns: int) -> None:
    import re

    from rich.cells import cell_len

    template(tickets / "own/tickets", "long", "{{ text }} ||| {{ text }}", name=("길고 긴 이름 " * 40)[:200])
    source = {"kind": "files", "path": "tickets.jsonl"}
    task = {
        "dataset": "tickets",
        "name": "한국어/아주-긴-과제-이름-입니다-아주-긴",
        "cluster": "분류",
        "source": source,
    }
    path = recipe(tickets, [task, world("ko_reviews", cap=40)], template_sources=["own", "builtin"])
    for arguments in (
        ["plan", path],
        ["build", path, "-j", "2"],
        ["preview", path, "-n", "1", "--task", "한*"],
        ["doctor"],
        ["templates", "list", "tickets", "--from", tickets / "own"],
    ):
        lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in on_a_terminal(columns, *arguments)]
        drawn = [
            line for text in lines for line in text.split("\r") if "─" in line or "━" in line or "│" in line
        ]
        assert drawn, arguments
        assert max(map(cell_len, drawn)) <= columns, arguments
        assert any("world/ko_reviews" in line for line in lines) or arguments[0] not in ("plan", "build")


def test_an_interrupted_build_exits_with_130_and_goes_on_afterwards(tmp_path: Path) -> None:
    path = slow_recipe(tmp_path)
    process = subprocess.Popen(
        [*COMMAND, "build", str(path), "-j", "2", "--quiet"],
        env=environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    candidates = tmp_path / ".out.staging" / "meta" / "candidates"
    while process.poll() is None and not (candidates.is_dir() and any(candidates.iterdir())):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == b"interrupted; a build, training or evaluation goes on from here when started again\n"
    assert not (tmp_path / "out").exists()
    made = {file.name: file.stat().st_mtime_ns for file in candidates.iterdir()}
    succeed("build", path, "-j", "1", "--quiet", "--keep-work")
    assert made.items() <= {file.name: file.stat().st_mtime_ns for file in candidates.iterdir()}.items()
    assert verify(tmp_path / "out").ok


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [("KeyboardInterrupt", 130, "interrupted; "), ("MemoryError", 1, "error: the memory is used up; ")],
)
def test_what_ends_a_command_while_it_is_imported_is_said_in_one_line(
    raised: str, code: int, said: str
) -> None:
    text = (
        "import sys, instructify.cli as cli\n"
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name == 'instructify.cli.app': raise {raised}\n"
        "sys.meta_path.insert(0, Finder())\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_a_reader_that_stops_reading_is_no_error() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" | head -n 1', "sh", *COMMAND, "templates", "list", "--json"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp949"])
def test_json_is_json_whatever_the_output_can_be_written_in(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t" / "d").mkdir(parents=True)
    path = Path(os.fsdecode(bytes(tmp_path / "t" / "d") + b"/\xc7\xd1.jinja"))
    path.write_text("---\nname: 꽃 🌷\n---\n{{ text }} 꽃 🌷 −|||b", "utf-8")
    rows = rows_file(tmp_path / "rows.jsonl", [{"text": "é"}])
    env = environment(PYTHONIOENCODING=encoding)
    shown = [*COMMAND, "preview", path, "--data", rows]
    done = subprocess.run([*shown, "--json"], env=env, capture_output=True, check=True)
    (card,) = json.loads(done.stdout.decode(encoding))
    assert (card["template"], card["inputs"]) == ("꽃 🌷", "é 꽃 🌷 −")
    subprocess.run(shown, env=env, capture_output=True, check=True)
    for form in ("json", "sarif"):
        done = subprocess.run([*COMMAND, "lint", path, "--format", form], env=env, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.decode(encoding))
