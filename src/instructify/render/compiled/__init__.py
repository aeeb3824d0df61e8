"""The compiled path: Arrow kernels and one generated function a template; the reference renders the rest."""

from instructify.render.compiled.engine import BatchTemplate
from instructify.render.compiled.result import RenderedBatch
from instructify.render.compiled.rows import Rows

__all__ = ["BatchTemplate", "RenderedBatch", "Rows"]
