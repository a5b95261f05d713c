"""PyNaCl seals, signs, hashes and derives keys with its bundled libsodium."""
import importlib.metadata

import nacl
from nacl import encoding, exceptions, hash as nacl_hash, hashlib, public, pwhash, secret, signing, utils


def check(ok, what):
    if not ok:
        raise SystemExit("pynacl: " + what)


check(importlib.metadata.version("pynacl") == nacl.__version__, "metadata and module disagree on the version")
box = secret.SecretBox(b"k" * 32)
sealed = box.encrypt(b"layer")
check(box.decrypt(sealed) == b"layer" and secret.Aead(b"k" * 32).decrypt(secret.Aead(b"k" * 32).encrypt(b"a", b"aad"), b"aad") == b"a", "SecretBox or Aead")
try:
    box.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    raise SystemExit("pynacl: a forged text is accepted")
except exceptions.CryptoError:
    pass
alice, bob = public.PrivateKey.generate(), public.PrivateKey.generate()
check(public.Box(bob, alice.public_key).decrypt(public.Box(alice, bob.public_key).encrypt(b"hi")) == b"hi", "Box")
check(public.SealedBox(bob).decrypt(public.SealedBox(bob.public_key).encrypt(b"hi")) == b"hi", "SealedBox")
key = signing.SigningKey(b"s" * 32)
signed = key.sign(b"layer")
check(key.verify_key.verify(signed) == b"layer" and len(signed.signature) == 64, "signature")
try:
    key.verify_key.verify(b"other", signed.signature)
    raise SystemExit("pynacl: a wrong signature is accepted")
except exceptions.BadSignatureError:
    pass
check(nacl_hash.sha256(b"abc").startswith(b"ba7816bf8f01cfea") and hashlib.blake2b(b"abc", digest_size=64).hexdigest().startswith("ba80a53f981c4d0d"), "hashes")
check(len(pwhash.argon2id.kdf(32, b"password", b"s" * 16, opslimit=1, memlimit=8192)) == 32 and pwhash.verify(pwhash.argon2id.str(b"pw", opslimit=1, memlimit=8192), b"pw"), "Argon2")
check(encoding.Base64Encoder.decode(key.verify_key.encode(encoding.Base64Encoder)) == bytes(key.verify_key) and len(utils.random(9)) == 9, "encoders")
