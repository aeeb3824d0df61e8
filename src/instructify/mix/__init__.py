"""How many examples of what: exact quotas from sizes, caps and policies, before anything is rendered."""

from instructify.mix.allot import Allotment, allot
from instructify.mix.groups import mixture_problems
from instructify.mix.presets import preset_note
from instructify.mix.sizes import TaskSize

__all__ = ["Allotment", "TaskSize", "allot", "mixture_problems", "preset_note"]
