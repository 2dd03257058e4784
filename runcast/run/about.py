"""What a run is about: its name, labels, config and summary, which may be set while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.errors import SettingsError
from runcast.run.config import Config, Summary
from runcast.run.plain import plain
from runcast.run.redact import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runcast.run.notes import Notes
    from runcast.run.record import RunRecord

__all__ = ["About"]


class About:
    """The part of a `Run` that says what it is; whatever is set goes to the journal."""

    def __init__(self, record: RunRecord, config: Mapping[str, Any], notes: Notes) -> None:
        self._notes = notes
        self.group = record.group
        """The name that runs which belong together share, "" for none."""
        self.job_type = record.job_type
        """What the run does in its group, "" if nobody said."""
        self._name = record.name
        self._project = record.project
        self._tags = record.tags
        self._text = record.notes
        self._config = Config(config, lambda changed: self._set(config=without_secrets(plain(changed))))
        self._summary = Summary(record.summary, lambda changed: self._set(summary=plain(changed)))

    @property
    def name(self) -> str:
        """The run's name; may be set."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str) or not name.strip():
            message = f"a run's name must be a text that is not empty, not {name!r}"
            raise SettingsError(message)
        self._name = name.strip()
        self._set(name=self._name)

    @property
    def project(self) -> str:
        """The name of the project that the run belongs to."""
        return self._project

    @property
    def tags(self) -> tuple[str, ...]:
        """The run's labels; may be set, as in `run.tags += ("final",)`."""
        return self._tags

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        given = [tags] if isinstance(tags, str) else list(tags)
        if not all(isinstance(tag, str) for tag in given):
            message = f"a run's tags must be texts, such as ('baseline', 'cnn'), not {tags!r}"
            raise SettingsError(message)
        self._tags = tuple(dict.fromkeys(given))
        self._set(tags=list(self._tags))

    @property
    def notes(self) -> str:
        """What there is to say of the run; may be set."""
        return self._text

    @notes.setter
    def notes(self, notes: str | None) -> None:
        self._text = "" if notes is None else str(notes)
        self._set(notes=self._text)

    @property
    def config(self) -> Config:
        """What the training was started with; changes are recorded."""
        return self._config

    @property
    def summary(self) -> Summary:
        """What came of the training: the last values of `log`, and whatever is set here, which wins and is recorded."""
        return self._summary

    def _set(self, **values: Any) -> None:
        self._notes.note("set", values=values)
