"""Prompt templates: the record, the two formats, and collections of them."""

from instructify.templates.library import TaskInfo, TemplateLibrary, matches, open_library
from instructify.templates.model import Template

__all__ = ["TaskInfo", "Template", "TemplateLibrary", "matches", "open_library"]
