"""The TLS contexts of connectors: sources share the one of the authorities, and none that may differ."""

import os
from pathlib import Path

import pytest

from import_pipeline.contracts.connector import Connector
from import_pipeline.importer.access.tls import context_of
from import_pipeline_tests.support.tls_server import certificate


def connector(**more: object) -> Connector:
    return Connector(base_url="https://api.test", **more)  # type: ignore[arg-type]


def test_sources_share_the_certificates_of_the_authorities() -> None:
    assert context_of("one", connector(), with_cert=True) is context_of("other", connector(), with_cert=False)


def test_a_client_certificate_is_in_a_context_of_its_own(tmp_path: Path) -> None:
    with_certificate = connector(cert=str(certificate(tmp_path, "localhost")))
    own = context_of("one", with_certificate, with_cert=True)
    shared = context_of("one", with_certificate, with_cert=False)
    assert own is not shared
    assert shared is context_of("other", connector(), with_cert=True)


def test_a_file_of_authorities_is_read_again_after_it_has_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    first = context_of("one", connector(), with_cert=True)
    assert context_of("other", connector(), with_cert=True) is first
    path.write_bytes(certificate(tmp_path, "elsewhere").read_bytes())
    os.utime(path, (1, 1))
    [authority] = context_of("one", connector(), with_cert=True).get_ca_certs()
    assert authority["subject"] == ((("commonName", "elsewhere"),),)
    assert first.get_ca_certs()[0]["subject"] == ((("commonName", "localhost"),),)


def test_a_folder_of_authorities_is_read_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    one, other = (context_of("one", connector(), with_cert=True) for _ in range(2))
    assert one is not other


def test_a_missing_file_of_authorities_is_no_reason_to_trust_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context_of("one", connector(), with_cert=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(FileNotFoundError):
        context_of("one", connector(), with_cert=True)


def test_sources_that_verify_nothing_or_a_file_share_no_context(tmp_path: Path) -> None:
    for verify in (False, certificate(tmp_path, "localhost")):
        one, other = (context_of("one", connector(verify=verify), with_cert=True) for _ in range(2))
        assert one is not other
