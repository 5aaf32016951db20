"""Certificates for tests of TLS: an authority of one's own, and what it vouches for."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=2)


class Authority:
    """One that signs certificates. Clients trust it by the file `ca`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.ca = folder / f"{name}.pem"
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        own = self._certificate(self._name, self._key.public_key())
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        own = own.add_extension(usage, critical=True)
        self.ca.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def vouches_for(self, address: str) -> Path:
        """A server's private key and certificate in one PEM file; clients must reach it by this IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        server = self._certificate(_named(address), key.public_key())
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        signed = server.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        file = self._folder / f"{address}.pem"
        file.touch(mode=0o600)
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed.public_bytes(Encoding.PEM)
        )
        return file

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _VALID,
            not_valid_after=now + _VALID,
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
