"""Secure defaults: certificates are verified, redirects not followed, cookies not kept."""

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from import_pipeline import run_import
from import_pipeline_tests.support.hostile_server import HEAD, hostile_server
from import_pipeline_tests.support.imports import reasons, settings

TOKEN = "planted-secret-token"


def certificate(folder, name):
    """The path of a certificate, with its key, that a server of that name gave itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def pretender(path):
    """A TLS server with that certificate; yields its address and all that was ever said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    heard = []

    def serve(listener):
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                    heard.append(secured.recv(65536))
                    secured.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}", heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)


def test_nothing_is_sent_to_a_server_without_a_trusted_certificate(home, tmp_path):
    with pretender(certificate(tmp_path, "localhost")) as (url, heard):
        summary = run_import("items", settings=settings(home, url, ITEMS_TOKEN=TOKEN, ITEMS_TIMEOUT="10"))
    assert summary.status == "failed"
    assert "certificate verify failed" in summary.failure_reason
    assert heard == []


def test_the_pretender_would_have_been_heard(tmp_path):
    """A client that trusts the certificate reaches the same server."""
    path = certificate(tmp_path, "localhost")
    with pretender(path) as (url, heard):
        trusting = ssl.create_default_context(cafile=str(path))
        assert httpx.get(url, verify=trusting).json() == {}
    assert heard[0].startswith(b"GET / HTTP/1.1")


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_a_redirect_is_not_followed_and_a_cookie_not_kept(home, status):
    elsewhere, cookies = [], []

    def listen(line):
        elsewhere.append(line.asked)
        line.body(b"{}")

    with hostile_server({"stolen": listen}) as other:

        def redirect(line):
            answer = (
                f"HTTP/1.1 {status}\r\nLocation: {other}/api/items/stolen\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n"
            )
            line.say(answer.encode() + b"\r\n")

        def look(line):
            cookies.append(b"cookie" in line.asked.lower())
            line.body(b'{"id": 1, "name": "n", "price": "1.00"}', "Connection: close")

        with hostile_server({"redirect": redirect, "look": look}) as url:
            configured = settings(home, url, ITEMS_TOKEN=TOKEN, ITEMS_CONCURRENCY="1")
            run_import("items", settings=configured)
    [(name, reason)] = reasons(configured).items()
    assert (name, reason) == ("redirect", f"the API answers {status}: redirects are not followed")
    assert elsewhere == []
    assert cookies == [False]
