"""Whom a client trusts, and the certificate that it shows."""

import ssl
from pathlib import Path


def trust(ca_file: Path | None, certificate_file: Path | None = None, key_file: Path | None = None) -> ssl.SSLContext:
    """Return the context of a client: it trusts the authority in `ca_file`, else those that the system knows.

    With a certificate and its key it shows these.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    if certificate_file:
        context.load_cert_chain(certificate_file, key_file)
    return context
