"""Every trap of Deis' lists has its sentence; and what is accepted, nginx takes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deiswizard.demo.router_rules import fault_of_main, main
from deiswizard.recommendations.security import lists
from tests.unit.security_world import ME, sentences, world

TRAPS = {
    "203.0.113.50:me,": "entry 2 is empty: there is a comma too many. nginx would get 'allow ;'",
    ",203.0.113.50": "entry 1 is empty",
    "203.0.113.50,,10.0.0.0/8": "entry 2 is empty",
    "203.0.113.50,2001:db8::7": "'2001:db8::7' is an IPv6 address: the routers split at ':'",
    "203.0.113.50,2001:db8::/32:office": "'2001:db8::/32' is an IPv6 address",
    "203.0.113.50,[::1]": "'[::1]' is an IPv6 address",
    "203.0.113.50:me:home": "the label 'me:home' holds a ':': the routers would drop it",
    "203.0.113.50:me, myself": "'myself' is no IPv4 address or network (a label holds no comma)",
    "203.0.113.50:me;deny all": "the label 'me;deny all' holds ;: nginx would read that as settings",
    "203.0.113.50:#1": "the label '#1' holds #: nginx would read that as settings",
    "203.0.113.50:{a}": "the label '{a}' holds { }: nginx would read that as settings",
    "203.0.113.50\n10.0.0.0/8": "the list holds a line break",
    "203.0.113.50:me\t": "the list holds a line break or another character that cannot be seen",
    "203.0.113.50,0.0.0.0:all": "'0.0.0.0' allows only that literal address, which nobody has",
    "203.0.113.50,0.0.0.0/32": "'0.0.0.0/32' allows only that literal address",
    "203.0.113.50,all": "'all' is no IPv4 address or network",
    "203.0.113.50/33": "'/33' is no size of a network; allowed: 203.0.113.50/0 to 203.0.113.50/32",
    "203.0.113.50/255.255.255.0": "'203.0.113.50/255.255.255.0' is no IPv4 address or network",
    "203.0.113.50,256.1.1.1": "'256.1.1.1' is no IPv4 address or network",
    "203.0.113.50,vpn.example.com": "'vpn.example.com' is no IPv4 address or network",
    "203.0.113.50/24": "would let in all of 203.0.113.0/24; allowed: 203.0.113.0/24 for the network, "
    "203.0.113.50 for that address alone",
    "203.0.113.50 10.0.0.1": "'203.0.113.50 10.0.0.1' is no IPv4 address or network",
}


@pytest.mark.parametrize("text", TRAPS)
def test_each_trap_is_told_beside_the_field(text: str) -> None:
    told = sentences(world(), controller_whitelist=text)
    assert TRAPS[text] in told["controller_whitelist"]


def test_everyone_is_written_with_its_size_and_warned_of() -> None:
    assert "0.0.0.0/0 for everyone" in lists.faults("0.0.0.0:all")[0].allowed
    told = sentences(world(), blocks=False, controller_whitelist="0.0.0.0/0:all")
    assert "0.0.0.0/0 lets everyone in" in told["controller_whitelist"]
    assert lists.stranger_to("0.0.0.0/0") == ""


def test_a_right_list_has_no_sentence_and_loses_its_blanks() -> None:
    text = f" {ME} : me , 198.51.100.0/24:head office,10.0.0.0/8 "
    assert lists.faults(text) == () and "controller_whitelist" not in sentences(
        world(), controller_whitelist=text
    )
    assert lists.tidy(text) == f"{ME}:me,198.51.100.0/24:head office,10.0.0.0/8"
    assert lists.tidy("  ") == "" and lists.faults("  ") == ()


def test_who_is_on_a_list_and_who_is_not() -> None:
    text = f"{ME}:me,198.51.100.0/24:hq"
    assert lists.lets_in(text, ME) and lists.lets_in(text, "198.51.100.255")
    assert not lists.lets_in(text, "203.0.113.51") and not lists.lets_in(text, "nobody")
    assert (lists.guest_of(text), lists.guest_of("198.51.100.0/24")) == (ME, "198.51.100.1")
    assert lists.stranger_to(text) == "192.0.2.77"
    assert lists.only_in(text, f"{ME}") == "198.51.100.1"
    assert lists.only_in(text, "0.0.0.0/0") == ""
    assert lists.only_in("198.51.100.0/24", "198.51.100.0/25") == "198.51.100.255"


ADDRESSES = st.ip_addresses(v=4).map(str)
NETWORKS = st.tuples(ADDRESSES, st.integers(0, 32)).map(
    lambda pair: str(ipaddress.ip_network(f"{pair[0]}/{pair[1]}", strict=False))
)
LABELS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
ENTRIES = st.one_of(ADDRESSES, NETWORKS, st.text("0123456789.:/,; abc", max_size=12))
TEXTS = st.lists(
    st.one_of(ENTRIES, st.tuples(ENTRIES, LABELS).map(":".join)), min_size=1, max_size=4
).map(",".join)


@given(TEXTS)
def test_what_is_accepted_nginx_takes_and_lets_in_whom_we_say(text: str) -> None:
    if lists.faults(text) or not text.strip():
        return
    keys = {"/deis/router/controller/whitelist": lists.tidy(text)}
    config = main(keys)
    assert fault_of_main(config) == ""
    guest = lists.guest_of(text)
    assert guest and lists.lets_in(text, guest)
    allowed = [ipaddress.ip_network(entry, strict=False) for entry in config.sites[0].allow or ()]
    assert any(ipaddress.ip_address(guest) in network for network in allowed)
