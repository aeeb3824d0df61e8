"""The compiled path: one generated function a template, over columns; the reference renders the rest."""

from instructify.render.compiled.engine import BatchTemplate, RenderedBatch
from instructify.render.compiled.rows import Rows

__all__ = ["BatchTemplate", "RenderedBatch", "Rows"]
