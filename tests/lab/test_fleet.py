"""The stand-in for fleetd: real units on every host, and what a restart does to them."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.waiting import await_that

JOB = "lab-job.service"
GLOBAL = ("X-Fleet", "Global", "true")
SERVICE = (
    ("Service", "Type", "oneshot"),
    ("Service", "RemainAfterExit", "yes"),
    ("Service", "ExecStart", "/bin/sh -c 'echo %H %m > /run/seen'"),
)
LOGSPOUT = "deis-logspout.service"


def ask(host: LabHost, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and body of fleet's API."""
    said = host.run(
        "curl", "-s", "-X", method, "-d", "@-", "-w", "\n%{http_code}",
        "--unix-socket", "/var/run/fleet.sock", f"http://fleet/fleet/v1/{path}",
        stdin="" if body is None else json.dumps(body),
    ).stdout  # fmt: skip
    text, _, status = said.rpartition("\n")
    return int(status), json.loads(text) if text else None


def submit(host: LabHost, *options: tuple[str, str, str]) -> int:
    body = {
        "desiredState": "launched",
        "options": [{"section": s, "name": n, "value": v} for s, n, v in options],
    }
    return ask(host, "PUT", f"units/{JOB}", body)[0]


def rows(host: LabHost) -> list[tuple[str, str, str]]:
    """Machine, active and sub state of the job, as fleet tells it."""
    told = ask(host, "GET", f"state?unitName={JOB}")[1]["states"]
    return [(s["machineID"], s["systemdActiveState"], s["systemdSubState"]) for s in told]


def pid(host: LabHost, unit: str) -> int:
    return int(host.run("systemctl", "show", "-p", "MainPID", "--value", unit).stdout)


def is_forgotten(host: LabHost) -> bool:
    """Whether the host's systemd knows nothing of the job."""
    return host.run("systemctl", "show", "-p", "LoadState", "--value", JOB).stdout == "not-found\n"


def test_a_global_job_runs_once_on_each_host_and_goes_everywhere_when_it_is_destroyed(
    lab: Lab,
) -> None:
    first = lab.hosts[0]
    assert ask(first, "GET", f"units/{JOB}")[0] == 404
    assert submit(first, *SERVICE, GLOBAL) == 201
    done = sorted((host.machine_id, "active", "exited") for host in lab.hosts)
    await_that(lambda: sorted(rows(first)) == done, "a row for each host")
    for host in lab.hosts:
        assert host.run("cat", "/run/seen").stdout.split() == [host.name, host.machine_id]
        assert pid(host, JOB) == 0
    assert ask(lab.hosts[2], "DELETE", f"units/{JOB}")[0] == 204
    await_that(lambda: rows(first) == [], "no row is left")
    for host in lab.hosts:
        await_that(partial(is_forgotten, host), f"{host.name} has forgotten the job")
    assert ask(first, "DELETE", f"units/{JOB}")[0] == 404


def test_a_job_that_fails_says_so_and_one_for_no_machine_is_nowhere(lab: Lab) -> None:
    first = lab.hosts[0]
    failing = (("Service", "Type", "oneshot"), ("Service", "ExecStart", "/bin/false"))
    assert submit(first, *failing, GLOBAL) == 201
    failed = sorted((host.machine_id, "failed", "failed") for host in lab.hosts)
    await_that(lambda: sorted(rows(first)) == failed, "it failed everywhere")
    ask(first, "DELETE", f"units/{JOB}")
    await_that(lambda: rows(first) == [], "no row is left")
    barred = ("X-Fleet", "MachineMetadata", "dataPlane=no")
    assert submit(first, *SERVICE, GLOBAL, barred) == 201
    ran = ("X-Fleet", "MachineMetadata", '"dataPlane=true" "routerMesh=true"')
    other = {"desiredState": "launched", "options": [
        {"section": s, "name": n, "value": v} for s, n, v in (*SERVICE, ran)]}  # fmt: skip
    assert ask(first, "PUT", "units/lab-single.service", other)[0] == 201
    await_that(
        lambda: len(ask(first, "GET", "state?unitName=lab-single.service")[1]["states"]) == 1,
        "a unit that is not global runs on one machine",
    )
    assert rows(first) == []


def test_a_killed_fleetd_leaves_its_units_and_a_restarted_one_stops_them(lab: Lab) -> None:
    host = lab.hosts[2]
    before = pid(host, LOGSPOUT)
    assert before
    host.run("systemctl", "kill", "-s", "KILL", "fleet")
    await_that(lambda: pid(host, "fleet") == 0, "fleetd is gone")
    assert pid(host, LOGSPOUT) == before
    await_that(lambda: pid(host, "fleet") > 0, "systemd has started fleetd again")
    assert ask(host, "GET", "machines")[0] == 200
    lab.await_platform()
    assert pid(host, LOGSPOUT) == before
    host.run("systemctl", "restart", "fleet")
    assert pid(host, LOGSPOUT) != before
    await_that(lambda: pid(host, LOGSPOUT) not in (0, before), "it was started anew")


def test_a_drop_in_changes_a_machines_metadata_and_is_gone_after_a_reset(lab: Lab) -> None:
    host = lab.hosts[0]

    def metadata() -> str:
        told = ask(host, "GET", "machines")[1]["machines"]
        mine = [m["metadata"] for m in told if m["id"] == host.machine_id]
        return ",".join(sorted(mine[0])) if mine else ""

    folder = "/etc/systemd/system/fleet.service.d"
    host.run("mkdir", "-p", folder)
    drop_in = '[Service]\nEnvironment="FLEET_METADATA=controlPlane=true, nonsense,name=%H"\n'
    host.run("tee", f"{folder}/50-planes.conf", stdin=drop_in)
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "restart", "fleet")
    await_that(lambda: metadata() == "controlPlane,name", "the new metadata is known")
    lab.reset()
    assert metadata() == "controlPlane,dataPlane,routerMesh"


def test_after_a_reset_a_component_is_where_it_says(lab: Lab) -> None:
    before = lab.value("/deis/controller/host")
    other = next(host for host in lab.hosts if host.address != before)
    lab.put("/deis/controller/host", other.address)
    lab.reset()
    assert lab.value("/deis/controller/host") == before
