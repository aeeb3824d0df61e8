"""The prompt template: one frozen record for both formats and both dialects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from instructify.keys import hexdigest
from instructify.render.sandbox import Dialect

RENDER_VERSION = 1
"""Part of every template hash; raised when the same template begins to render other text."""


_OPTIONS = re.compile(r"\{[{%][^{}]*\|\s*options\b")
_MARKING = re.compile(r"\b(options|fit)\b")  # a filter may also be named in a block or by map


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template.

    `body` is Jinja text with a `|||` between prompt and target. `choices` gives the answer choices: a tuple
    of small Jinja texts, one for each choice; or a Jinja expression that gives a list (strict dialect) or a
    `|||`-separated text (promptsource dialect); or None. `rationale` is Jinja text or None. `origin` names
    the file, and `line` the line of it where the body begins. `collection` is builtin, promptsource or a
    folder. `truncate` cuts every printed expression to 2,048 characters (promptsource dialect only).
    """

    dataset: str
    name: str
    dialect: Dialect
    body: str
    choices: str | tuple[str, ...] | None = None
    rationale: str | None = None
    id: str = ""
    collection: str = ""
    origin: str = ""
    line: int = 1
    metrics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("en",)
    choices_in_prompt: bool | None = None
    original_task: bool | None = None
    author: str = ""
    reference: str = ""
    kind: Literal["task", "inverted"] = "task"
    truncate: bool = False

    @property
    def where(self) -> str:
        """File and first line, for messages."""
        return f"{self.origin}:{self.line}" if self.origin else f"{self.dataset}/{self.name}"

    @property
    def language(self) -> str:
        """Language tag of the template's own words."""
        return self.languages[0] if self.languages else "en"

    @property
    def options_marks(self) -> int:
        """Number of places where the body lays out the answer options."""
        return len(_OPTIONS.findall(self.body)) if self.dialect == "strict" else 0

    @property
    def leaves_marks(self) -> bool:
        """Whether the body marks places for the composition."""
        return bool(self.dialect == "strict" and _MARKING.search(self.body))

    @property
    def hash(self) -> str:
        """16 hexadecimal characters that depend on all that decides what is rendered, and on nothing else."""
        choices = self.choices if isinstance(self.choices, tuple) else (self.choices,)
        kind = "list" if isinstance(self.choices, tuple) else "expression"
        return hexdigest(
            RENDER_VERSION, self.dialect, self.body, self.rationale, int(self.truncate), kind, *choices
        )[:16]
