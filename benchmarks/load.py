"""A load generator in a process of its own, so that it costs the server's core nothing.

It reads a `Load` from standard input, plays it over keep-alive connections, one for each client, and writes what it
`Measured`. HTTP is spoken over raw streams: requests are rendered before the clock starts, answers are only counted.
"""

import asyncio
import sys
import time
from itertools import cycle

import msgspec

from benchmarks.workload import Load, Measured, Request


def rendered(load: Load, port: int, request: Request) -> bytes:
    """A request as it goes over the wire."""
    body = request.body.encode()
    head = (
        f"{request.method} {request.path} HTTP/1.1\r\nHost: {load.host}:{port}\r\n"
        f"Authorization: Bearer {load.token}\r\nIdempotency-Key: {request.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def play(load: Load) -> Measured:
    """Send everything and wait for every answer."""
    ports = [port for _, port in zip(load.clients, cycle(load.ports), strict=False)]
    plans = [
        [rendered(load, port, request) for request in requests]
        for port, requests in zip(ports, load.clients, strict=True)
    ]
    connections = [await asyncio.open_connection(load.host, port) for port in ports]
    latencies: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    refused = await asyncio.gather(
        *(_client(*connection, plan, latencies) for connection, plan in zip(connections, plans, strict=True))
    )
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    for _, writer in connections:
        writer.close()
    return Measured(seconds, len(latencies), sum(refused), latencies, cpu / seconds)


async def _client(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, plan: list[bytes], latencies: list[float]
) -> int:
    refused = 0
    for request in plan:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_length(head))
        latencies.append((time.perf_counter() - began) * 1000)
        refused += head[9:10] != b"2"
    return refused


def _length(head: bytes) -> int:
    at = head.lower().index(b"content-length:") + len(b"content-length:")
    return int(head[at : head.index(b"\r", at)])


def main() -> None:
    """Play what comes on standard input."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(play(load))))


if __name__ == "__main__":
    main()
