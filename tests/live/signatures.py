"""HTTP Message Signatures (RFC 9421) for the live tests, written from the RFC: a signer and a verifier that share nothing with the
gateway's."""
import base64
import hashlib
import hmac
import re
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
PSS = padding.PSS(padding.MGF1(hashes.SHA512()), 64)
SECRET = b"a secret of both sides"


class Key:
    """A new key of one algorithm."""

    def __init__(self, algorithm):
        self.algorithm = algorithm
        self.private = {"ed25519": ed25519.Ed25519PrivateKey.generate,
                        "ecdsa-p256-sha256": lambda: ec.generate_private_key(ec.SECP256R1()),
                        "ecdsa-p384-sha384": lambda: ec.generate_private_key(ec.SECP384R1()),
                        "rsa-pss-sha512": lambda: rsa.generate_private_key(65537, 2048),
                        "rsa-v1_5-sha256": lambda: rsa.generate_private_key(65537, 2048),
                        "hmac-sha256": lambda: None}[algorithm]()
        self.half, self.digest = (48, hashes.SHA384()) if "p384" in algorithm else (32, hashes.SHA256())

    def private_pem(self):
        return self.private.private_bytes(PEM, PKCS8, serialization.NoEncryption()).decode() if self.private else SECRET.decode()

    def public_pem(self):
        return self.private.public_key().public_bytes(
            PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode() if self.private else SECRET.decode()

    def sign(self, text):
        if self.algorithm == "hmac-sha256":
            return hmac.digest(SECRET, text, "sha256")
        if self.algorithm == "ed25519":
            return self.private.sign(text)
        if self.algorithm.startswith("ecdsa"):
            pair = utils.decode_dss_signature(self.private.sign(text, ec.ECDSA(self.digest)))
            return b"".join(number.to_bytes(self.half, "big") for number in pair)
        if self.algorithm == "rsa-pss-sha512":
            return self.private.sign(text, PSS, hashes.SHA512())
        return self.private.sign(text, padding.PKCS1v15(), hashes.SHA256())

    def verify(self, text, signature):
        """False: it is somebody else's, or of something else."""
        try:
            if self.algorithm == "hmac-sha256":
                return hmac.compare_digest(hmac.digest(SECRET, text, "sha256"), signature)
            public = self.private.public_key()
            if self.algorithm == "ed25519":
                public.verify(signature, text)
            elif self.algorithm.startswith("ecdsa"):
                pair = [int.from_bytes(half, "big") for half in (signature[:self.half], signature[self.half:])]
                public.verify(utils.encode_dss_signature(*pair), text, ec.ECDSA(self.digest))
            elif self.algorithm == "rsa-pss-sha512":
                public.verify(signature, text, PSS, hashes.SHA512())
            else:
                public.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
            return True
        except InvalidSignature:
            return False


def content_digest(body, algorithm="sha-256"):
    name = algorithm.replace("-", "")
    return f"{algorithm}=:{base64.b64encode(hashlib.new(name, body).digest()).decode()}:"


def value_of(component, method, target, authority, fields, scheme):
    path, mark, query = target.partition("?")
    derived = {"@method": method, "@path": path, "@authority": authority.lower(), "@query": "?" + query,
               "@request-target": target, "@scheme": scheme, "@target-uri": f"{scheme}://{authority}{target}"}
    if component in derived:
        return derived[component]
    named = re.fullmatch('@query-param;name="(.*)"', component)
    if named:
        return urllib.parse.quote(dict(urllib.parse.parse_qsl(query, keep_blank_values=True))[named[1]], safe="*-._")
    assert not component.startswith("@"), component
    return ", ".join(value.strip() for name, value in fields if name.lower() == component)


def base(components, parameters, method, target, authority, fields, scheme="http"):
    """The signature base; `parameters` is the text behind the list."""
    words = []
    lines = []
    for component in components:
        name, semicolon, rest = component.partition(";")
        words.append(f'"{name}"{semicolon}{rest}')
        lines.append(f"{words[-1]}: {value_of(component, method, target, authority, fields, scheme)}")
    said = f"({' '.join(words)}){parameters}"
    return "\n".join([*lines, f'"@signature-params": {said}']).encode(), said


def signed(key, components, parameters, method, target, authority, fields=(), label="sig", scheme="http"):
    """The fields and the two of their signature."""
    text, said = base(components, parameters, method, target, authority, fields, scheme)
    signature = base64.b64encode(key.sign(text)).decode()
    return [*fields, ("Signature-Input", f"{label}={said}"), ("Signature", f"{label}=:{signature}:")]


def verify(key, request, label, authority, scheme="http"):
    """The components and the parameters {name: text} of a request's good signature; None: it isn't good."""
    member = re.search(rf'{re.escape(label)}=(\(([^)]*)\)(.*))$', request.get("Signature-Input"))
    components = [word.replace('"', "", 2) for word in member[2].split(" ") if word]
    text, said = base(components, member[3], request.method, request.target, authority, request.fields, scheme)
    assert said == member[1], (said, member[1])
    signature = re.search(rf"{re.escape(label)}=:([^:]*):", request.get("Signature"))[1]
    if not key.verify(text, base64.b64decode(signature)):
        return None
    return components, dict(part.partition("=")[::2] for part in member[3].split(";") if part)
