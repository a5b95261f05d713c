"""certifi's CA bundle is there, whole, and OpenSSL accepts it."""
import importlib.metadata
import ssl

import certifi

if importlib.metadata.version("certifi").split(".")[0] != certifi.__version__.split(".")[0]:
    raise SystemExit("certifi: metadata and module disagree on the version")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(certifi.where())
names = [dict(part[0] for part in c["subject"]).get("organizationName", "") for c in context.get_ca_certs()]
if len(names) < 80 or certifi.contents().count("BEGIN CERTIFICATE") < len(names):
    raise SystemExit("certifi: only %d certificates" % len(names))
if not any("Amazon" in name for name in names):
    raise SystemExit("certifi: Amazon's root certificates are missing")
