"""Imports run downward through the floors of the house, and heavy packages have one door each."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import instructify

ROOT = Path(instructify.__file__).parent

FLOORS = {
    0: ("errors", "keys", "types"),
    1: (
        "recipe",
        "templates",
        "render",
        "compose",
        "checks",
        "mix",
        "overlap",
        "origins",
        "metrics",
        "stats",
        "seen",
        "lint",
    ),
    2: ("world",),
    3: ("sources", "writers", "runners", "publish", "seq2seq", "documents"),
    4: ("build", "card", "manifest", "finetune", "evaluate", "export", "report", "lint_run", "preview"),
    5: ("cli", "doctor", "__main__"),
}
"""Every module or package directly under instructify, on its floor; a newcomer has to be given one."""

FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}

UPWARD: set[tuple[str, str]] = set()
"""Imports that run upward all the same; each would need a reason."""

DOORS = {
    "datasets": {"sources.hub"},
    "torch": {
        "evaluate.generate",
        "evaluate.rank",
        "evaluate.run",
        "seq2seq",
        "finetune.checkpoint",
        "finetune.loop",
        "finetune.run",
    },
    "transformers": {"seq2seq"},
    "peft": {"seq2seq", "finetune.run"},
    "ray": set(),
}
"""Heavy packages, and the only modules that may import each (inside a function)."""


def sources():
    """Return every module by its dotted name below instructify, with its syntax tree."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def is_typing_guard(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(tree, into_functions=True):
    """Yield the dotted names that a tree imports at run time; function bodies count unless told."""
    for node in ast.iter_child_nodes(tree):
        if is_typing_guard(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the floor"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif into_functions or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imports(node, into_functions)


def ours(dotted, modules):
    """Return the module of ours that an imported name belongs to, or None."""
    parts = dotted.split(".")
    if parts[0] != "instructify":
        return None
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[1:end])
        if name in modules:
            return name
    raise AssertionError(dotted)


def test_every_module_has_a_floor_and_every_floor_has_its_modules():
    modules = sources()
    assert len(modules) > 60
    assert {name.split(".")[0] for name in modules if name} == set(FLOOR)


def test_imports_run_downward():
    modules = sources()
    upward = set()
    seen = 0
    for name, tree in modules.items():
        if not name:
            continue
        for dotted in imports(tree):
            target = ours(dotted, modules)
            if target:
                seen += 1
                here, there = name.split(".")[0], target.split(".")[0]
                if FLOOR[there] > FLOOR[here]:
                    upward.add((name, target))
    assert upward == UPWARD
    assert seen > 200


def test_the_top_package_imports_nothing():
    assert list(imports(sources()[""])) == []


def test_modules_do_not_import_each_other_in_a_circle():
    modules = sources()
    graph = {
        name: {target for dotted in imports(tree) if (target := ours(dotted, modules))} - {name, ""}
        for name, tree in modules.items()
    }
    list(TopologicalSorter(graph).static_order())


def test_heavy_packages_are_imported_in_their_one_module_and_inside_functions():
    found = {package: set() for package in DOORS}
    for name, tree in sources().items():
        for dotted in imports(tree):
            if dotted.split(".")[0] in found:
                found[dotted.split(".")[0]].add(name)
        assert not {dotted.split(".")[0] for dotted in imports(tree, into_functions=False)} & DOORS.keys()
    assert found == DOORS


def test_pyarrow_is_never_imported_by_importing_a_module():
    eager = {
        name
        for name, tree in sources().items()
        for dotted in imports(tree, into_functions=False)
        if dotted.split(".")[0] == "pyarrow"
    }
    assert eager == set()


def test_promptsource_is_never_imported():
    imported = {dotted.split(".")[0] for tree in sources().values() for dotted in imports(tree)}
    assert "jinja2" in imported
    assert "promptsource" not in imported


def test_the_walk_sees_imports_in_functions_but_not_those_for_types():
    tree = ast.parse(
        "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    pass\ndef f():\n    from c import d\n"
    )
    assert list(imports(tree)) == ["a", "c.d"]
    assert list(imports(tree, into_functions=False)) == ["a"]
