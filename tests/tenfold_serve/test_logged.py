from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tenfold_serve.logged import INDEX_COLUMNS, LoggedPredictions

ROWS = st.lists(
    st.tuples(
        st.text("0123456789abcdef.", min_size=1),
        st.integers(1, 2**31 - 1),
        st.text(),
        st.lists(st.floats(allow_nan=False), max_size=4),
        st.integers(0, 4 * 10**15),
    ),
    max_size=20,
)
START = datetime(1970, 1, 1, tzinfo=UTC)


@given(ROWS, st.integers(0, 20))
def test_a_table_in_pieces_gives_its_rows(
    rows: list[tuple[str, int, str, list[float], int]], cut: int
) -> None:
    kinds = (
        pa.string(),
        pa.int32(),
        pa.string(),
        pa.list_(pa.float64()),
        pa.timestamp("us", tz="UTC"),
    )
    schema = pa.schema(list(zip(INDEX_COLUMNS, kinds, strict=True)))
    told = [(*row[:4], START + timedelta(microseconds=row[4])) for row in rows]
    columns = [pa.array([row[k] for row in told], kind) for k, kind in enumerate(kinds)]
    table = pa.table(columns, schema=schema)
    found = LoggedPredictions.from_table(pa.concat_tables([table[:cut], table[cut:]]))
    assert len(found) == len(rows)
    for k, (one, version, value, scores, micros) in enumerate(rows):
        assert (found.ids[k], found.versions[k], found.values[k]) == (one, version, value)
        assert [found.scores_at(place)[k] for place in range(len(scores))] == scores
        assert np.isnan(found.scores_at(len(scores))[k])
        assert found.at_s[k] == micros / 1e6
