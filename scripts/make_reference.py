"""Write docs/recipe.md, the reference of every recipe key, from the models themselves.

With --check nothing is written; the exit code is 1 when the file is not what would be written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from instructify.recipe.schema import recipe_schema
from instructify.recipe.starter import starter_recipe

TARGET = Path(__file__).resolve().parents[1] / "docs" / "recipe.md"
Schema = Mapping[str, Any]

INTRO = """\
# Recipe reference

<!-- Written by scripts/make_reference.py from the recipe models; edits here are lost. -->

A recipe is a YAML file. Only `true`, `false`, `null` and numbers are anything but text: `Yes`, `off` and
dates stay text. Unknown keys, keys given twice and values of the wrong type are errors, all reported at
once with their lines. Relative paths start from the recipe's folder.

`instructify init` writes this recipe to start from:

```yaml
{starter}```

`instructify schema` writes the JSON Schema of a recipe, which editors use to complete and check keys.
"""

KIND = " of kind "
TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def main(arguments: list[str] | None = None) -> int:
    """Write the reference, or check it."""
    parser = argparse.ArgumentParser(description="Write docs/recipe.md from the recipe models.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is stale")
    check = parser.parse_args(arguments).check
    text = reference()
    if not check:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        print(f"{TARGET.name} is stale; run python scripts/make_reference.py")
        return 1
    return 0


def reference() -> str:
    """Return the whole document."""
    schema = recipe_schema()
    definitions = schema["$defs"]
    parts = [INTRO.format(starter=starter_recipe("my-recipe"))]
    parts += [_section(path, node, definitions) for path, node in _sections("", schema, definitions)]
    return "\n".join(parts)


def _sections(path: str, node: Schema, definitions: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield every mapping of the recipe with its path, in the order of the models."""
    yield path, node
    for key, value in node["properties"].items():
        below = f"{path}.{key}" if path else key
        value = _not_null(value)
        if value.get("type") == "array":
            value, below = value["items"], below + "[]"
        for branch in value.get("oneOf", ()):
            source = _follow(branch, definitions)
            kind = source["properties"]["kind"]["const"]
            yield from _sections(f"{below}{KIND}{kind}", source, definitions)
        if "properties" in (inner := _follow(value, definitions)) and inner is not node:
            yield from _sections(below, inner, definitions)


def _section(path: str, node: Schema, definitions: Schema) -> str:
    title = f"`{path}`" if path else "Top level"
    keys = list(node["properties"])
    if KIND in path:
        place, _, kind = path.partition(KIND)
        title = f"`{place}` with `kind: {kind}`"
        keys.sort(key=lambda key: key not in node["required"])  # before those that all kinds share
    lines = [f"## {title}", ""]
    if path:
        lines += [node["description"], ""]
    lines += ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    for key in keys:
        value = node["properties"][key]
        meaning = value.get("description") or (
            "Says that this is the kind of source." if key == "kind" else ""
        )
        cells = [f"`{key}`", _type(value, definitions), _default(key, node), meaning]
        lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def _type(value: Schema, definitions: Schema) -> str:
    """Return the type of a value in plain words."""
    value = _not_null(value)
    inner = _follow(value, definitions)
    if "discriminator" in value:
        return "mapping, see below"
    if "properties" in inner:
        return "mapping, see below"
    if "anyOf" in value:
        return ", or ".join(_type(part, definitions) for part in value["anyOf"])
    if "const" in value or "enum" in value:
        return " or ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    if value["type"] == "array":
        return (
            "list of mappings"
            if "$ref" in value["items"]
            else f"list of {_type(value['items'], definitions)}"
        )
    if value["type"] == "object":
        return f"mapping of names to {_type(value['additionalProperties'], definitions)}"
    return TYPES[value["type"]] + _bounds(value)


def _bounds(value: Schema) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if value.get("exclusiveMinimum") == 0:
        return " above 0"
    if low is not None:
        return f", {low:g} or more"
    return ", one character" if value.get("maxLength") == 1 else ""


def _default(key: str, node: Schema) -> str:
    if key in node.get("required", ()):
        return "required"
    default = node["properties"][key]["default"]
    if default is None:
        return "none"
    if isinstance(default, dict):
        return "as below" if default else "`{}`"
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _not_null(value: Schema) -> Schema:
    some = [part for part in value.get("anyOf", ()) if part.get("type") != "null"]
    return some[0] if len(some) == 1 else value


def _follow(value: Schema, definitions: Schema) -> Schema:
    if "$ref" in value:
        found: Schema = definitions[value["$ref"].rsplit("/", 1)[-1]]
        return found
    return value


if __name__ == "__main__":
    raise SystemExit(main())
