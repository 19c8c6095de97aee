"""The layout of an artifact: names, engines, and the small values that a manifest is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any

from tenfold.errors import ArtifactError

__all__ = [
    "CONFORMAL_FILE",
    "ENGINE_FILES",
    "FORMAT_VERSION",
    "GOLDEN_FILE",
    "MANIFEST_FILE",
    "PREPROCESS_FILE",
    "REFERENCE_FILE",
    "TASKS",
    "FileEntry",
    "Lineage",
    "check_fields",
    "check_name",
    "check_types",
    "check_version",
    "read_entry",
    "read_lineage",
]

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
PREPROCESS_FILE = "preprocess.json"
GOLDEN_FILE = "golden.arrow"
REFERENCE_FILE = "reference.json"
CONFORMAL_FILE = "conformal.json"
"""Intervals or sets; absent from clusterings and from what was trained before there were any."""

ENGINE_FILES: dict[str, tuple[str, ...]] = {
    "onnx": ("model.onnx",),
    "xgboost": ("arch.json", "model.ubj"),
    "arrays": ("arch.json", "weights.safetensors"),
    "blend": ("arch.json", "members.safetensors"),
}
"""The files that each scoring engine reads; the first entry is the default choice."""

TASKS = ("binary", "multiclass", "regression", "clustering")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HEX = re.compile(r"[0-9a-f]{64}")


def check_name(name: object) -> str:
    """A file name that stays inside its folder on every file system.

    Raises:
        ArtifactError: it does not match ``[a-z0-9][a-z0-9._-]{0,63}``.

    >>> check_name("model.onnx")
    'model.onnx'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ArtifactError(
            f"a file of an artifact is named [a-z0-9][a-z0-9._-]{{0,63}}, not {name!r}; "
            "publish the model again"
        )
    return name


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size in bytes and SHA-256 of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a model came from: enough to make it again.

    Attributes:
        snapshot: digest of the rows.
        folds: digest of the split.
        code: version of Tenfold.
        seed: of the training.
        params: of the model family.
        family: name in the table of families; says how to read the native files.
        parent: model digest that this one was refitted from, or None.
        extra: more facts for people; JSON values under stable names: ``commit`` (of the checkout
            that Tenfold ran from; absent where it was installed), ``packages_sha256`` (over the
            sorted ``name==version`` lines of what was installed, a newline behind each),
            ``n_tried`` (configurations) and ``engine`` (why this one answers).
    """

    snapshot: str
    folds: str
    code: str
    seed: int
    params: dict[str, Any]
    family: str
    parent: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def check_version(value: Any) -> None:
    """Refuse another format, and say what to do about it."""
    if not isinstance(value, dict) or not isinstance(value.get("format_version"), int):
        raise ArtifactError("manifest.json is a JSON object with a format_version; publish again")
    version = value["format_version"]
    if version != FORMAT_VERSION:
        remedy = "upgrade tenfold" if version > FORMAT_VERSION else "publish the model again"
        raise ArtifactError(
            f"the artifact has format {version} and this tenfold reads {FORMAT_VERSION}; {remedy}"
        )


def check_types(value: dict[str, Any]) -> None:
    """Refuse a field of a wrong JSON type."""
    wrong = [name for name, kind in _KINDS.items() if not isinstance(value[name], kind)]
    if wrong or not isinstance(value["project"].get("name"), str):
        raise ArtifactError(
            f"manifest.json: {', '.join(wrong) or 'project.name'} has a wrong type; "
            "publish the model again"
        )


_KINDS: dict[str, type] = {
    "project": dict,
    "task": str,
    "schema": dict,
    "classes": list,
    "engine": str,
    "lineage": dict,
    "metrics": dict,
    "gates": list,
    "created": str,
    "files": dict,
    "model_digest": str,
}


def check_fields(value: Any, cls: type[Any], what: str) -> None:
    """Refuse missing and unknown fields."""
    expected = {f.name for f in fields(cls)}
    found = set(value) if isinstance(value, dict) else set()
    if found != expected:
        raise ArtifactError(
            f"{what} has exactly the fields {sorted(expected)}; "
            f"missing {sorted(expected - found)}, unknown {sorted(map(str, found - expected))}; "
            "publish the model again"
        )


def read_entry(value: Any) -> FileEntry:
    """Size and digest of one file; `ValueError` if they cannot be."""
    check_fields(value, FileEntry, "a file entry")
    size, sha256 = value["size"], value["sha256"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"size {size!r} is not a number of bytes")
    if not isinstance(sha256, str) or not _HEX.fullmatch(sha256):
        raise ValueError(f"sha256 {sha256!r} is not 64 hex digits")
    return FileEntry(size, sha256)


def read_lineage(value: Any) -> Lineage:
    """The lineage; `ValueError` if it names no family."""
    check_fields(value, Lineage, "lineage")
    if not isinstance(value["family"], str) or not isinstance(value["params"], dict):
        raise ValueError("lineage names a family and its params")
    return Lineage(**value)
