"""The base of every recipe section."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of every recipe section: frozen, unknown keys refused, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
