"""Secrets of users' endpoints, encrypted at rest (Fernet: AES-128-CBC and HMAC-SHA-256)."""

import base64
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from refsys.services.common.settings import SettingsError

MINIMUM_LENGTH = 24


class Cipher:
    """Encrypts with the first key of a file and decrypts with any of them, so that keys can be replaced."""

    def __init__(self, key_file: Path) -> None:
        """Read the keys: one secret a line, each of at least 24 characters.

        Raises:
            SettingsError: there is no key, or one is too short.
        """
        lines = key_file.read_text(encoding="utf-8").split()
        if not lines or min(map(len, lines)) < MINIMUM_LENGTH:
            raise SettingsError(
                f"{key_file}: write one random secret of at least {MINIMUM_LENGTH} characters a line, the newest first"
            )
        self._fernet = MultiFernet([Fernet(_key(line)) for line in lines])

    def encrypt(self, text: str) -> bytes:
        """Return the text as it may be stored."""
        return self._fernet.encrypt(text.encode())

    def decrypt(self, stored: bytes) -> str:
        """Return the text; raises `cryptography.fernet.InvalidToken` if no key fits."""
        return self._fernet.decrypt(stored).decode()


def _key(secret: str) -> bytes:
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"refsys delivery").derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
