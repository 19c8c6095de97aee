"""One file of a real web server, copied once for each of its versions."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from tenfold.canonical import sha256_hex
from tenfold.data.remote import RemoteFiles
from tenfold.data.remote.transfer import Limits
from tenfold.data.source import Source
from tenfold.errors import DataError
from tenfold.project.sources import FileSource as FileSpec
from tenfold.testing.sources import SourceConformance
from tests.fileserver import FileServer, Hosted, serving_files
from tests.tenfold.data.remote.conftest import Fetch

CSV = b"id,x\n1,a\n2,b\n"
DAY = "Wed, 01 Jan 2031 00:00:00 GMT"


def statuses(server: FileServer) -> list[int]:
    return [status for _, status in server.answers]


class TestWeb(SourceConformance):
    """A copy of a file of a web server."""

    def source(self, folder: Path) -> Source:
        """Two rows."""
        from tenfold.data.drivers import InProcess
        from tenfold.progress import SILENT

        with serving_files() as server:
            server.files["/t.csv"] = Hosted(CSV, {"etag": '"1"'})
            spec = FileSpec(path=f"{server.url}/t.csv", allow_private=True)
            files = RemoteFiles.of(spec)
            return files.fetch(folder / "fetched", driver=InProcess(), progress=SILENT)

    def n_rows(self) -> int:
        """Both."""
        return 2


def test_a_file_is_read_and_its_version_told(server: FileServer, fetch: Fetch) -> None:
    server.files["/data/my%20t.csv"] = Hosted(CSV, {"etag": '"v1"', "last-modified": DAY})
    source = fetch(f"{server.url}/data/my%20t.csv", name="people")
    assert source.name == "people"
    assert source.columns() == ("id", "x")
    assert source.path.name == "my%20t.csv"
    (lineage,) = source.lineage
    assert lineage.pop("fetched")
    assert lineage == {
        "object": f"{server.url}/data/my%20t.csv",
        "etag": '"v1"',
        "size_bytes": len(CSV),
        "changed": DAY,
        "sha256": sha256_hex(CSV),
    }
    assert server.asked[0]["accept-encoding"] == "identity"
    assert source.fingerprint()[0]["changed_ns"] == 1_924_992_000 * 10**9


@pytest.mark.parametrize("headers", [{"etag": '"v1"'}, {"last-modified": DAY}])
@pytest.mark.parametrize("conditional", [True, False])
def test_an_unchanged_file_is_not_fetched_again(
    server: FileServer, fetch: Fetch, headers: dict[str, str], conditional: bool
) -> None:
    hosted = Hosted(CSV, headers, conditional=conditional)
    server.files["/t.csv"] = hosted
    first = fetch(f"{server.url}/t.csv")
    again = fetch(f"{server.url}/t.csv")
    assert again.lineage == first.lineage
    assert again.fingerprint() == first.fingerprint()
    assert statuses(server) == [200, 304 if conditional else 200]
    server.files["/t.csv"] = Hosted(b"id,x\n9,z\n", {"etag": '"v2"'})
    changed = fetch(f"{server.url}/t.csv")
    assert changed.shards()[0].read().table.to_pylist() == [{"id": "9", "x": "z"}]
    assert changed.lineage[0]["etag"] == '"v2"'


def test_a_file_without_a_version_is_fetched_each_time(server: FileServer, fetch: Fetch) -> None:
    server.files["/t.csv"] = Hosted(CSV)
    fetch(f"{server.url}/t.csv")
    server.files["/t.csv"].data = CSV.replace(b"a", b"z")
    table = fetch(f"{server.url}/t.csv").shards()[0].read().table
    assert table["x"].to_pylist() == ["z", "b"]


def test_a_damaged_copy_is_fetched_again(server: FileServer, fetch: Fetch) -> None:
    server.files["/t.csv"] = Hosted(CSV, {"etag": '"v1"'})
    fetch(f"{server.url}/t.csv").path.write_bytes(CSV[:5])
    assert fetch(f"{server.url}/t.csv").path.read_bytes() == CSV
    assert statuses(server) == [200, 200]


def test_what_was_fetched_is_found_again_without_asking(
    server: FileServer, fetch: Fetch, remote: Callable[..., RemoteFiles], tmp_path: Path
) -> None:
    server.files["/t.csv"] = Hosted(CSV, {"etag": '"v1"'})
    files = remote(f"{server.url}/t.csv")
    assert files.fetched(tmp_path / "fetched") is None
    source = fetch(f"{server.url}/t.csv")
    assert files.fetched(tmp_path / "fetched") == source
    assert remote(f"{server.url}/other.csv").fetched(tmp_path / "fetched") is None
    assert len(server.answers) == 1


def test_a_transfer_that_breaks_off_is_tried_again_and_never_seen(
    server: FileServer, fetch: Fetch, tmp_path: Path
) -> None:
    server.files["/t.csv"] = Hosted(CSV, sent=7)
    with pytest.raises(DataError) as caught:
        fetch(f"{server.url}/t.csv", name="t")
    message = str(caught.value)
    assert message.startswith(
        f"source 't': {server.url}/t.csv could not be copied in 4 tries: in the last one "
    )
    assert message.endswith("; run the command again")
    assert statuses(server) == [200] * 4
    assert [file for file in (tmp_path / "fetched").rglob("*") if file.is_file()] == []


def test_a_broken_new_version_leaves_no_old_one_in_its_place(
    server: FileServer, fetch: Fetch, remote: Callable[..., RemoteFiles], tmp_path: Path
) -> None:
    server.files["/t.csv"] = Hosted(CSV, {"etag": '"v1"'})
    fetch(f"{server.url}/t.csv")
    server.files["/t.csv"] = Hosted(CSV * 2, {"etag": '"v2"'}, sent=3)
    with pytest.raises(DataError, match="could not be copied"):
        fetch(f"{server.url}/t.csv")
    assert remote(f"{server.url}/t.csv").fetched(tmp_path / "fetched") is None
    server.files["/t.csv"].sent = None
    assert fetch(f"{server.url}/t.csv").path.read_bytes() == CSV * 2


def test_failures_that_pass_are_tried_again(server: FileServer, fetch: Fetch) -> None:
    server.files["/t.csv"] = Hosted(CSV, failures=3)
    assert fetch(f"{server.url}/t.csv").columns() == ("id", "x")
    assert statuses(server) == [503, 503, 503, 200]


@pytest.mark.parametrize(
    ("hosted", "message"),
    [
        (Hosted(status=404), "answered 404; correct the path"),
        (Hosted(status=401), "answered 401; put a user and a password reference into the"),
        (Hosted(status=204), "answered 204; check the address"),
        (Hosted(CSV, {"content-type": "text/html"}), "is a page for people; name the address"),
        (Hosted(CSV, {"content-length": ""}), "comes without a length"),
        (Hosted(CSV, {"content-encoding": "gzip"}), "comes as 'gzip' though asked not to"),
        (Hosted(status=302, headers={"location": "/t.csv"}), "redirects more than 5 times"),
        (Hosted(status=302, headers={"location": "file:///etc/passwd"}), "file|address"),
    ],
)
def test_what_is_no_file_is_refused(
    server: FileServer, fetch: Fetch, hosted: Hosted, message: str
) -> None:
    server.files["/t.csv"] = hosted
    with pytest.raises(DataError, match=message):
        fetch(f"{server.url}/t.csv")


def test_a_redirect_is_followed(server: FileServer, fetch: Fetch) -> None:
    server.files["/old.csv"] = Hosted(status=301, headers={"location": "/new.csv"})
    server.files["/new.csv"] = Hosted(CSV)
    assert fetch(f"{server.url}/old.csv").columns() == ("id", "x")


@pytest.mark.parametrize("told", [True, False])
def test_more_bytes_than_the_cap_are_refused(server: FileServer, fetch: Fetch, told: bool) -> None:
    data = b"id\n" + b"1\n" * 100
    server.files["/t.csv"] = Hosted(data)
    if not told:
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        headers = {"content-length": "", "transfer-encoding": "chunked"}
        server.files["/t.csv"] = Hosted(chunks, headers)
    assert fetch(f"{server.url}/t.csv").size_bytes() == len(data)
    with pytest.raises(DataError, match=r"an object has at most 100 bytes, and http.*has more"):
        fetch(f"{server.url}/t.csv", limits=Limits(object_bytes=100))


def test_private_addresses_are_refused_unless_allowed(server: FileServer, fetch: Fetch) -> None:
    server.files["/t.csv"] = Hosted(CSV)
    with pytest.raises(DataError, match="public addresses only"):
        fetch(f"{server.url}/t.csv", allow_private=False)
    assert server.answers == []


def test_a_server_that_is_not_there_is_told(fetch: Fetch) -> None:
    with pytest.raises(DataError, match="could not be copied in 4 tries"):
        fetch("http://127.0.0.1:1/t.csv")


def test_several_files_are_not_to_be_had(fetch: Fetch) -> None:
    for path in ("http://127.0.0.1:1/data/", "http://127.0.0.1:1/*.csv"):
        with pytest.raises(DataError, match="a web server lists no files"):
            fetch(path)


def test_secrets_reach_the_server_and_nothing_else(
    server: FileServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEB_SECRET", "hunter2hunter2")
    address = server.url.replace("://", "://me:${env:WEB_SECRET}@") + "/t.csv?key=${env:WEB_SECRET}"
    server.files["/t.csv?key=hunter2hunter2"] = Hosted(CSV, {"etag": '"v1"'})
    source = fetch(address)
    assert server.asked[0]["authorization"].startswith("Basic ")
    told = repr(source) + "".join(
        str(file) + file.read_text() for file in (tmp_path / "fetched").rglob("*") if file.is_file()
    )
    assert "hunter2" not in told
    server.files.clear()
    with pytest.raises(DataError) as caught:
        fetch(address)
    assert str(caught.value) == (f"source 't': {server.url}/t.csv answered 404; correct the path")
    monkeypatch.setenv("WEB_SECRET", "")


@pytest.mark.parametrize("password", ["p@ss/w?rd#1:", "50%25 ü", "a b&c=d"])
def test_a_password_may_hold_any_sign(
    server: FileServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("WEB_SECRET", password)
    server.files["/t.csv"] = Hosted(CSV, {"etag": '"v1"'})
    fetch(server.url.replace("://", "://m%40e:${env:WEB_SECRET}@") + "/t.csv")
    expected = b64encode(f"m@e:{password}".encode()).decode()
    assert server.asked[0]["authorization"] == f"Basic {expected}"
