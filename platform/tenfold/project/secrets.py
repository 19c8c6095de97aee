"""Secrets by reference: ``${env:NAME}`` and ``${file:PATH}`` become values where they are used.

The project file, lineage, logs, artifacts and Ray's runtime environment hold the reference only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tenfold.errors import ProjectError

__all__ = ["find_references", "resolve_secrets"]

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
_MOST_BYTES = 64 * 1024
"""A secret is a word, not a file of data."""


def find_references(text: str) -> tuple[str, ...]:
    """The references in a text, in order.

    >>> find_references("Bearer ${env:TOKEN} or ${file:/run/key}")
    ('${env:TOKEN}', '${file:/run/key}')
    """
    return tuple(found[0] for found in _REFERENCE.finditer(text))


def resolve_secrets(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text with its references replaced.

    Args:
        text: of the project file.
        environ: where ``${env:NAME}`` looks; the process's environment if None.

    Raises:
        ProjectError: a variable is not set, or a file cannot be read; the message names the
            reference, never a value.

    >>> resolve_secrets("Bearer ${env:TOKEN}", {"TOKEN": "s3cret"})
    'Bearer s3cret'
    """
    env = os.environ if environ is None else environ

    def value(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if kind == "env":
            if name not in env:
                raise ProjectError(
                    f"the project file refers to ${{env:{name}}}, and {name} is not set in the "
                    "environment of this command; set it where the command runs"
                )
            return env[name]
        return _from_file(name)

    return _REFERENCE.sub(value, text)


def _from_file(name: str) -> str:
    try:
        with Path(name).expanduser().open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ProjectError(
                f"the secret ${{file:{name}}} may have at most {_MOST_BYTES} bytes; "
                "name a file that holds the secret alone"
            )
        return data.decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"the project file refers to ${{file:{name}}}, which cannot be read as text "
            f"({type(error).__name__}); correct the path or its permissions"
        ) from None
