"""The tables of the state database, in one place."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["alias_moves", "aliases", "checkpoints", "journal", "keys", "metadata", "versions"]

metadata = MetaData()

versions = Table(
    "tenfold_versions",
    metadata,
    Column("project", String(40), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("model_digest", String(64), nullable=False),
    Column("artifact_digest", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("created", String(32), nullable=False),  # ISO 8601, UTC: sorts as text on every engine
    UniqueConstraint("project", "artifact_digest"),
)

aliases = Table(
    "tenfold_aliases",
    metadata,
    Column("project", String(40), primary_key=True),
    Column("alias", String(20), primary_key=True),
    Column("version", Integer, nullable=False),
)

alias_moves = Table(
    "tenfold_alias_moves",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(40), nullable=False, index=True),
    Column("alias", String(20), nullable=False),
    Column("kind", String(20), nullable=False),  # promote, rollback, set, clear
    Column("from_version", Integer),
    Column("to_version", Integer),
    Column("at", String(32), nullable=False),
)

journal = Table(
    "tenfold_journal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(40), nullable=False, index=True),
    Column("at", String(32), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("body", Text, nullable=False),  # canonical JSON
)

checkpoints = Table(
    "tenfold_checkpoints",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("at", String(32), nullable=False),
)

keys = Table(
    "tenfold_keys",
    metadata,
    Column("id", String(8), primary_key=True),
    Column("project", String(40), nullable=False, index=True),
    Column("roles", String(100), nullable=False),  # with blanks between
    Column("note", String(100), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the secret, which is kept nowhere
    Column("created", String(32), nullable=False),
    Column("ends", String(32)),
)
