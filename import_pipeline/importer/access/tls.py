"""TLS of a source's connections: certificates to trust, and the client's own."""

import logging
import os
import ssl
from functools import lru_cache
from pathlib import Path

import httpx

from import_pipeline.contracts.connector import Connector
from import_pipeline.errors import SettingError
from import_pipeline.logs import report


def context_of(source: str, connector: Connector, *, with_cert: bool) -> ssl.SSLContext:
    """Return the TLS context of a connector. Raises SettingError for a file that cannot be used."""
    if with_cert and connector.cert is not None:
        context = _trusting(source, connector.verify)
        _load_cert(source, context, connector.cert)
        return context
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if connector.verify is True and (file or not folder):  # httpx reads the file if there are both
        return _of_authorities(_version_of(file))
    return _trusting(source, connector.verify)


def _version_of(file: str | None) -> tuple[object, ...]:
    """Return what changes with the content of the file, which has other authorities than the usual ones."""
    try:
        return (file, os.stat(file).st_mtime_ns) if file else ()
    except OSError:
        return (file,)


@lru_cache(maxsize=1)
def _of_authorities(_: tuple[object, ...]) -> ssl.SSLContext:
    """Return one context for all sources, which nothing may change: reading its certificates takes 40 ms."""
    return httpx.create_ssl_context(verify=True)


def _trusting(source: str, verify: bool | str | Path) -> ssl.SSLContext:
    if isinstance(verify, bool):
        if not verify:
            _warn(source)
        return httpx.create_ssl_context(verify=verify)
    name, path = f"{source}: Connector.verify", Path(verify)
    expected = "True, or a file or folder of PEM certificates"
    if not path.exists():
        raise SettingError(name, expected, f"{str(path)!r}, which does not exist")
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise SettingError(name, expected, f"{str(path)!r}, which cannot be read ({_reason(error)})") from error


def _load_cert(source: str, context: ssl.SSLContext, cert: str | Path | tuple[str | Path, ...]) -> None:
    name = f"{source}: Connector.cert"
    expected = "a PEM file with certificate and key, or (certificate, key), or (certificate, key, password)"
    parts = cert if isinstance(cert, tuple) else (cert,)
    if not 1 <= len(parts) <= 3:
        raise SettingError(name, expected, f"{len(parts)} values")
    files = [Path(part) for part in parts[:2]]
    if missing := [str(file) for file in files if not file.is_file()]:
        raise SettingError(name, expected, f"{missing[0]!r}, which does not exist")
    password, asked = (str(parts[2]) if len(parts) > 2 else ""), list[bool]()

    def give_password() -> str:
        asked.append(True)
        return password

    try:
        # Without a function, OpenSSL would ask for a missing password on the terminal.
        context.load_cert_chain(files[0], files[1] if len(files) > 1 else None, password=give_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        where = " and ".join(repr(str(file)) for file in files)
        of_password = "the password is wrong" if password else "the key needs a password"
        raise SettingError(name, expected, f"{where}: {of_password if asked else _reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        known = {
            "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
            "NO_START_LINE": "it holds no PEM",
            "NO_CERTIFICATE_OR_CRL_FOUND": "it holds no PEM certificate",
        }
        return known.get(error.reason, error.reason.replace("_", " ").lower())
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it holds no usable PEM"


@lru_cache(maxsize=100)  # once per process
def _warn(source: str) -> None:
    report(
        "certificates_not_verified",
        f"The source {source} verifies no certificates (verify=False): anyone on the way can read its token. "
        "Name the file of the certificate to trust instead.",
        level=logging.WARNING,
        source=source,
    )
