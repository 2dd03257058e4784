"""`run.config` and `run.summary`: mappings that remember their changes in the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from runcast.run.plain import attributes_of, fields_of, plain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Config", "Summary", "as_mapping"]


class _Recorded(MutableMapping[str, Any]):
    """A mapping whose changes are recorded; `values.rate` reads like `values["rate"]`.

    The values that the user set are kept as they are; recorded is what JSON can hold of them. A key that is deleted leaves
    this mapping only: what was recorded stays recorded.
    """

    _what = ""
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
        return f"{type(self).__name__}({self._values!r})"

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            message = f"the run's {self._what} has no {name!r}; it has: {', '.join(self) or 'nothing'}"
            raise AttributeError(message) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def update(self, other: Any = (), /, **values: Any) -> None:
        """Set several keys at once: one entry in the journal. Takes what `init(config=…)` takes, and keywords."""
        changed = {**as_mapping(other), **values}
        if changed:
            self._values.update(changed)
            self._record(plain(changed))

    def as_dict(self) -> dict[str, Any]:
        """Return a copy as a plain dict."""
        return {key: self[key] for key in self}


class Config(_Recorded):
    """What the training was started with: `run.config`."""

    _what = "config"

    def update(self, other: Any = (), /, **values: Any) -> None:
        """Set several keys at once: one entry in the journal. Takes what `init(config=…)` takes, and keywords.

        `allow_val_change=` is taken as W&B does, and changes nothing: values may always be changed.
        """
        if isinstance(values.get("allow_val_change"), (bool, type(None))):
            values.pop("allow_val_change", None)
        super().update(other, **values)

    def setdefaults(self, other: Any = (), /) -> None:
        """Set the keys that are not set yet."""
        self.update({key: value for key, value in as_mapping(other).items() if key not in self})


class Summary(_Recorded):
    """What came of the training: `run.summary`. It has the last value of whatever `run.log` was given; what is set here wins."""

    _what = "summary"
    _logged: dict[str, Any]

    def __init__(self, values: Mapping[str, Any], record: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(values, record)
        object.__setattr__(self, "_logged", {})

    def __getitem__(self, key: str) -> Any:
        return self._values[key] if key in self._values else self._logged[key]

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._values.pop(key, None)
        self._logged.pop(key, None)

    def __iter__(self) -> Iterator[str]:
        # The logging of another thread may add keys meanwhile.
        return iter([*self._logged.copy(), *(key for key in self._values.copy() if key not in self._logged)])

    def __len__(self) -> int:
        return len(self._values.keys() | self._logged.keys())

    def __repr__(self) -> str:
        return f"Summary({self.as_dict()!r})"

    def logged(self, values: Mapping[str, Any]) -> None:
        """Take in what became of what was just logged; it is in the event file, so nothing is recorded here. None leaves it out."""
        for key, value in values.items():
            if value is None:
                self._logged.pop(key, None)
            else:
                self._logged[key] = value


def as_mapping(config: Any) -> dict[str, Any]:
    """Return what users pass as a config as a dict: None, pairs, or what is made of names and values (see `fields_of`).

    Of another class, or an object of it, its attributes count. Raises `TypeError` or `ValueError` for anything else.
    """
    if config is None:
        return {}
    fields = fields_of(config)
    if fields is None and not hasattr(config, "__iter__"):
        fields = attributes_of(config)
        if not fields:
            raise TypeError
    return {str(key): value for key, value in (dict(config) if fields is None else fields).items()}
