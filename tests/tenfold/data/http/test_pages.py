from __future__ import annotations

from typing import Any

import httpx
import pytest

from tenfold.data.http.pages import Ask, Page, Pager, next_link
from tenfold.errors import DataError
from tenfold.project.sources import Pages

URL = httpx.URL("https://api.test/v1/items")


def pager(most: int = 100, fixed: tuple[tuple[str, str], ...] = (), **pages: Any) -> Pager:
    return Pager("items", Pages(**pages) if pages else None, fixed=fixed, most_pages=most)


def page(records: list[Any], *, link: str = "", url: httpx.URL = URL, **document: Any) -> Page:
    return Page(document, records, url, link)


def test_one_answer_is_all_without_pages() -> None:
    made = pager(fixed=(("since", "7"),))
    assert made.first() == Ask((("since", "7"),))
    assert made.after(page([1])) is None


def test_numbers_count_until_a_page_is_empty() -> None:
    made = pager(by="number", parameter="p", start=0, size=50, size_parameter="per_page")
    size = ("per_page", "50")
    assert made.first() == Ask((size, ("p", "0")))
    assert made.after(page([1])) == Ask((size, ("p", "1")))
    assert made.after(page([2])) == Ask((size, ("p", "2")))
    assert made.after(page([])) is None


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}, {"next": False}])
def test_cursors_lead_on_until_there_is_none(end: dict[str, Any]) -> None:
    made = pager(by="cursor", cursor="meta.next", parameter="after", fixed=(("since", "7"),))
    assert made.first() == Ask((("since", "7"),))
    following = made.after(page([1], meta={"next": "abc"}))
    assert following == Ask((("since", "7"), ("after", "abc")))
    assert made.after(page([], meta={"next": "0"})) is not None  # an empty page is not the end
    assert made.after(page([2], meta=end)) is None


def test_a_cursor_that_is_no_word_is_told() -> None:
    with pytest.raises(DataError, match="must be a text or a number, and is an object"):
        pager(by="cursor", cursor="next").after(page([1], next={"id": "1"}))


def test_cursors_that_go_in_a_circle_are_told() -> None:
    made = pager(by="cursor", cursor="next")
    for n, cursor in enumerate("abc"):
        made.after(page([n], next=cursor))
    with pytest.raises(DataError, match="page 4: every cursor must lead on"):
        made.after(page([9], next="a"))


def test_links_lead_on_relative_to_the_page() -> None:
    made = pager(by="link")
    following = made.after(page([1], link='<?page=2#x>; rel="next"'))
    assert following is not None and str(following.link) == "https://api.test/v1/items?page=2"
    following = made.after(page([2], link='<//user:pw@api.test/b>; rel="next"'))
    assert following is not None and str(following.link) == "https://api.test/b"
    assert made.after(page([3], link='<?page=1>; rel="prev"')) is None


def test_a_link_of_a_server_that_does_not_know_it_has_tls() -> None:
    following = pager(by="link").after(page([1], link='<http://api.test/2>; rel="next"'))
    assert following is not None and str(following.link) == "https://api.test/2"


def test_links_that_go_in_a_circle_or_cannot_be_read_are_told() -> None:
    made = pager(by="link")
    made.after(page([1], link='<?page=2>; rel="next"'))
    with pytest.raises(DataError, match="page 2: every link must lead on"):
        made.after(page([2], link='</v1/items?page=2>; rel="next"'))
    with pytest.raises(DataError, match="this one cannot be read"):
        pager(by="link").after(page([1], link='<https://[::1>; rel="next"'))


@pytest.mark.parametrize(
    "pages", [{"by": "number"}, {"by": "cursor", "cursor": "next"}, {"by": "link"}]
)
def test_a_page_that_repeats_is_told(pages: dict[str, Any]) -> None:
    made = pager(**pages)
    made.after(page([{"a": "1"}], next="x", link='<?p=1>; rel="next"'))
    with pytest.raises(DataError, match=r"page 2: .* repeats the 1 of the page before"):
        made.after(page([{"a": "1"}], next="y", link='<?p=2>; rel="next"'))


def test_empty_pages_do_not_repeat_each_other() -> None:
    made = pager(by="cursor", cursor="next")
    assert made.after(page([], next="x")) is not None
    assert made.after(page([], next="y")) is not None


def test_the_number_of_pages_is_bounded_and_the_last_one_may_be_the_end() -> None:
    made = pager(2, by="number")
    made.after(page([1]))
    with pytest.raises(DataError, match="at most 2 pages, and this API has more"):
        made.after(page([2]))
    made = pager(2, by="number")
    made.after(page([1]))
    assert made.after(page([])) is None


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ('<https://a/2>; rel="next"', "https://a/2"),
        ("<https://a/2>;rel=next", "https://a/2"),
        ('<https://a/2>; title="x"; REL="NEXT"', "https://a/2"),
        ('<https://a/1>; rel="prev", <https://a/3>; rel="last next"', "https://a/3"),
        ('<https://a/?q=a,b;c>; rel="next"', "https://a/?q=a,b;c"),
        ('<https://a/1>; rel="first"; rel="next"', None),
        ('<https://a/1>; rel="nextish"', None),
        ('<https://a/1>; xrel="next"', None),
        ("https://a/2; rel=next", None),
        ("<" * 10_000, None),
    ],
)
def test_link_headers(header: str, wanted: str | None) -> None:
    assert next_link(header) == wanted
