"""What can go wrong in any plugin, in words for the operator."""

from collections.abc import Iterable


class PluginError(Exception):
    """Something the operator has to know; the message says what, where, why and how to fix it."""


class CancelledError(PluginError):
    """The engine asked to stop."""


def redact(message: str, secrets: Iterable[str]) -> str:
    """Put `[secret]` where a message shows a secret text of four or more characters."""
    for text in sorted(secrets, key=len, reverse=True):
        if len(text) >= 4:
            message = message.replace(text, "[secret]")
    return message
