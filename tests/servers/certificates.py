"""Certificates for tests: an authority of our own, and what it signs, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

KEY_PASSWORD = "the key of the key"


def make(folder: Path) -> None:
    """``ca.pem``; ``server.pem`` for 127.0.0.1; ``client.pem`` and its locked key; ``stranger.pem``, another one.

    ``server.pem`` holds key and certificate, as Kafka reads them.
    """
    folder.mkdir()
    _authority(folder, "ca", "/CN=authority of the tests")
    _authority(folder, "stranger", "/CN=nobody that is known")
    _signed(folder, "server", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    _signed(folder, "client", "extendedKeyUsage=clientAuth")
    _openssl(folder, "pkcs8", "-topk8", "-nocrypt", "-in", "server.key", "-out", "server.pk8")
    chain = [folder / name for name in ("server.pk8", "server.crt")]
    (folder / "server.pem").write_text("".join(each.read_text() for each in chain))
    locked = ["-v2", "aes-256-cbc", "-passout", f"pass:{KEY_PASSWORD}"]
    _openssl(folder, "pkcs8", "-topk8", "-in", "client.key", "-out", "client-key.pem", *locked)
    (folder / "client.pem").write_text((folder / "client.crt").read_text())


def _authority(folder: Path, name: str, subject: str) -> None:
    new = ["-x509", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", subject]
    _openssl(folder, "req", *new)


def _signed(folder: Path, name: str, extension: str) -> None:
    _openssl(folder, "req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / f"{name}.ext").write_text(extension)
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext"]
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")


_NEW_KEY = ("-newkey", "rsa:2048", "-nodes")
