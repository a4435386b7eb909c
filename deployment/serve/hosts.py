"""Names and addresses that a server may be called by, as the Host header says them."""

import ipaddress
import re
import socket

EVERY = "*"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@\s]+)(?::\d*)?", re.IGNORECASE)


class Hosts:
    """The names that a request may call the server by.

    Those of `allowed` and the one it listens at; `localhost` and loopback addresses; of a server that others can reach
    every address too, and this machine's name. `*` allows all.
    """

    def __init__(self, listening: str, allowed: tuple[str, ...]) -> None:
        self.every = EVERY in allowed
        self.beyond = not is_loopback(listening)
        names = ["localhost", listening, *allowed, *([socket.gethostname()] if self.beyond else [])]
        self.names = {bare_host(name) or name for name in names}

    def allow(self, header: str) -> bool:
        """Whether this is such a name, with or without a port."""
        match = _HOST.fullmatch(header.strip())
        if self.every or match is None:
            return self.every
        name = bare_host(match[1])
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return self.beyond or address.is_loopback or name in self.names


def bare_host(name: str) -> str:
    """A host as it is compared: without brackets, port or final dot, in small letters; "" for what is none."""
    name = name.strip().lower()
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    match = _HOST.fullmatch(name)
    return match[1].strip("[]").removesuffix(".") if match else ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at this name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return bare_host(host) == "localhost"
