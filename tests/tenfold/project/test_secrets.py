from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.errors import ProjectError
from tenfold.project.secrets import resolve_secrets


def test_references_of_both_kinds_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k3y\n")
    text = "a ${env:ONE} b ${file:" + str(tmp_path / "key") + "} ${other:x} $ONE"
    assert resolve_secrets(text, {"ONE": "1"}) == "a 1 b k3y ${other:x} $ONE"


def test_what_is_not_there_is_named_and_no_value_is(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        resolve_secrets("${env:FIRST} ${env:NONE}", {"FIRST": "s3cret"})
    assert "NONE is not set in the environment" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ProjectError, match="cannot be read as text"):
        resolve_secrets("${file:" + str(tmp_path / "none") + "}")


def test_a_large_or_binary_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 70_000)
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    with pytest.raises(ProjectError, match="at most 65536 bytes"):
        resolve_secrets("${file:" + str(tmp_path / "big") + "}")
    with pytest.raises(ProjectError, match="cannot be read as text"):
        resolve_secrets("${file:" + str(tmp_path / "odd") + "}")
