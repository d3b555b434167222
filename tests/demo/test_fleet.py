"""The adapter for fleet's API on the pretend fleet, over real SSH; and what a unit does there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cluster.connection import ClusterConnection
from deiswizard.cluster.unit_files import options_of, text_of
from deiswizard.commands.opening import TerminalAsker
from deiswizard.demo.cluster import PretendCluster
from deiswizard.errors import ServiceError
from deiswizard.plan.plan import Basis
from deiswizard.plan.script import script
from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.preseed.choices import PreseedChoices
from deiswizard.recommendations.preseed.fleet import UNIT, unit_file
from deiswizard.recommendations.preseed.plan import plan
from deiswizard.session import Session
from deiswizard.vocabulary import RunStatus, Status
from tests.demo.test_script import by_hand
from tests.waiting import until

IMAGES = ("deis/router:v1.13.4", "deis/logger:v1.13.4", "alpine:3.2")
OPTIONS = options_of(unit_file(IMAGES))
LIMIT = 30.0


@pytest.fixture
def pretend() -> Iterator[PretendCluster]:
    with PretendCluster.start("three", speed=50) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


@pytest.fixture
def connection(pretend: PretendCluster) -> Iterator[ClusterConnection]:
    found = ClusterConnection.open(pretend.target, TerminalAsker())
    yield found
    found.close()


def how(pretend: PretendCluster) -> list[str]:
    return [row["systemdSubState"] for row in pretend.fleet.states(UNIT)]


def test_a_unit_is_told_as_it_was_submitted_and_is_gone_when_it_was_destroyed(
    connection: ClusterConnection,
) -> None:
    fleet = connection.fleet()
    assert fleet.unit(UNIT) is None and fleet.states(UNIT) == ()
    assert fleet.delete(UNIT) is False
    assert fleet.put(UNIT, OPTIONS, "launched") is True
    found = fleet.unit(UNIT)
    assert found is not None and text_of(found.options) == text_of(OPTIONS)
    assert found.desired == "launched"
    assert fleet.put(UNIT, options_of("[Service]\nExecStart=/bin/false\n"), "launched") is False
    again = fleet.unit(UNIT)
    assert again == found, "fleet does not replace the file of a unit that is there"
    until(lambda: len(fleet.states(UNIT)) == 3)
    assert {state.machine_id for state in fleet.states(UNIT)} == connection.machine_ids()
    assert fleet.delete(UNIT) is True and fleet.unit(UNIT) is None
    until(lambda: fleet.states(UNIT) == ())


def test_states_of_more_hosts_than_a_page_holds_are_all_told(
    pretend: PretendCluster, connection: ClusterConnection
) -> None:
    row = {"loadState": "loaded", "activeState": "active", "subState": "exited", "unitHash": ""}
    for number in range(250):
        body = {**row, "machineState": {"ID": f"{number:032x}"}}
        path = f"/_coreos.com/fleet/states/many.service/{number:032x}"
        pretend.store.put(path, json.dumps(body))
    states = connection.fleet().states("many.service")
    assert [state.machine_id for state in states] == [f"{n:032x}" for n in range(250)]


def test_fleet_without_etcd_says_that_it_passes(
    pretend: PretendCluster, connection: ClusterConnection
) -> None:
    pretend.fleet_is_away = True
    for ask in (
        lambda: connection.fleet().unit(UNIT),
        lambda: connection.fleet().states(UNIT),
        lambda: connection.fleet().put(UNIT, OPTIONS, "launched"),
    ):
        with pytest.raises(ServiceError, match="unable to communicate with etcd") as caught:
            ask()
        assert caught.value.is_transient and "etcd" in caught.value.do


def test_a_refusal_is_in_fleet_s_words_and_leaves_nothing_open(
    connection: ClusterConnection,
) -> None:
    with pytest.raises(ServiceError, match="409: unit does not exist") as caught:
        connection.fleet().put(UNIT, (), "launched")
    assert not caught.value.is_outcome_unknown and not caught.value.is_transient
    with pytest.raises(ServiceError, match="400: invalid unit name"):
        connection.fleet().put("no-suffix", OPTIONS, "launched")


def test_a_socket_that_opens_nowhere_says_what_to_look_at(
    connection: ClusterConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deiswizard.cluster.fleet_api.SOCKET", "/var/run/no-fleet.sock")
    with pytest.raises(ServiceError, match="can be opened on no host") as caught:
        connection.fleet().unit(UNIT)
    assert "the user core must be able to" in caught.value.do


def test_fleet_is_reached_through_another_host_when_the_first_has_none(
    pretend: PretendCluster, connection: ClusterConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pretend.hosts[0]
    monkeypatch.setattr(first, "handler_for_socket", lambda path: None)
    assert connection.fleet().put(UNIT, OPTIONS, "launched")


def test_a_host_that_joins_later_or_boots_again_gets_the_unit_too(
    pretend: PretendCluster, connection: ClusterConnection
) -> None:
    connection.fleet().put(UNIT, OPTIONS, "launched")
    until(lambda: how(pretend) == ["exited"] * 3)
    late = pretend.add_host()
    until(lambda: how(pretend) == ["exited"] * 4)
    assert all(late.engine.has(name) for name in IMAGES)
    late.engine.remove(IMAGES[0])
    late.reboot()
    until(lambda: late.engine.has(IMAGES[0]))


def test_a_host_that_joins_later_is_whole_at_the_next_look(pretend: PretendCluster) -> None:
    session = Session.open(pretend.target, TerminalAsker())
    before = session.look()
    run = session.start(plan(before, PreseedChoices(hosts=(), method="fleet")), before=before)
    assert run.wait(LIMIT).status is RunStatus.DONE
    session.close()
    pretend.add_host()
    until(lambda: how(pretend) == ["exited"] * 4)
    session = Session.open(pretend.target, TerminalAsker())
    found = preseed.assess(session.look())
    session.close()
    assert found.status is Status.OK and found.now == "48 of 48 images"
    assert "join later are preseeded" in found.explanation


def test_the_runbook_submits_the_unit_by_fleetctl_and_takes_it_back(
    pretend: PretendCluster, tmp_path: Path
) -> None:
    session = Session.open(pretend.target, TerminalAsker())
    try:
        before = session.look()
        made = plan(before, PreseedChoices(hosts=(), method="fleet"))
        reach = session.reach(before)
        done = by_hand(script(made, reach))
        assert done.returncode == 0, done.stderr
        assert how(pretend) == ["exited"] * 3
        back = made.model_copy(
            update={"stages": made.undo, "undo": (), "basis": Basis(taken_at=0.0)}
        )
        done = by_hand(script(back, reach))
        assert done.returncode == 0, done.stderr
        assert pretend.fleet.file(UNIT) is None and how(pretend) == []
    finally:
        session.close()
