from __future__ import annotations

import socket

import pytest

from tenfold.cluster import ports
from tenfold.cluster.ports import free_port
from tenfold.errors import ClusterError


def test_a_port_is_free_and_none_that_the_system_gives_by_itself() -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        assert given.getsockname()[1] >= ports._RANGE.stop > port


def test_what_somebody_has_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_RANGE", range(port, port + 1))
        monkeypatch.setattr(ports, "_TRIES", 1)
        with pytest.raises(ClusterError, match=rf"1 ports of {port} to {port} are all taken"):
            free_port()
    assert free_port() == port
