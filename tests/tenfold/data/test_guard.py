from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.guard import check_url, guarded_transport, is_public
from tenfold.errors import DataError
from tests.httpserver import Api, Detour, Reply, api
from tests.tls import Authority

PUBLIC = "93.184.216.34"


@pytest.fixture
def server() -> Iterator[Api]:
    with api(lambda call: Reply({"host": call.headers["host"]})) as made:
        yield made


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "0.1.2.3",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "192.0.0.192",
        "168.63.129.16",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    ],
)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"],
)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_inside_of_another_counts_as_itself(address: Any) -> None:
    assert is_public(f"::ffff:{address}") == is_public(str(address))
    assert is_public(f"64:ff9b::{int(address) >> 16:x}:{int(address) & 0xFFFF:x}") == is_public(
        str(address)
    )


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.1",
        "127.1",
        "0.0.0.0",
        "0",
        "169.254.169.254",
        "[::]",
    ],
)
def test_what_leads_to_this_machine_is_refused_by_the_real_resolver(server: Api, host: str) -> None:
    with (
        httpx.Client(transport=guarded_transport(allow_private=False)) as client,
        pytest.raises(DataError, match=r"which is not public; .* 'allow_private: true'"),
    ):
        client.get(f"http://{host}:{server.port}/latest/meta-data")
    assert server.calls == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://a/1", "ftp://a/", "unix:/a", "a"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(DataError, match="must begin with https:// or http://"):
        check_url(httpx.URL(url))
    with guarded_transport(allow_private=True) as transport, pytest.raises(DataError):
        transport.handle_request(httpx.Request("GET", url))


def test_an_address_without_a_host_is_refused() -> None:
    with pytest.raises(DataError, match="must name a host"):
        check_url(httpx.URL("http:///items"))


def test_a_port_that_cannot_be_is_refused() -> None:
    for port in (0, 65536, 99999999):
        with pytest.raises(DataError, match="must lie between 1 and 65535"):
            check_url(httpx.URL(f"http://a:{port}/"))


def test_a_private_address_is_read_where_that_is_allowed(server: Api) -> None:
    with httpx.Client(transport=guarded_transport(allow_private=True)) as client:
        assert client.get(server.url).json() == {"host": server.url.removeprefix("http://")}


def test_the_address_connected_to_is_the_one_that_was_checked(server: Api) -> None:
    """DNS rebinding: the first answer is public, each later one is this machine."""
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    network = Detour(server.port)
    transport = guarded_transport(
        allow_private=False, resolve=lambda _host, _port: next(answers), network=network
    )
    with httpx.Client(transport=transport) as client:
        assert client.get("http://rebind.test/").json() == {"host": "rebind.test"}
        assert network.asked == [PUBLIC]
        client.get("http://rebind.test/")  # the same connection: nothing is resolved again
        assert network.asked == [PUBLIC]
        with pytest.raises(DataError, match=r"'rebind.test' leads to 127.0.0.1, .* not public"):
            client.get("http://rebind.test:81/")
    assert network.asked == [PUBLIC]


def test_one_private_address_among_public_ones_is_enough_to_refuse(server: Api) -> None:
    network = Detour(server.port)
    transport = guarded_transport(
        allow_private=False, resolve=lambda _host, _port: [PUBLIC, "10.0.0.1"], network=network
    )
    with (
        httpx.Client(transport=transport) as client,
        pytest.raises(DataError, match=r"10\.0\.0\.1"),
    ):
        client.get("http://mixed.test/")
    assert network.asked == []


def test_a_redirect_to_a_private_address_is_refused(server: Api) -> None:
    def respond(_call: Any) -> Reply:
        return Reply(status=302, headers={"location": server.url})

    def resolve(host: str, _port: int) -> Sequence[str]:
        return [PUBLIC if host == "api.test" else host]

    with api(respond) as outside:
        transport = guarded_transport(
            allow_private=False, resolve=resolve, network=Detour(outside.port)
        )
        with (
            httpx.Client(transport=transport, follow_redirects=True) as client,
            pytest.raises(DataError, match=r"127\.0\.0\.1, which is not public"),
        ):
            client.get("http://api.test/")
    assert server.calls == []


def test_the_next_address_is_tried_where_one_does_not_answer(server: Api) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.2", 0))  # bound, and nobody listens
        resolve_both = lambda _host, _port: ["127.0.0.2", "127.0.0.1"]  # noqa: E731
        transport = guarded_transport(allow_private=True, resolve=resolve_both)
        with httpx.Client(transport=transport) as client:
            assert client.get(f"http://two.test:{server.port}/").status_code == 200


def test_an_unknown_name_is_told_and_a_silent_name_server_is_an_error_of_the_connection() -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def silent(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    for resolve, wanted in ((unknown, DataError), (silent, httpx.ConnectError)):
        transport = guarded_transport(allow_private=False, resolve=resolve)
        with httpx.Client(transport=transport) as client, pytest.raises(wanted, match="name"):
            client.get("http://nowhere.test/")
    transport = guarded_transport(allow_private=False, resolve=lambda _host, _port: [])
    with httpx.Client(transport=transport) as client, pytest.raises(httpx.ConnectError):
        client.get("http://empty.test/")
    with (
        httpx.Client(transport=guarded_transport(allow_private=False)) as client,
        pytest.raises(DataError, match="must be the name of a host"),
    ):
        client.get(f"http://{'a' * 64}.test/")


def test_certificates_are_checked_against_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with api(lambda _call: Reply([1]), context=authority.server("api.test")) as made:
        transport = guarded_transport(allow_private=True, resolve=lambda _h, _p: ["127.0.0.1"])
        with httpx.Client(transport=transport) as client:
            assert client.get(f"https://api.test:{made.port}/").json() == [1]
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                client.get(f"https://other.test:{made.port}/")


def test_time_bounds_the_whole_request(server: Api) -> None:
    transport = guarded_transport(allow_private=True, time_left=lambda: 0.0)
    with httpx.Client(transport=transport) as client, pytest.raises(httpx.ConnectTimeout):
        client.get(server.url)
    assert server.calls == []
