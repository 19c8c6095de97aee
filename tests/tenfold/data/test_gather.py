"""Sources stacked and joined on the way to a snapshot, from files."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tenfold.data import Snapshot, prepare
from tenfold.data.drivers import InProcess, RayData
from tenfold.data.integrate import JoinRule, integrate
from tenfold.data.prepare import source_facts
from tenfold.data.source import TableSource
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tenfold.project import Project
from tenfold.settings import Settings
from tests.fileserver import Hosted, serving_files

N_ROWS = 300


def orders(n_rows: int = N_ROWS) -> str:
    lines = ["order,client,at,y"]
    for n in range(n_rows):
        client = "" if n % 50 == 7 else f" {n % 40}"
        lines.append(f"{n},{client},2031-{1 + n % 12:02d}-15,{'yes' if n % 3 else 'no'}")
    return "\n".join(lines) + "\n"


def make(folder: Path, sources: list[dict[str, Any]], joins: list[dict[str, Any]]) -> Project:
    return Project.from_dict(
        {
            "name": "shop",
            "problem": {"task": "binary", "target": "y"},
            "data": {"sources": sources, "joins": joins, "columns": {"order": {"role": "ignored"}}},
        },
        folder=folder,
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Orders, clients (30 of 40, as typed Parquet) and rates that change twice a year."""
    (tmp_path / "orders.csv").write_text(orders())
    clients = pa.table({
        "client": pa.array(range(30), pa.int32()),
        "city": [f"c{n % 5}" for n in range(30)],
        "order": [1] * 30,
    })  # fmt: skip
    pq.write_table(clients, tmp_path / "clients.parquet")
    (tmp_path / "rates.csv").write_text(
        "city,since,rate\n"
        + "".join(f"c{n},2031-0{m}-01,{n}.{m}\n" for n in range(5) for m in (2, 7))
    )
    return tmp_path


JOINS = [
    {"source": "clients", "on": "client"},
    {"source": "rates", "on": "city", "how": "asof", "time": {"left": "at", "right": "since"}},
]
SOURCES = [{"path": "orders.csv"}, {"path": "clients.parquet"}, {"path": "rates.csv"}]


def test_joins_one_after_the_other(shop: Path, settings: Settings) -> None:
    snapshot = prepare(make(shop, SOURCES, JOINS), settings=settings)
    assert snapshot.schema.names == ("order", "client", "at", "y", "city", "order_clients",
                                     "since", "rate")  # fmt: skip
    rows = snapshot.table().sort_by("order").to_pylist()
    assert len(rows) == N_ROWS
    for row in rows:
        n, month = row["order"], row["at"].month
        known = n % 50 != 7 and n % 40 < 30
        assert row["city"] == (f"c{n % 40 % 5}" if known else None)
        rate = None if not known or month < 2 else float(f"{n % 40 % 5}.{2 if month < 7 else 7}")
        assert row["rate"] == rate
    *_, clients, rates = snapshot.manifest["lineage"]
    assert (clients["join"], clients["n_rows"], clients["n_no_key"]) == ("clients", N_ROWS, 6)
    assert clients["n_matched"] + clients["n_unmatched"] == N_ROWS
    assert clients["renamed"] == {"city": "city", "order": "order_clients"}
    assert (rates["how"], rates["n_multiplied"]) == ("asof", 0)


@pytest.mark.usefixtures("ray_session")
def test_any_driver_and_a_second_run_give_the_same(shop: Path, tmp_path: Path) -> None:
    project = make(shop, SOURCES, JOINS)
    drivers = (InProcess(n_threads=1), InProcess(n_threads=3), RayData())
    made = [
        prepare(
            project,
            settings=Settings.from_env({"TENFOLD_HOME": str(tmp_path / f"home{n}")}),
            drivers=lambda _, driver=driver: driver,
        )
        for n, driver in enumerate(drivers)
    ]
    assert len({(one.digest, one.folds_digest) for one in made}) == 1
    again = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": str(tmp_path / "home0")}))
    assert again.path == made[0].path


@pytest.mark.parametrize("how", ["inner", "semi", "anti", "outer"])
def test_every_kind_of_join(shop: Path, settings: Settings, how: str) -> None:
    """Clients above 29 are not known; with ``outer`` clients that ordered nothing come along."""
    clients = pq.read_table(shop / "clients.parquet")
    more = clients.set_column(0, "client", pa.array(range(100, 130), pa.int32()))
    pq.write_table(pa.concat_tables([clients, more]), shop / "clients.parquet")
    join = {"source": "clients", "on": "client", "how": how}
    project = make(shop, SOURCES[:2], [join])
    if how == "outer":  # rows without a target are no rows to learn from
        data = project.to_dict() | {"prepare": {"max_bad_fraction": 0.5}}
        project = Project.from_dict(data, folder=shop)
    snapshot = prepare(project, settings=settings)
    matched = sum(1 for n in range(N_ROWS) if n % 50 != 7 and n % 40 < 30)
    expected = {"inner": matched, "semi": matched, "anti": N_ROWS - matched, "outer": N_ROWS}
    assert snapshot.n_rows == expected[how]
    assert ("city" in snapshot.schema.names) == (how in ("inner", "outer"))
    if how == "outer":
        assert snapshot.n_quarantined == 30
        reasons = set(snapshot.quarantine()["reason"].to_pylist())
        assert reasons == {"the target is missing"}


def test_parts_that_hold_their_texts_as_dictionaries_and_plainly_join_alike(
    shop: Path, settings: Settings
) -> None:
    for name, use_dictionary, rows in (("coded", True, range(20)), ("plain", False, range(20, 40))):
        city = [f"c{n % 5} {'of the long names' * 3}" for n in rows for _ in range(50)]
        key = pa.array([1000 * k + n for n in rows for k in range(50)], pa.int32())
        part = pa.table({"client": key, "city": city})
        pq.write_table(part, shop / f"people-{name}.parquet", use_dictionary=use_dictionary)
    sources = [{"path": "orders.csv"}, {"path": "people-*.parquet", "name": "people"}]
    snapshot = prepare(
        make(shop, sources, [{"source": "people", "on": "client"}]), settings=settings
    )
    for row in snapshot.table().to_pylist():
        n = row["order"]
        known = n % 50 != 7
        assert row["city"] == (f"c{n % 40 % 5} {'of the long names' * 3}" if known else None)


def test_rows_that_would_multiply_stop_the_join_unless_told(shop: Path, settings: Settings) -> None:
    clients = pq.read_table(shop / "clients.parquet")
    pq.write_table(pa.concat_tables([clients, clients]), shop / "clients.parquet")
    join = {"source": "clients", "on": "client"}
    with pytest.raises(DataError) as caught:
        prepare(make(shop, SOURCES[:2], [join]), settings=settings)
    assert str(caught.value) == (
        "a row of 'orders' may match one row of 'clients', and the row with client ' 0' matches 2; "
        "make the key of 'clients' unique, join as-of, or set 'fan_out: true' if rows shall "
        "multiply"
    )
    many = make(shop, SOURCES[:2], [{**join, "fan_out": True}])
    snapshot = prepare(
        Project.from_dict(many.to_dict() | {"prepare": {"drop_duplicates": False}}, folder=shop),
        settings=settings,
    )
    told = snapshot.manifest["lineage"][-1]
    assert told["n_multiplied"] == told["n_matched"]
    assert snapshot.n_rows == N_ROWS + told["n_matched"]


def test_sources_that_no_join_names_are_stacked(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.csv").write_text(orders(60) + "broken\n")
    table = pa.table({
        "y": ["yes", "no"] * 30, "client": pa.array([5.0] * 60), "extra": ["e"] * 60,
        "order": pa.array(range(1000, 1060), pa.int64()),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "b.parquet")
    sources = [{"path": "a.csv"}, {"path": "b.parquet"}]
    snapshot = prepare(make(tmp_path, sources, []), settings=settings)
    assert snapshot.schema.names == ("order", "client", "at", "y", "extra")
    assert snapshot.n_rows == 120
    (bad,) = snapshot.quarantine().to_pylist()
    assert (bad["source"], bad["position"]) == ("a", 61)
    changes = snapshot.manifest["lineage"][-1]["changes"]
    assert {"column": "client", "part": "b", "change": "from double to string"} in changes
    assert {"column": "extra", "part": "a", "change": "is not there"} in changes


def test_what_is_no_row_in_a_joined_source_is_quarantined_by_its_name(
    shop: Path, settings: Settings
) -> None:
    rates = (shop / "rates.csv").read_text() + "c1,2031\n"
    (shop / "rates.csv").write_text(rates)
    project = make(shop, SOURCES, JOINS)
    with pytest.raises(DataError, match="source 'rates': 1 of 11 records cannot be read, more"):
        prepare(project, settings=settings)
    data = project.to_dict() | {"prepare": {"max_bad_fraction": 0.2}}
    snapshot = prepare(Project.from_dict(data, folder=shop), settings=settings)
    assert snapshot.n_quarantined == 1
    assert snapshot.quarantine().to_pylist() == [
        {
            "source": "rates", "position": 11, "column": None, "value": "c1,2031",
            "reason": "has 2 cells, the header names 3",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("join", "message"),
    [
        (
            {"source": "rates", "on": "town"},
            "join.on must name a column of source 'orders': 'town'",
        ),
        (
            {"source": "rates", "on": {"order": "city"}, "how": "asof",
             "time": {"left": "at", "right": "rat"}},
            "join.time.right must name a column of source 'rates': 'rat'",
        ),
        (
            {"source": "rates", "on": {"order": "city"}, "how": "asof",
             "time": {"left": "at", "right": "city"}},
            "join.time.right 'city' of source 'rates' must hold times or numbers",
        ),
        (
            {"source": "rates", "on": {"order": "city"}, "how": "asof",
             "time": {"left": "y", "right": "since"}},
            "join.time.left 'y' of source 'orders' must hold times like those of 'rates'",
        ),
    ],
)  # fmt: skip
def test_a_join_that_cannot_be_is_told(
    shop: Path, settings: Settings, join: dict[str, Any], message: str
) -> None:
    project = make(shop, [SOURCES[0], SOURCES[2]], [join])
    with pytest.raises(DataError) as caught:
        prepare(project, settings=settings)
    assert message in str(caught.value)
    with pytest.raises(DataError, match="must be prepared first"):
        Snapshot.latest(settings, project)


def test_files_that_drifted_and_lines_of_json_are_one_table_with_the_changes_told(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.csv").write_text(orders())
    lines = [f'{{"y": "{"yes" if n % 3 else "no"}", "extra": {n}, "order": {n}}}' for n in range(9)]
    (tmp_path / "parts" / "b.jsonl").write_text("\n".join([*lines, "{broken"]))
    project = make(tmp_path, [{"path": "parts"}], [])
    snapshot = prepare(project, settings=settings)
    assert "extra" in snapshot.schema.names
    (told,) = snapshot.manifest["lineage"]
    assert {"column": "client", "part": "b.jsonl", "change": "is not there"} in told["changes"]
    assert "objects" not in told


def test_a_remote_file_is_joined_like_a_local_one_and_fetched_once(
    shop: Path, settings: Settings
) -> None:
    with serving_files() as server:
        rates = (shop / "rates.csv").read_bytes()
        server.files["/rates.csv"] = Hosted(rates, {"etag": '"v1"'})
        there = {"path": f"{server.url}/rates.csv", "allow_private": True}
        near = [{"path": "orders.csv"}, {"path": "clients.parquet"}]
        project = make(shop, [*near, there], JOINS)
        snapshot = prepare(project, settings=settings)
        again = prepare(project, settings=settings)
        facts = source_facts(project, settings)  # by the copy
        assert [status for _, status in server.answers] == [200, 304]
    assert again.digest == snapshot.digest
    lineage = next(e for e in snapshot.manifest["lineage"] if e.get("source") == "rates")
    assert lineage["objects"][0]["etag"] == '"v1"'
    here = make(shop, [*near, {"path": "rates.csv"}], JOINS)
    assert source_facts(here, settings) == facts
    local = prepare(here, settings=settings)
    assert local.digest == snapshot.digest


def test_a_lake_table_is_joined_at_the_version_that_the_lineage_tells(
    shop: Path, settings: Settings
) -> None:
    write_deltalake(shop / "lake" / "clients", pq.read_table(shop / "clients.parquet"))
    lake = {"type": "delta", "path": "lake/clients"}
    sources = [{"path": "orders.csv"}, lake, {"path": "rates.csv"}]
    project = make(shop, sources, JOINS)
    snapshot = prepare(project, settings=settings)
    local = make(shop, [sources[0], {"path": "clients.parquet"}, sources[2]], JOINS)
    assert prepare(local, settings=settings).digest == snapshot.digest
    DeltaTable(shop / "lake" / "clients").delete("client = 3")
    later = prepare(project, settings=settings)
    pinned = make(shop, [sources[0], {**lake, "version": 0}, sources[2]], JOINS)
    again = prepare(pinned, settings=settings)
    assert later.digest != snapshot.digest == again.digest
    told = [
        next(e for e in made.manifest["lineage"] if e.get("source") == "clients")
        for made in (snapshot, later, again)
    ]
    assert [entry["pulls"][0]["version"] for entry in told] == [0, 1, 0]


def as_of(shop: Path, since: str, **changes: Any) -> Project:
    """Orders joined as of a rate whose column of time is given."""
    (shop / "rates.csv").write_text(f"key,since,rate\n{since}")
    lines = (shop / "orders.csv").read_text().splitlines()
    keyed = [f"{line},{'key' if n == 0 else 'k'}" for n, line in enumerate(lines)]
    (shop / "orders.csv").write_text("\n".join(keyed) + "\n")
    join = {"source": "rates", "on": "key", "how": "asof", "time": {"left": "at", "right": "since"}}
    return make(shop, [SOURCES[0], SOURCES[2]], [{**join, **changes}])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pa.array([1_700_000_000_000]), pa.array([datetime(2023, 1, 1)])),
        (pa.array([datetime(2023, 6, 1)]), pa.array([2023])),
        (pa.array([datetime(2023, 6, 1)]), pa.array(["2023"])),
        (pa.array([2023.5]), pa.array([date(2023, 1, 1)])),
    ],
)
def test_a_number_is_no_point_in_time(tmp_path: Path, left: pa.Array, right: pa.Array) -> None:
    """Read as seconds, days or milliseconds it would be another one, perhaps in the future."""
    table = TableSource(pa.table({"k": ["a"], "t": left}), name="left")
    other = TableSource(pa.table({"k": ["a"], "t": right, "x": [1]}), name="right")
    rule = JoinRule((("k", "k"),), "asof", ("t", "t"), None, fan_out=False, markers=())
    with pytest.raises(DataError, match="both must be times or both numbers"):
        integrate(table, other, rule, folder=tmp_path, driver=InProcess(), progress=SILENT)


def test_a_right_row_without_a_time_is_not_stepped_over(shop: Path, settings: Settings) -> None:
    with pytest.raises(DataError, match="1 of 3 rows have no time that can be read"):
        prepare(as_of(shop, "k,2031-01-01,1\nk,soon,2\nk,2031-06-01,3\n"), settings=settings)


def test_dates_as_people_write_them_join_as_of(shop: Path, settings: Settings) -> None:
    since = "k,1/2/2031,1\nk,13/2/2031,2\nk,June 1 2031,3\n"
    snapshot = prepare(as_of(shop, since), settings=settings)
    rates = {row["at"].month: row["rate"] for row in snapshot.table().to_pylist()}
    assert rates == {1: None, **dict.fromkeys(range(2, 6), 2), **dict.fromkeys(range(6, 13), 3)}


def test_the_rate_of_quarantine_counts_what_was_no_row_in_a_joined_source(
    shop: Path, settings: Settings
) -> None:
    (shop / "rates.csv").write_text((shop / "rates.csv").read_text() + "c1,2031\n")
    project = make(shop, SOURCES, JOINS)
    data = project.to_dict() | {"prepare": {"max_bad_fraction": 0.2}}
    snapshot = prepare(Project.from_dict(data, folder=shop), settings=settings)
    assert snapshot.quarantine_rate == pytest.approx(1 / (N_ROWS + 1))


def test_a_source_that_changes_while_it_is_joined_is_told(shop: Path, settings: Settings) -> None:
    class Grows(InProcess):
        """Adds a row to the file when its pieces are done."""

        def run(self, job: Any, pieces: Any) -> Any:
            yield from super().run(job, pieces)
            with (shop / "rates.csv").open("a") as file:
                file.write("c9,2031-01-01,9\n")

    with pytest.raises(DataError, match="must not change while they are joined"):
        prepare(make(shop, SOURCES, JOINS), settings=settings, drivers=lambda _: Grows())


def test_a_stack_that_is_joined_keeps_the_names_of_its_parts(
    shop: Path, settings: Settings
) -> None:
    (shop / "more.csv").write_text(orders(40) + "broken\n")
    (shop / "orders.csv").write_text((shop / "orders.csv").read_text() + "too,short\n")
    sources = [SOURCES[0], {"path": "more.csv"}, SOURCES[1]]
    snapshot = prepare(make(shop, sources, JOINS[:1]), settings=settings)
    told = [(row["source"], row["position"]) for row in snapshot.quarantine().to_pylist()]
    assert told == [("orders", N_ROWS + 1), ("more", 41)]
