from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from tenfold.profile import N_TEXT_SLOTS, Profile, TextProfile, merge_profiles
from tenfold.profile.texts import (
    MAX_GRAM_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    gram_counts,
    text_counts,
    text_grams,
    text_words,
)
from tenfold.schema import Column, Kind, Role, Schema

SCHEMA = Schema((Column("note", Kind.TEXT), Column("y", Kind.NUMBER, Role.TARGET)))
texts = st.lists(st.none() | st.text(st.sampled_from("abü -,7\n"), max_size=12), max_size=30)


def plain(values: list[str | None]) -> tuple[np.ndarray, list[int]]:
    """Documents per place and lengths, said plainly."""
    cut = [text_words(text) for text in values if text is not None]
    hits = np.array([text_counts(words) for words in cut]).reshape(-1, N_TEXT_SLOTS)
    return (hits > 0).sum(axis=0), sorted(len(words) for words in cut)


@given(texts)
def test_a_profile_counts_what_the_plain_rule_says(values: list[str | None]) -> None:
    made = TextProfile.from_array(pa.array(values, pa.string()))
    documents, lengths = plain(values)
    assert made.documents.tolist() == documents.tolist()
    assert (made.count, made.nulls) == (len(lengths), len(values) - len(lengths))
    assert np.repeat(made.words.values, made.words.counts).tolist() == lengths


@given(texts, texts, texts)
def test_merging_is_exact_in_any_order_and_grouping(
    a: list[str | None], b: list[str | None], c: list[str | None]
) -> None:
    one, two, three = (TextProfile.from_array(pa.array(x, pa.string())) for x in (a, b, c))
    whole = TextProfile.from_array(pa.array([*a, *b, *c], pa.string()))
    for made in (
        TextProfile.merge_all([one, two, three]),
        TextProfile.merge_all([three, TextProfile.merge_all([two, one])]),
    ):
        assert made.documents.tolist() == whole.documents.tolist()
        assert made.words.values.tolist() == whole.words.values.tolist()
        assert made.words.counts.tolist() == whole.words.counts.tolist()
        assert made.nulls == whole.nulls


@given(texts)
def test_the_weights_of_scikit_learn(values: list[str | None]) -> None:
    known = [text for text in values if text is not None]
    if not known:
        return
    hits = np.array([text_counts(text_words(text)) for text in known])
    expected = TfidfTransformer(smooth_idf=True).fit(hits).idf_
    made = TextProfile.from_array(pa.array(values, pa.string()))
    np.testing.assert_allclose(made.idf(), expected, rtol=1e-12)


def test_a_profile_with_texts_is_stored_merged_and_updated() -> None:
    table = pa.table({"note": ["to be", None, "or not to be"], "y": [1.0, 2.0, 3.0]})
    profile = Profile.from_table(table, SCHEMA)
    twice = profile.update(table)
    assert twice.texts["note"].count == 4
    again = Profile.from_bytes(twice.to_bytes())
    assert again.to_bytes() == twice.to_bytes()
    assert again.texts["note"].documents.tolist() == twice.texts["note"].documents.tolist()
    assert merge_profiles([profile, profile]).to_bytes() == twice.to_bytes()


def test_a_profile_without_texts_is_stored_as_before() -> None:
    schema = Schema((Column("x", Kind.NUMBER),))
    profile = Profile.from_table(pa.table({"x": [1.0]}), schema)
    assert b'"texts"' not in profile.to_bytes()
    assert Profile.from_bytes(profile.to_bytes()).texts == {}


def test_equal_words_are_equal_counts_on_any_machine() -> None:
    counts = text_counts(text_words("Zwei ruhige Zimmer"))
    assert [place for place, n in enumerate(counts) if n] == [4, 28, 34, 47, 103]
    assert sum(counts) == 5.0
    assert text_counts([]) == [0.0] * N_TEXT_SLOTS


@given(st.text(max_size=40), st.text(alphabet=" \t\n", max_size=5))
def test_runs_of_characters_are_those_of_scikit_learn(text: str, blanks: str) -> None:
    plain = " ".join(text.lower().split())
    expected = CountVectorizer(analyzer="char", ngram_range=(3, 4), lowercase=False)
    wanted = expected.build_analyzer()(f" {plain} ") if plain else []
    assert sorted(text_grams(text)) == sorted(gram for gram in wanted if len(gram) in (3, 4))
    assert gram_counts(blanks + text + blanks, "chars") == gram_counts(text, "chars")


@given(texts, texts)
def test_a_profile_of_characters_merges_like_one_of_words(
    a: list[str | None], b: list[str | None]
) -> None:
    one, two, whole = (
        TextProfile.from_array(pa.array(x, pa.string()), grams="chars") for x in (a, b, [*a, *b])
    )
    assert TextProfile.merge_all([two, one]).documents.tolist() == whole.documents.tolist()
    hits = [np.greater(gram_counts(text, "chars"), 0) for text in [*a, *b] if text is not None]
    assert whole.documents.tolist() == np.sum([np.zeros(N_TEXT_SLOTS), *hits], axis=0).tolist()


def test_equal_characters_are_equal_counts_on_any_machine() -> None:
    counts = gram_counts("AX-7 Ü", "chars")
    assert sum(counts) == 11.0
    assert [place for place, n in enumerate(counts) if n] == [
        14,
        26,
        32,
        62,
        71,
        78,
        80,
        93,
        114,
        122,
    ]
    assert gram_counts(None, "chars") == gram_counts(" \n", "chars") == [0.0] * N_TEXT_SLOTS
    assert sum(gram_counts("a\ud800b", "chars")) == 5.0


def test_characters_behind_the_limit_are_not_read() -> None:
    text = "ab" * 10**6
    assert gram_counts(text, "chars") == gram_counts(text[:MAX_GRAM_CHARACTERS], "chars")


def test_half_a_surrogate_pair_is_cut_like_any_text() -> None:
    assert sum(text_counts(text_words("a\ud800b"))) >= 1.0


@pytest.mark.parametrize("text", ["a " * 10**6, "ab" * 10**6, "\u0130" * 10**6])
def test_what_stands_behind_the_limit_is_not_read(text: str) -> None:
    began = time.perf_counter()
    assert len(text_words(text)) <= MAX_TEXT_CHARACTERS
    assert time.perf_counter() - began < 1.0
