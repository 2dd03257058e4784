"""`run.config`: what the training was started with, as a dict that remembers in the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from runcast.run.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Config", "as_mapping"]


class Config(MutableMapping[str, Any]):
    """A run's config. Every change is recorded; `config.rate` reads like `config["rate"]`.

    The values that the user set are kept as they are; recorded is what JSON can hold of them. A key that is deleted leaves
    this mapping only: what was recorded stays recorded.
    """

    _values: dict[str, Any]
    _record: Callable[[dict[str, Any]], None]

    def __init__(self, values: Mapping[str, Any], record: Callable[[dict[str, Any]], None]) -> None:
        object.__setattr__(self, "_values", dict(values))
        object.__setattr__(self, "_record", record)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Config({self._values!r})"

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            message = f"the run's config has no {name!r}; it has: {', '.join(self._values) or 'nothing'}"
            raise AttributeError(message) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def update(self, other: Any = (), /, **values: Any) -> None:
        """Set several keys at once: one entry in the journal."""
        changed = {**as_mapping(other), **values}
        self._values.update(changed)
        self._record(plain(changed))


def as_mapping(config: Any) -> dict[str, Any]:
    """Return what users pass as a config (a mapping, pairs, an `argparse.Namespace`, None) as a dict."""
    if config is None:
        return {}
    if not isinstance(config, Mapping) and hasattr(config, "__dict__"):
        config = vars(config)
    return {str(key): value for key, value in dict(config).items()}
