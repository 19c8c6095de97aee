"""Objects of real servers of Google's and Azure's protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenfold.data.drivers import InProcess
from tenfold.data.remote import RemoteFiles
from tenfold.data.remote.stores import StorePlace
from tenfold.data.source import Source
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tenfold.testing.sources import SourceConformance
from tests.azure import running_azure
from tests.cloud import Cloud, cut_line
from tests.gcs import running_gcs
from tests.tenfold.data.remote.conftest import Fetch

STORES = {"az": running_azure, "gs": running_gcs}
LONG = b"id,text\n" + b"".join(b"%d,%s\n" % (n, b"x" * 90) for n in range(20_000))


@pytest.fixture(scope="module", params=STORES)
def running(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with STORES[request.param]() as cloud:
        yield cloud


@pytest.fixture
def store(running: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("CLOUD_SECRET", running.secret)
    return running


def ids(source: Source) -> list[str]:
    return [row["id"] for shard in source.shards() for row in shard.read().table.to_pylist()]


class TestClouds(SourceConformance):
    """Copies of a prefix."""

    @pytest.fixture(autouse=True)
    def _files(self, store: Cloud, remote: Callable[..., RemoteFiles]) -> None:
        store.put("conform", **{"t/a.csv": b"id\n1\n", "t/b.jsonl": b'{"id": 2}\n'})
        self.files = remote(store.address("conform/t/"))

    def source(self, folder: Path) -> Source:
        """Two objects."""
        return self.files.fetch(folder / "fetched", driver=InProcess(), progress=SILENT)

    def n_rows(self) -> int:
        """One in each."""
        return 2


def test_one_object_a_prefix_and_a_pattern(store: Cloud, fetch: Fetch) -> None:
    store.put(
        "kinds",
        **{
            "logs/b.csv": b"id\n2\n",
            "logs/a.csv": b"id\n1\n",
            "logs/day=3/a b+c.csv": b"id\n3\n",
            "logs/_tmp/half.csv": b"id\n9\n",
            "logs/notes.md": b"no table",
            "other/z.csv": b"id\n9\n",
        },
    )
    assert ids(fetch(store.address("kinds/logs/a.csv"))) == ["1"]
    source = fetch(store.address("kinds/logs/"))
    assert ids(source) == ["1", "2", "3"]
    assert [entry["object"] for entry in source.lineage] == [
        f"{store.scheme}://kinds/logs/{key}" for key in ("a.csv", "b.csv", "day=3/a b+c.csv")
    ]
    assert ids(fetch(store.address("kinds/logs/*.csv"))) == ["1", "2"]


def test_unchanged_objects_are_not_copied_again(store: Cloud, fetch: Fetch) -> None:
    store.put("again", **{"a.csv": b"id\n1\n", "b.csv": b"id\n2\n"})
    first = fetch(store.address("again/"))
    seen = {file: file.stat().st_ino for file in first.files()}
    store.put("again", **{"b.csv": b"id\n7\n"})
    second = fetch(store.address("again/"))
    assert ids(second) == ["1", "7"]
    assert [file.stat().st_ino == seen[file] for file in second.files()] == [True, False]
    assert first.lineage[0] == second.lineage[0]
    assert first.lineage[1]["etag"] != second.lineage[1]["etag"]


def test_an_object_that_changes_while_it_is_copied_is_refused(
    store: Cloud, remote: Callable[..., RemoteFiles]
) -> None:
    store.put("moving", **{"a.csv": b"id\n1\n"})
    files = remote(store.address("moving/a.csv"))
    place = StorePlace(files.spec, files.address, files.limits)
    with (
        pytest.raises(DataError, match=r"moving/a\.csv changed while it was copied"),
        place.transfer("a.csv", None) as transfer,
    ):
        assert transfer is not None
        store.put("moving", **{"a.csv": b"id\n2\n"})


def test_a_line_that_breaks_costs_no_byte(store: Cloud, fetch: Fetch) -> None:
    store.put("cut", **{"a.csv": LONG})
    with cut_line(store.endpoint, after_bytes=300_000, n_cuts=1) as endpoint:
        source = fetch(store.address("cut/a.csv", endpoint=endpoint))
        (copy,) = source.files()
        assert copy.read_bytes() == LONG


def test_what_is_not_there_is_told(store: Cloud, fetch: Fetch) -> None:
    store.put("empty", **{"notes.md": b"no table"})
    for path in ("empty/none.csv", "nobucket/none.csv"):
        with pytest.raises(DataError, match=f"{store.scheme}://{path} (is not there|holds no)"):
            fetch(store.address(path))
    with pytest.raises(DataError, match="holds no object that ends in"):
        fetch(store.address("empty/"))


def test_private_endpoints_are_refused_unless_allowed(store: Cloud, fetch: Fetch) -> None:
    with pytest.raises(DataError, match=r"public addresses only, and the endpoint '127\.0"):
        fetch(store.address("private/a.csv"), allow_private=False)


def test_an_endpoint_below_the_account_is_looked_up_with_it(fetch: Fetch) -> None:
    with pytest.raises(DataError, match=r"'tenfold\.localhost'"):
        fetch("az://box/a.csv?account=tenfold&endpoint_override=.localhost", allow_private=False)


def test_a_wrong_key_is_told_and_not_shown(
    store: Cloud, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not store.secret:
        return  # the server of Google's protocol lets everybody in
    store.put("locked", **{"a.csv": b"id\n1\n"})
    wrong = store.secret[::-1].strip("=") + "=" * (len(store.secret) - len(store.secret.strip("=")))
    monkeypatch.setenv("CLOUD_SECRET", wrong)
    with pytest.raises(DataError, match=r"locked/a\.csv cannot be read .*check the path") as caught:
        fetch(store.address("locked/a.csv"))
    assert wrong not in str(caught.value)
