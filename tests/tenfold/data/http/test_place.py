"""Whole pulls against a real server: every way of paging, an API that fails, what is stored."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tenfold.data import prepare
from tenfold.data.drivers import Driver, InProcess, RayData
from tenfold.data.http import HttpPlace, HttpStream, Limits, World
from tenfold.data.places import place_of
from tenfold.data.pull import open_pull, pull
from tenfold.data.source import Source
from tenfold.data.stored import StoredSource
from tenfold.data.watermark import Mark
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.testing.sources import SourceConformance
from tests.httpserver import Api, Call, Detour, Reply, api
from tests.tenfold.data.http.world import (
    FakeClock,
    by_cursor,
    by_link,
    by_number,
    place,
    rows,
    source,
)

RECORDS = [{"id": n, "at": {"day": f"2026-01-{1 + n % 28:02d}"}, "tags": ["a"]} for n in range(25)]
WANTED = [{"id": str(n), "at.day": r["at"]["day"], "tags": '["a"]'} for n, r in enumerate(RECORDS)]
STYLES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "number": (by_number, {"pages": {"by": "number"}}),
    "cursor": (
        by_cursor,
        {"pages": {"by": "cursor", "cursor": "next.cursor"}, "records": "data.items"},
    ),
    "link": (by_link, {"pages": {"by": "link"}}),
}


def stored_rows(stored: StoredSource) -> list[dict[str, Any]]:
    return [row for shard in stored.shards() for row in shard.read().table.to_pylist()]


def pulled(made: HttpPlace, folder: Path, driver: Driver | None = None) -> list[dict[str, Any]]:
    return stored_rows(pull(made, folder, driver=driver or InProcess(), progress=SILENT))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [1, 4, 25, 100])
def test_every_way_of_paging_reads_every_record_once(style: str, size: int, tmp_path: Path) -> None:
    respond, fields = STYLES[style]
    with api(respond(RECORDS, size=size)) as made:
        assert pulled(place(f"{made.url}/items", **fields), tmp_path) == WANTED
    n_pages = -(-len(RECORDS) // size)
    assert len(made.calls) == n_pages + (style == "number")


@pytest.mark.parametrize("style", STYLES)
def test_an_api_that_fails_half_its_calls_completes(style: str, tmp_path: Path) -> None:
    respond, fields = STYLES[style]
    clock = FakeClock()
    failures = [Reply(status=503), Reply(status=0), Reply(status=429), Reply(chunks=[b"[{"])]
    holder: list[Api] = []

    def half(call: Call) -> Reply:
        n = len(holder[0].calls)
        return failures[n // 2 % len(failures)] if n % 2 else respond(RECORDS, size=2)(call)

    with api(half) as made:
        holder.append(made)
        assert pulled(place(made.url, clock=clock, **fields), tmp_path) == WANTED
    assert len(made.calls) == 2 * (13 + (style == "number"))
    assert 0 < sum(clock.sleeps) < 60


def test_parameters_and_page_sizes_are_asked_for_on_every_page() -> None:
    pages = {"by": "number", "parameter": "p", "start": 1, "size": 9, "size_parameter": "n"}
    with api(lambda call: Reply([{"id": 1}] if call.query["p"] == "1" else [])) as made:
        rows(place(f"{made.url}/items?fixed=1", pages=pages, params={"kind": "a b&c"}))
    assert [call.query for call in made.calls] == [
        {"fixed": "1", "kind": "a b&c", "n": "9", "p": str(p)} for p in (1, 2)
    ]


def test_parameters_that_a_link_leaves_out_are_added_on_the_same_host_alone() -> None:
    with api(lambda _call: Reply([{"id": 9}])) as other:

        def respond(call: Call) -> Reply:
            target = f"{other.url}/3" if call.path == "/2" else "/2?kind=theirs"
            return Reply([{"id": call.path}], headers={"link": f'<{target}>; rel="next"'})

        fields = {"pages": {"by": "link"}, "params": {"kind": "mine", "shop": "k"}}
        with api(respond) as made:
            found = rows(place(f"{made.url}/1", headers={"x-api-key": "${env:HOME}"}, **fields))
    assert [row["id"] for row in found] == ["/1", "/2", "9"]
    assert made.calls[1].query == {"kind": "theirs", "shop": "k"}
    assert "x-api-key" in made.calls[1].headers
    assert other.calls[0].query == {}
    assert "x-api-key" not in other.calls[0].headers


@pytest.mark.parametrize("private", ["http://169.254.169.254/meta", "http://inner.test/"])
@pytest.mark.parametrize("way", ["link", "redirect"])
def test_links_and_redirects_to_private_addresses_are_refused(way: str, private: str) -> None:
    """The first page comes from an address that counts as public, what it leads to is not."""

    def respond(call: Call) -> Reply:
        if call.path == "/2":
            return Reply(status=302, headers={"location": private})
        target = private if way == "link" else "/2"
        return Reply([{"id": 1}], headers={"link": f'<{target}>; rel="next"'})

    addresses = {"api.test": "93.184.216.34", "inner.test": "10.0.0.7"}
    with api(respond) as made:
        detour = Detour(made.port)
        world = World(
            clock=FakeClock(),
            resolve=lambda host, _port: [addresses.get(host, host)],
            network=detour,
        )
        spec = source("http://api.test/1", pages={"by": "link"}, allow_private=False)
        batches = HttpStream(spec, None, world).batches()
        assert next(batches).num_rows == 1
        with pytest.raises(DataError, match=r"^source 'items', page 2: sources read public"):
            next(batches)
    assert set(detour.asked) == {"93.184.216.34"}
    assert len(made.calls) == (1 if way == "link" else 2)


def test_an_api_that_ignores_its_page_number_is_told(tmp_path: Path) -> None:
    with (
        api(lambda _call: Reply(RECORDS)) as made,
        pytest.raises(DataError, match="page 2: a page must bring new records"),
    ):
        pulled(place(made.url, pages={"by": "number"}), tmp_path)
    assert len(made.calls) == 2


def test_a_page_that_is_missing_ends_the_pull_where_that_is_declared(tmp_path: Path) -> None:
    def respond(call: Call) -> Reply:
        number = int(call.query["page"])
        return Reply(
            RECORDS[10 * number - 10 : 10 * number] if number < 4 else [],
            status=200 if number < 4 else 404,
        )

    for end, told in (("missing", None), ("empty", r"page 4: .*404")):
        with api(respond) as made:
            asked = place(made.url, pages={"by": "number", "end": end})
            if told is None:
                assert pulled(asked, tmp_path / end) == WANTED
            else:
                with pytest.raises(DataError, match=told):
                    pulled(asked, tmp_path / end)
        assert len(made.calls) == 4


def test_a_first_page_that_is_missing_is_no_end() -> None:
    with (
        api(lambda _call: Reply([], status=404)) as made,
        pytest.raises(DataError, match=r"page 1: .*404"),
    ):
        rows(place(made.url, pages={"by": "number", "end": "missing"}))


def test_only_numbered_pages_may_end_by_a_missing_one() -> None:
    with pytest.raises(ValueError, match="must go by number for 'end: missing'"):
        source("http://api.test/1", pages={"by": "link", "end": "missing"})


def test_an_api_without_an_end_is_told() -> None:
    world = World(clock=FakeClock(), limits=Limits(pages=5))
    numbers = iter(range(100))
    with (
        api(lambda _call: Reply([{"id": next(numbers)}])) as made,
        pytest.raises(DataError, match="at most 5 pages"),
    ):
        rows(HttpPlace(source(made.url, pages={"by": "number"}), world))
    assert len(made.calls) == 5


def test_columns_that_drift_between_pages_are_matched_by_name(tmp_path: Path) -> None:
    records = [{"id": 0}, {"id": "x", "b": 1.50}, {"b": None, "c": True}, {"c": "2"}]
    with api(by_number(records, size=1)) as made:
        found = pulled(place(made.url, pages={"by": "number"}), tmp_path)
    assert found == [
        {"id": "0", "b": None, "c": None},
        {"id": "x", "b": "1.5", "c": None},
        {"id": None, "b": None, "c": "true"},
        {"id": None, "b": None, "c": "2"},
    ]


@pytest.mark.parametrize("parameter", ["since", None])
def test_a_second_pull_reads_what_is_new_alone(parameter: str | None, tmp_path: Path) -> None:
    incremental = {"column": "seq"} | ({"parameter": parameter} if parameter else {})
    records: list[dict[str, Any]] = [{"seq": 1, "x": "a"}, {"seq": 2, "x": "b"}]

    def respond(call: Call) -> Reply:
        since = int(call.query.get("since", "0"))
        kept = [record for record in records if record["seq"] is None or record["seq"] >= since]
        return by_number(kept, size=2)(call)

    with api(respond) as made:
        asked = place(made.url, pages={"by": "number"}, incremental=incremental)
        assert len(pulled(asked, tmp_path)) == 2
        n_first = len(made.calls)
        records += [{"seq": 2, "x": "late"}, {"seq": 10, "x": "c"}, {"seq": None, "x": "never"}]
        found = pulled(asked, tmp_path)
        assert [row["x"] for row in found] == ["a", "b", "late", "c"]
        asks = [call.query.get("since") for call in made.calls[n_first:]]
        assert set(asks) == ({"2"} if parameter else {None})
        assert pulled(asked, tmp_path) == found  # nothing is new
    opened = open_pull(asked, tmp_path)
    assert opened is not None and stored_rows(opened) == found
    assert [entry["since"] for entry in opened.lineage] == [None, "2"]


def test_a_watermark_that_a_later_page_lacks_is_missing_there(tmp_path: Path) -> None:
    records = [{"seq": 1}, {"x": "without"}, {"seq": 2}]
    with api(by_number(records, size=1)) as made:
        asked = place(made.url, pages={"by": "number"}, incremental={"column": "seq"})
        assert len(pulled(asked, tmp_path)) == 3
        wrong = place(made.url, pages={"by": "number"}, incremental={"column": "sequence"})
        with pytest.raises(DataError, match="'sequence' must be a column"):
            pulled(wrong, tmp_path / "other")


def test_another_question_starts_afresh(tmp_path: Path) -> None:
    base = source("https://a/items", incremental={"column": "id"})
    same = [
        base.model_copy(update={"headers": {"authorization": "Bearer ${env:A}"}}),
        base.model_copy(update={"retries": 1, "timeout": 1.0, "rate_per_s": 1.0}),
    ]
    other = [
        base.model_copy(update={"headers": {"x-tenant": "42"}}),
        base.model_copy(update={"params": {"a": "b"}}),
        base.model_copy(update={"url": "https://a/other"}),
        base.model_copy(update={"records": "items"}),
        base.model_copy(update={"incremental": None}),
    ]
    identity = HttpPlace(base).identity()
    assert all(HttpPlace(spec).identity() == identity for spec in same)
    assert all(HttpPlace(spec).identity() != identity for spec in other)


def test_the_plan_says_what_is_pulled_and_when() -> None:
    spec = source(
        "https://u:${env:HOME}@a/items?key=${env:HOME}",
        params={"k": "${env:HOME}"},
        incremental={"column": "id", "parameter": "since"},
    )
    made = HttpPlace(spec)
    plan = made.plan(Mark("number", 7, "7"))
    assert plan.streams == ({"since": "7"},)
    at = datetime.fromisoformat(plan.lineage.pop("pulled_at"))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert plan.lineage == {
        "type": "http",
        "url": "https://a/items",
        "params": {"k": "${env:HOME}"},
        "since": "7",
    }
    assert (made.name, made.watermark, made.size_hint()) == ("items", "id", 0)


@pytest.mark.parametrize("url", ["https://a/b?api_key=CANARY", "https://u:pa/CANARY@a/b"])
def test_no_secret_takes_part_in_what_is_asked_or_told(url: str) -> None:
    spec = source("https://a/b?api_key=${env:HOME}", params={"token": "${env:HOME}"})
    assert HttpPlace(spec).identity()["url"] == "https://a/b?api_key=${env:HOME}"
    assert HttpPlace(spec).identity()["params"] == {"token": "${env:HOME}"}
    odd = spec.model_copy(update={"url": url, "params": {"token": "CANARY"}})  # no file has it
    assert HttpPlace(odd).identity()["url"] == "https://a/b"
    assert "CANARY" not in repr((HttpPlace(odd).identity(), HttpPlace(odd).plan(None)))


def test_a_sample_is_the_first_page() -> None:
    with api(by_number(RECORDS, size=10)) as made:
        table = place(made.url, pages={"by": "number"}).sample()
        assert table.to_pylist() == WANTED[:10]
        assert len(made.calls) == 1


def test_a_sample_and_a_pull_of_nothing_are_told(tmp_path: Path) -> None:
    with api(lambda _call: Reply([])) as made:
        with pytest.raises(DataError, match=r"^source 'items': http.* at least one record"):
            place(made.url).sample()
        with pytest.raises(DataError, match="has no rows"):
            pulled(place(made.url), tmp_path)


def test_the_project_file_names_the_place(tmp_path: Path) -> None:
    spec = source("https://a/items")
    assert place_of(spec, folder=tmp_path) == HttpPlace(spec)


def test_streams_travel(tmp_path: Path) -> None:
    with api(by_number(RECORDS, size=10)) as made:
        asked = HttpPlace(source(made.url, pages={"by": "number"}, rate_per_s=1000.0))
        (stream,) = asked.streams(asked.plan(None))
        travelled = pickle.loads(pickle.dumps(stream))  # noqa: S301  (in flight, as Ray does)
        assert sum(table.num_rows for table in travelled.batches()) == 25
        again = [table.to_pylist() for table in stream.batches()]
        assert again == [table.to_pylist() for table in stream.batches()]


@pytest.mark.usefixtures("ray_session")
def test_ray_pulls_the_same(tmp_path: Path) -> None:
    with api(by_number(RECORDS, size=10)) as made:
        asked = HttpPlace(source(made.url, pages={"by": "number"}, rate_per_s=1000.0))
        assert pulled(asked, tmp_path, RayData()) == WANTED


def test_a_project_prepares_an_api_and_then_what_is_new(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "canary-shop-77")
    records = [{"id": n, "of": {"x": n % 7}, "y": n % 2 == 0} for n in range(60)]

    def respond(call: Call) -> Reply:
        kept = [one for one in records if one["id"] >= int(call.query.get("since", "0"))]
        return by_number(kept, size=50)(call)

    with api(respond) as made:
        entry = {
            **{"type": "http", "url": f"{made.url}/orders", "allow_private": True},
            "pages": {"by": "number"},
            "headers": {"authorization": "Bearer ${env:SHOP_KEY}"},
            "incremental": {"column": "id", "parameter": "since"},
            "rate_per_s": 1000.0,
        }
        data = {"sources": [entry], "columns": {"id": {"role": "ignored"}}}
        problem = {"task": "binary", "target": "y"}
        project = Project.from_dict({"name": "shop", "problem": problem, "data": data})
        first = prepare(project, settings=settings)
        assert first.schema.features
        assert first.n_rows == 60
        records += [{"id": n, "of": {"x": n % 7}, "y": n % 2 == 0} for n in range(60, 90)]
        n_calls = len(made.calls)
        second = prepare(project, settings=settings)
        assert second.n_rows == 90
        assert {call.query["since"] for call in made.calls[n_calls:]} == {"59"}
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"canary-shop-77" not in file.read_bytes()


class TestStored(SourceConformance):
    """What a pull of drifting pages stored, in several files."""

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        records = [{"id": n, f"c{n // 10}": n} for n in range(30)]
        with api(by_number(records, size=10)) as made:
            self.url = made.url
            yield

    def source(self, folder: Path) -> Source:
        """Three files."""
        made = place(self.url, pages={"by": "number"})
        stored = pull(made, folder / "pulls", driver=InProcess(), progress=SILENT)
        assert len(stored.files) == 3
        return stored

    def n_rows(self) -> int:
        """Of three pages."""
        return 30
