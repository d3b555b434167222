"""Deis' address lists, ``addr[/cidr][:label],...``: what the routers make of them, and what breaks them.

The router's template splits at "," and then at ":", and writes ``allow ADDRESS;`` with the label beside
it (deis-facts 5c). nginx refuses the whole of a configuration that has one bad line, and then the
routers take no new setting at all, apps that are deployed included.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

EVERYONE = "0.0.0.0/0"
EXAMPLES = "192.0.2.7, 192.0.2.0/24 or 192.0.2.0/24:office"
ADDRESS = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})(?:/(\d{1,3}))?")
IN_SETTINGS = "#;{}"
"""What nginx would read as its own in a label."""

STRANGERS = ("192.0.2.77", "198.51.100.77", "203.0.113.77", "100.127.77.77", "192.18.77.77")
"""Addresses that nobody's requests come from: the first three are kept for documentation."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a list, and what is allowed in its place."""

    what: str
    allowed: str = EXAMPLES


def tidy(text: str) -> str:
    """The list without blanks around its entries; empty when there is none."""
    if not text.strip():
        return ""
    return ",".join(":".join(part.strip() for part in e.split(":")) for e in text.split(","))


def networks(text: str) -> tuple[ipaddress.IPv4Network, ...]:
    """The networks that a list lets in; what is no address is left out."""
    found = []
    for entry in text.split(","):
        address = entry.split(":")[0].strip()
        if ADDRESS.fullmatch(address) and (network := network_of(address)) is not None:
            found.append(network)
    return tuple(found)


def network_of(text: str) -> ipaddress.IPv4Network | None:
    """An IPv4 network, or a single address as one; None: it is neither."""
    try:
        return ipaddress.IPv4Network(text.strip(), strict=False)
    except ValueError:
        return None


def is_address(text: str) -> bool:
    """Whether it is one IPv4 address."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def lets_in(text: str, address: str) -> bool:
    """Whether a list has an address."""
    return is_address(address) and any(
        ipaddress.IPv4Address(address) in network for network in networks(text)
    )


def stranger_to(text: str) -> str:
    """An address that is not on the list; empty: all that were tried are."""
    return next((address for address in STRANGERS if not lets_in(text, address)), "")


def guest_of(text: str) -> str:
    """An address that is on the list; empty: nobody is."""
    for network in networks(text):
        return str(network.network_address + (network.num_addresses > 2))
    return ""


def only_in(text: str, other: str) -> str:
    """An address that one list has and another has not; empty: none was found."""
    ends = (
        (n.network_address + (n.num_addresses > 2), n.broadcast_address) for n in networks(text)
    )
    tried = (str(address) for pair in ends for address in pair)
    return next((address for address in tried if not lets_in(other, address)), "")


def faults(text: str) -> tuple[Fault, ...]:
    """Everything that is wrong with a list, in its order; an empty one is no list, and right."""
    if not text.strip():
        return ()
    if any(not char.isprintable() for char in text):
        return (
            Fault(
                "the list holds a line break or another character that cannot be seen; "
                "nginx would read what follows as settings",
                "entries separated by commas, on one line",
            ),
        )
    return tuple(
        fault for number, entry in enumerate(text.split(","), 1) for fault in _of(entry, number)
    )


def _of(entry: str, number: int) -> Iterator[Fault]:
    entry = entry.strip()
    if not entry:
        yield Fault(
            f"entry {number} is empty: there is a comma too many. nginx would get 'allow ;', and the "
            "routers would take no new setting at all",
            "no comma at the end, and none after another",
        )
        return
    if (six := _version_six(entry)) is not None:
        yield Fault(
            f"'{six}' is an IPv6 address: the routers split at ':', so a list holds IPv4 only"
        )
        return
    address, _, label = entry.partition(":")
    address = address.strip()
    if ":" in label:
        yield Fault(
            f"the label '{label}' holds a ':': the routers would drop it", "a label without ':'"
        )
    if bad := sorted(set(label) & set(IN_SETTINGS)):
        yield Fault(
            f"the label '{label}' holds {' '.join(bad)}: nginx would read that as settings",
            f"a label without any of {' '.join(IN_SETTINGS)}",
        )
    yield from _address_faults(address)


def _version_six(entry: str) -> str | None:
    """The IPv6 address that an entry begins with, a label perhaps behind it."""
    parts = entry.split(":")
    for count in range(len(parts), 2, -1):
        text = ":".join(parts[:count]).strip()
        try:
            if ipaddress.ip_network(text.strip("[]"), strict=False).version == 6:
                return text
        except ValueError:
            continue
    return None


def _address_faults(text: str) -> Iterator[Fault]:
    match = ADDRESS.fullmatch(text)
    if text in ("0.0.0.0", "0.0.0.0/32"):
        yield Fault(
            f"'{text}' allows only that literal address, which nobody has, and not everyone",
            f"{EVERYONE} for everyone",
        )
    elif match is None or network_of(match[1]) is None:
        more = "" if re.search(r"\d", text) else " (a label holds no comma)"
        yield Fault(f"'{text}' is no IPv4 address or network{more}")
    elif match[2] is not None and (int(match[2]) > 32 or match[2] != str(int(match[2]))):
        yield Fault(f"'/{match[2]}' is no size of a network", f"{match[1]}/0 to {match[1]}/32")
    else:
        network = network_of(text)
        if network is not None and str(network.network_address) != match[1]:
            yield Fault(
                f"'{text}' is an address within a network: nginx would let in all of {network}",
                f"{network} for the network, {match[1]} for that address alone",
            )
