"""What may be sent as a query, and what is refused before anything is sent."""

from __future__ import annotations

import pytest

from tenfold.data.sql.statement import one_select
from tenfold.errors import DataError


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "  SELECT a FROM t -- why\n",
        "-- first\n/* then */ WITH x AS (SELECT 1) SELECT * FROM x",
        "SELECT ';' , 'it''s; (' , \"odd;name\" FROM t",
        "SELECT E'it\\'s' FROM t",
        "SELECT $$text)$$ FROM t",
        "SELECT (1)",
    ],
)
def test_one_select_passes_as_it_is(query: str) -> None:
    assert one_select(query, name="t") == query.strip()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "DROP TABLE t",
        "INSERT INTO t VALUES (1)",
        "EXPLAIN ANALYZE DELETE FROM t",
        "COPY t TO PROGRAM 'sh'",
        "ATTACH 'x.db' AS x",
        "PRAGMA query_only = OFF",
        "VALUES (1)",
        "/* SELECT */ DELETE FROM t",
        "-- SELECT\nDELETE FROM t",
        "selection",
    ],
)
def test_anything_else_is_refused(query: str) -> None:
    with pytest.raises(DataError, match=r"must be one SELECT \(or WITH … SELECT\), and it begins"):
        one_select(query, name="t")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1;",
        "SELECT 1; DROP TABLE t",
        "SELECT 1) AS q; COMMIT; DROP TABLE t; --",
        "SELECT 'a'; DROP TABLE t; SELECT 'b'",
        "SELECT 'it''s'; DROP TABLE t",
        "SELECT E'\\'' ; DROP TABLE t; --'",
        "SELECT $$'$$ ; DROP TABLE t; --'",
        "SELECT 1 /* /* */ ' */ ; DROP TABLE t; --'",
        "SELECT 1 --'\n ; DROP TABLE t; --'",
        "SELECT `'` ; DROP TABLE t; --'",
        "SELECT [a'] ; DROP TABLE t; --'",
        "SELECT 1 # '\n ; DROP TABLE t; --'",
        "SELECT q'{'}' ; DROP TABLE t; --'",
        "SELECT 1 -- ;",
        "SELECT ' ; DROP TABLE t",
    ],
)
def test_a_second_statement_is_refused_wherever_some_database_sees_one(query: str) -> None:
    with pytest.raises(DataError, match="semicolon"):
        one_select(query, name="t")


def test_the_message_shows_where_the_second_one_begins() -> None:
    with pytest.raises(DataError) as caught:
        one_select("SELECT 1; DROP TABLE t", name="shop")
    assert str(caught.value) == (
        "source 'shop': the query must be one statement without a semicolon, and it goes on with "
        "'; DROP TABLE t'; remove it"
    )


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("SELECT 1) AS q, (SELECT 2", "closed and not opened"),
        ("SELECT (1", "opened and not closed"),
        ("SELECT ')'::text || (1", "opened and not closed"),
    ],
)
def test_parentheses_are_in_pairs(query: str, word: str) -> None:
    with pytest.raises(DataError, match=word):
        one_select(query, name="t")


def test_a_nul_is_refused() -> None:
    with pytest.raises(DataError, match="holds a NUL"):
        one_select("SELECT 'a\0b'", name="t")
