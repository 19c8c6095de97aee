from __future__ import annotations

import json

from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table


def test_equal_seeds_give_equal_tables_and_others_do_not() -> None:
    assert mixed_table(50, seed=1).equals(mixed_table(50, seed=1))
    assert not mixed_table(50, seed=1).equals(mixed_table(50, seed=2))


def test_the_table_has_the_troubles_it_promises() -> None:
    table = mixed_table(500)
    assert table.schema.equals(mixed_schema().arrow_schema())
    assert table["void"].null_count == 500
    assert set(table["constant"].to_pylist()) == {7.0}
    assert "violet" not in table["color"].to_pylist()
    assert 0 < table["age"].null_count < 100
    assert table["label"].null_count == 0


def test_rows_are_json() -> None:
    rows = json_rows(mixed_schema(), mixed_table(20))
    assert json.loads(json.dumps(rows)) == rows
    assert set(rows[0]) == {column.name for column in mixed_schema().features}
