"""Preview: what templates make of a few real rows, as data and as a page to review."""

from instructify.preview.make import Bench, open_bench, refreshed, sheets
from instructify.preview.model import Card, Example, Outcome, Sheet
from instructify.preview.page import write_page
from instructify.preview.target import Wanted, find

__all__ = [
    "Bench",
    "Card",
    "Example",
    "Outcome",
    "Sheet",
    "Wanted",
    "find",
    "open_bench",
    "refreshed",
    "sheets",
    "write_page",
]
