"""Many files of one run go into the store together, and one that cannot go holds up no other."""

from __future__ import annotations

from runcast.events import EventWriter


def test_a_file_that_cannot_be_kept_holds_up_no_other(tmp_path, new_run, start_recorder, store, wait_for):
    """Something is in the way of one file of many: the others are recorded, it is said why, and later it is recorded too."""
    run = new_run()
    writers = [
        EventWriter(tmp_path / "logs" / str(number) / "events.out.tfevents.1.h") for number in range(6)
    ]
    for writer in writers:
        writer.scalars({"loss": 0.5}, 1)
    in_the_way = run.folder / "files" / "logs" / "3" / writers[3].path.name
    in_the_way.mkdir(parents=True)
    run.watch(tmp_path / "logs")
    recorder = start_recorder(run)

    def sources():
        with store() as local:
            found = {each.id for each in local.runs()}
            return [each.source for each in local.series(run.id) if each.root == "logs"] if found else []

    wait_for(lambda: sources() == ["0", "1", "2", "4", "5"])
    assert str(in_the_way) in recorder.next("warning")[0]["text"]
    for writer in writers:
        writer.scalars({"loss": 0.25}, 2)
        writer.close()
    in_the_way.rmdir()
    wait_for(lambda: sources() == ["0", "1", "2", "3", "4", "5"])
    run.finish()
    recorder.send(kind="wake")
    assert recorder.next("finished")[0]["state"] == "finished"
    with store() as local:
        counts = [each.count for each in local.series(run.id) if each.root == "logs"]
    assert counts == [2] * 6
