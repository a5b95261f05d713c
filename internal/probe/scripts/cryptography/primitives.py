"""cryptography encrypts, signs, derives keys and issues certificates through its Rust code and bundled OpenSSL."""
import datetime
import importlib.metadata

import cryptography
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, hmac, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.x509.oid import NameOID


def check(ok, what):
    if not ok:
        raise SystemExit("cryptography: " + what)


check(importlib.metadata.version("cryptography") == cryptography.__version__, "metadata and module disagree on the version")
box = Fernet(Fernet.generate_key())
check(box.decrypt(box.encrypt(b"layer")) == b"layer", "Fernet")
for kind in (AESGCM, ChaCha20Poly1305):
    sealed = kind(b"k" * 32).encrypt(b"n" * 12, b"layer", b"aad")
    check(kind(b"k" * 32).decrypt(b"n" * 12, sealed, b"aad") == b"layer", kind.__name__)
    try:
        kind(b"k" * 32).decrypt(b"n" * 12, sealed, b"other")
        raise SystemExit("cryptography: a forged text is accepted")
    except InvalidTag:
        pass
cbc = Cipher(algorithms.AES(b"k" * 16), modes.CBC(b"i" * 16))
padder, enc, dec = padding.PKCS7(128).padder(), cbc.encryptor(), cbc.decryptor()
padded = padder.update(b"layer") + padder.finalize()
check(dec.update(enc.update(padded) + enc.finalize()) + dec.finalize() == padded, "AES-CBC")
digest = hashes.Hash(hashes.SHA256())
digest.update(b"abc")
check(digest.finalize().hex().startswith("ba7816bf8f01cfea"), "SHA-256")
check(PBKDF2HMAC(hashes.SHA256(), 32, b"salt", 1).derive(b"password").hex().startswith("120fb6cffcf8b32c"), "PBKDF2")
check(len(HKDF(hashes.SHA256(), 32, None, b"i").derive(b"k")) == 32 and hmac.HMAC(b"k", hashes.SHA256()).finalize(), "HKDF or HMAC")
one, two = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
check(one.exchange(two.public_key()) == two.exchange(one.public_key()), "X25519")
signer = ed25519.Ed25519PrivateKey.generate()
try:
    signer.public_key().verify(signer.sign(b"a"), b"b")
    raise SystemExit("cryptography: a wrong signature is accepted")
except InvalidSignature:
    pass
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "layer")])
start = datetime.datetime(2024, 1, 1)
made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=9)).sign(key, hashes.SHA256())
back = x509.load_pem_x509_certificate(made.public_bytes(serialization.Encoding.PEM))
check(back.serial_number == 7 and back.subject == name, "certificate")
pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw"))
check(serialization.load_pem_private_key(pem, b"pw").private_numbers() == key.private_numbers(), "encrypted key")
