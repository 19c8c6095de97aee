"""A database among the sources of a project, all the way to a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenfold.data import prepare
from tenfold.data.drivers import Driver, InProcess, RayData
from tenfold.project import Project
from tenfold.settings import Settings
from tests.tenfold.data.sql.conftest import PASSWORD, Database


@pytest.fixture
def shop(postgres: Database) -> Database:
    """Orders to learn from in a file; prices that change in a database."""
    lines = ["item,at,y"] + [
        f"i{n % 4},2031-{1 + n % 12:02d}-15,{'yes' if n % 3 else 'no'}" for n in range(240)
    ]
    (postgres.folder / "orders.csv").write_text("\n".join(lines) + "\n")
    postgres.run(
        "CREATE TABLE prices (id SERIAL, item TEXT, since TIMESTAMPTZ, price NUMERIC(9, 2))",
        "INSERT INTO prices (item, since, price) SELECT 'i' || i, make_date(2031, m, 1), m + 0.25 "
        "FROM generate_series(0, 3) AS a(i), generate_series(1, 7, 3) AS b(m)",
        "GRANT SELECT ON prices TO reader",
    )
    return postgres


def project(shop: Database, url: str) -> Project:
    prices: dict[str, Any] = {
        "type": "sql",
        "url": url,
        "table": "prices",
        "columns": ["item", "since", "price", "id"],
        "shard_by": "id",
        "incremental": {"column": "id"},
    }
    join = {
        "source": "prices",
        "on": "item",
        "how": "asof",
        "time": {"left": "at", "right": "since"},
    }
    return Project.from_dict(
        {
            "name": "shop",
            "problem": {"task": "binary", "target": "y"},
            "prepare": {"drop_duplicates": False},
            "data": {"sources": [{"path": "orders.csv"}, prices], "joins": [join]},
        },
        folder=shop.folder,
    )


@pytest.mark.parametrize("driver", [InProcess(), RayData()])
def test_a_file_meets_a_table_as_of_its_time(
    shop: Database,
    reader_url: str,
    settings: Settings,
    driver: Driver,
    tmp_path: Path,
    ray_session: None,
) -> None:
    secret = tmp_path / "secret"  # a file, since Ray's workers started before the variable was set
    secret.write_text(PASSWORD)
    made = project(shop, reader_url.replace("env:TENFOLD_TEST_PASSWORD", f"file:{secret}"))
    first = prepare(made, settings=settings, drivers=lambda _: driver)
    prices = {row["at"].month: row["price"] for row in first.table().to_pylist()}
    assert prices == {
        month: (month - 1) // 3 * 3 + 1.25 if month < 10 else 7.25 for month in range(1, 13)
    }
    (told,) = [entry for entry in first.manifest["lineage"] if entry.get("type") == "sql"]
    (pull,) = told["pulls"]
    assert (pull["table"], pull["n_rows"]) == ("prices", 12)
    assert pull["watermark"] == {"column": "id", "above": None, "up_to": "12"}

    shop.run("INSERT INTO prices (item, since, price) VALUES ('i0', '2031-09-01', 99)")
    second = prepare(made, settings=settings, drivers=lambda _: driver)
    assert 99 in second.table()["price"].to_pylist()
    (told,) = [entry for entry in second.manifest["lineage"] if entry.get("type") == "sql"]
    assert [entry["n_rows"] for entry in told["pulls"]] == [12, 2]

    seen = b"".join(path.read_bytes() for path in _files(settings.home))
    assert PASSWORD.encode() not in seen
    assert b"canary" not in seen


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
