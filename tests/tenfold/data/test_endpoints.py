"""Addresses that libraries connect to by themselves: what is looked at, and what is refused."""

from __future__ import annotations

import pytest

from tenfold.data.endpoints import check_endpoint, check_endpoints, is_address_name
from tenfold.errors import DataError

PRIVATE = {
    "a URL": {"s3.endpoint": "http://127.0.0.1:9000"},
    "a bare host": {"endpoint": "localhost:9000"},
    "a number": {"AWS_ENDPOINT_URL": "http://2130706433/"},
    "IPv6": {"uri": "http://[::1]:8181/ws"},
    "mapped IPv6": {"uri": "https://[::ffff:10.0.0.1]"},
    "a metadata service": {"metadata_endpoint": "http://169.254.169.254"},
    "a user": {"uri": "http://a:secret@127.0.0.1/"},
    "a thrift catalog": {"uri": "thrift://127.0.0.1:9083"},
    "a database": {"uri": "postgresql+psycopg://me:secret@127.0.0.1/c"},
    "a database's default": {"uri": "postgresql:///c"},
    "a database's parameter": {"uri": "postgresql://db.invalid@/c?host=10.1.2.3"},
    "a socket": {"uri": "postgresql:///c?host=/var/run/postgresql"},
    "a connection string": {
        "adls.connection-string": "AccountName=a;BlobEndpoint=http://127.0.0.1:10000/a;"
    },
    "a name node": {"path": "hdfs://127.0.0.1:9000/t"},
    "an emulator": {"AZURE_STORAGE_USE_EMULATOR": "TRUE"},
    "a proxy": {"proxy_url": "http://127.0.0.1:3128"},
}


@pytest.mark.parametrize("options", PRIVATE.values(), ids=PRIVATE)
def test_private_addresses_are_refused_unless_allowed(options: dict[str, str]) -> None:
    with pytest.raises(DataError, match="which is not public; if it is yours") as caught:
        check_endpoints(options, source="t", allow_private=False)
    assert "secret" not in str(caught.value)
    check_endpoints(options, source="t", allow_private=True)


@pytest.mark.parametrize(
    "options",
    [
        {"path": "s3://localhost/t", "region": "eu-west-1", "AWS_ALLOW_HTTP": "true"},
        {"path": "abfss://box@account.dfs.core.windows.net/t"},
        {"uri": "sqlite:///catalog.db", "warehouse": "file:///wh"},
        {"endpoint": "https://93.184.216.34:9000/x", "use_emulator": "false"},
        {"s3.signer.endpoint": "v1/aws/s3/sign", "adls.dfs-storage-authority": ".dfs.example"},
        {"access_key": "localhost", "token": "127.0.0.1"},
    ],
)
def test_public_addresses_buckets_and_files_pass(options: dict[str, str]) -> None:
    check_endpoints(options, source="t", allow_private=False)


@pytest.mark.parametrize("value", ["http://host:99999999/", "http://[::1/", "http://no.invalid"])
def test_what_is_no_address_is_told(value: str) -> None:
    with pytest.raises(DataError, match=r"source 't': the endpoint .* cannot be found"):
        check_endpoints({"endpoint": value}, source="t", allow_private=False)


def test_one_address_and_the_names_of_addresses() -> None:
    with pytest.raises(DataError, match=r"endpoint 'http://\[::1\]:9' leads to ::1, which is not"):
        check_endpoint("http://[::1]:9", source="t")
    check_endpoint("93.184.216.34:443", source="t")
    assert is_address_name("gcs.service.host")
    assert not is_address_name("ghosts")
