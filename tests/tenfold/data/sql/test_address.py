"""URLs: their secrets are put in last and shown never."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.data.sql.address import find_address, shown
from tenfold.errors import ProjectError

SECRET = "p@ss/w:rd%41"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENFOLD_TEST_SECRET", SECRET)


def test_a_reference_is_put_in_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("ann\n")
    text = (
        f"postgresql://${{file:{tmp_path}/user}}:${{env:TENFOLD_TEST_SECRET}}@h:5/shop"
        "?sslmode=require&sslpassword=${env:TENFOLD_TEST_SECRET}"
    )
    address = find_address(text, folder=tmp_path)
    url = address.url
    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg", "ann", SECRET)
    assert (url.host, url.port, url.database) == ("h", 5, "shop")
    assert dict(url.query) == {"sslmode": "require", "sslpassword": SECRET}
    assert address.scrub(f"no {SECRET} for ann") == "no *** for ***"
    assert SECRET not in repr(address)


def test_a_whole_url_may_be_the_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENFOLD_TEST_URL", "postgres://u:p%40w@h/shop")
    address = find_address("${env:TENFOLD_TEST_URL}", folder=tmp_path)
    assert (address.url.drivername, address.url.password) == ("postgresql+psycopg", "p@w")
    assert address.scrub("postgres://u:p%40w@h/shop, p@w") == "***, ***"
    assert shown("${env:TENFOLD_TEST_URL}") == "${env:TENFOLD_TEST_URL}"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/shop.db", "data/shop.db"),
        ("sqlite:///file:data/shop.db?uri=true", "data/shop.db"),
        ("sqlite+pysqlite:///shop.db", "shop.db"),
    ],
)
def test_a_relative_sqlite_path_starts_in_the_folder(tmp_path: Path, url: str, path: str) -> None:
    assert find_address(url, folder=tmp_path).url.database == str(tmp_path / path)


def test_an_absolute_sqlite_path_stays(tmp_path: Path) -> None:
    address = find_address(f"sqlite:///{tmp_path}/x.db", folder=Path("elsewhere"))
    assert address.url.database == f"{tmp_path}/x.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///x.db"])
def test_sqlite_must_name_a_file(tmp_path: Path, url: str) -> None:
    with pytest.raises(ProjectError, match="a SQLite url must name a file"):
        find_address(url, folder=tmp_path)


@pytest.mark.parametrize("url", ["shop.db", "postgresql://u:p@h:${env:TENFOLD_TEST_SECRET}/d"])
def test_what_is_no_url_is_refused_without_its_secrets(tmp_path: Path, url: str) -> None:
    with pytest.raises(ProjectError, match="url must be one of SQLAlchemy's") as caught:
        find_address(url, folder=tmp_path)
    assert SECRET not in str(caught.value)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"\$\{env:TENFOLD_TEST_ABSENT\}"):
        find_address("postgresql://u:${env:TENFOLD_TEST_ABSENT}@h/d", folder=tmp_path)


def test_what_is_shown_has_no_password_of_any_form() -> None:
    assert shown("postgresql://u:s3@cret@h/d?password=s3cret") == "postgresql://u:***@h/d"
    assert shown("postgresql://u:${env:X}@h/d") == "postgresql://u:${env:X}@h/d"
    assert shown("postgresql://${env:U}:${env:X}@h/d") == "postgresql://${env:U}:${env:X}@h/d"
    assert shown("sqlite:///x.db") == "sqlite:///x.db"
    assert shown("postgresql://u:pa/s?s@h/d?x=1") == "postgresql://u:***@h/d"
    assert shown("postgresql://u@h/d?password=s3cret&x=a@b") == "postgresql://u@h/d"
    assert shown("${env:U}?password=s3cret") == "${env:U}"
    assert shown("postgresql://u:${file:/a@b?c}@h/d") == "postgresql://u:${file:/a@b?c}@h/d"
