"""Fine-tune a base model on the training part of a published build, resumably and to the bit."""

from instructify.finetune.data import other_sections
from instructify.finetune.run import Finished, Settings, finetune, require_apart, run_folder

__all__ = ["Finished", "Settings", "finetune", "other_sections", "require_apart", "run_folder"]
