"""The dataset card: README.md with the hub's YAML header, written from the plan and the ledgers alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from instructify.build.plan import Plan, PlannedTask
from instructify.checks import REASONS
from instructify.publish.files import FileRecord
from instructify.types import EXAMPLE_COLUMNS, Ledger, example_schema

if TYPE_CHECKING:
    import pyarrow as pa

CARD_NAME = "README.md"
HUB_LICENCES = frozenset(
    "afl-3.0 apache-2.0 bsd-2-clause bsd-3-clause cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 "
    "cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-nc-nd-4.0 cdla-sharing-1.0 "
    "cdla-permissive-2.0 gpl-3.0 lgpl-3.0 mit mpl-2.0 odbl odc-by unlicense".split()
)
"""Identifiers that the hub's card header knows; everything else is `other`."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card_text(
    plan: Plan, ledgers: Sequence[Ledger], records: Sequence[FileRecord], document: Mapping[str, Any]
) -> str:
    """Return the card of a build as Markdown."""
    kept = sum(ledger.kept for ledger in ledgers)
    header = yaml.safe_dump(
        _header(plan, records, kept, document), sort_keys=False, allow_unicode=True, width=1000
    )
    name = plan.recipe.name
    sections = [
        f"---\n{header}---\n\n# {_cell(name)}",
        plan.recipe.description.strip(),
        _overview(plan, ledgers, document),
        "## Tasks\n\n" + _task_table(plan.tasks, ledgers),
        _mixture(document),
        _variants(document),
        _drops(ledgers),
        _leaks(document),
        _tokens(plan, document),
        _shortfalls(ledgers),
        "## Licences\n\n" + _licences(plan.tasks, ledgers),
        "## Columns\n\n" + "\n".join(f"- `{column}`: {text}" for column, text in EXAMPLE_COLUMNS.items()),
        _use(records),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _header(
    plan: Plan, records: Sequence[FileRecord], kept: int, document: Mapping[str, Any]
) -> dict[str, Any]:
    licences = sorted({_licence_id(task.licence) for task in plan.tasks})
    languages = sorted({language for task in plan.tasks for t in task.templates for language in t.languages})
    return {
        "pretty_name": plan.recipe.name,
        "license": licences[0] if len(licences) == 1 else "other",
        "language": languages,
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "instructify"],
        "size_categories": [next((name for limit, name in SIZES if kept < limit), "1M<n<10M")],
        "configs": _configs(records, document["content_hash"]),
        **_dataset_info(records),
    }


def _patterns(records: Sequence[FileRecord]) -> dict[str, dict[str, str]]:
    """Return format -> part -> glob of its files, the recipe's first format first."""
    found: dict[str, dict[str, str]] = {}
    for record in records:
        path = record.path.removeprefix("out/")
        pattern = re.sub(r"-\d+-of-\d+", "-*", path)
        found.setdefault(path.partition("/")[0], {})[str(record.meta["part"])] = pattern
    return found


def _loader(parts: Mapping[str, str]) -> str:
    return "parquet" if next(iter(parts.values())).endswith(".parquet") else "json"


def _configs(records: Sequence[FileRecord], content_hash: str) -> list[dict[str, Any]]:
    """Return the configurations that `load_dataset` offers: it reads all of a folder with one loader.

    It caches what it has read by the name of the folder and what is said here, so that the content hash keeps
    it from taking one build for another.
    """
    found = _patterns(records)
    return [
        {
            "config_name": name,
            "description": f"content hash {content_hash}",
            "data_files": [{"split": part, "path": path} for part, path in found[folder].items()],
        }
        for folder, name in _config_names(found).items()
    ]


def _config_names(found: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the name of each folder's configuration, for the folders that have one."""
    first = next(iter(found))
    loader = _loader(found[first])
    return {
        folder: "default" if folder == first else folder
        for folder, parts in found.items()
        if _loader(parts) == loader
    }


def _dataset_info(records: Sequence[FileRecord]) -> dict[str, Any]:
    """Return the types of the columns of JSON lines: `datasets` guesses them from the first rows it reads.

    A column that is null in all of these is null for it, and another value later an error.
    """
    name = _config_names(_patterns(records)).get("jsonl")
    if name is None:
        return {}
    return {"dataset_info": [{"config_name": name, "features": [_feature(one) for one in example_schema()]}]}


def _feature(column: pa.Field) -> dict[str, str]:
    import pyarrow as pa

    is_list = pa.types.is_list(column.type)
    return {
        "name": column.name,
        "list" if is_list else "dtype": str(column.type.value_type if is_list else column.type),
    }


def _overview(plan: Plan, ledgers: Sequence[Ledger], document: Mapping[str, Any]) -> str:
    parts = document["parts"]
    lines = [f"- {part}: {parts[part]['examples']:,} examples" for part in sorted(parts, reverse=True)]
    held_out = sorted({task.cluster for task in plan.tasks if task.role == "held_out"})
    if held_out:
        lines.append(f"- held-out task clusters (eval only): {', '.join(held_out)}")
    seen, kept = sum(ledger.seen for ledger in ledgers), sum(ledger.kept for ledger in ledgers)
    lines.append(f"- rows rendered {seen:,} = kept {kept:,} + dropped {seen - kept:,}")
    lines.append(f"- seed {plan.recipe.seed}, content hash `{document['content_hash']}`")
    return "\n".join(lines)


def _task_table(tasks: Sequence[PlannedTask], ledgers: Sequence[Ledger]) -> str:
    rows = ["| task | cluster | role | split | rows | templates | examples | dropped | licence |"]
    rows.append("|---|---|---|---|--:|--:|--:|--:|---|")
    for task in tasks:
        own = [ledger for ledger in ledgers if ledger.task == task.name]
        kept, dropped = sum(ledger.kept for ledger in own), sum(ledger.dropped.total() for ledger in own)
        rows.append(
            f"| {_cell(task.name)} | {task.cluster} | {task.role.replace('_', ' ')} | {task.split} "
            f"| {task.source.rows:,} | {len(task.templates)} | {kept:,} | {dropped:,} "
            f"| {_cell(task.licence or 'unknown')} |"
        )
    return "\n".join(rows)


def _mixture(document: Mapping[str, Any]) -> str:
    """Return what tasks were due by their weights, where some got less or, of what others left, more."""
    changed = [task for task in document["mixture"] if task["quota"] != task["due"]]
    if not changed:
        return ""
    head = "## Mixture\n\nTasks whose quota is not what they are due, because they or others offer less."
    rows = [
        f"| {_cell(task['task'])} | {task['due']:,} | {task['offered']:,} | {task['quota']:,} |"
        for task in changed
    ]
    return f"{head}\n\n| task | due | offered | quota |\n|---|--:|--:|--:|\n" + "\n".join(rows)


def _variants(document: Mapping[str, Any]) -> str:
    """Return planned and kept examples by variant, where there are several."""
    planned: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for count in document["variants"]:
        planned[count["variant"]] += count["planned"]
        kept[count["variant"]] += count["kept"]
    if len(planned) < 2:
        return ""
    rows = [f"| {name} | {planned[name]:,} | {kept[name]:,} |" for name in planned]
    return "## Variants\n\n| variant | planned | kept |\n|---|--:|--:|\n" + "\n".join(rows)


def _drops(ledgers: Sequence[Ledger]) -> str:
    total: Counter[str] = Counter()
    for ledger in ledgers:
        total.update(ledger.dropped)
    if not total:
        return ""
    rows = [f"| {reason} | {total[reason]:,} | {REASONS[reason]} |" for reason in sorted(total)]
    return "## Dropped rows\n\n| reason | rows | meaning |\n|---|--:|---|\n" + "\n".join(rows)


def _leaks(document: Mapping[str, Any]) -> str:
    """Return what training had in common with held-out tasks, which is gone from it."""
    if not document["leaks"] and not document["leaked_examples"]:
        return ""
    rows = ["| task | held-out task | found as | rows | held-out rows |", "|---|---|---|--:|--:|"]
    rows += [
        f"| {_cell(leak['task'])} | {_cell(leak['held_out'])} | {leak['level']} | {leak['rows']:,} "
        f"| {leak['held_out_rows']:,} |"
        for leak in document["leaks"]
    ]
    rows += [
        f"| {_cell(leak['train'])} | {_cell(leak['held_out'])} | 13 words | {leak['examples']:,} examples | |"
        for leak in document["leaked_examples"]
    ]
    head = "## Training rows that stand in held-out tasks\n\nThey were left out of training.\n\n"
    return head + "\n".join(rows)


def _tokens(plan: Plan, document: Mapping[str, Any]) -> str:
    """Return the token statistics of the tasks; nothing where the recipe names no tokenizer."""
    tokens = plan.recipe.tokens
    if tokens is None or not document["tokens"]:
        return ""
    rows = [
        "| task | sampled | input mean | median | 95 % | most | target mean | most | unknown |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for task in document["tokens"]:
        inputs, targets = task["inputs"], task["targets"]
        rows.append(
            f"| {_cell(task['task'])} | {task['sampled']:,} | {inputs['mean']:.1f} | {inputs['median']} "
            f"| {inputs['p95']} | {inputs['most']} | {targets['mean']:.1f} | {targets['most']} "
            f"| {task['unknown']:.2%} |"
        )
    head = (
        f"Budget: {tokens.max_input} tokens of prompt, {tokens.max_target} of target, by {tokens.tokenizer}."
    )
    return f"## Tokens\n\n{head} Counted on a sample.\n\n" + "\n".join(rows)


def _shortfalls(ledgers: Sequence[Ledger]) -> str:
    short = [ledger for ledger in ledgers if ledger.kept < ledger.quota]
    if not short:
        return ""
    rows = [
        f"| {_cell(ledger.task)} | {_cell(ledger.template)} | {ledger.quota:,} | {ledger.kept:,} |"
        for ledger in short
    ]
    head = "## Quotas not filled\n\nThe source ran out of rows.\n\n| task | template | quota | examples |"
    return head + "\n|---|---|--:|--:|\n" + "\n".join(rows)


def _licences(tasks: Sequence[PlannedTask], ledgers: Sequence[Ledger]) -> str:
    counts: Counter[str] = Counter()
    for task in tasks:
        counts[task.licence or "unknown"] += sum(
            ledger.kept for ledger in ledgers if ledger.task == task.name
        )
    lines = [f"- {_cell(licence)}: {counts[licence]:,} examples" for licence in sorted(counts)]
    return "Each example carries the licence of its source.\n\n" + "\n".join(lines)


def _use(records: Sequence[FileRecord]) -> str:
    found = _patterns(records)
    calls = [f"{folder} = {_call(folder, found)}" for folder in found]
    head = "from pathlib import Path\n\n" if any("Path" in call for call in calls) else ""
    return (
        f"## Use\n\nIn the folder of the build:\n\n```python\n{head}from datasets import load_dataset\n\n"
        + "\n".join(calls)
        + "\n```\n\n`instructify verify` checks every file against `manifest.json`."
    )


def _call(folder: str, found: Mapping[str, Mapping[str, str]]) -> str:
    """Return the Python that loads one format; for JSON lines it says where the types of columns stand."""
    name = _config_names(found).get(folder)
    if folder == "jsonl" and name is not None:
        return f'load_dataset(str(Path.cwd()), "{name}")'
    # a folder without a configuration comes after parquet
    features = ', features=parquet["train"].features' if folder == "jsonl" else ""
    return f'load_dataset("{_loader(found[folder])}", data_files={json.dumps(found[folder])}{features})'


def _licence_id(licence: str | None) -> str:
    return licence.lower() if licence and licence.lower() in HUB_LICENCES else "other"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
