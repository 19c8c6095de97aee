"""A real PostgreSQL server in a temporary folder, for tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tenfold.cluster.ports import free_port


def find_program(name: str) -> str | None:
    """Where a PostgreSQL program is: on the path, or where Debian puts it."""
    found = shutil.which(name)
    if found:
        return found
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(candidates[-1]) if candidates else None


def require_postgres() -> None:
    """Skip a test where PostgreSQL is not installed; in CI that is a failure."""
    if find_program("initdb") is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL must be installed in CI")
        pytest.skip("PostgreSQL is not installed here")


@contextmanager
def running_postgres(*, hba: Sequence[str] = ()) -> Iterator[str]:
    """Start a server on loopback and yield its URL; it is stopped and ended afterwards.

    As root the server runs as ``nobody`` or ``postgres``, since PostgreSQL refuses to run as root.
    Its files do not lie below pytest's own folder: every pytest that starts closes that to others.

    Args:
        hba: rules of ``pg_hba.conf`` that stand before "trust everybody".
    """
    require_postgres()
    folder = TemporaryDirectory(prefix="tenfold-postgres-", ignore_cleanup_errors=True)
    with folder as name, _running(Path(name), hba) as url:
        yield url


@contextmanager
def _running(folder: Path, hba: Sequence[str]) -> Iterator[str]:
    initdb, server = find_program("initdb"), find_program("postgres")
    assert initdb and server
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres" if _has_user("postgres") else "nobody")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        os.chown(folder, account.pw_uid, account.pw_gid)
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", str(data), "-U", "tenfold", "--auth=trust", "-E", "UTF8", "-N"],
        check=True,
        capture_output=True,
        cwd=folder,
        **user,  # type: ignore[call-overload]
    )
    rules = data / "pg_hba.conf"
    rules.write_text("\n".join([*hba, rules.read_text()]))
    port = free_port()
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    options += ["-c", "log_min_messages=log"]  # nobody reads the pipe later: errors would fill it
    process = subprocess.Popen(
        [server, "-D", str(data), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=folder,
        **user,  # type: ignore[call-overload]
    )
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line.decode(errors="replace"))
            if b"ready to accept connections" in line:
                break
        else:
            raise AssertionError("PostgreSQL ended before it was ready: " + "".join(said))
        yield f"postgresql://tenfold@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # fast shutdown: open connections do not hold it
        process.communicate(timeout=30)


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
