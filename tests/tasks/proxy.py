"""A TCP proxy that can cut replies, refuse, and come back."""

from __future__ import annotations

import contextlib
import random
import socket
import threading


class Proxy:
    """Passes bytes between clients and a Unix socket.

    Attributes:
        cut: the chance that a connection is closed instead of passing a reply on.
        down: refuse and close every connection.
    """

    def __init__(self, target: str) -> None:
        self.cut = 0.0
        self.cuts = 0
        self.down = False
        self._target = target
        self._dice = random.Random(4)
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._spawn(self._accept)

    @property
    def url(self) -> str:
        """For a client."""
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def go_down(self) -> None:
        """Close every connection, and take no new one."""
        self.down = True
        for one in list(self._sockets):
            self._shut(one)

    def close(self) -> None:
        """End."""
        self.go_down()
        self._shut(self._listener)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.down:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            self._sockets |= {near, far}
            self._spawn(self._pump, near, far, False)
            self._spawn(self._pump, far, near, True)

    def _pump(self, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        try:
            while data := source.recv(65536):
                if replies and self.cut and self._dice.random() < self.cut:
                    self.cuts += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            self._shut(one)
        self._sockets.discard(source)
        source.close()

    @staticmethod
    def _shut(one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
