"""Asking for help is cheap: nothing heavy is imported before a command needs it."""

import json
import subprocess
import sys

import pytest

HEAVY = ("pyarrow", "numpy", "datasets", "torch", "transformers", "pandas", "jinja2", "yaml")
"""pydantic is not among them: typer itself imports it where it is installed."""


def loaded_after(code):
    """Return the top-level packages that a fresh interpreter has loaded after running some code."""
    ending = "\nimport json, sys\nprint(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + ending], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def command(*args):
    return f"""
import sys
sys.argv = {["instructify", *args]!r}
from instructify.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("--version",),
        ("build", "--help"),
        ("plan", "--help"),
        ("preview", "--help"),
        ("templates", "--help"),
        ("templates", "list", "--help"),
        ("verify", "--help"),
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(args):
    loaded = loaded_after(command(*args))
    assert "typer" in loaded
    assert loaded & set(HEAVY) == set()


def test_importing_the_package_imports_nothing_heavy():
    assert loaded_after("import instructify") & {*HEAVY, "typer", "rich"} == set()


def test_loading_a_recipe_needs_no_data_library():
    loaded = loaded_after("import instructify.recipe.load")
    assert "pydantic" in loaded
    assert loaded & {"pyarrow", "datasets", "numpy", "jinja2", "torch"} == set()


def test_rendering_a_template_needs_no_data_library():
    loaded = loaded_after("import instructify.render.reference, instructify.templates")
    assert "jinja2" in loaded
    assert loaded & {"pyarrow", "numpy", "datasets", "torch", "typer"} == set()


def test_help_lists_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "instructify", "--help"], capture_output=True, text=True, check=True
    )
    for name in ("init", "plan", "build", "verify", "preview", "templates", "schema", "doctor"):
        assert f" {name} " in done.stdout
