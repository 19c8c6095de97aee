"""What tests need of an object store: to put objects there, its addresses, and a bad line to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pyarrow.fs as pafs


@dataclass(frozen=True)
class Cloud:
    """A running server.

    Attributes:
        scheme: of its addresses.
        endpoint: ``127.0.0.1:PORT``.
        client: puts things there.
        options: of addresses, without the endpoint.
        secret: what ``CLOUD_SECRET`` must be; empty if it asks for none.
    """

    scheme: str
    endpoint: str
    client: pafs.FileSystem
    options: str
    secret: str

    def put(self, bucket: str, **objects: bytes) -> None:
        """Write objects by their keys, in a bucket that is made if it is not there."""
        self.client.create_dir(bucket)
        for key, data in objects.items():
            with self.client.open_output_stream(f"{bucket}/{key}") as stream:
                stream.write(data)

    def address(self, path: str, *, endpoint: str | None = None) -> str:
        """The address of a path, with its options."""
        return (
            f"{self.scheme}://{path}?{self.options}&endpoint_override={endpoint or self.endpoint}"
        )


@contextmanager
def cut_line(endpoint: str, *, after_bytes: int, n_cuts: int) -> Iterator[str]:
    """An endpoint that passes all on and hangs up in the middle of the first long answers.

    Args:
        endpoint: of the server behind it.
        after_bytes: of one connection's answers.
        n_cuts: connections that are cut; later ones are left whole.
    """
    left = [n_cuts]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, endpoint, after_bytes, left))
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, endpoint: str, after_bytes: int, left: list[int]) -> None:
    host, _, port = endpoint.partition(":")
    lines = []
    with suppress(OSError):  # the listener was shut
        while True:
            near, _ = listener.accept()
            far = socket.create_connection((host, int(port)))
            lines.append(threading.Thread(target=_join, args=(near, far, after_bytes, left)))
            lines[-1].start()
    for line in lines:
        line.join()


def _join(near: socket.socket, far: socket.socket, after_bytes: int, left: list[int]) -> None:
    with near, far:
        back = threading.Thread(target=_pump, args=(far, near, left, after_bytes))
        back.start()
        _pump(near, far, None, after_bytes)
        back.join()


def _pump(
    source: socket.socket, sink: socket.socket, left: list[int] | None, after_bytes: int
) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(65_536):
            if left and left[0] > 0 and passed + len(data) > after_bytes:
                left[0] -= 1
                sink.sendall(data[: after_bytes - passed])
                break
            passed += len(data)
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
