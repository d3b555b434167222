"""The rules of the hosts' firewall as text, and what rules do with a packet; also on a real packet filter."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deiswizard.cluster.packet_rules import Packet, Table, reach, rule_of, table_of, verdict
from deiswizard.recommendations.firewall import files
from deiswizard.recommendations.firewall.rules import (
    chain_lines,
    choices_in,
    lines_in,
    restore_text,
)
from deiswizard.recommendations.firewall.table import A_CONTAINER, STRANGER
from tests.unit.firewall_world import CONTRIBUTED, DOCKERS, NAT, bare, rules, with_ours

HOST, FLANNEL_SOURCE = "10.21.2.12", "10.244.9.9"


def ours(**more: object) -> Table:
    return table_of(with_ours(chain_lines(rules(**more), 4)))


def test_strangers_reach_what_is_open_and_the_cluster_reaches_all() -> None:
    table, nat = ours(), table_of(NAT)
    for port in (22, 80, 443, 2222):
        assert reach(table, nat, STRANGER, port) == "open", port
    for port in (2375, 2379, 4001, 2380, 5432, 8000, 8088, 8888, 2223, 6789, 9090, 5000):
        assert reach(table, nat, STRANGER, port) == "closed", port
        for source in (HOST, FLANNEL_SOURCE):
            assert reach(table, nat, source, port) == "open", (source, port)
    assert reach(table, nat, A_CONTAINER, 4001, into="docker0") == "open"
    assert reach(table, nat, STRANGER, 514, "udp") == "closed"


def test_a_published_port_is_closed_though_docker_accepts_it() -> None:
    """Defect (a) of the contributed script: its jump stands behind Docker's accepts (#4686, #5084)."""
    assert reach(table_of(CONTRIBUTED), table_of(NAT), STRANGER, 5000) == "open"
    assert reach(ours(), table_of(NAT), STRANGER, 5000) == "closed"
    late = table_of(with_ours(chain_lines(rules(), 4), first=False))
    assert reach(late, table_of(NAT), STRANGER, 5000) == "open"  # which is why they go first
    direct = Packet(STRANGER, 5000, out="docker0", target="10.244.3.2")
    assert verdict(ours(), "FORWARD", direct) == "closed"  # routed to the container without DNAT
    elsewhere = Packet(STRANGER, 5000, out="eth1", target="198.51.100.1")
    assert verdict(ours(), "FORWARD", elsewhere) == "open"  # forwarding for others is not ours


def test_the_contributed_scripts_other_losses_are_none_of_ours() -> None:
    """(d) 9090 and new hosts, (f) flannel."""
    nat = table_of(NAT)
    theirs = table_of(CONTRIBUTED)
    assert reach(theirs, nat, "203.0.113.9", 9090) == "closed"
    assert reach(theirs, nat, FLANNEL_SOURCE, 4001) == "closed"
    chosen = ours(health_from=["203.0.113.0/28"], new_hosts=["10.21.3.0/24"])
    assert reach(chosen, nat, "203.0.113.9", 9090) == "open"
    assert reach(chosen, nat, STRANGER, 9090) == "closed"
    assert reach(chosen, nat, "10.21.3.77", 2380) == "open"
    assert reach(chosen, nat, FLANNEL_SOURCE, 4001) == "open"


def test_own_ports_networks_and_logins() -> None:
    nat = table_of(NAT)
    table = ours(
        open_ports=["80", "53/udp", "8443@198.51.100.0/24", "8444@2001:db8::/32"],
        ssh_from=["203.0.113.50"], trusted_networks=["192.168.7.0/24"],
    )  # fmt: skip
    assert reach(table, nat, STRANGER, 53, "udp") == "open"
    assert reach(table, nat, STRANGER, 443) == "closed"
    assert reach(table, nat, "198.51.100.7", 8443) == "open"
    assert reach(table, nat, STRANGER, 8443) == reach(table, nat, STRANGER, 8444) == "closed"
    assert reach(table, nat, STRANGER, 22) == "closed"
    assert reach(table, nat, "203.0.113.50", 22) == "open"
    assert reach(table, nat, HOST, 22) == "open"
    assert reach(table, nat, "192.168.7.9", 2375) == "open"
    six = chain_lines(rules(open_ports=["8444@2001:db8::/32"], ssh_from=["203.0.113.50"]), 6)
    assert any("-s 2001:db8::/32 -p tcp -m tcp --dport 8444" in line for line in six)
    assert not any("--dport 22 " in line for line in six), "no IPv6 network may log in"
    assert not any("10.21." in line for line in six)


@pytest.mark.parametrize(
    ("isolate", "shut", "open_"),
    [("none", (), (2375, 4001, 2380)), ("docker", (2375, 2380, 7001), (4001, 2379, 22)),
     ("etcd", (2375, 2380, 4001, 2379), (22, 5000))],
)  # fmt: skip
def test_containers_are_kept_from_what_was_chosen(
    isolate: str, shut: tuple[int, ...], open_: tuple[int, ...]
) -> None:
    table, nat = ours(isolate=isolate), table_of(NAT)

    def to_other(port: int) -> str:
        packet = Packet(A_CONTAINER, port, into="docker0", out="eth0", target=HOST)
        return verdict(table, "FORWARD", packet)

    for port in shut:
        assert reach(table, nat, A_CONTAINER, port, into="docker0") == "closed"
        assert reach(table, nat, FLANNEL_SOURCE, port) == "closed"
        assert to_other(port) == "closed"
        assert reach(table, nat, HOST, port) == "open"
    for port in open_:
        assert reach(table, nat, A_CONTAINER, port, into="docker0") == "open"
        assert to_other(port) == "open"


def test_what_is_not_understood_is_not_known() -> None:
    odd = "-P INPUT ACCEPT\n-A INPUT -m geoip --source-country XX -j DROP\n"
    assert verdict(table_of(odd), "INPUT", Packet(STRANGER, 22)) == "unknown"
    both = odd.replace("ACCEPT", "DROP")
    assert verdict(table_of(both), "INPUT", Packet(STRANGER, 22)) == "closed"
    by_name = "-P INPUT ACCEPT\n-A INPUT -i eth1 -p tcp -m tcp --dport 22 -j DROP\n"
    assert verdict(table_of(by_name), "INPUT", Packet(STRANGER, 22)) == "unknown"
    assert verdict(table_of(by_name), "INPUT", Packet(STRANGER, 23)) == "open"
    jump = "-P INPUT ACCEPT\n-N A\n-N B\n-A INPUT -j A\n-A A -j B\n-A B ! -s 192.0.2.0/24 -j DROP\n-A A -j RETURN\n"
    assert verdict(table_of(jump), "INPUT", Packet(STRANGER, 22)) == "open"
    assert verdict(table_of(jump), "INPUT", Packet(HOST, 22)) == "closed"
    assert rule_of("-A INPUT -m comment --comment 'a -j DROP' -j ACCEPT") is not None


def test_the_choices_stand_in_the_file() -> None:
    text = restore_text(rules(), 4, {"ssh_from": ["203.0.113.50"]})
    assert choices_in(text) == {"ssh_from": ["203.0.113.50"]}
    assert lines_in(text) == chain_lines(rules(), 4)
    assert choices_in("*filter\n") == {} == choices_in("# choices: {broken")


RESTORES = ["iptables", "iptables-legacy"]


class Space:
    """A network of its own with a real packet filter, and our files in a folder."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder = folder
        tools = folder / "bin"
        tools.mkdir()
        for name in ("iptables", "ip6tables"):
            for end in ("", "-restore"):
                found = shutil.which(name.replace("iptables", "iptables") + "-legacy" + end) if (
                    program == "iptables-legacy"
                ) else shutil.which(name + end)  # fmt: skip
                assert found
                (tools / f"{name}{end}").write_text(f'#!/bin/sh\nexec {found} "$@"\n')
                (tools / f"{name}{end}").chmod(0o755)
        self._path = f"{tools}:{os.environ['PATH']}"
        self._process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo up; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def run(self, command: str) -> str:
        command = command.replace("/etc/deiswizard", str(self._folder)).replace(
            "/run/deiswizard", f"{self._folder}/run"
        )
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", "sh", "-c", command],
            capture_output=True, text=True, env={**os.environ, "PATH": self._path},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        (self._folder / path.rpartition("/")[2]).write_text(
            text.replace("/etc/deiswizard", str(self._folder)).replace(
                "/run/deiswizard", f"{self._folder}/run"
            )
        )

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(params=RESTORES)
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Space:
    program = str(request.param)
    if os.geteuid() or shutil.which(program) is None or shutil.which("unshare") is None:
        pytest.skip(f"needs root and {program}")
    made = Space(tmp_path, program)
    request.addfinalizer(made.close)
    return made


@pytest.mark.parametrize(
    "chosen",
    [{}, {"refuse": "drop", "isolate": "etcd"},
     {"isolate": "docker", "ssh_from": ["203.0.113.50", "2001:db8::/32"], "open_ports": ["53/udp", "99@198.51.100.0/24"],
      "new_hosts": ["10.21.3.0/24"], "trusted_networks": ["fd00::/8"], "health_from": ["203.0.113.0/28"]}],
)  # fmt: skip
def test_on_a_real_packet_filter_they_go_in_first_once_and_out_without_a_trace(
    space: Space, chosen: dict[str, object]
) -> None:
    for line in ("-N DOCKER", *DOCKERS, "-N Own", "-A Own -s 198.51.100.66/32 -j DROP",
                 "-A INPUT -j Own", "-P FORWARD DROP"):  # fmt: skip
        space.run(f"iptables {line}")
    before = space.run("iptables -S; ip6tables -S; iptables -t nat -S")
    made = rules(**chosen)
    for family in (4, 6):
        for which in ("next", "now"):
            space.write(files.rules_path(which, family), restore_text(made, family, {}))
    for path, text in files.files((4, 6)).items():
        space.write(path, text)
    assert space.run(files.test_command((4, 6))).strip() == "taken"
    assert space.run("iptables -S; ip6tables -S; iptables -t nat -S") == before
    space.run(files.load_command("next", (4, 6)))
    once = space.run("iptables -S; ip6tables -S")
    for family, program in files.IPTABLES.items():
        loaded = [r.text for chain in ("DEISWIZARD-INPUT", "DEISWIZARD-FORWARD")
                  for r in table_of(space.run(f"{program} -S")).rules(chain)]  # fmt: skip
        assert tuple(loaded) == chain_lines(made, family)
    space.run(f"/bin/sh {files.LOAD}")
    assert space.run("iptables -S; ip6tables -S") == once, "twice is once"
    space.run("iptables -I FORWARD -o docker0 -j DOCKER; iptables -A INPUT -j DEISWIZARD-INPUT")
    space.run(f"/bin/sh {files.LOAD}")  # Docker has put its own first; somebody has doubled a jump
    first = table_of(space.run("iptables -S"))
    assert [rule.target for rule in first.rules("INPUT")] == ["DEISWIZARD-INPUT", "Own"]
    assert [rule.target for rule in first.rules("FORWARD")][:2] == ["DEISWIZARD-FORWARD", "DOCKER"]
    space.run("iptables -D FORWARD -o docker0 -j DOCKER")
    assert "in" in space.run(files.in_place_command((4, 6))).split()
    space.run(f"/bin/sh {files.UNLOAD}")
    assert space.run("iptables -S; ip6tables -S; iptables -t nat -S") == before
    space.run(f"/bin/sh {files.UNLOAD}")
    assert space.run("iptables -S; ip6tables -S; iptables -t nat -S") == before


def test_a_trial_is_taken_back_to_what_was_kept_or_to_nothing(space: Space) -> None:
    for path, text in files.files((4, 6)).items():
        space.write(path, text)
    before = space.run("iptables -S")
    for family in (4, 6):
        space.write(files.rules_path("next", family), restore_text(rules(), family, {}))
    space.run(files.load_command("next", (4, 6)))
    space.run(f"/bin/sh {files.BACK}")
    assert space.run("iptables -S") == before
    for family in (4, 6):
        space.write(files.rules_path("now", family), restore_text(rules(), family, {}))
        strict = rules(ssh_from=["203.0.113.50"])
        space.write(files.rules_path("next", family), restore_text(strict, family, {}))
    space.run(f"/bin/sh {files.LOAD}")
    kept = space.run("iptables -S; ip6tables -S")
    load = files.files((4, 6))[files.LOAD]
    once = "test -e /run/tried || { touch /run/tried; exit 4; }"
    space.write(files.LOAD, load.replace("\n", f"\n{once}\n", 1))  # as when Docker changes a table
    space.run(files.load_command("next", (4, 6)))
    assert space.run("iptables -S; ip6tables -S") != kept
    space.run(f"/bin/sh {files.BACK}")
    assert space.run("iptables -S; ip6tables -S") == kept
    assert not space.run(
        f"ls /etc/deiswizard | grep -x {files.rules_path('next', 4).rpartition('/')[2]} || true"
    ).strip()


def test_one_bad_line_changes_nothing(space: Space) -> None:
    """Defect (c) of the contributed script: it breaks off half-way with its chain flushed (#4281)."""
    text = restore_text(rules(), 4, {})
    space.write(files.rules_path("now", 4), text)
    for path, script in files.files((4,)).items():
        space.write(path, script)
    space.run(f"/bin/sh {files.LOAD}")
    good = space.run("iptables -S")
    space.write(files.rules_path("now", 4), text + "-A DEISWIZARD-INPUT -s -j ACCEPT\n")
    with pytest.raises(AssertionError, match="restore"):
        space.run(f"/bin/sh {files.LOAD}")
    assert space.run("iptables -S") == good


def test_the_bare_world_is_what_iptables_would_print(space: Space) -> None:
    for line in bare().splitlines():
        space.run(f"iptables {line}")
    assert sorted(space.run("iptables -S").splitlines()) == sorted(bare().splitlines())
