"""All that a report says, in order; the HTML page and the Markdown twin are two ways to print it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from instructify.errors import counted
from instructify.report import tables
from instructify.report.chart import loss_curves, template_dots
from instructify.report.findings import ALPHA, Finding, Findings
from instructify.report.flips import Flip, flip, places, read_rows, row_at
from instructify.report.read import Experiment, Training, model_title, read_prompts
from instructify.report.tables import Cell, Table
from instructify.report.text import duration, interval, mebibytes, percent, points, probability

Facts = tuple[tuple[str, str], ...]

OF_A_SEED = ("seed", "seconds", "last loss")  # in the table of seeds even where they are all alike
LONGEST_CELL = 24  # characters of a value in the table of seeds; longer ones are listed


@dataclass(frozen=True, slots=True)
class Section:
    """One dataset: what was found in words, its drawing, its templates, and examples that flipped."""

    title: str
    sentences: tuple[str, ...]
    drawing: Markup
    templates: Table
    right: int
    wrong: int
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report; tables without rows and empty facts are left out of it."""

    title: str
    summary: tuple[str, ...]
    headline: Table
    details: Table
    others: Table
    controls: Table
    sections: tuple[Section, ...]
    built: Facts
    unbuilt: str
    tasks: Table
    training: tuple[str, ...]
    trained: Facts
    seeds: Table
    losses: Markup
    evaluated: Facts
    commands: tuple[str, ...]
    hashes: Facts


def make_page(experiment: Experiment, findings: Findings) -> Page:
    """Bring together what the report says."""
    evaluation, manifest = experiment.evaluation, experiment.manifest
    # before variants were scored apart, the facts of a task were those of its zero-shot prompts
    facts = {(fact["task"], fact.get("variant", "zero_shot")): fact for fact in evaluation.get("tasks", ())}
    seen = {place: fact.get("seen") or {} for place, fact in facts.items()}
    name = manifest["name"] if manifest else str(evaluation.get("base", {}).get("name", "a run"))
    trained, seeds = _trained(experiment.trainings)
    curves = {
        training.seed: training.losses
        for training in experiment.trainings
        if any(math.isfinite(loss) for _, loss in training.losses)
    }
    return Page(
        title=f"Transfer report: {name}",
        summary=tuple(_summary(findings)),
        headline=tables.headline(findings, seen),
        details=tables.details(findings),
        others=tables.other_metrics(findings),
        controls=tables.controls(findings),
        sections=tuple(_sections(experiment, findings, facts)),
        built=tuple(_built(manifest)) if manifest else (),
        unbuilt=experiment.unbuilt,
        tasks=_tasks(manifest) if manifest else Table((), ()),
        training=(*_training_in_words(experiment.trainings), *map(_sentence, experiment.notes)),
        trained=trained,
        seeds=seeds,
        losses=loss_curves(curves) if curves else Markup(""),
        evaluated=tuple(_flat({key: evaluation.get(key) for key in ("base", "settings", "device", "limit")})),
        commands=COMMANDS,
        hashes=tuple(_hashes(experiment)),
    )


COMMANDS = (
    "instructify build RECIPE.yaml",
    "instructify finetune RECIPE.yaml",
    "instructify evaluate RECIPE.yaml",
    "instructify report RUN",
)


def _summary(findings: Findings) -> Iterator[str]:
    verdicts = Counter(finding.verdict for finding in findings.datasets)
    total, test = len(findings.datasets), "(two-sided test at 5 %, corrected for looking at all of them"
    test += "; each variant of a dataset counts as one)" if findings.has_variants else ")"
    if not total:
        yield "No held-out dataset could be compared."
    elif verdicts["no effect found"] == total:
        yield f"No effect was found on {counted(total, 'held-out dataset')} {test}."
    else:
        yield (
            f"Of {counted(total, 'held-out dataset')}, tuning improved {verdicts['improved']} and made "
            f"{verdicts['got worse']} worse; on {verdicts['no effect found']} no effect was found {test}."
        )
    for scored, reason in findings.left_out:
        yield f"{scored.title} is left out: {reason}."
    for variant, average in findings.averages.items():
        of = f"Variant {variant}, averaged" if findings.has_variants else "Averaged"
        yield (
            f"{of} over {counted(average.datasets, 'dataset')} of equal weight, the mean score went from "
            f"{percent(average.before)} to {percent(average.after)}: {points(average.mean)} points "
            f"(95 % interval {interval(average.interval)}, p {probability(average.p)})."
        )
    for model, changes in findings.controls.items():
        gained = sum(change.p < ALPHA and change.mean > 0 for _, change in changes)
        yield (
            f"Negative control ({model}): {gained} of {counted(len(changes), 'dataset')} rose, each tested "
            "alone at 5 %."
        )


def _sections(
    experiment: Experiment, findings: Findings, facts: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[Section]:
    found = [(finding, *places(finding)) for finding in findings.datasets]
    wanted = [(finding.scored, place) for finding, _, _, some in found for place in some]
    rows = read_rows(experiment.scores, [place.document for _, place in wanted])
    ids = [row_at(rows, scored, place)["example_id"] for scored, place in wanted]
    prompts = read_prompts(experiment.build, ids) if experiment.build else {}
    for finding, right, wrong, some in found:
        scored = finding.scored
        yield Section(
            f"{scored.title} ({scored.metric})",
            tuple(_sentences(finding, len(findings.datasets), facts.get((scored.task, scored.variant), {}))),
            template_dots(finding.change, scored.templates, finding.chance),
            tables.templates(finding),
            right,
            wrong,
            tuple(flip(scored, place, rows, prompts) for place in some),
        )


def _sentences(finding: Finding, datasets: int, fact: Mapping[str, Any]) -> Iterator[str]:
    """Say in words what was found on one dataset, and what limits it."""
    change = finding.change
    around = f"(95 % interval {interval(change.interval)})"
    improved = f"{change.improved} of {counted(len(change.by_template), 'template')} improved"
    if finding.verdict == "no effect found":
        yield f"No effect found: the mean changed by {points(change.mean)} points {around}; {improved}."
        if change.decidable:
            yield (
                f"A true change of {percent(change.detectable)} points would have been found in four "
                "experiments of five."
            )
        else:
            yield "No change that is possible would have been found in four experiments of five."
        if change.p < ALPHA:
            p = probability(change.p)
            yield f"Alone it would pass the test at 5 % (p {p}); among {datasets} tests it does not."
    else:
        verb = "raised" if change.mean > 0 else "lowered"
        yield f"Tuning {verb} the mean by {percent(abs(change.mean))} points {around}; {improved}."
        if change.template_interval and change.template_interval[0] <= 0 <= change.template_interval[1]:
            other = interval(change.template_interval)
            yield f"With other templates too the change could be none (95 % interval {other})."
    if change.widened:
        few = f"Only {counted(change.changed, 'document')}" if change.changed else "No document"
        yield f"{few} changed at all, so the interval is widened."
    yield from _limits(fact)
    if note := (fact.get("seen") or {}).get("note"):
        yield f"Of the base model: {note}."


def _limits(fact: Mapping[str, Any]) -> Iterator[str]:
    """Say of which examples a score says less than it seems to, by what evaluation counted."""
    if cut := fact.get("truncated"):
        yield f"Too long and therefore cut: {cut:,} of {counted(fact.get('examples', 0), 'prompt')}."
    if same := fact.get("colliding"):
        yield f"Choices that no model can tell apart, being the same tokens: {counted(same, 'example')}."
    if others := fact.get("others"):
        yield f"Left out of these scores: {counted(others, 'template')} with another main metric."


def _built(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    description = str(manifest.get("recipe", {}).get("description") or "").strip()
    if description:
        yield "description", description
    for part, about in sorted(manifest["parts"].items(), reverse=True):
        yield f"{part} examples", f"{about['examples']:,}"
    held_out = sorted({task["cluster"] for task in manifest["tasks"] if task["role"] == "held_out"})
    yield "held-out task clusters", ", ".join(held_out) or "none"
    dropped: Counter[str] = Counter()
    for ledger in manifest["ledgers"]:
        dropped.update(ledger["dropped"])
    yield "rows dropped", ", ".join(f"{reason} {n:,}" for reason, n in sorted(dropped.items())) or "none"
    for note in manifest.get("notes", ()):
        yield "note", note


def _tasks(manifest: Mapping[str, Any]) -> Table:
    kept: Counter[str] = Counter()
    for ledger in manifest["ledgers"]:
        kept[ledger["task"]] += ledger["kept"]
    tokens = {found["task"]: found for found in manifest.get("tokens", ())}
    rows = tuple(
        (
            Cell(task["name"]),
            Cell(task["cluster"]),
            Cell(task["role"].replace("_", " ")),
            Cell(f"{len(task['templates']):,}"),
            Cell(f"{kept[task['name']]:,}"),
            *(_lengths(tokens.get(task["name"])) if tokens else ()),
        )
        for task in manifest["tasks"]
    )
    counted = ("prompt tokens", "target tokens") if tokens else ()
    return Table(("task", "cluster", "role", "templates", "examples", *counted), rows)


def _lengths(task: Mapping[str, Any] | None) -> list[Cell]:
    """Return median and most tokens of prompt and target, by the build's sample."""
    if task is None:
        return [Cell(""), Cell("")]
    sides = (task["inputs"], task["targets"])
    return [Cell(f"median {side['median']:,}, most {side['most']:,}") for side in sides]


def _trained(trainings: Sequence[Training]) -> tuple[Facts, Table]:
    """Return what all training runs share or is long, and a table of what differs between them."""
    facts = [dict(_flat(training.facts)) for training in trainings]
    for training, found in zip(trainings, facts, strict=True):
        if training.losses:
            found["last loss"] = f"{training.losses[-1][1]:.4g}"
    keys = list(dict.fromkeys(key for found in facts for key in found))
    alike = [key for key in keys if len({found.get(key) for found in facts}) == 1]
    common = [key for key in alike if key not in OF_A_SEED]
    short = [key for key in keys if all(len(found.get(key, "")) <= LONGEST_CELL for found in facts)]
    columns = sorted((key for key in short if key not in common), key=lambda key: key != "seed")
    listed = [(key, facts[0][key]) for key in common]
    listed += [
        (f"{key}, seed {found['seed']}", found[key])
        for key in keys
        if key not in (*common, *columns)
        for found in facts
        if key in found
    ]
    rows = tuple(tuple(Cell(found.get(key, "")) for key in columns) for found in facts)
    return tuple(listed), Table(tuple(columns), rows)


def _training_in_words(trainings: Sequence[Training]) -> Iterator[str]:
    if not trainings:
        return
    facts = trainings[0].facts
    method = {"lora": "LoRA adapters", "full": "all weights"}.get(facts.get("finetune", {}).get("method"))
    parameters = facts.get("parameters", {})
    if method and parameters and "steps" in facts:
        share = parameters["trainable"] / parameters["all"]
        controls = sum(bool(training.facts["finetune"].get("shuffle_targets")) for training in trainings)
        seeds = counted(len(trainings) - controls, "seed")
        seeds += f" and {counted(controls, 'negative control')}" if controls else ""
        yield (
            f"Trained {method}: {parameters['trainable']:,} of {parameters['all']:,} parameters "
            f"({percent(share)} %), {counted(facts['steps'], 'step')}, {seeds}."
        )


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:].removesuffix(".") + "."


def _hashes(experiment: Experiment) -> Iterator[tuple[str, str]]:
    evaluation, manifest = experiment.evaluation, experiment.manifest
    if manifest:
        yield "recipe, sha256", str(manifest["recipe_sha256"])
    yield "build, content hash", str(evaluation.get("build", {}).get("content_hash", "not recorded"))
    for model in evaluation.get("models", ()):
        for part in ("model_hash", "tokenizer_hash", "adapter_hash"):
            if model.get(part) and (part == "adapter_hash" or model.get("seed") is None):
                yield f"{model_title(model)}, {part.replace('_', ' ')}", str(model[part])
    yield "scores.parquet, sha256", experiment.scores_sha256
    for name, version in sorted(evaluation.get("versions", {}).items()):
        yield name, str(version)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested facts as (dotted name, text); unset ones are left out."""
    for key, value in facts.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}, ")
        elif value is not None and value != "":
            yield name, _leaf(key, value)


def _leaf(key: str, value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        if key.endswith("seconds"):
            return duration(value)
        if "memory" in key or key.endswith("bytes"):
            return mebibytes(value)
        return f"{value:,}" if isinstance(value, int) and key != "seed" else str(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
