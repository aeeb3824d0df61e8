"""The recipe that `instructify init` writes: small, offline, every setting explained."""

from __future__ import annotations

import re

from instructify.errors import InstructifyError, Problem
from instructify.recipe.load import NAME_PATTERN, PATTERNS

SCHEMA_FILE = "recipe.schema.json"

_TEXT = """\
# yaml-language-server: $schema=./@schema@
#
# An instructify recipe: which datasets to render with which prompt templates, and how many examples of each.
# As it stands it needs no network: its datasets are made by instructify itself.
#   instructify plan FILE     the counts, before anything is rendered
#   instructify build FILE    the examples, under output.dir

name: "@name@"
description: ""                # a sentence or two for the dataset card
seed: 0                        # another seed, another sample; the same seed, the same bytes

# Task clusters that training never sees; their datasets are rendered for evaluation instead.
held_out: [nli]

mixture:
  size: 2000                   # training examples in all; without it, all that the caps allow
  cap_per_dataset: 2000        # so that large datasets do not drown small ones
  # cap_per_template: 500
  eval_cap_per_template: 100   # enough to score a held-out task

checks:
  max_dropped: 0.2             # fail when a template drops more than this share of its rows

output:
  dir: "builds/@name@"
  formats: [parquet]           # also jsonl (JSON lines) and chat (messages)

# Where templates come from; the first collection that has a template wins.
# Add promptsource if that package is installed, or a folder of your own, relative to this file.
template_sources: [builtin]

# Where tasks without a source look for <dataset>[/<subset>]/<split>.parquet.
# data_root: data

tasks:
  - dataset: world
    subset: reviews
  - dataset: world
    subset: news
    split: train[:50%]         # a slice: rows or percentages, as in train[100:200]
    cap: 1000                  # this dataset's own cap
  - dataset: world
    subset: entail3            # in the cluster nli, so held out
    eval_split: validation

  # Your own file, with templates of your own in templates/tickets/*.jinja (add ./templates above):
  # - dataset: tickets
  #   cluster: topic
  #   licence: CC-BY-4.0
  #   source:
  #     kind: files
  #     path: "data/tickets-{split}.csv"   # parquet, jsonl, json, csv or tsv; a list or a glob will do
  #     rename: {body: text}               # to the column names that the templates use
  #     label_names: {label: [question, complaint]}

  # A dataset of the Hugging Face hub, with promptsource's templates (add promptsource above):
  # - dataset: super_glue
  #   subset: rte
  #   source: {kind: hub, path: super_glue, config: rte, revision: main}
  #   templates:
  #     include: ["*"]                     # glob patterns of template names
  #     exclude: ["MNLI*"]
  #     original_task_only: true

  # A folder that datasets wrote with save_to_disk:
  # - dataset: imdb
  #   source: {kind: disk, path: data/imdb}
"""


def starter_recipe(name: str) -> str:
    """Return the text of a commented recipe called `name`; raises InstructifyError where that is no name."""
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > 200:
        raise InstructifyError(Problem(f"{name!r} cannot name a recipe", expected=PATTERNS[NAME_PATTERN]))
    return _TEXT.replace("@schema@", SCHEMA_FILE).replace("@name@", name)
