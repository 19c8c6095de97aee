"""An authority of our own for tests of TLS: certificates for names, valid for a day."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Authority:
    """Signs certificates; ``file`` is what clients trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "authority.pem"
        self._key = folder / "authority.key"
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=tests"),
            *("-keyout", str(self._key), "-out", str(self.file)),
        )

    def server(self, name: str) -> ssl.SSLContext:
        """What a server of this name needs."""
        key, cert, ask = (self._folder / f"{name}.{end}" for end in ("key", "pem", "csr"))
        names = self._folder / f"{name}.ext"
        names.write_text(f"subjectAltName=DNS:{name}\n")
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(key), "-out", str(ask)),
        )
        self._openssl(
            *("x509", "-req", "-in", str(ask), "-CA", str(self.file), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", "1", "-extfile", str(names), "-out", str(cert)),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
