"""Addresses, taken apart without secrets."""

from __future__ import annotations

import pytest

from tenfold.data.remote import RemoteFiles, is_remote
from tenfold.data.remote.address import Address
from tenfold.data.remote.files import _copy_name
from tenfold.errors import DataError
from tenfold.project.sources import FileSource as FileSpec


def address(path: str) -> Address:
    return Address.of(FileSpec(path=path, name="t"))


def test_addresses_are_told_from_paths() -> None:
    assert [is_remote(path) for path in ("https://h/t.csv", "data/a?.csv", "/a/b.csv")] == [
        True, False, False,
    ]  # fmt: skip


def test_an_address_of_a_store_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K", "a/b+c@d")
    made = address("s3://me:${env:K}@bucket/a b/@x/*.csv?region=eu-west-1&anonymous=false")
    assert (made.path, made.shown) == ("bucket/a b/@x/*.csv", "s3://bucket/a b/@x/*.csv")
    values, hide = made.resolved()
    assert values == {
        "region": "eu-west-1",
        "anonymous": "false",
        "access_key": "me",
        "secret_key": "a/b+c@d",
    }
    assert hide == {"a/b+c@d": "${env:K}"}
    azure = address("az://box/t.csv?account=me&account_key=${env:K}")
    assert azure.resolved()[0]["account_key"] == "a/b+c@d"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("ftp://h/t.csv", "read from http, https, s3, gs, az, not from 'ftp'"),
        ("s3://b/t.csv?regoin=x", "the options of s3:// are region, .*, not 'regoin'"),
        ("s3://b/t.csv?secret_key=abc", "'secret_key' must not stand in the path"),
        ("az://b/t.csv?account=a&sas_token=abc", "'sas_token' must not stand in the path"),
    ],
)
def test_what_is_no_address_is_refused(path: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        RemoteFiles.of(FileSpec.model_construct(path=path, name="t"))  # as no project file has it


@pytest.mark.parametrize(
    "user", ["u:pa/ss", "u:12/ss", "u:p?ss", "u:p#ss", "u:p@ss", "ann@h.org:1/ss"]
)
@pytest.mark.parametrize("scheme", ["https", "HTTP"])
def test_no_part_of_a_user_is_shown_whatever_its_signs(user: str, scheme: str) -> None:
    spec = FileSpec.model_construct(path=f"{scheme}://{user}@box/t.csv", name="t")
    assert Address.of(spec).shown == f"{scheme.lower()}://box/t.csv"
    store = FileSpec.model_construct(path=f"s3://{user}@box/t.csv", name="t")
    with pytest.raises(DataError, match="'secret_key' must not stand in the path") as caught:
        Address.of(store)
    assert user not in str(caught.value)


def test_references_of_a_user_may_hold_any_sign() -> None:
    made = address("s3://${env:U}:${file:/run/a@b?c}@box/t.csv?region=x")
    assert (made.path, made.shown) == ("box/t.csv", "s3://box/t.csv")
    assert made.options == {
        "region": "x",
        "access_key": "${env:U}",
        "secret_key": "${file:/run/a@b?c}",
    }


def test_azure_without_an_account_is_told() -> None:
    from tenfold.data.remote.stores import StorePlace
    from tenfold.data.remote.transfer import Limits

    spec = FileSpec(path="az://box/t.csv")
    with pytest.raises(DataError, match="az:// needs '\\?account=NAME'"):
        StorePlace(spec, Address.of(spec), Limits())


def test_copies_have_safe_names_that_keep_their_ending() -> None:
    assert _copy_name("a/b.csv") == "a%2Fb.csv"
    assert _copy_name("..") == "%2E."
    long = _copy_name("ä" * 200 + "/" + "x" * 20 + ".parquet")
    assert long.endswith(".parquet")
    assert len(long) < 110
    assert long != _copy_name("ö" * 200 + "/" + "x" * 20 + ".parquet")
