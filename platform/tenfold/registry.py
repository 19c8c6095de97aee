"""The registry: published versions and the aliases that say which one answers.

The truth is one conditional write in the state database: whoever moves an alias says where it
must point before, and loses if somebody else was first. Artifacts lie under
``{store}/artifacts/{project}/{artifact digest}`` and are never changed once published. MLflow
mirrors versions and aliases for people; nothing reads them back from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tenfold.canonical import move_whole, sha256_hex
from tenfold.errors import ArtifactError, RegistryConflict, StoreError, UserError
from tenfold.settings import Settings
from tenfold.state import State, open_state, tables
from tenfold.state.database import now_text
from tenfold.traffic import end_canary

__all__ = ["CHALLENGER", "CHAMPION", "AliasMove", "Registry", "Version"]

CHAMPION = "champion"
CHALLENGER = "challenger"
_ALIASES = (CHAMPION, CHALLENGER)
_PUBLISH_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Version:
    """A published model: ``path`` is its folder, the digests are those of the design."""

    project: str
    version: int
    model_digest: str
    artifact_digest: str
    path: Path
    created: str


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One move of an alias, as it was recorded."""

    project: str
    alias: str
    kind: str
    from_version: int | None
    to_version: int | None
    at: str


class Registry:
    """Publish, resolve, promote, roll back. Safe from several processes and threads.

    Args:
        settings: where the store and the state database are.
        state: an open state database to share; opened here if not given.
    """

    def __init__(self, settings: Settings, *, state: State | None = None) -> None:
        self._settings = settings
        self.state = state or open_state(settings)

    def publish(self, project: str, folder: Path) -> Version:
        """Take a finished artifact folder into the store and give it the next version.

        Publishing the same artifact again answers with its version and changes nothing. The folder
        is moved where that is possible, else copied.

        Raises:
            ArtifactError: the folder holds no manifest with a model digest.
            StoreError: the store cannot be written.
        """
        try:
            manifest = (folder / "manifest.json").read_bytes()
            model_digest = json.loads(manifest)["model_digest"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{folder} must hold a manifest.json with a model_digest: {error}"
            ) from error
        digest = sha256_hex(manifest)
        known = self._by_digest(project, digest)
        if known is not None:
            return known
        path = self._settings.artifacts / project / digest
        move_whole(folder, path)
        for _ in range(_PUBLISH_ATTEMPTS):
            try:
                with self.state.engine.begin() as connection:
                    return _insert_version(connection, project, model_digest, digest, path)
            except IntegrityError:
                known = self._by_digest(project, digest)
                if known is not None:
                    return known
        raise StoreError(f"{_PUBLISH_ATTEMPTS} attempts to number a version of {project!r} failed")

    def resolve(self, project: str, ref: str | int | None = CHAMPION) -> Version | None:
        """The version that an alias or a number means; None if there is no such thing."""
        number = self.alias(project, ref) if isinstance(ref, str) else ref
        if number is None:
            return None
        table = tables.versions
        query = select(table).where(table.c.project == project, table.c.version == number)
        with self.state.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _version(row)

    def require(self, project: str, ref: str | int = CHAMPION) -> Version:
        """Like `resolve`, for callers that cannot go on without.

        Raises:
            UserError: there is no such version; says which there are.
        """
        found = self.resolve(project, ref)
        if found is not None:
            return found
        numbers = [version.version for version in self.versions(project)]
        if not numbers:
            raise UserError(
                f"project {project!r} has no trained model yet; run `tenfold run` first"
            )
        raise UserError(
            f"project {project!r} has no version {ref!r}; it has {numbers}, "
            f"champion: {self.alias(project, CHAMPION)}"
        )

    def alias(self, project: str, alias: str) -> int | None:
        """The version number an alias points to, or None."""
        with self.state.engine.connect() as connection:
            return _alias(connection, project, alias)

    def aliases(self, project: str) -> dict[str, int | None]:
        """Both aliases and what they point to."""
        with self.state.engine.connect() as connection:
            return {name: _alias(connection, project, name) for name in _ALIASES}

    def versions(self, project: str) -> list[Version]:
        """All versions of a project, oldest first."""
        table = tables.versions
        query = select(table).where(table.c.project == project).order_by(table.c.version)
        with self.state.engine.connect() as connection:
            return [_version(row) for row in connection.execute(query)]

    def promote(self, project: str, version: int, *, expected: int | None) -> None:
        """Make a version the champion if the champion still is the expected one.

        A version that is the challenger stops being it in the same transaction, and a canary: what
        is said of one after that is not true of it any more.

        Raises:
            UserError: there is no such version.
            RegistryConflict: the champion is another than expected.
        """
        self.require(project, version)
        self._move(project, CHAMPION, version, expected=expected, kind="promote")

    def set_alias(self, project: str, alias: str, version: int | None) -> None:
        """Point the challenger alias to a version, or clear it.

        Raises:
            UserError: the alias is not ``challenger`` (the champion moves by `promote` and
                `rollback`), or there is no such version.
        """
        if alias != CHALLENGER:
            raise UserError(
                f"only {CHALLENGER!r} can be set, not {alias!r}; "
                "the champion moves by promote and rollback"
            )
        if version is not None:
            self.require(project, version)
        with self.state.engine.begin() as connection:
            before = _alias(connection, project, alias)
            _write_alias(connection, project, alias, version)
            _record(connection, project, alias, "set" if version else "clear", before, version)

    def withdraw(self, connection: Connection, project: str, version: int) -> bool:
        """Clear the challenger alias if it still is that version, within the caller's transaction.

        Returns:
            False if the version answers everybody by now: there is nothing to take back.
        """
        if _alias(connection, project, CHAMPION) == version:
            return False
        if _alias(connection, project, CHALLENGER) == version:
            _write_alias(connection, project, CHALLENGER, None)
            _record(connection, project, CHALLENGER, "withdraw", version, None)
        return True

    def rollback(self, project: str) -> Version:
        """Point the champion to the version that the current one replaced.

        Raises:
            UserError: nothing was replaced: there is no earlier champion.
            RegistryConflict: somebody moved the champion meanwhile.
        """
        current = self.alias(project, CHAMPION)
        moves = tables.alias_moves
        query = (
            select(moves.c.from_version)
            .where(
                moves.c.project == project,
                moves.c.alias == CHAMPION,
                moves.c.kind == "promote",
                moves.c.to_version == current,
            )
            .order_by(moves.c.id.desc())
            .limit(1)
        )
        with self.state.engine.connect() as connection:
            before = connection.execute(query).scalar()
        if current is None or before is None:
            raise UserError(
                f"project {project!r} has no earlier champion to roll back to "
                f"(champion: {current}); train and promote another version first"
            )
        self._move(project, CHAMPION, int(before), expected=current, kind="rollback")
        return self.require(project, int(before))

    def history(self, project: str) -> list[AliasMove]:
        """Every move of the project's aliases, oldest first."""
        moves = tables.alias_moves
        query = select(moves).where(moves.c.project == project).order_by(moves.c.id)
        with self.state.engine.connect() as connection:
            return [
                AliasMove(r.project, r.alias, r.kind, r.from_version, r.to_version, r.at)
                for r in connection.execute(query)
            ]

    def _by_digest(self, project: str, digest: str) -> Version | None:
        table = tables.versions
        query = select(table).where(table.c.project == project, table.c.artifact_digest == digest)
        with self.state.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _version(row)

    def _move(
        self,
        project: str,
        alias: str,
        version: int,
        *,
        expected: int | None,
        kind: Literal["promote", "rollback"],
    ) -> None:
        table = tables.aliases
        conflict = RegistryConflict(
            f"the {alias} of {project!r} was expected to be {expected} and is not any more; "
            "look at `tenfold status` and decide again"
        )
        try:
            with self.state.engine.begin() as connection:
                if expected is None:
                    row = {"project": project, "alias": alias, "version": version}
                    connection.execute(insert(table).values(**row))
                else:
                    done = connection.execute(
                        update(table)
                        .where(
                            table.c.project == project,
                            table.c.alias == alias,
                            table.c.version == expected,
                        )
                        .values(version=version)
                    )
                    if done.rowcount != 1:
                        raise conflict
                _record(connection, project, alias, kind, expected, version)
                end_canary(connection, project, version)
                if _alias(connection, project, CHALLENGER) == version:
                    _write_alias(connection, project, CHALLENGER, None)
                    _record(connection, project, CHALLENGER, "clear", version, None)
        except IntegrityError as error:
            raise conflict from error


def _insert_version(
    connection: Connection, project: str, model_digest: str, digest: str, path: Path
) -> Version:
    table = tables.versions
    newest = connection.execute(
        select(func.max(table.c.version)).where(table.c.project == project)
    ).scalar()
    version = Version(project, (newest or 0) + 1, model_digest, digest, path, now_text())
    connection.execute(
        insert(table).values(
            project=project,
            version=version.version,
            model_digest=model_digest,
            artifact_digest=digest,
            path=str(path),
            created=version.created,
        )
    )
    return version


def _version(row: Row[Any]) -> Version:
    return Version(
        project=row.project,
        version=row.version,
        model_digest=row.model_digest,
        artifact_digest=row.artifact_digest,
        path=Path(row.path),
        created=row.created,
    )


def _alias(connection: Connection, project: str, alias: str) -> int | None:
    table = tables.aliases
    query = select(table.c.version).where(table.c.project == project, table.c.alias == alias)
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def _write_alias(connection: Connection, project: str, alias: str, version: int | None) -> None:
    table = tables.aliases
    connection.execute(table.delete().where(table.c.project == project, table.c.alias == alias))
    if version is not None:
        connection.execute(insert(table).values(project=project, alias=alias, version=version))


def _record(
    connection: Connection,
    project: str,
    alias: str,
    kind: str,
    from_version: int | None,
    to_version: int | None,
) -> None:
    connection.execute(
        insert(tables.alias_moves).values(
            project=project,
            alias=alias,
            kind=kind,
            from_version=from_version,
            to_version=to_version,
            at=now_text(),
        )
    )
