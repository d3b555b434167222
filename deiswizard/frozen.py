"""The base of every immutable model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A model that cannot be changed after it was made and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
