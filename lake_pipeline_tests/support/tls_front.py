"""A TLS proxy in front of the embedded PostgreSQL, which was built without TLS. Like RDS, it refuses unencrypted
connections."""

from __future__ import annotations

import ipaddress
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

# A dependency of moto.
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@dataclass(frozen=True)
class Authority:
    """A certificate authority; clients trust `file`."""

    file: Path
    _key: ec.EllipticCurvePrivateKey
    _name: x509.Name

    @classmethod
    def new(cls, folder: Path, name: str) -> Authority:
        """A new authority with its certificate in `folder`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        own = _builder(subject, subject, key).add_extension(constraints, critical=True).sign(key, hashes.SHA256())
        file = folder / f"{name}.pem"
        file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        return cls(file, key, subject)

    def server(self, host: str, *, expired: bool = False) -> ssl.SSLContext:
        """The certificate of a server with this name or address."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(x509.Name([]), self._name, key, until=timedelta(days=-1 if expired else 1))
        certificate = builder.add_extension(x509.SubjectAlternativeName([_name_of(host)]), critical=True).sign(
            self._key, hashes.SHA256()
        )
        file = self.file.with_name(f"{certificate.serial_number}.pem")
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, until: timedelta = timedelta(days=1)
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + until)
    )


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Listener:
    """Listens on 127.0.0.1 and calls `enter` for each connection in a thread of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.enter, args=(connection,), daemon=True).start()

    def enter(self, connection: socket.socket) -> None:
        """Handle and close a connection."""
        raise NotImplementedError


class TlsFront(Listener):
    """`encrypted` and `plain` count connections with and without TLS."""

    def __init__(self, backend: tuple[str, int], context: ssl.SSLContext) -> None:
        self.encrypted = self.plain = 0
        self._backend = backend
        self._context = context
        super().__init__()

    def enter(self, connection: socket.socket) -> None:
        # A client that does not trust the certificate disconnects.
        with suppress(OSError), connection:
            if connection.recv(len(SSL_REQUEST), socket.MSG_WAITALL) != SSL_REQUEST:
                self.plain += 1
                return
            self.encrypted += 1
            connection.sendall(b"S")
            with (
                self._context.wrap_socket(connection, server_side=True) as client,
                socket.create_connection(self._backend) as server,
            ):
                _forward(client, server)


def _forward(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Forward until one side ends. One thread: a TLS connection can't be read and written at once."""
    with selectors.DefaultSelector() as ready:
        ready.register(client, selectors.EVENT_READ, server)
        ready.register(server, selectors.EVENT_READ, client)
        while True:
            for selected, _ in ready.select():
                source: socket.socket = selected.fileobj  # type: ignore[assignment] # as registered above
                data = source.recv(1 << 16)
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    data += source.recv(1 << 16)
                if not data:
                    return
                selected.data.sendall(data)


@contextmanager
def tls_front(backend: tuple[str, int], context: ssl.SSLContext) -> Iterator[TlsFront]:
    """A proxy to the server at `backend` until the block ends."""
    front = TlsFront(backend, context)
    try:
        yield front
    finally:
        front.close()
