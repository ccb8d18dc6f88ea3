"""Certificates for the live tests, made in the test's folder, and clients that speak TLS.

    authority = Authority(self.folder)
    leaf = authority.intermediate().issue("a.example", names=("a.example", "*.b.example", "127.0.0.1"), kind="rsa")
    # leaf.path: the chain without its root, leaf.key_path: the key, authority.path: what a client trusts
    tls = TlsClient(authority, alpn=("http/1.1",))
    with tls.open(gateway.port, "a.example") as client:   # a peers.Client
        answer = client.request("GET", "/")
        session = client.session                          # TLS 1.3: there once something was read
    with tls.open(gateway.port, "a.example", session=session) as client:
        client.reused

Every certificate is valid from a day ago, so that clocks which differ a little don't matter.
"""
import datetime
import ipaddress
import os
import socket
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from peers import PATIENCE, Client

LOCAL = ("localhost", "127.0.0.1", "::1")
KEYS = {  # by the kind of a key: how to make one
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
}
USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def days_from_now(days):
    return now() + datetime.timedelta(days=days)


def x509_name(common_name, organization="Gatehouse tests"):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                      x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def general_name(name):
    """A name of a subjectAltName: an address, a mail address, a URI or a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


def digest_for(key):
    """The digest that a key signs with; Ed25519 has its own."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def pem_key(key, password=None):
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


class Leaf:
    """A certificate with its key, for a server or a client."""

    def __init__(self, folder, name, certificate, key, issuers):
        self.certificate, self.key, self.issuers = certificate, key, issuers
        self.path = write(os.path.join(folder, name + ".pem"), b"".join(map(pem, [certificate, *issuers])))
        self.key_path = write(os.path.join(folder, name + ".key"), pem_key(key))
        os.chmod(self.key_path, 0o600)

    @property
    def setting(self):
        """As it stands in the configuration's list of certificates."""
        return f'{{ cert = "{self.path}"; key = "{self.key_path}"; }}'

    def fingerprint(self):
        """SHA-256 of the certificate, hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


class Authority:
    """An authority: a root of its own, or an intermediate of `issuer`. Its files are NAME.*, those of its leafs their
    own name's, so names differ in a folder."""

    def __init__(self, folder, name="authority", issuer=None, days=365):
        self.folder, self.name, self.issuer = folder, name, issuer
        self.key = KEYS["ecdsa"]()
        self.subject = x509_name(name)
        self.revoked = []
        extensions = [(x509.BasicConstraints(ca=True, path_length=None), True),
                      (x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True,
                                     content_commitment=False, key_encipherment=False, data_encipherment=False,
                                     key_agreement=False, encipher_only=False, decipher_only=False), True)]
        signer = issuer or self
        self.certificate = signer.sign(self.subject, self.key.public_key(), days_from_now(days), extensions)
        self.path = write(os.path.join(folder, name + ".pem"), pem(self.certificate))

    def intermediate(self, name="intermediate", days=365):
        return Authority(self.folder, name, issuer=self, days=days)

    def chain(self):
        """The certificates that a leaf's owner sends behind it: this one's and above, without the root."""
        return [self.certificate, *self.issuer.chain()] if self.issuer else []

    def sign(self, subject, public_key, ends, extensions, starts=None):
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(public_key)
                   .serial_number(x509.random_serial_number()).not_valid_before(starts or days_from_now(-1))
                   .not_valid_after(ends)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, digest_for(self.key))

    def issue(self, name, names=LOCAL, kind="ecdsa", usage="server", days=90, starts=None, file=None,
              responder=None):
        """A leaf with that common name. `names`: its subjectAltName (DNS, addresses, mail, URIs). `days`: until it
        ends, from now (negative: it has expired). `starts`: a datetime, when that isn't yesterday. `file`: the name of
        its files, when that isn't its own. `responder`: the URL where OCSP is asked."""
        key = KEYS[kind]()
        extensions = [(x509.BasicConstraints(ca=False, path_length=None), True),
                      (x509.ExtendedKeyUsage([USAGES[usage]]), False)]
        if names:
            extensions.append((x509.SubjectAlternativeName([general_name(each) for each in names]), False))
        if responder:
            extensions.append((x509.AuthorityInformationAccess([x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder))]), False))
        starts = starts or days_from_now(min(-1, days - 1))
        certificate = self.sign(x509_name(name), key.public_key(), days_from_now(days), extensions, starts)
        return Leaf(self.folder, file or name.replace("*", "_"), certificate, key, self.chain())

    def revoke(self, leaf):
        self.revoked.append(leaf)

    def crl(self, days=7, file=None):
        """The path of a CRL (PEM) of what was revoked so far, valid for `days` (negative: no more)."""
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.subject)
                   .last_update(days_from_now(min(-1, days - 1))).next_update(days_from_now(days))
                   .add_extension(x509.CRLNumber(len(self.revoked) + 1), False))
        for leaf in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(leaf.certificate.serial_number)
                .revocation_date(days_from_now(-1)).build())
        crl = builder.sign(self.key, digest_for(self.key))
        return write(os.path.join(self.folder, file or self.name + ".crl"),
                     crl.public_bytes(serialization.Encoding.PEM))

    def ocsp(self, leaf, days=7, file=None):
        """The path of an OCSP response (DER) about the leaf: revoked when it was revoked, else good."""
        revoked = leaf in self.revoked
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=leaf.certificate, issuer=self.certificate, algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=days_from_now(min(-1, days - 1)), next_update=days_from_now(days),
            revocation_time=days_from_now(-1) if revoked else None, revocation_reason=None,
        ).responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        response = builder.sign(self.key, digest_for(self.key))
        name = os.path.splitext(os.path.basename(leaf.path))[0]
        return write(os.path.join(self.folder, file or name + ".ocsp"),
                     response.public_bytes(serialization.Encoding.DER))


class TlsConnection(Client):
    """A peers.Client over TLS. A peer that closes without close_notify is an error (ssl.SSLError): what it sent may
    be cut."""

    def __init__(self, context, address, name, session, timeout=PATIENCE, source=None, before=b""):
        super().__init__(address, timeout, source)
        if not isinstance(address, str):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if before:
                self.sock.sendall(before)
            self.sock = context.wrap_socket(self.sock, server_hostname=name, session=session,
                                            suppress_ragged_eofs=False)
        except BaseException:
            self.sock.close()
            raise
        self.reader.sock = self.sock

    @property
    def session(self):
        """To resume: TLS 1.3 has it when something was read behind the handshake."""
        return self.sock.session

    @property
    def reused(self):
        return self.sock.session_reused

    @property
    def alpn(self):
        return self.sock.selected_alpn_protocol()

    @property
    def version(self):
        return self.sock.version()

    @property
    def cipher(self):
        return self.sock.cipher()[0]

    def peer_fingerprint(self):
        """SHA-256 of the certificate that the server showed."""
        return x509.load_der_x509_certificate(self.sock.getpeercert(True)).fingerprint(hashes.SHA256()).hex()

    def quiet(self, seconds):
        return not self.sock.pending() and super().quiet(seconds)


class TlsClient:
    """What connections of a client have in common: sessions are resumed within it. `authority`: an Authority that
    is trusted (None: whatever the server shows is). `leaf`: the client's own certificate. `ciphers`: of TLS 1.2."""

    def __init__(self, authority=None, alpn=(), leaf=None, minimum=None, maximum=None, ciphers=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 1 << 7)  # python sets it
        self.context.check_hostname = authority is not None
        if authority:
            self.context.load_verify_locations(authority.path)
        else:
            self.context.verify_mode = ssl.CERT_NONE
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        if leaf:
            self.context.load_cert_chain(leaf.path, leaf.key_path)
        if minimum:
            self.context.minimum_version = getattr(ssl.TLSVersion, minimum)
        if maximum:
            self.context.maximum_version = getattr(ssl.TLSVersion, maximum)
        if ciphers:
            self.context.set_ciphers(ciphers)

    def open(self, address, name="localhost", session=None, **options):
        """A connection whose handshake is done; ssl.SSLError when it failed. `name`: the SNI and what the certificate
        must be for; None: no SNI, only without an authority. `before`: bytes in front of TLS, such as a PROXY header."""
        return TlsConnection(self.context, address, name, session, **options)

    def get(self, address, target, name="localhost", fields=(), **options):
        """One request on a connection of its own."""
        with self.open(address, name, **options) as client:
            return client.request("GET", target, [*fields, ("Connection", "close")], host=name or "localhost")


class TlsByHand:
    """A client's session whose bytes the test moves itself, over a peers.Client that is connected already."""

    def __init__(self, tls, client, name="localhost"):
        self.client, self.incoming, self.outgoing = client, ssl.MemoryBIO(), ssl.MemoryBIO()
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session = tls.context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def handshake(self, send_last=True):
        """Up to the client's last flight, which is sent too, or returned."""
        while True:
            try:
                self.session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.client.send(self.outgoing.read())
                self.incoming.write(self.client.sock.recv(65536))
        last = self.outgoing.read()
        if not send_last:
            return last
        self.client.send(last)
        return self

    def seal(self, data):
        """The records of the data: the test's to send."""
        self.session.write(data)
        return self.outgoing.read()

    def read(self):
        """What came, decrypted: waits for at least a byte; b"" at close_notify, an exception for what else ends it."""
        while True:
            try:
                return self.session.read(65536)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                data = self.client.sock.recv(65536)
                if not data:
                    raise EOFError("closed without close_notify") from None
                self.incoming.write(data)

    def read_until(self, end):
        got = b""
        while end not in got:
            piece = self.read()
            if not piece:
                raise EOFError(f"closed within {got[-200:]!r}")
            got += piece
        return got


def s_client(port, *options, data=b"", timeout=PATIENCE):
    """What `openssl s_client` says: for what python's ssl can't choose (signature algorithms, TLS 1.3 suites, curves,
    -status). `data` is sent; with none it leaves after the handshake."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options], input=data or b"Q\n",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False)
    return done.stdout.decode("latin-1")
