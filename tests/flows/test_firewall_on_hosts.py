"""The hosts' firewall on hosts with a real packet filter, real timers, a real Docker: this machine is outside."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.recommendations.firewall import files
from tests.flows.checks import answers
from tests.flows.clusters import Real
from tests.flows.commands import deiswizard
from tests.lab.host import LabHost
from tests.lab.waiting import await_that

PRIVATE = (2375, 4001, 2380)
SLOW, DROP_IN = "/run/slow", f"/run/systemd/system/{files.DOCKER_UNIT}.d"


def takes(address: str, port: int) -> bool:
    """Whether this machine, a stranger to the hosts, can connect."""
    try:
        socket.create_connection((address, port), 3).close()
    except OSError:
        return False
    return True


def takes_from(host: LabHost, address: str, port: int) -> bool:
    command = f"timeout 20 bash -c '</dev/tcp/{address}/{port}'"
    return host.run("sh", "-c", command, check=False).returncode == 0


def filters(host: LabHost) -> str:
    return host.run("sh", "-c", "iptables -S; iptables -t nat -S; ip6tables -S").stdout


def wait_for_docker_in_vain(host: LabHost) -> None:
    """Ours that goes before Docker's rules is at it, and would put ours in when it has waited enough."""
    host.run(
        "sh", "-c",
        f"mkdir -p {SLOW} && printf '#!/bin/sh\nexec sleep 9\n' > {SLOW}/docker && chmod +x {SLOW}/docker && "
        f"mkdir -p {DROP_IN} && printf '[Service]\nEnvironment=PATH={SLOW}:/usr/bin:/bin:/usr/sbin:/sbin\n' "
        f"> {DROP_IN}/slow.conf && systemctl daemon-reload && "
        f"systemctl restart --no-block {files.DOCKER_UNIT}",
    )  # fmt: skip
    await_that(lambda: state_of(host, files.DOCKER_UNIT) == "activating", "it waits for Docker")


def is_first(host: LabHost) -> bool:
    rules = host.run("iptables", "-S", "FORWARD").stdout.splitlines()
    return rules[1].endswith("DEISWIZARD-FORWARD")


def state_of(host: LabHost, unit: str) -> str:
    return host.run("systemctl", "is-active", unit, check=False).stdout.strip()


@pytest.fixture
def cleaned(real: Real) -> Iterator[Real]:
    """Nothing of the firewall stays on the hosts."""
    yield real
    for host in real.lab.hosts:
        if not host.is_on:
            host.start()
            host.await_sshd()
        for command in (
            files.stop_command(),
            files.unload_command((4, 6)),
            f"rm -rf {SLOW} {DROP_IN}",
            files.remove_command(),
        ):
            host.run("sh", "-c", command, check=False)
        host.run("ip6tables", "-F")


def test_it_closes_the_hosts_holds_and_a_lock_out_is_taken_back(
    cleaned: Real, tmp_path: Path
) -> None:
    real, hosts = cleaned, cleaned.lab.hosts
    for host in hosts:  # as Docker's rules and an operator's would stand there
        for words in ("-N DOCKER", "-A FORWARD -o docker0 -j DOCKER", "-A DOCKER -d 172.17.0.2/32 ! -i docker0 "
                      "-o docker0 -p tcp -m tcp --dport 5000 -j ACCEPT",
                      "-A INPUT -s 198.51.100.66/32 -j DROP"):  # fmt: skip
            host.run("iptables", "-w", *words.split())
    before = [filters(host) for host in hosts]
    assert all(takes(host.address, port) for host in hosts for port in PRIVATE)

    text = answers(tmp_path, "security:\n  part: hosts\n  rollback_seconds: 60\n")
    plan = tmp_path / "plan.json"
    made = deiswizard("plan", "security", "-a", text, "-o", str(plan), *real.flags())
    assert made.code == 0, made.err
    wrong = tmp_path / "wrong.json"
    wrong.write_text(plan.read_text().replace("--dport 22 ", "--dport 24 "))
    locked = deiswizard("apply", str(wrong), "--yes", *real.flags())
    assert locked.code == 1 and "a new login on deis-2" in locked.err, locked.err
    assert filters(hosts[0]) == before[0] and filters(hosts[2]) == before[2]
    await_that(lambda: filters(hosts[1]) == before[1], "deis-2 takes the rules back", 90)
    await_that(lambda: takes(hosts[1].address, 22), "deis-2 can be logged in to")

    text = answers(tmp_path, "security:\n  part: hosts\n  rollback_seconds: 600\n")
    done = deiswizard("apply", "security", "-a", text, "--yes", *real.flags())
    assert done.code == 0, done.err
    for words in ("2375 (Docker, without a password) is closed to this machine (closed on all 3 (tried))",
                  "22 (ssh) is open to this machine (open on all 3 (tried))",
                  "4001 (etcd) is open to another host"):  # fmt: skip
        assert words in done.err, done.err

    def is_closed() -> bool:
        return not any(takes(host.address, port) for host in hosts for port in PRIVATE)

    def is_joined() -> bool:
        return all(
            takes_from(host, other.address, port)
            for host in hosts for other in hosts for port in (22, *PRIVATE)
        )  # fmt: skip

    await_that(is_joined, "hosts reach each other")
    assert is_closed() and all(takes(host.address, 22) for host in hosts)
    status = hosts[0].run("systemctl", "list-timers", "--all").stdout
    assert files.ROLLBACK not in status

    docker_goes_first = ("iptables", "-I", "FORWARD", "-o", "docker0", "-j", "DOCKER")
    hosts[1].run("systemd-run", f"--unit={files.ROLLBACK}", "--on-active=600", "true")
    hosts[1].run(*docker_goes_first)  # as Docker does when it starts
    hosts[1].run("systemctl", "restart", files.DOCKER_UNIT)
    assert not is_first(hosts[1]), "what is kept was loaded while other rules were on trial"
    hosts[1].run("systemctl", "stop", f"{files.ROLLBACK}.timer")
    hosts[1].restart_engine()
    await_that(lambda: is_first(hosts[1]), "the firewall is first again")
    hosts[2].power_off()
    hosts[2].start()
    hosts[2].await_sshd()
    await_that(is_joined, "deis-3 is among the others again")
    assert is_closed()
    assert "DEISWIZARD-INPUT" in filters(hosts[2])

    wait_for_docker_in_vain(hosts[2])
    back = deiswizard("undo", "last", "--yes", *real.flags())
    assert back.code == 0, back.err
    assert state_of(hosts[2], files.DOCKER_UNIT) != "activating"
    assert filters(hosts[0]) == before[0]
    assert all("DEISWIZARD" not in filters(host) for host in hosts)
    assert all(takes(host.address, port) for host in hosts for port in PRIVATE)
    assert (
        not hosts[1]
        .run("sh", "-c", "ls -d /etc/deiswizard /etc/systemd/system/deis*", check=False)
        .stdout.strip()
    )
