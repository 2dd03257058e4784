"""A slow link before a local server: `python benchmarks/link.py PORT TO_PORT ROUND_TRIP_MS MBIT`.

Everything takes half a round trip in each direction, a new connection a whole one more, and what comes from the server shares the
given bandwidth.
"""

from __future__ import annotations

import asyncio
import sys

CHUNK = 64 << 10
WAITING = 256
"""Chunks that are on their way on one connection, at most."""


class Line:
    """One direction of the link: what is sent waits for what was sent before, then takes its time."""

    def __init__(self, seconds: float, bytes_a_second: float) -> None:
        self._seconds = seconds
        self._rate = bytes_a_second
        self._free = 0.0

    def arrival(self, now: float, size: int) -> float:
        self._free = max(now, self._free) + size / self._rate
        return self._free + self._seconds

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        sent: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WAITING)

        async def deliver() -> None:
            while True:
                arrival, data = await sent.get()
                await asyncio.sleep(max(0.0, arrival - loop.time()))
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        try:
            while data := await reader.read(CHUNK):
                await sent.put((self.arrival(loop.time(), len(data)), data))
        except OSError:
            pass
        await sent.put((0.0, b""))
        await asyncio.gather(delivering, return_exceptions=True)


async def main(port: int, to: int, round_trip: float, mbit: float) -> None:
    up, down = Line(round_trip / 2000, float("inf")), Line(round_trip / 2000, mbit * 125_000)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(round_trip / 1000)
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(up.carry(reader, other_writer), down.carry(other_reader, writer))

    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
