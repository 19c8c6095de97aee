"""A CSV file, a PostgreSQL table joined as-of and a paged API: trained, served, answered."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from tenfold.cluster.ports import free_port
from tests.command import tenfold, tenfold_json
from tests.httpserver import JsonHandler, serving
from tests.postgres import running_postgres

pytestmark = pytest.mark.e2e

N_ORDERS, N_CLIENTS, PAGE = 1500, 60, 25
PROJECT = """\
name: orders
problem: {{task: binary, target: returned, gates: ["roc_auc >= 0.8"]}}
data:
  sources:
    - path: orders.csv
    - {{type: sql, url: "{url}", table: prices, shard_by: price_id}}
    - type: http
      name: clients
      url: {api}/clients
      records: data.items
      headers: {{authorization: "Bearer ${{env:SHOP_TOKEN}}"}}
      pages: {{by: cursor, cursor: data.next, size_parameter: limit, size: {page}}}
      allow_private: true
  joins:
    - {{source: prices, on: product, how: asof, time: {{left: ordered_at, right: valid_from}}}}
    - {{source: clients, on: {{client: id}}}}
  columns: {{price_id: {{role: ignored}}}}
  key: order_id
train: {{trials: 1, folds: 2, families: [boosting], prefer: latency}}
"""


class Shop(JsonHandler):
    """Clients by cursor, for those with the token; every second call fails."""

    clients: ClassVar[list[dict[str, Any]]] = []
    n_calls: ClassVar[int] = 0

    def get(self) -> None:
        cls = type(self)
        cls.n_calls += 1
        if self.headers["authorization"] != "Bearer t0ken":
            return self.answer(401, {"error": "who are you?"})
        if cls.n_calls % 2:
            return self.answer(503, {"error": "come again"})
        asked = parse_qs(urlsplit(self.path).query)
        start, limit = int(asked.get("cursor", ["0"])[0]), int(asked["limit"][0])
        end = start + limit
        more = str(end) if end < len(cls.clients) else None
        items = cls.clients[start:end]
        return self.answer(200, {"data": {"items": items, "next": more}})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Orders are returned when the price of their day is high and the client is in the north."""
    chance = random.Random(5)
    folder = tmp_path_factory.mktemp("three")
    Shop.clients = [
        {"id": n, "home": {"region": chance.choice(["north", "south"])}, "age": 20 + n}
        for n in range(N_CLIENTS)
    ]
    prices = [
        {"price_id": 12 * p + m, "product": f"p{p}", "valid_from": f"2031-{m + 1:02d}-01",
         "price": round(chance.uniform(1, 100), 2)}
        for p in range(20) for m in range(12)
    ]  # fmt: skip
    lines = ["order_id,product,client,ordered_at,returned"]
    for n in range(N_ORDERS):
        product, month, client = chance.randrange(20), chance.randrange(12), chance.randrange(70)
        high = prices[12 * product + month]["price"] > 50
        north = client < N_CLIENTS and Shop.clients[client]["home"]["region"] == "north"
        returned = chance.random() < (0.9 if high and north else 0.1)
        day = f"2031-{month + 1:02d}-{chance.randrange(1, 28):02d}"
        lines.append(f"{n},p{product},{client},{day},{'yes' if returned else 'no'}")
    (folder / "orders.csv").write_text("\n".join(lines) + "\n")
    with running_postgres() as url, serving(Shop) as api:
        url = url.replace("postgresql://", "postgresql+psycopg://")
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text(
                "create table prices (price_id int primary key, product text, "
                "valid_from timestamp, price numeric)"
            ))  # fmt: skip
            statement = sa.text(
                "insert into prices values (:price_id, :product, :valid_from, :price)"
            )
            connection.execute(statement, prices)
        engine.dispose()
        path = folder / "project.yaml"
        path.write_text(PROJECT.format(url=url, api=api, page=PAGE))
        yield path


def test_three_sources_become_one_endpoint(project: Path, tmp_path: Path) -> None:
    home, token = tmp_path / "home", {"SHOP_TOKEN": "t0ken"}
    checked = tenfold_json("check", str(project), home=home, **token)
    assert checked["ok"], checked
    prepared = tenfold_json("prepare", str(project), home=home, **token)
    prices, clients = (step for step in prepared["lineage"] if "join" in step)
    assert (prices["n_matched"], prices["n_rows"]) == (N_ORDERS, N_ORDERS)
    assert 0 < clients["n_unmatched"] < N_ORDERS / 4
    trained = tenfold_json("train", str(project), home=home, **token)
    assert trained["alias"] == "champion", trained
    assert trained["metrics"]["roc_auc"]["value"] >= 0.8
    bare = {"TENFOLD_DASHBOARD": "0"}  # Ray's pages are the README walk's
    try:
        words = ("up", str(project), "--port", str(free_port()))
        up = tenfold_json(*words, home=home, **token, **bare)
        url = up["urls"]["orders"]
        columns = httpx.get(f"{url}/openapi.json").json()["components"]["schemas"]
        assert "home.region" in json.dumps(columns)
        row = {
            "product": "p3", "ordered_at": "2031-05-03", "valid_from": "2031-05-01T00:00:00",
            "client": 7, "age": 27, "home.region": "north",
        }  # fmt: skip
        found = {}
        for price in (5.0, 95.0):
            answer = httpx.post(f"{url}/predict", json={"rows": [{**row, "price": price}]})
            assert answer.status_code == 200, answer.text
            found[price] = answer.json()["predictions"][0]["probabilities"]["yes"]
        assert found[95.0] > found[5.0]
    finally:
        tenfold("down", home=home)
    left = [path for path in home.rglob("*") if path.is_file() and b"t0ken" in path.read_bytes()]
    assert left == []


def test_without_the_token_one_line_says_so(project: Path, tmp_path: Path) -> None:
    done = tenfold("prepare", str(project), home=tmp_path / "home", code=2)
    assert "SHOP_TOKEN is not set" in done.stderr
    wrong = tenfold("prepare", str(project), home=tmp_path / "home", code=2, SHOP_TOKEN="wr0ng")
    assert "401" in wrong.stderr
    assert "wr0ng" not in wrong.stderr
