from __future__ import annotations

import gc
import inspect
import weakref
from pathlib import Path

import pytest
import tensorboard.summary
import tensorboardX
from tensorboard.summary.writer import event_file_writer
from torch.utils.tensorboard import SummaryWriter

from runcast import capture

MAKERS = {
    "torch": (SummaryWriter, "tensorboard"),
    "tensorboardX": (tensorboardX.SummaryWriter, "tensorboardX"),
    "tensorboard": (tensorboard.summary.Writer, "tensorboard"),
}


def event_files(folder):
    return sorted(str(path) for path in folder.rglob("*tfevents*"))


@pytest.mark.parametrize("maker", MAKERS)
def test_writer_made_after_the_patch(captured, tmp_path, maker):
    """A writer of each library is found by the very file that it writes, however it was imported before."""
    make, library = MAKERS[maker]
    capture.patch()
    writer = make("logs")
    writer.close()
    assert [notice.path for notice in captured] == event_files(tmp_path)
    assert (captured[0].logdir, captured[0].library, captured[0].adopted) == (
        str(tmp_path / "logs"),
        library,
        False,
    )


@pytest.mark.parametrize("maker", MAKERS)
def test_writer_made_before_the_patch(captured, tmp_path, maker):
    """A writer that is open already is adopted; the order of the calls does not matter."""
    make, _ = MAKERS[maker]
    writer = make("logs")
    assert captured == []
    capture.patch()
    assert [(notice.path, notice.adopted) for notice in captured] == [(event_files(tmp_path)[0], True)]
    writer.close()


@pytest.mark.parametrize("maker", ["torch", "tensorboardX"])
def test_closed_writers_are_not_adopted(captured, maker):
    """A writer that was closed before belongs to an earlier training, even if a variable still holds it."""
    writer = MAKERS[maker][0]("logs")
    inner = writer.file_writer.event_writer
    writer.close()
    capture.patch()
    assert captured == []
    del inner


def test_add_scalars_and_two_writers_in_one_folder(captured, tmp_path):
    """The writers that add_scalars makes, and two writers of one folder, are all found, each once."""
    capture.patch()
    first, second = SummaryWriter("logs"), SummaryWriter("logs")
    first.add_scalars("multi", {"one": 1, "two": 2}, 0)
    first.close()
    second.close()
    assert sorted(notice.path for notice in captured) == event_files(tmp_path)
    assert len(captured) == 4


def test_patching_twice_notices_once(captured):
    """Calling patch again, as a cell that is run again does, doubles nothing."""
    capture.patch()
    capture.patch()
    SummaryWriter("logs").close()
    assert len(captured) == 1


def test_subclasses_count(captured):
    """A user's own subclass of the writer's class is found too, made before the patch or after."""

    class Mine(event_file_writer.EventFileWriter):
        pass

    early = Mine("early")
    capture.patch()
    late = Mine("late")
    assert [Path(notice.logdir).name for notice in captured] == ["early", "late"]
    early.close()
    late.close()


def test_unpatch_restores_the_originals(captured):
    """After unpatch the libraries are as if we had never been there; while patched, signatures look the same."""
    classes = [event_file_writer.EventFileWriter, tensorboardX.event_file_writer.EventFileWriter]
    before = [dict(vars(cls)) for cls in classes]
    signatures = [inspect.signature(cls) for cls in classes]
    capture.patch()
    changed = [
        {name for name in vars(cls) if vars(cls)[name] is not was[name]}
        for cls, was in zip(classes, before, strict=True)
    ]
    assert changed == [{"__init__"}, {"__init__"}], "what is called for every point must not be wrapped"
    assert [inspect.signature(cls) for cls in classes] == signatures
    capture.unpatch()
    assert [dict(vars(cls)) for cls in classes] == before
    SummaryWriter("logs").close()
    assert captured == []


def test_patches_of_others_survive_ours(captured, monkeypatch):
    """If someone patches on top of us, unpatch leaves theirs alone and silences ours, and patch finds all again."""
    cls = event_file_writer.EventFileWriter
    original = cls.__init__
    capture.patch()
    ours, calls = cls.__init__, []

    def theirs(self, *args, **kwargs):
        calls.append(args)
        ours(self, *args, **kwargs)

    monkeypatch.setattr(cls, "__init__", theirs)
    capture.unpatch()
    silent = SummaryWriter("silent")
    assert (len(calls), captured) == (1, [])
    capture.patch()
    heard = SummaryWriter("heard")
    assert len(calls) == 2
    assert [Path(notice.logdir).name for notice in captured] == ["silent", "heard"]
    silent.close()
    heard.close()
    monkeypatch.undo()
    capture.unpatch()
    assert cls.__init__ is original


def test_libraries_can_be_left_alone(captured):
    """pytorch=False or tensorboard_x=False leave that library's writers out."""
    capture.patch(tensorboard=False)
    SummaryWriter("torch").close()
    tensorboardX.SummaryWriter("x").close()
    assert [notice.library for notice in captured] == ["tensorboardX"]


def test_writers_are_not_kept_alive(captured):
    """A writer that the user drops is collected as without us."""
    capture.patch()
    writer = SummaryWriter("logs")
    inner = weakref.ref(writer.file_writer.event_writer)
    del writer
    gc.collect()
    assert len(captured) == 1
    assert inner() is None


def test_a_failing_subscriber_does_not_reach_the_user(captured, tmp_path):
    """Whatever goes wrong in a hook, SummaryWriter(...) returns a writer that works."""
    capture.patch()

    def fail(notice):
        raise RuntimeError(notice)

    unsubscribe = capture.subscribe(fail)
    writer = SummaryWriter("logs")
    writer.add_scalar("loss", 1.0, 0)
    writer.close()
    unsubscribe()
    assert len(captured) == 1


def test_a_constructor_that_fails_is_the_users_own(captured, tmp_path):
    """A writer that cannot be made raises the library's own error, and is not noticed."""
    capture.patch()
    (tmp_path / "file").write_text("")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        event_file_writer.EventFileWriter(str(tmp_path / "file"))
    assert captured == []


def test_a_second_subscriber_hears_of_open_writers(captured):
    """A writer that is still open when a second run starts appears in it again, as adopted; a closed one does not."""
    capture.patch()
    still_open, closed = SummaryWriter("open"), SummaryWriter("closed")
    closed.close()
    second = []
    unsubscribe = capture.subscribe(second.append)
    assert [(Path(notice.logdir).name, notice.adopted) for notice in second] == [("open", True)]
    unsubscribe()
    still_open.close()


def test_a_dropped_tensorboardx_writer_is_not_adopted_again(captured):
    """A cell that is run again drops its old tensorboardX writer; the next run does not start with the old lines."""
    capture.patch()
    writer = tensorboardX.SummaryWriter("old")
    del writer
    gc.collect()
    second = []
    capture.subscribe(second.append)()
    assert second == []


def test_writers_before_the_first_run(script):
    """After an explicit patch, writers that open and close before the run starts are given to it; else they are not."""
    source = """
        from runcast import capture
        capture.patch(remember={remember})
        from torch.utils.tensorboard import SummaryWriter
        SummaryWriter("early").close()
        notices = []
        capture.subscribe(notices.append)
        print([(n.logdir.rsplit("/")[-1], n.adopted) for n in notices])
    """
    assert script(source.format(remember=True)).strip() == "[('early', True)]"
    assert script(source.format(remember=False)).strip() == "[]"


def test_libraries_are_never_imported(script):
    """Patching imports none of the libraries; one that the user imports later is patched then, by any of its names."""
    printed = script("""
        import sys
        from runcast import capture
        notices = []
        capture.subscribe(notices.append)
        capture.patch()
        print(sorted({"torch", "tensorboard", "tensorboardX", "tensorflow", "numpy"} & sys.modules.keys()))
        from torch.utils.tensorboard import SummaryWriter
        import tensorboardX
        SummaryWriter("torch").close()
        tensorboardX.SummaryWriter("x").close()
        print([notice.library for notice in notices])
    """)
    assert printed.splitlines() == ["[]", "['tensorboard', 'tensorboardX']"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux tells which files are open")
def test_files_that_something_else_has_open(captured, tmp_path):
    """An event file that native code holds open for writing is found; one that is only being read is not."""
    (tmp_path / "events.out.tfevents.1.read").write_bytes(b"")
    with (
        (tmp_path / "events.out.tfevents.2.written").open("wb") as written,
        (tmp_path / "events.out.tfevents.1.read").open("rb"),
    ):
        notices = []
        capture.subscribe(notices.append)()
        assert [notice.path for notice in notices] == [written.name]
        assert notices[0].adopted
