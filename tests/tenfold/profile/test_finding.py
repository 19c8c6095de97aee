from __future__ import annotations

from tenfold.profile.finding import Finding, Law, Level


def test_a_finding_is_plain_json() -> None:
    found = Finding(Level.NOTE, None, Law.SKEW, "words")
    assert found.to_dict() == {"level": "note", "column": None, "law": "skew", "message": "words"}
    assert list(Level) == ["error", "warning", "note"]
