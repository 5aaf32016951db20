"""Addresses as they may be shown: where something is, never the password to it."""

import re
from typing import Final

#: An address, of which all may be seen but the password. What does not look like one is hidden as a whole.
_ADDRESS: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^/?#@]*@)?(?P<place>[^@?#]*)(?P<query>\?[^@]*)?"
)
_VALUE: Final = re.compile(r"=[^&]*")


def without_password(text: str) -> str | None:
    """An address without its password; None for what is no address, and may hold a password anywhere."""
    address = _ADDRESS.fullmatch(text)
    if address is None:
        return None
    return "".join((address["scheme"], _user(address["user"]), address["place"], _query(address["query"])))


def _user(user: str | None) -> str:
    name, colon, _ = (user or "").rstrip("@").partition(":")
    return "" if user is None else f"{name}:***@" if colon else user


def _query(query: str | None) -> str:
    """Parameters may hold passwords too; which ones, only their drivers know."""
    return "" if query is None else _VALUE.sub("=***", query)
