"""The pretend fleet places Deis's units: by metadata and conflicts, and by what becomes of fleetd."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from deiswizard.commands.opening import TerminalAsker
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.host import PretendHost
from deiswizard.plan.script import script
from deiswizard.recommendations.planes.facts import Plane, PlanesChoices
from deiswizard.recommendations.planes.plan import plan
from deiswizard.session import Session
from tests.demo.test_script import by_hand
from tests.waiting import until

FOLDER = "/etc/systemd/system/fleet.service.d"
LIMIT = 30.0


@pytest.fixture
def pretend() -> Iterator[PretendCluster]:
    with PretendCluster.start("stateless", speed=50) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


def run(host: PretendHost, command: str) -> tuple[int, str]:
    out: list[str] = []
    code = host.execute(command, out.append, out.append, b"", threading.Event())
    return code, "".join(out)


def where(cluster: PretendCluster, unit: str) -> list[str]:
    """By what fleet's registry tells, which is what the wizard reads."""
    names = {host.machine_id: host.name for host in cluster.hosts}
    rows = cluster.fleet.states(f"deis-{unit}.service")
    assert {r["machineID"] for r in rows if r["systemdActiveState"] == "active"} == {
        host.machine_id for host in cluster.placement[f"deis-{unit}.service"]
    }
    return sorted(names[r["machineID"]] for r in rows if r["systemdActiveState"] == "active")


def carry(host: PretendHost, metadata: str) -> None:
    """As the wizard does it."""
    text = f'[Service]\nEnvironment="FLEET_METADATA={metadata}"\n'
    host.write_file(f"{FOLDER}/50-test.conf", text.encode())
    assert run(host, "systemctl daemon-reload; systemctl kill -s KILL fleet")[0] == 0
    until(lambda: run(host, "systemctl is-active -q fleet")[0] == 0)


def make_again(cluster: PretendCluster, name: str) -> None:
    for verb in ("stop", "uninstall", "install", "start"):
        assert run(cluster.hosts[0], f"deisctl {verb} {name}")[0] == 0


def test_a_killed_fleetd_leaves_its_units_and_a_restarted_one_ends_them(
    pretend: PretendCluster,
) -> None:
    host = pretend.hosts[3]
    assert where(pretend, "logger") == ["deis-4"]
    host.fleetd.may_start.clear()
    run(host, "systemctl kill -s KILL fleet.service")
    assert run(host, "systemctl is-active -q fleet.service")[0] == 3
    assert where(pretend, "logger") == ["deis-4"]
    host.fleetd.may_start.set()
    until(lambda: host.fleetd.is_active)
    run(host, "systemctl restart fleet")
    assert where(pretend, "logger") not in ([], ["deis-4"]), "it went elsewhere"
    assert len(where(pretend, "publisher")) == 5, "what is global is back"


def test_metadata_moves_only_units_that_are_kept_to_it(pretend: PretendCluster) -> None:
    host = pretend.hosts[3]
    carry(host, "dataPlane=true")
    assert host.metadata == {"dataPlane": "true"}
    assert where(pretend, "logger") == ["deis-4"], "nothing keeps it anywhere"
    pretend.store.put("/deis/platform/enablePlacementOptions", "true")
    make_again(pretend, "logger")
    assert where(pretend, "logger") not in ([], ["deis-4"])
    make_again(pretend, "publisher")
    carry(pretend.hosts[1], "controlPlane=true,disk=ssd")
    assert where(pretend, "publisher") == ["deis-1", "deis-3", "deis-4", "deis-5"]
    listed = run(host, "fleetctl list-machines -l --no-legend")[1]
    assert f"{pretend.hosts[1].machine_id}\t10.21.2.12\tcontrolPlane=true,disk=ssd\n" in listed


def test_a_decorated_unit_without_a_place_is_simply_gone(pretend: PretendCluster) -> None:
    pretend.store.put("/deis/platform/enablePlacementOptions", "true")
    for name in ("router@1", "router@2", "router@3"):
        make_again(pretend, name)
    for number in (2, 3, 4):
        carry(pretend.hosts[number], "dataPlane=true")
    routers = [where(pretend, f"router@{number}") for number in (1, 2, 3)]
    assert sorted(routers) == [[], ["deis-1"], ["deis-2"]], "one to a host"
    assert pretend.fleet.file("deis-router@3.service") is not None


def test_a_missing_decorator_file_leaves_a_unit_without_its_plane_and_without_a_word(
    pretend: PretendCluster,
) -> None:
    pretend.store.put("/deis/platform/enablePlacementOptions", "true")
    host = pretend.hosts[0]
    host.remove_file("/var/lib/deis/units/decorators/deis-logger.service.decorator")
    make_again(pretend, "logger")
    assert "MachineMetadata" not in (pretend.fleet.file("deis-logger.service") or "")


def test_deisctl_s_traps(pretend: PretendCluster) -> None:
    host = pretend.hosts[0]
    assert run(host, "deisctl install logger")[0] == 0
    assert where(pretend, "logger") == [], "it was not replaced, but stopped"
    run(host, "deisctl start logger")
    pretend.store.put("/deis/platform/enablePlacementOptions", "yes")
    run(host, "deisctl uninstall logger")
    code, said = run(host, "deisctl install logger")
    assert code == 0 and 'strconv.ParseBool: parsing "yes": invalid syntax' in said
    assert pretend.fleet.file("deis-logger.service") is None
    pretend.store.put("/deis/platform/enablePlacementOptions", "true")
    for one in pretend.hosts:
        carry(one, "dataPlane=true")
    gone = threading.Event()
    waits = threading.Thread(
        target=host.execute, args=("deisctl install logger", str, str, b"", gone), daemon=True
    )
    waits.start()
    until(lambda: pretend.fleet.file("deis-logger.service") is not None)
    waits.join(0.5)
    assert waits.is_alive(), "there is no host for it, and deisctl waits"
    gone.set()
    waits.join(LIMIT)
    assert not waits.is_alive()


def test_what_systemctl_tells_of_fleetd(pretend: PretendCluster) -> None:
    host = pretend.hosts[0]
    said = run(host, "systemctl show fleet.service -p Environment -p Restart -p RestartUSec")[1]
    assert said == (
        "Environment=FLEET_METADATA=controlPlane=true,dataPlane=true,routerMesh=true "
        "FLEET_PUBLIC_IP=10.21.2.11\nRestart=always\nRestartUSec=10s\n"
    )
    files = run(host, "systemctl cat fleet.service")[1]
    assert "# /run/systemd/system/fleet.service.d/20-cloudinit.conf\n[Service]" in files
    assert run(host, "systemctl is-active deis-logger.service fleet")[1] == "inactive\nactive\n"


def test_the_runbook_keeps_units_to_their_planes(pretend: PretendCluster) -> None:
    """Hosts, the setting, and one unit of each kind; by sh, ssh and fleetctl."""
    session = Session.open(pretend.target, TerminalAsker())
    try:
        before = session.look()
        hosts: dict[str, tuple[Plane, ...]] = {
            f"deis-{n}": ("control", "data", "router") for n in range(1, 5)
        }
        made = plan(before, PlanesChoices(hosts={**hosts, "deis-5": ("data",)}))
        kept = (
            "host:deis-5",
            "flag",
            "group:deis-publisher.service",
            "group:deis-router@1.service",
        )
        stages = tuple(stage for stage in made.stages if stage.id in kept)
        assert len(stages) == len(kept)
        short = made.model_copy(update={"stages": stages, "undo": ()})
        text = script(short, session.reach(before))
    finally:
        session.close()
    done = by_hand(text)
    assert done.returncode == 0, done.stderr
    assert pretend.hosts[4].metadata == {"dataPlane": "true"}
    assert "routerMesh=true" in (pretend.fleet.file("deis-router@1.service") or "")
    assert where(pretend, "router@1") not in ([], ["deis-5"])
    assert len(where(pretend, "publisher")) == 5
