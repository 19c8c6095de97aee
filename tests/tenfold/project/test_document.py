from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.errors import ProjectError
from tenfold.project.document import MAX_FILE_BYTES, read_document


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "project.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(tmp_path: Path, content: str | bytes) -> str:
    with pytest.raises(ProjectError) as caught:
        read_document(written(tmp_path, content), name="p.yaml")
    return str(caught.value)


def test_values_and_their_lines(tmp_path: Path) -> None:
    text = "a: 1\nb:\n  - x: true\n    y: 2.5\n  - ~\n"
    document = read_document(written(tmp_path, text))
    assert document.value == {"a": 1, "b": [{"x": True, "y": 2.5}, None]}
    assert [document.line(p) for p in (("a",), ("b", 0, "y"), ("b", 1))] == [1, 4, 5]


def test_the_line_of_what_is_not_there_is_that_of_its_section(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "\n\na:\n  b: 1\n"))
    assert document.line(("a", "zzz", 3)) == 3


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "1:30", "2014-05-02", "0x1f", "1_000"])
def test_words_that_yaml_1_1_would_turn_stay_text(tmp_path: Path, word: str) -> None:
    assert read_document(written(tmp_path, f"a: {word}")).value == {"a": word}


@pytest.mark.parametrize("word", ["7", "true", "null", "1.5"])
def test_quotes_make_text(tmp_path: Path, word: str) -> None:
    assert read_document(written(tmp_path, f'a: "{word}"')).value == {"a": word}


def test_keys_are_text(tmp_path: Path) -> None:
    assert read_document(written(tmp_path, "2014: 1\ntrue: 2\n")).value == {"2014": 1, "true": 2}


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert read_document(written(tmp_path, b"\xef\xbb\xbfa: 1\n")).value == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "p.yaml: must not be empty; write one with: tenfold init TABLE"),
        ("# nothing\n", "p.yaml: must not be empty; write one with: tenfold init TABLE"),
        (
            "a: 1\nb: 2\na: 3\n",
            "p.yaml:3: the key 'a' stands on line 1 already; keep one of the two",
        ),
        ("a: &x 1\nb: *x\n", "p.yaml:2: must not use aliases; found '*x'; write the value out"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "p.yaml:1: must not use tags; found 'tag:yaml.org,2002:python/object/apply:os.system'; "
            "write the plain value",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "p.yaml:2: must hold one document; a second starts here; "
            "remove the '---' or split the file",
        ),
        (
            "a: 1\nb: caf\xe9\n".encode("latin-1"),
            "p.yaml:2: must be UTF-8; byte 11 is 0xe9; save the file as UTF-8",
        ),
        (
            "a:\n\tb: 1\n",
            "p.yaml:2: must be YAML; found character '\\t' that cannot start any token; "
            "indent with blanks, not tabs",
        ),
        (
            "a: [1, 2\n",
            "p.yaml:2: must be YAML; expected ',' or ']', but got '<stream end>'; "
            "check the indentation and the quotes here and on the line above",
        ),
        ("[a]: 1\n", "p.yaml:1: a key must be text; write 'key: value'"),
        (
            "a: " + "[" * 30 + "]" * 30,
            "p.yaml:1: must not be nested deeper than 16 levels; flatten it",
        ),
    ],
)
def test_refusals(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert refusal(tmp_path, content) == message


def test_a_billion_laughs_cost_nothing(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
    )
    assert refusal(tmp_path, bomb).startswith("p.yaml:2: must not use aliases; found '*a'")


def test_a_table_given_by_mistake(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"a,b\n" * (MAX_FILE_BYTES // 4 + 1)) == (
        "p.yaml: must be a project file of at most 1 MiB and is larger; "
        "is it the table? name the YAML file"
    )


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        read_document(tmp_path, name="here")
    assert str(caught.value) == "here: must be a project file and is a folder; name the file in it"
    with pytest.raises(ProjectError) as caught:
        read_document(tmp_path / "gone.yaml", name="gone.yaml")
    assert str(caught.value) == (
        "gone.yaml: there is no such file; check the path, or write one with: tenfold init TABLE"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    try:
        document = read_document(written(tmp_path, content), name="p.yaml")
    except ProjectError as error:
        assert str(error).startswith("p.yaml")
    else:
        assert () in document.lines
