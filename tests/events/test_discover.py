"""Finding event files."""

from __future__ import annotations

from pathlib import Path

import pytest

from runcast.events import find_files


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(found):
    return [(file.source, file.name) for file in found]


def test_event_files_and_pbtxt_in_every_folder(tmp_path):
    """Event files are found at any depth, other files and uploaders' markers are not."""
    touch(tmp_path / "events.out.tfevents.1.host", b"12345")
    touch(tmp_path / "train" / "deep er" / "events.out.tfevents.2.host")
    touch(tmp_path / "train" / "projector_config.pbtxt")
    touch(tmp_path / "train" / "events.out.tfevents.3.host.profile-empty")
    touch(tmp_path / "train" / "events.out.tfevents.3.host.sagemaker-uploaded")
    touch(tmp_path / "model.pt")
    (tmp_path / "a.tfevents.folder").mkdir()
    found = find_files(tmp_path)
    assert names(found) == [
        (".", "events.out.tfevents.1.host"),
        ("train", "projector_config.pbtxt"),
        ("train/deep er", "events.out.tfevents.2.host"),
    ]
    first = found[0]
    status = first.path.stat()
    assert (first.size, first.id, first.mtime_ns) == (5, (status.st_dev, status.st_ino), status.st_mtime_ns)


def test_a_logdir_that_is_not_there_yet(tmp_path):
    """It is simply empty: it will be waited for."""
    errors = []
    assert find_files(tmp_path / "later", errors.append) == []
    assert errors == []


def test_a_file_instead_of_a_folder(tmp_path):
    """The error is handed over, not raised."""
    errors = []
    assert find_files(touch(tmp_path / "file"), errors.append) == []
    assert [type(error) for error in errors] == [NotADirectoryError]
    assert find_files(tmp_path / "file") == []


def test_links(tmp_path):
    """A loop ends, `latest` adds nothing twice, a folder elsewhere is found under its link's name."""
    touch(tmp_path / "logs" / "zz" / "events.tfevents.1")
    touch(tmp_path / "elsewhere" / "events.tfevents.2")
    try:
        (tmp_path / "logs" / "zz" / "loop").symlink_to(tmp_path / "logs")
        (tmp_path / "logs" / "latest").symlink_to(tmp_path / "logs" / "zz")
        (tmp_path / "logs" / "other").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "logs" / "dangling.tfevents").symlink_to(tmp_path / "nothing")
    except OSError:
        pytest.skip("no links here")
    assert names(find_files(tmp_path / "logs")) == [
        ("other", "events.tfevents.2"),
        ("zz", "events.tfevents.1"),
    ]


def test_a_link_to_itself(tmp_path):
    """A link in a circle is not there, as any link that leads nowhere; the rest is found."""
    touch(tmp_path / "events.tfevents.1")
    try:
        (tmp_path / "self.tfevents").symlink_to(tmp_path / "self.tfevents")
    except OSError:
        pytest.skip("no links here")
    errors = []
    assert names(find_files(tmp_path, errors.append)) == [(".", "events.tfevents.1")]
    assert errors == []


def test_a_folder_that_may_not_be_read(tmp_path, close_folder):
    """It is reported, and the rest is found."""
    touch(tmp_path / "logs" / "open" / "events.tfevents.1")
    closed = touch(tmp_path / "logs" / "closed" / "events.tfevents.2").parent
    close_folder(closed)
    errors = []
    assert names(find_files(tmp_path / "logs", errors.append)) == [("open", "events.tfevents.1")]
    assert [Path(error.filename) for error in errors] == [closed]


def test_a_replaced_file_has_another_id(tmp_path):
    """A file that is replaced under its name can be told from one that grew."""
    path = touch(tmp_path / "events.tfevents.1")
    (before,) = find_files(tmp_path)
    with path.open("ab") as file:
        file.write(b"more")
    (grown,) = find_files(tmp_path)
    touch(tmp_path / "new").replace(path)
    (replaced,) = find_files(tmp_path)
    assert grown.id == before.id
    assert grown.size == 5
    assert replaced.id != before.id
