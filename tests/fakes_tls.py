"""Certificates for tests: an authority of our own, and everything that can be wrong with one."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """`file` is what a client must trust (SSL_CERT_FILE)."""

    file: Path
    certificate: x509.Certificate
    key: Key


def make_authority(folder: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Test Authority")
    certificate = (
        _builder(name, key, days=(-1, 30))
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "authority.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(file, certificate, key)


def serve_as(
    host: str, folder: Path, *, signed_by: Authority | None = None, days: tuple[int, int] = (-1, 30)
) -> ssl.SSLContext:
    """A server context for `host`, valid in `days` from today; self-signed without authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certify(host, folder, signed_by=signed_by, days=days))
    return context


def certify(
    host: str, folder: Path, *, signed_by: Authority | None = None, days: tuple[int, int] = (-1, 30)
) -> Path:
    """A file with the certificate of `host` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(host), key, days=days).add_extension(
        x509.SubjectAlternativeName([_alternative(host)]), critical=False
    )
    issuer = signed_by.certificate.subject if signed_by else _name(host)
    certificate = builder.issuer_name(issuer).sign(
        signed_by.key if signed_by else key, hashes.SHA256()
    )
    file = folder / f"{certificate.serial_number}.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


def _builder(subject: x509.Name, key: Key, *, days: tuple[int, int]) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
