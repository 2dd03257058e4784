"""Fuzzes `Decoder`: whatever the bytes of an event file, it answers as the slow reader in `reference.py` does.

    pip install atheris
    python tests/events/fuzz/decode.py CORPUS_FOLDER -max_total_time=3600     # the options are libFuzzer's
    python tests/events/fuzz/decode.py CRASH_FILE                             # once more what was found

A fuzzer never hits a checksum by chance. So its input is no event file but a program that makes one (`File`): events put together
field by field, damage, zeros, and where a reader cuts. `test_fuzz.py` runs the same check on programs that Hypothesis draws.
"""

from __future__ import annotations

import contextlib
import struct
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    import atheris

    watch = atheris.instrument_imports(include=["runcast.events"])
    sys.path.insert(0, str(Path(__file__).parents[3]))
else:
    watch = contextlib.nullcontext()
with watch:
    from runcast.events import decode, framing  # and what they import

from reference import Answer, bits, frame, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runcast.events.batch import Batch

__all__ = ["File", "check"]

MOST_BYTES = 20_000

# What the fields of each message are: number, and "d" (double), "f" (float), "v" (varint), "s" (bytes) or a message's name.
MESSAGES = {
    "Event": "1d 2v 3s 4s 5Summary 5Summary 5Summary 6Log 7Log 8Tagged 9s 10Log 11v 99s",
    "Summary": "1Value 1Value 1Value 1Value 2s",
    "Value": "1s 1s 2f 2f 3s 4Image 5Histo 6Image 7s 8Tensor 8Tensor 8Tensor 9Metadata 1000d 10Tensor",
    "Metadata": "1Plugin 2s 3s 4v",
    "Plugin": "1s 2s",
    "Tensor": "1v 1v 1v 2Shape 3v 4s 5f 5F 6d 6D 7v 8s 9f 10v 11v 12d 13v 14s 15s 16v 17v 18s",
    "Shape": "2Dim 3v",
    "Dim": "1v 2s",
    "Image": "1v 2v 3v 4s 5s",
    "Histo": "1d 2d 6d 7d",
    "Log": "1v 2s 3s",
    "Tagged": "1s 2s",
}
TEXTS = [b"", b"loss", b"acc/train", b"scalars", b"images", b"\xff", "précision".encode(), bytes(40)]
NUMBERS = [0.0, -0.0, 1.5, float("nan"), float("inf"), -float("inf"), 1e300, 5e-324]


class Program:
    """Bytes that are taken one after another; zeros when there are no more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken.ljust(size, b"\0")

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def text(self) -> bytes:
        size = self.byte()
        return TEXTS[size % 8] if size < 128 else self.take(size - 128)

    def varint(self) -> int:
        kind = self.byte()
        if kind < 200:
            return kind
        return int.from_bytes(self.take(8), "little") >> (kind - 200)

    def double(self) -> float:
        kind = self.byte()
        return NUMBERS[kind % 8] if kind < 128 else struct.unpack("<d", self.take(8))[0]


def varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


def sized(data: bytes) -> bytes:
    return varint(len(data)) + data


def message(program: Program, name: str, depth: int = 0) -> bytes:
    """Return a message whose fields come in any order and number."""
    fields = MESSAGES[name].split()
    encoded = b""
    for _ in range(program.byte() % 6):
        chosen = fields[program.byte() % len(fields)]
        number = int("".join(filter(str.isdigit, chosen)))
        kind = chosen.lstrip("0123456789")
        if kind == "v":
            encoded += varint(number << 3) + varint(program.varint())
        elif kind == "d":
            encoded += varint(number << 3 | 1) + struct.pack("<d", program.double())
        elif kind == "f":
            encoded += varint(number << 3 | 5) + program.take(4)
        elif kind in "FD":
            size = 4 if kind == "F" else 8
            encoded += varint(number << 3 | 2) + sized(program.take(size * (program.byte() % 4)))
        elif kind == "s":
            encoded += varint(number << 3 | 2) + sized(program.text())
        else:
            encoded += varint(number << 3 | 2) + sized(message(program, kind, depth + 1))
    return encoded


class File:
    """The event file that a program makes: `data`; and `cuts`, sizes at which a reader sees it while it grows."""

    def __init__(self, source: bytes) -> None:
        program = Program(source)
        self.settings = program.byte()
        self.data = bytearray()
        self.payloads: list[bytes] = []
        cuts = []
        steps = [
            self._raw,
            self._framed,
            self._event,
            self._event,
            self._series,
            self._series,
            self._damage,
            self._overwrite,
            self._cut_off,
            self._zeros,
            self._inside,
            self._again,
        ]
        while program and len(self.data) < MOST_BYTES:
            kind = program.byte()
            if kind >= 240:
                cuts.append(len(self.data) * program.byte() // 255)
            else:
                steps[kind % len(steps)](program)
        self.data = bytes(self.data[:MOST_BYTES])
        self.cuts = sorted(min(cut, len(self.data)) for cut in cuts)

    def _append(self, payload: bytes) -> None:
        self.payloads.append(payload)
        self.data += frame(payload)

    def _raw(self, program: Program) -> None:
        self.data += program.take(program.byte())

    def _framed(self, program: Program) -> None:
        self._append(program.take(program.number() % 700))

    def _event(self, program: Program) -> None:
        self._append(message(program, "Event"))

    def _again(self, program: Program) -> None:
        """Repeat payloads that were there before, changed in one byte or not."""
        for _ in range(program.byte()):
            if not self.payloads:
                return
            payload = bytearray(self.payloads[-1 - program.byte() % len(self.payloads)])
            at, change = program.number(), program.byte()
            if payload:
                payload[at % len(payload)] ^= change
            self.data += frame(bytes(payload))

    def _series(self, program: Program) -> None:
        """Write events as training does: the same bytes but for wall time, step and value."""
        tag, form = program.text(), program.byte() % 8
        step, stride = program.varint(), program.number() - 300
        value, wall_time = program.double(), program.double()
        metadata = b"\x4a" + sized(b"\x0a" + sized(b"\x0a" + sized(program.text())))
        metadata = metadata if program.byte() % 2 else b""
        for position in range(program.byte()):
            number = value + position
            with contextlib.suppress(OverflowError):
                number = struct.unpack("<f", struct.pack("<f", number))[0]
            float32 = struct.pack("<f", number if abs(number) < 1e38 else 0.0)
            float64 = struct.pack("<d", number)
            body = [
                b"\x15" + float32,
                b"\x42" + sized(b"\x08\x01\x12\x00\x2a\x04" + float32),
                b"\x42" + sized(b"\x08\x01\x12\x00\x22\x04" + float32),
                b"\x42" + sized(b"\x08\x02\x12\x00\x32\x08" + float64),
                b"\x42" + sized(b"\x08\x02\x12\x00\x22\x08" + float64),
                b"\x42" + sized(b"\x08\x02\x12\x00\x31" + float64),
                b"\x15" + float32 + b"\xc1\x3e" + float64,
                b"\x42" + sized(b"\x08\x01\x12\x00\x2d" + float32),
            ][form]
            encoded = (step + stride * position) % (1 << 64)
            event = b"\x09" + struct.pack("<d", wall_time + position)
            event += b"\x10" + varint(encoded) if encoded else b""
            parts = (
                (b"\x0a" + sized(tag), metadata, body)
                if position % 3
                else (b"\x0a" + sized(tag), body, metadata)
            )
            self._append(event + b"\x2a" + sized(b"\x0a" + sized(b"".join(parts))))

    def _damage(self, program: Program) -> None:
        if self.data:
            self.data[-1 - program.number() % len(self.data)] ^= program.byte()

    def _overwrite(self, program: Program) -> None:
        data = program.take(program.byte() % 32)
        at = len(self.data) - program.number() % (len(self.data) + 1)
        self.data[at : at + len(data)] = data

    def _cut_off(self, program: Program) -> None:
        del self.data[max(0, len(self.data) - program.byte()) :]

    def _zeros(self, program: Program) -> None:
        self.data += bytes(program.number() % 5000)

    def _inside(self, program: Program) -> None:
        """Write what is there already once more, as the content of one event."""
        self._append(b"\x22" + sized(bytes(self.data[-program.number() % 3000 :])))


def answered(batch: Batch) -> Answer:
    """Return a batch in the reference's terms."""
    columns = batch.scalars
    points = zip(
        [columns.tags[tag] for tag in columns.tag.tolist()],
        columns.step.tolist(),
        map(bits, columns.wall_time.tolist()),
        map(bits, columns.value.tolist()),
        strict=True,
    )
    return Answer(
        stop=batch.stop,
        pending=batch.pending,
        records=batch.records,
        points=list(points),
        spans=[tuple(span) for span in batch.scalar_records.tolist()],
        summaries=[(s.tag, s.plugin, s.step, bits(s.wall_time), s.offset, s.length) for s in batch.summaries],
        skipped=[(skip.offset, skip.length, skip.reason) for skip in batch.skipped],
        session_starts=[(step, bits(wall_time)) for step, wall_time in batch.session_starts],
    )


def differences(answer: Answer, expected: Answer) -> str:
    """Say in which fields two answers differ, and where lists begin to."""
    told = []
    for name, value in vars(expected).items():
        other = getattr(answer, name)
        if other != value and isinstance(value, list):
            at = next(
                (at for at, pair in enumerate(zip(other, value, strict=False)) if pair[0] != pair[1]),
                min(len(other), len(value)),
            )
            told.append(f"{name}[{at}:] is {other[at : at + 2]}, not {value[at : at + 2]}")
        elif other != value:
            told.append(f"{name} is {other}, not {value}")
    return "; ".join(told)


@contextlib.contextmanager
def small_windows(setting: int) -> Iterator[list[int]]:
    """Make the limits small from which the reader works by columns and in windows, so that small files reach them.

    What is yielded counts the bytes that are checksummed one record at a time.
    """
    counted = [0]
    checksum = framing.masked_crc32c

    def counting(data: bytes) -> int:
        counted[0] += len(data) + 1
        return checksum(data)

    limits = [
        (decode, "_ONE_BY_ONE", (0, 100, 2000, 6144)[setting % 4]),
        (decode, "_WINDOW", (1 << 21, 300, 2000, 9000)[setting // 4 % 4]),
        (decode, "_SMALL_WINDOW", (4096, 64, 500, 4096)[setting // 16 % 4]),
        (framing, "masked_crc32c", counting),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in limits]
    try:
        for module, name, limit in limits:
            setattr(module, name, limit)
        yield counted
    finally:
        for module, name, limit in before:
            setattr(module, name, limit)


def check(source: bytes) -> None:
    """Hold the decoder against the reference on the file that `source` makes, whole and while it grows."""
    file = File(source)
    with small_windows(file.settings) as counted:
        decoder = decode.Decoder()
        for skip in (False, True):
            expected = read(file.data, skip=skip)
            if skip and expected.failed_bytes > 7 * len(file.data):
                _check_accounting(decoder.decode(file.data, skip=True))
                continue  # the budget decides here what is searched
            counted[0] = 0
            answer = answered(decoder.decode(file.data, skip=skip))
            assert counted[0] <= 40 * len(file.data) + 100, counted
            expected.failed_bytes = 0
            assert answer == expected, differences(answer, expected)
            again = decode.Decoder() if file.settings & 1 else decoder
            assert answered(again.decode(memoryview(b"x" + file.data)[1:], skip=skip)) == expected
            _check_accounting(decoder.decode(file.data, 10**12, skip=skip))
        _check_growth(file, decoder)


def _check_accounting(batch: Batch) -> None:
    """Every byte up to the stop belongs to one record or one skip."""
    stretches = {(offset, offset + length) for offset, length in batch.scalar_records.tolist()}
    stretches |= {(summary.offset, summary.offset + summary.length) for summary in batch.summaries}
    stretches |= {(skip.offset, skip.offset + skip.length) for skip in batch.skipped}
    end = batch.start
    for start, stop in sorted(stretches):
        assert end <= start < stop <= batch.stop
        end = stop


def _check_growth(file: File, decoder: decode.Decoder) -> None:
    """A reader that looks again and again sees what one sees that looks once, up to where the first would have stopped."""
    expected = read(file.data, skip=False)
    grown = Answer()
    for size in [*file.cuts, len(file.data)]:
        part = answered(decoder.decode(memoryview(file.data)[grown.stop : size], grown.stop))
        assert grown.stop <= part.stop <= max(size, grown.stop)
        grown.stop, grown.pending = part.stop, part.pending
        grown.records += part.records
        for name in ("points", "spans", "summaries", "skipped", "session_starts"):
            getattr(grown, name).extend(getattr(part, name))
    assert grown == expected, differences(grown, expected)


def main() -> None:
    """Run libFuzzer; a warning is a finding, too."""
    warnings.simplefilter("error")
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
