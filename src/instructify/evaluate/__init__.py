"""Zero-shot evaluation on the held-out tasks of a build: scores, baselines and what the base had seen."""

from instructify.evaluate.heldout import HeldOut, HeldOutTask, read_held_out
from instructify.evaluate.models import BASE, Candidate, finished, of_adapter, sections
from instructify.evaluate.run import Job, evaluate
from instructify.evaluate.scores import score_schema

__all__ = [
    "BASE",
    "Candidate",
    "HeldOut",
    "HeldOutTask",
    "Job",
    "evaluate",
    "finished",
    "of_adapter",
    "read_held_out",
    "score_schema",
    "sections",
]
