"""How the processes of a training speak with the one that started them: JSON objects over a socket, one a line.

A line ends with either of its processes, however that dies, and the other end is told at once: no process outlives the
one that started it. Whoever connects must know the token, which stands in a file that only the user can read.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import queue
import secrets
import socket
import threading
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]
LOOPBACK = "127.0.0.1"


def listen(host: str) -> socket.socket:
    """A socket that listens on a free port: of this machine alone, or of all its networks if that is not its name."""
    return socket.create_server((LOOPBACK if host == LOOPBACK else "", 0))


class Line:
    """One end of a connection; iterating over it waits for messages, until the other end closes or dies."""

    def __init__(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other end may be gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a machine may vanish without a word
        self.connection, self.lock = connection, threading.Lock()

    @staticmethod
    def to(host: str, port: int, **hello: object) -> Line:
        """A line to a `Head`; `hello` has its token. OSError: nobody listens there."""
        line = Line(socket.create_connection((host, port)))
        line.send(**hello)
        return line

    def send(self, **message: object) -> None:
        """Send one message, from any thread."""
        with self.lock:
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def __iter__(self) -> Iterator[Message]:
        rest = b""
        with contextlib.suppress(OSError):  # reset: the other end was killed; or closed by another thread of this one
            while received := self.connection.recv(1 << 16):
                *whole, rest = (rest + received).split(b"\n")
                yield from map(json.loads, whole)

    def close(self) -> None:
        """End it; a thread that waits for a message is woken."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class Head:
    """The end that others connect to.

    Attributes:
        events: every message of every line, what the line said first joined in; at its end, {..., "left": True}.
        lines: those that are there, with what each said first.
    """

    def __init__(self, host: str = LOOPBACK) -> None:
        """Listen; `host` is what others call this machine."""
        self.host, self.token = host, secrets.token_hex(16)
        self.server = listen(host)
        self.port: int = self.server.getsockname()[1]
        self.events: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.lines: list[tuple[Message, Line]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Head:
        return self

    def __exit__(self, *_: object) -> None:
        for _hello, line in [*self.lines]:
            line.close()
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._hear, args=(Line(connection),), daemon=True).start()

    def _hear(self, line: Line) -> None:
        messages = iter(line)
        try:
            hello = next(messages, {})
            if not hmac.compare_digest(str(hello.pop("token", "")), self.token):
                return
            self.lines.append((hello, line))
            self.events.put(hello)
            for message in messages:
                self.events.put(hello | message)
            self.lines.remove((hello, line))
            self.events.put(hello | {"left": True})
        except (ValueError, AttributeError):  # what came is no message of ours
            return
        finally:
            line.close()
