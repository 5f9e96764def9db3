"""What stands in front of a database like RDS does: it ends TLS, which the embedded PostgreSQL was built without, and
hands on everything else. Who asks for no encryption is sent away."""

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

# moto brings it.
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@dataclass(frozen=True)
class Authority:
    """Who signs certificates; `file` is what clients are to trust."""

    file: Path
    _key: ec.EllipticCurvePrivateKey
    _name: x509.Name

    @classmethod
    def new(cls, folder: Path, name: str) -> Authority:
        """One of its own, with its certificate in `folder`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        own = _builder(subject, subject, key).add_extension(constraints, critical=True).sign(key, hashes.SHA256())
        file = folder / f"{name}.pem"
        file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        return cls(file, key, subject)

    def server(self, host: str, *, expired: bool = False) -> ssl.SSLContext:
        """What a server of this name or address shows to its clients."""
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
    """Listens on 127.0.0.1; `enter` has each connection in a thread of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no new connections."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.enter, args=(connection,), daemon=True).start()

    def enter(self, connection: socket.socket) -> None:
        """What becomes of a connection, which is closed here."""
        raise NotImplementedError


class TlsFront(Listener):
    """`encrypted` and `plain` count the connections that asked for TLS and those that did not."""

    def __init__(self, behind: tuple[str, int], context: ssl.SSLContext) -> None:
        self.encrypted = self.plain = 0
        self._behind = behind
        self._context = context
        super().__init__()

    def enter(self, connection: socket.socket) -> None:
        # A client that does not trust the certificate breaks off.
        with suppress(OSError), connection:
            if connection.recv(len(SSL_REQUEST), socket.MSG_WAITALL) != SSL_REQUEST:
                self.plain += 1
                return
            self.encrypted += 1
            connection.sendall(b"S")
            with (
                self._context.wrap_socket(connection, server_side=True) as client,
                socket.create_connection(self._behind) as server,
            ):
                _pass_on(client, server)


def _pass_on(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Until one of the two ends. One thread: TLS can't be read and written at once."""
    with selectors.DefaultSelector() as ready:
        ready.register(client, selectors.EVENT_READ, server)
        ready.register(server, selectors.EVENT_READ, client)
        while True:
            for found, _ in ready.select():
                source: socket.socket = found.fileobj  # type: ignore[assignment] # it is what was registered
                data = source.recv(1 << 16)
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    data += source.recv(1 << 16)
                if not data:
                    return
                found.data.sendall(data)


@contextmanager
def tls_front(behind: tuple[str, int], context: ssl.SSLContext) -> Iterator[TlsFront]:
    """A front to the server at `behind` until the block ends."""
    front = TlsFront(behind, context)
    try:
        yield front
    finally:
        front.close()
