"""Values as strict JSON can say them: browsers and most readers refuse NaN and the infinities."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["strict"]


def strict(value: Any) -> Any:
    """Return a JSON value with NaN and the infinities as texts: `"NaN"`, `"Infinity"` and `"-Infinity"`."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return value
