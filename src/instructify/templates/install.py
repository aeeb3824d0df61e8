"""Installs promptsource for its templates: its metadata refuses current Pythons, its data does not mind."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from instructify.errors import InstructifyError, Problem
from instructify.templates.promptsource import VERSION, installed_root

REQUIREMENT = f"promptsource=={VERSION}"


def install_command() -> list[str]:
    """Return the command that installs promptsource alone into this environment, by pip or uv."""
    if importlib.util.find_spec("pip") is not None:
        flags = ["--no-deps", "--ignore-requires-python", "--disable-pip-version-check", "--quiet"]
        return [sys.executable, "-m", "pip", "install", *flags, REQUIREMENT]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--no-deps", "--python", sys.executable, REQUIREMENT]
    raise InstructifyError(
        Problem(
            "neither pip nor uv is here to install with",
            expected=f"pip install --no-deps --ignore-requires-python {REQUIREMENT}",
        )
    )


def install_promptsource() -> Path:
    """Install promptsource unless it is there already, and return the folder of its templates."""
    root = installed_root()
    if root is not None:
        return root
    command = install_command()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    importlib.invalidate_caches()
    root = installed_root()
    if done.returncode or root is None:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InstructifyError(
            Problem(
                f"could not install {REQUIREMENT}: {said[-1] if said else 'no reason given'}",
                " ".join(command),
            )
        )
    return root
