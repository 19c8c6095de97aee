"""Objects of a real server of the S3 protocol."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.data import prepare
from tenfold.data.drivers import InProcess
from tenfold.data.prepare import source_facts
from tenfold.data.remote import RemoteFiles
from tenfold.data.remote.stores import StorePlace
from tenfold.data.remote.transfer import Limits
from tenfold.data.source import Source
from tenfold.errors import DataError, ProjectError
from tenfold.progress import SILENT
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.testing.sources import SourceConformance
from tests.s3 import S3
from tests.tenfold.data.remote.conftest import Fetch

OnS3 = Callable[[str], str]


def rows(source: Source) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for shard in source.shards():
        found += shard.read().table.to_pylist()
    return found


class TestS3(SourceConformance):
    """Copies of a prefix."""

    @pytest.fixture(autouse=True)
    def _files(self, s3: S3, on_s3: OnS3, remote: Callable[..., RemoteFiles]) -> None:
        s3.put("conform", **{"t/a.csv": b"id\n1\n", "t/b.jsonl": b'{"id": 2}\n'})
        self.files = remote(on_s3("conform/t/"))

    def source(self, folder: Path) -> Source:
        """Two objects."""
        return self.files.fetch(folder / "fetched", driver=InProcess(), progress=SILENT)

    def n_rows(self) -> int:
        """One in each."""
        return 2


def test_one_object_a_prefix_and_a_pattern(s3: S3, fetch: Fetch, on_s3: OnS3) -> None:
    s3.put(
        "kinds",
        **{
            "logs/b.csv": b"id,x\n2,b\n",
            "logs/a.csv": b"id\n1\n",
            "logs/day=3/ä b+c.csv": b"id\n3\n",
            "logs/_SUCCESS": b"",
            "logs/_tmp/half.csv": b"id\n9\n",
            "logs/.hidden.csv": b"id\n9\n",
            "logs/notes.md": b"no table",
            "logs/odd.log": b"id\n4\n",
            "other/z.csv": b"id\n9\n",
        },
    )
    assert rows(fetch(on_s3("kinds/logs/a.csv"))) == [{"id": "1"}]
    wanted = [{"id": "1", "x": None}, {"id": "2", "x": "b"}, {"id": "3", "x": None}]
    assert rows(fetch(on_s3("kinds/logs/"))) == wanted
    source = fetch(on_s3("kinds/logs"))
    assert rows(source) == wanted
    assert [entry["object"] for entry in source.lineage] == [
        "s3://kinds/logs/a.csv", "s3://kinds/logs/b.csv", "s3://kinds/logs/day=3/ä b+c.csv",
    ]  # fmt: skip
    assert rows(fetch(on_s3("kinds/logs/*.csv"))) == wanted[:2]
    assert rows(fetch(on_s3("kinds/logs/.*.csv"))) == [{"id": "9"}]
    assert rows(fetch(on_s3("kinds/logs/*.log"))) == [{"id": "4"}]
    assert len(rows(fetch(on_s3("kinds/logs/[ab].csv")))) == 2


def test_copies_are_made_by_any_process(
    s3: S3, remote: Callable[..., RemoteFiles], on_s3: OnS3, tmp_path: Path
) -> None:
    s3.put("travel", **{"a.csv": b"id\n1\n", "b.csv": b"id\n2\n"})

    class Elsewhere(InProcess):
        def run(self, job: Callable[[int], None], pieces: Sequence[int]) -> Iterator[int]:
            data = pickle.dumps(job)
            assert b"s3cr3t" not in data
            return super().run(pickle.loads(data), pieces)  # noqa: S301  (in flight, as Ray does)

    files = remote(on_s3("travel/"))
    source = files.fetch(tmp_path / "f", driver=Elsewhere(), progress=SILENT)
    assert [row["id"] for row in rows(source)] == ["1", "2"]


def test_typed_formats_are_read_with_their_types(s3: S3, fetch: Fetch, on_s3: OnS3) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2]}), sink)
    s3.put("typed", **{"t.parquet": sink.getvalue()})
    assert rows(fetch(on_s3("typed/t.parquet"))) == [{"n": 1}, {"n": 2}]


def test_unchanged_objects_are_not_copied_again_and_gone_ones_vanish(
    s3: S3, fetch: Fetch, on_s3: OnS3, tmp_path: Path
) -> None:
    s3.put("again", **{"a.csv": b"id\n1\n", "b.csv": b"id\n2\n", "c.csv": b"id\n3\n"})
    first = fetch(on_s3("again/"))
    seen = {file: file.stat().st_ino for file in first.files()}
    s3.put("again", **{"b.csv": b"id\n7\n"})
    s3.client.delete_object(Bucket="again", Key="c.csv")
    second = fetch(on_s3("again/"))
    assert rows(second) == [{"id": "1"}, {"id": "7"}]
    a, b = second.files()
    assert a.stat().st_ino == seen[a]
    assert b.stat().st_ino != seen[b]
    assert first.lineage[0] == second.lineage[0]
    assert first.lineage[1]["etag"] != second.lineage[1]["etag"]
    left = [file.name for file in (tmp_path / "fetched").rglob("*") if file.is_file()]
    assert sorted(left) == ["a.csv", "a.csv.json", "b.csv", "b.csv.json", "fetched.json"]


def test_a_broken_object_stops_the_job_or_goes_to_the_quarantine(
    s3: S3, on_s3: OnS3, settings: Settings
) -> None:
    parts = {
        f"{part}.csv": "".join(["x,y\n", *(f"{part}.{n},{'ab'[n % 2]}\n" for n in range(10, 99))])
        for part in range(30)
    }
    s3.put("broken", **{name: text.encode() for name, text in parts.items()})
    s3.put("broken", **{"7.csv": b"\xff\xfe no table"})
    spec = {"path": on_s3("broken/"), "name": "parts", "allow_private": True}
    asked = {
        "name": "parts",
        "problem": {"task": "binary", "target": "y"},
        "data": {"sources": [spec]},
    }
    with pytest.raises(DataError, match=r"7\.csv"):
        prepare(Project.from_dict(asked), settings=settings)
    spared = Project.from_dict({**asked, "prepare": {"on_bad_file": "quarantine"}})
    snapshot = prepare(spared, settings=settings)
    assert (snapshot.n_rows, snapshot.n_quarantined) == (29 * 89, 1)
    (told,) = snapshot.quarantine().to_pylist()
    assert told["source"] == "parts"
    assert told["value"].endswith("7.csv")
    assert source_facts(spared, settings).n_columns == 2  # by the copies


def test_a_look_takes_the_first_object_and_keeps_nothing(
    s3: S3, remote: Callable[..., RemoteFiles], on_s3: OnS3
) -> None:
    s3.put("look", **{"a.csv": b"id\n1\n", "b.csv": b"id\n2\n", "empty.csv": b"id\n"})
    files = remote(on_s3("look/"))
    assert files.sample().to_pylist() == [{"id": "1"}]
    assert files.size_hint() == 5 + 5 + 3
    with pytest.raises(DataError, match=r"s3://look/empty\.csv has a header and no rows"):
        remote(on_s3("look/empty.csv")).sample()


def test_a_look_spares_what_the_job_would_spare(
    s3: S3, remote: Callable[..., RemoteFiles], on_s3: OnS3
) -> None:
    s3.put("glance", **{"a.csv": b"\xff\xfe", "b.csv": b"", "c.csv": b"id\n3\n"})
    files = remote(on_s3("glance/"))
    with pytest.raises(DataError, match=r"a\.csv"):
        files.sample()
    assert replace(files, spare=True).sample().to_pylist() == [{"id": "3"}]
    s3.put("glance", **{"c.csv": b""})
    with pytest.raises(DataError, match=r"a\.csv"):
        replace(files, spare=True).sample()


def test_a_killed_fetch_goes_on_with_the_copies_that_are_whole(
    s3: S3, remote: Callable[..., RemoteFiles], on_s3: OnS3, tmp_path: Path
) -> None:
    s3.put("killed", **{f"{number}.csv": b"id\n%d\n" % number for number in range(4)})
    files = remote(on_s3("killed/"))

    class Killed(InProcess):
        def run(self, job: Callable[[int], None], pieces: object) -> Iterator[int]:
            job(0)
            job(1)
            yield 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.fetch(tmp_path / "f", driver=Killed(), progress=SILENT)
    assert files.fetched(tmp_path / "f") is None
    seen = {file: file.stat().st_ino for file in (tmp_path / "f" / "copies").iterdir()}
    assert len(seen) == 2
    source = files.fetch(tmp_path / "f", driver=InProcess(), progress=SILENT)
    assert [row["id"] for row in rows(source)] == ["0", "1", "2", "3"]
    assert all(file.stat().st_ino == number for file, number in seen.items())


def test_an_object_that_changes_while_it_is_copied_is_refused(
    s3: S3, remote: Callable[..., RemoteFiles], on_s3: OnS3
) -> None:
    s3.put("moving", **{"a.csv": b"id\n1\n"})
    files = remote(on_s3("moving/a.csv"))
    place = StorePlace(files.spec, files.address, files.limits)
    with (
        pytest.raises(DataError, match=r"s3://moving/a\.csv changed while it was copied"),
        place.transfer("a.csv", None) as transfer,
    ):
        assert transfer is not None
        s3.put("moving", **{"a.csv": b"id\n2\n"})


def test_what_is_not_there_or_not_allowed_is_told(s3: S3, fetch: Fetch, on_s3: OnS3) -> None:
    s3.put("empty", **{"notes.md": b"no table"})
    for path in ("empty/none.csv", "nobucket/none.csv", "empty/none/"):
        with pytest.raises(
            DataError, match=f"s3://{path} is not there|s3://{path} holds no object"
        ):
            fetch(on_s3(path))
    with pytest.raises(DataError, match=r"s3://nobucket/x/ (cannot be read|is not there)"):
        fetch(on_s3("nobucket/x/"))
    for path in ("empty/", "empty/*.csv"):
        with pytest.raises(DataError, match="holds no object that ends in"):
            fetch(on_s3(path))


def test_too_many_and_too_large_objects_are_refused(s3: S3, fetch: Fetch, on_s3: OnS3) -> None:
    s3.put("caps", **{"a.csv": b"id\n1\n", "b.csv": b"id\n22\n"})
    for limits, message in (
        (Limits(n_objects=1), "at most 1 objects, and s3://caps/ has 2; name a narrower prefix"),
        (Limits(total_bytes=10), "at most 10 bytes, and those of s3://caps/ have 11"),
        (Limits(object_bytes=5), r"an object has at most 5 bytes, and s3://caps/b\.csv has more"),
    ):
        with pytest.raises(DataError, match=message):
            fetch(on_s3("caps/"), limits=limits)


def test_private_endpoints_are_refused_unless_allowed(s3: S3, fetch: Fetch, on_s3: OnS3) -> None:
    s3.put("private", **{"a.csv": b"id\n1\n"})
    with pytest.raises(DataError, match=r"public addresses only, and the endpoint '127\.0"):
        fetch(on_s3("private/a.csv"), allow_private=False)


def test_secrets_stay_references(
    s3: S3, fetch: Fetch, on_s3: OnS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    s3.put("secrets", **{"a.csv": b"id\n1\n"})
    source = fetch(on_s3("secrets/a.csv"))
    told = repr(source) + "".join(
        file.read_text() for file in (tmp_path / "fetched").rglob("*") if file.is_file()
    )
    assert "s3cr3t" not in told
    monkeypatch.delenv("S3_SECRET")
    with pytest.raises(ProjectError, match="S3_SECRET is not set"):
        fetch(on_s3("secrets/a.csv"))
