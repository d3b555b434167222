"""Logging and monitoring: each trap has the sentence that the operator sees, before the change."""

from __future__ import annotations

from typing import Any

import pytest

from deiswizard.cluster.snapshot import Unit
from deiswizard.errors import PreconditionError
from deiswizard.plan.preview import as_text
from deiswizard.recommendations.logs import declaration as logs
from deiswizard.recommendations.logs.form import defaults
from deiswizard.recommendations.logs.plan import plan
from deiswizard.recommendations.logs.units import (
    AGENTS,
    agent_unit,
    bad_tags,
)
from deiswizard.recommendations.logs.verify import verify
from deiswizard.vocabulary import Status
from tests.builders import host
from tests.unit.logging_world import (
    DRAIN,
    IMAGE,
    KEYED,
    WORD,
    choose,
    problems,
    row,
    rows,
    sent,
    unit,
    words,
    world,
)

CADVISOR = "deiswizard-cadvisor.service"


def said(now: Any, status: Status | None = None) -> str:
    return " / ".join(f.what for f in logs.assess(now).findings if status in (None, f.status))


def notes(now: Any, **changes: Any) -> str:
    return " / ".join(plan(now, choose(**changes)).impact.notes)


def cadvisor(now_hosts: tuple[int, ...] = (1, 2, 3), listen: str = "private") -> dict[str, Any]:
    content = agent_unit(AGENTS["cadvisor"], choose(cadvisor_image=IMAGE, cadvisor_listen=listen))
    return {"units": (unit(CADVISOR, content),), "states": rows(CADVISOR, *now_hosts)}


def test_without_drain_and_agent_it_is_to_do_and_says_what_is_lost() -> None:
    found = logs.assess(world(drain=""))
    assert (found.status, found.now) == (Status.TO_DO, "no drain, no agent")
    assert "Logs stay on the cluster" in found.explanation
    assert all(finding.evidence for finding in found.findings)
    assert logs.assess(world().model_copy(update={"keys_read": False})).status is Status.UNKNOWN


def test_a_drain_that_nobody_has_proven_is_partly_and_a_proven_one_is_ok() -> None:
    found = logs.assess(world(drain=DRAIN, **cadvisor()))
    assert (found.status, found.now) == (Status.PARTLY, "drain to logs.example.com:514, 1 agent")
    assert "the drain is not proven" in said(world(drain=DRAIN))
    heard = sent().split()[0] + " yes"
    assert "lines leave the cluster" in said(world(drain=DRAIN, markers=("", "", heard)))
    proven = world(drain=DRAIN, markers=(sent(), sent(), ""), **cadvisor())
    assert logs.assess(proven).status is Status.OK
    other = world(drain="udp://other:514", markers=(sent(), sent(), ""), **cadvisor())
    assert logs.assess(other).status is Status.PARTLY


def test_a_drain_with_a_token_is_judged_but_never_shown() -> None:
    now = world(drain="tcp://hunter2@logs.example.com:514")
    found = logs.assess(now)
    assert found.status is Status.AT_RISK and "is ignored by logger" in said(now)
    assert "hunter2" not in found.model_dump_json()
    assert defaults(now).drain == "off" and defaults(now).drain_to == ""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("Could not find app name", "a line without an app's tag has stopped logger"),
        ("Error creating new drain", "logger does not take the drain's value and keeps"),
        ("muting drain", "sent nothing for 5 minutes"),
    ],
)
def test_what_logger_says_of_itself_is_told(line: str, sentence: str) -> None:
    assert sentence in said(world(drain=DRAIN, said=f"Activated new drain\n{line}\n"))


def test_files_without_cephfs_are_told_with_the_way_out() -> None:
    now = world(mounts="/dev/sda9 / ext4 rw 0 0\n")
    assert "no CephFS is mounted where logger keeps its files" in said(now, Status.AT_RISK)
    assert defaults(now).storage == "memory"
    assert "no CephFS" in words(problems(now, storage="file"), "storage")
    assert "no CephFS" not in said(world())
    wrong = world(keys={"/deis/logs/storageAdapterType": "memory:0"})
    assert "'memory:0' is no storage adapter" in said(wrong)


def test_a_unit_counts_by_its_rows_and_only_where_it_may_run() -> None:
    lacking = world(drain=DRAIN, markers=(sent(), sent(), ""), **cadvisor((1, 3)))
    assert logs.assess(lacking).status is Status.PARTLY
    assert f"{CADVISOR} runs on 2 of 3 hosts: not on deis-2" in said(lacking)
    parts = cadvisor((1, 3))
    parts["states"] += (row(CADVISOR, 2, "activating/auto-restart"),)
    assert "deis-2 (activating/auto-restart)" in said(world(**parts))
    theirs = Unit(name="datadog.service", is_global=True, machine_metadata=('"role=web"',))
    assert "datadog.service" not in said(world(units=(theirs,)))
    either = world(units=(theirs.model_copy(update={"machine_metadata": ("role=web", "role=db")}),))
    on_db = either.hosts[1].model_copy(update={"metadata": (("role", "db"),)})
    either = either.model_copy(update={"hosts": (either.hosts[0], on_db, either.hosts[2])})
    assert "datadog.service runs on 0 of 1 hosts: not on deis-2" in said(either)
    app = Unit(name="go_v2.web.1.service", is_global=True)
    assert logs.assess(world(units=(app,))).now == "no drain, no agent"


def test_cadvisor_on_every_address_is_told_before_and_after() -> None:
    now = world(**cadvisor(listen="all"))
    assert "cAdvisor answers everybody on port 8080" in said(now, Status.AT_RISK)
    told = problems(world(), agents=["cadvisor"], cadvisor_image=IMAGE, cadvisor_listen="all")
    assert "answers everybody who reaches a host, without a login" in words(told, "cadvisor_listen")
    assert "private address only" in notes(world(), agents=["cadvisor"], cadvisor_image=IMAGE)
    content = agent_unit(AGENTS["cadvisor"], choose(cadvisor_image=IMAGE))
    assert "--publish=${COREOS_PRIVATE_IPV4}:8080:8080" in content


def test_a_container_that_logger_cannot_read_is_named() -> None:
    now = world(
        hosts={1: ("container deis-router", "container My.Agent", "container go_v2.web.1"), 2: ()}
    )
    assert "the next line of the container My.Agent on deis-1 stops all logging" in said(now)
    assert bad_tags(["deis-router", "go_v2.web.1", "a_b"]) == ()


def test_what_gets_no_line_to_logger_is_told() -> None:
    by_tcp = world(keys={"/deis/logs/protocol": "tcp"})
    assert "logspout sends to logger by 'tcp', but logger takes udp only" in said(by_tcp)
    spout = unit("deis-logspout.service", "[X-Fleet]\nGlobal=true\n")
    silent = world(units=(spout,))
    states = tuple(s for s in silent.unit_states if s.machine_id != host(3).machine_id)
    assert "deis-logspout.service runs on 2 of 3 hosts: not on deis-3" in said(
        silent.model_copy(update={"unit_states": states})
    )


def test_how_many_hosts_lines_are_tried_is_told_before() -> None:
    now = world(drain="")
    told = notes(now, drain="send", drain_to=DRAIN)
    assert "each of the 3 hosts with deis-logspout says a line, and logger must have got it" in told
    assert "lines over 65507 bytes are cut on their way to logger" in told
    unkept = notes(world(drain="", mounts=""), drain="send", drain_to=DRAIN)
    assert "only the lines of deis-2 are tried: logger keeps none" in unkept
    by_tcp = notes(now, drain="send", drain_to="tcp://logs.example.com:601")
    assert "over tcp logger dials the receiver anew every minute" in by_tcp


def test_the_status_page_of_the_routers_and_a_readable_key_file_are_told() -> None:
    now = world(keys={"/deis/router/enableNginxStatus": "true"})
    assert "/router-nginx-status on port 80 tells everybody" in said(now)
    told = notes(now, agents=["cadvisor"], cadvisor_image=IMAGE)
    assert "besides: /router-nginx-status" in told
    open_file = world(hosts={1: ("644 /etc/deiswizard/datadog.env",)})
    assert "holds a key, and its mode is 644" in said(open_file)


def test_a_host_that_joined_later_lacks_the_key_and_is_named() -> None:
    content = agent_unit(AGENTS["datadog"], choose(datadog_image=IMAGE))
    have = (f"{'0' * 64}  /etc/deiswizard/datadog.env", "600 /etc/deiswizard/datadog.env")
    name = AGENTS["datadog"].unit
    now = world(
        hosts={1: have, 2: have, 3: ()}, units=(unit(name, content),), states=rows(name, 1, 2)
    )
    assert "deis-3 has no /etc/deiswizard/datadog.env: Datadog cannot start there" in said(now)
    told = problems(now, agents=["datadog"], datadog_image=IMAGE)
    assert "the key is not on deis-3" in words(told, "datadog_key")
    made = plan(now, choose(agents=["datadog"], datadog_image=IMAGE, datadog_key=KEYED))
    assert [s.host for s in made.steps if s.kind == "upload"] == ["deis-1", "deis-2", "deis-3"]
    assert [s.host for s in made.steps if s.id.startswith("restart:")] == ["deis-1", "deis-2"]


def test_the_drains_traps_are_told_before_the_change() -> None:
    told = notes(world(drain=""), drain="send", drain_to=DRAIN)
    for sentence in (
        "the drain gets the lines of every container, the platform's too",
        "a line from a container whose name holds a capital letter or a dot stops logger's storage",
        "after 5 failed dials logger sends nothing for 5 minutes, without a word",
        "lines leave the cluster readable: logger speaks no TLS",
        "udp loses lines where the network does",
        "deis-2 says a line 'deiswizard-marker WORD'",
    ):
        assert sentence in told
    assert "proves that lines leave the cluster, not that your receiver" in notes(
        world(), drain="send", drain_to=DRAIN, proof="listen"
    )
    assert "the drain stays unproven" in notes(world(), drain="send", drain_to=DRAIN, proof="none")


def test_a_switch_of_the_storage_says_which_lines_are_lost() -> None:
    to_memory = problems(world(), storage="memory")
    assert "the lines kept in files stay on CephFS, but" in words(to_memory, "storage")
    now = world(keys={"/deis/logs/storageAdapterType": "memory"})
    assert "the lines that logger keeps in its memory are lost" in words(
        problems(now, storage="file"), "storage"
    )
    assert problems(now, storage="memory") == {}
    assert "up to 5000 lines for each app" in notes(world(), storage="memory", memory_lines=5000)


def test_the_forwarders_traps_are_told_before_the_change() -> None:
    plain = problems(world(drain=DRAIN), forward="plain", forward_to="logs.example.com:6514")
    assert "the journal of a host holds secrets" in words(plain, "forward")
    assert "leave the cluster readable" in words(plain, "forward")
    assert "a receiver of both gets each line twice" in words(plain, "forward")
    assert "does not look whose certificate" in notes(world(), forward="tls", forward_to="l:6514")
    for bad, why in (("tcp://l:1", "without a scheme"), ("l", "port is missing"), ("", "missing")):
        assert why in words(problems(world(), forward="tls", forward_to=bad), "forward_to")


def test_an_agents_traps_are_told_before_the_change() -> None:
    none = words(problems(world(), agents=["datadog"]), "datadog_image")
    assert "those of the Deis documentation are no longer kept" in none
    retired = problems(world(), agents=["cadvisor"], cadvisor_image="google/cadvisor:latest")
    assert "warns: google/cadvisor is retired on Docker Hub" in words(retired, "cadvisor_image")
    for image in ("x; reboot", "a b", "$(id)", "UPPER/case", "a:1\nExecStart=/bin/sh", "é"):
        bad = problems(world(), agents=["cadvisor"], cadvisor_image=image)
        assert words(bad, "cadvisor_image") == "this is not an image name"
        with pytest.raises(PreconditionError, match="not an image name"):
            plan(world(), choose(agents=["cadvisor"], cadvisor_image=image))
    theirs = Unit(name="cadvisor.service", is_global=True)
    twice = problems(world(units=(theirs,)), agents=["cadvisor"], cadvisor_image=IMAGE)
    assert "cadvisor.service runs already" in words(twice, "agents")
    assert "want the same port 8080" in words(twice, "agents")
    told = notes(world(), agents=["datadog"], datadog_image=IMAGE, datadog_key=KEYED)
    assert "who may ask a host's Docker engine reads an agent's key" in told
    assert "a host that joins later gets the unit, but not the file with the key" in told
    assert "everybody who may ask fleet reads those" in told


def test_a_drain_that_stays_is_tried_out_and_put_back_without_being_named() -> None:
    now = world(drain=DRAIN)
    made = plan(now, choose(proof="listen"))
    ids = [step.id for step in made.steps]
    assert ids == [
        "keep:/deis/logs/drain", "write:trial", "wait:trial", "hear", "again:drain", "wait:drain",
        "say", "heard", "reach:deis-1", "reach:deis-2", "reach:deis-3", "clear:reach",
    ]  # fmt: skip
    assert DRAIN not in made.model_dump_json()
    proven = world(drain=DRAIN, markers=(sent(), sent(), ""))
    assert plan(proven, choose(proof="listen")).is_empty


def test_a_wrong_word_is_refused_and_the_right_one_only_writes_the_proof() -> None:
    now = world(drain=DRAIN, markers=(sent(), "", ""))
    assert "not the word of the last marker" in words(problems(now, word="deadbeef"), "word")
    made = plan(now, choose(word=f" {WORD.upper()} "))
    ids = [step.id for step in made.steps]
    assert ids == ["reach:deis-1", "reach:deis-2", "reach:deis-3", "clear:reach", "write:proven"]
    unkept = world(drain=DRAIN, mounts="", markers=(sent(), "", ""))
    assert [s.id for s in plan(unkept, choose(word=WORD)).steps] == ["write:proven"]
    after = world(drain=DRAIN, markers=(sent(), sent(), ""))
    proof = [c for c in verify(now, after, choose(word=WORD)) if "proven" in c.title]
    assert [c.ok for c in proof] == [True]
    assert [c.ok for c in verify(now, now, choose(word=WORD)) if "proven" in c.title] == [False]
    assert plan(after, choose()).is_empty


def test_a_marker_that_was_sent_is_not_called_a_proof() -> None:
    now, chosen = world(drain=""), choose(drain="send", drain_to=DRAIN)
    after = world(drain=DRAIN, markers=(sent(), "", ""))
    (proof,) = [c for c in verify(now, after, chosen) if "marker" in c.title]
    assert proof.ok and "NOT PROVEN yet" in proof.title and "type the word" in proof.evidence
    (none,) = [c for c in verify(now, world(drain=DRAIN), chosen) if "marker" in c.title]
    assert none.ok is False


def test_a_failing_unit_or_an_unticked_one_that_stays_is_not_verified() -> None:
    chosen = choose(agents=["cadvisor"], cadvisor_image=IMAGE)
    parts = cadvisor((1, 2))
    checks = verify(world(), world(**parts), chosen)
    assert [c.title for c in checks if not c.ok] == [f"{CADVISOR} runs on deis-3"]
    assert f"{CADVISOR} is gone" in [
        c.title for c in verify(world(**parts), world(**parts), choose()) if not c.ok
    ]


def test_the_former_drain_is_in_no_text_and_the_plan_says_keep_when_it_stays() -> None:
    before = "tcp://former.example.com:601"
    made = plan(world(drain=before), choose(drain="send", drain_to=DRAIN))
    assert before not in made.model_dump_json()
    assert "tcp to former.example.com:601" in as_text(made, "changes")
    same = plan(world(drain=before), choose(drain="send", drain_to=before, proof="none"))
    assert same.choices["drain"] == "keep" and before not in same.model_dump_json()
    gone = plan(world(drain=before), choose(drain="off"))
    assert [step.kind for step in gone.steps][:2] == ["copy-key", "remove-key"]


def test_a_host_that_is_down_is_named_and_not_waited_for() -> None:
    now = world(**cadvisor(()))
    down = host(3, images=None, reachable=False)
    now = now.model_copy(update={"hosts": (*now.hosts[:2], down)})
    made = plan(now, choose(agents=["cadvisor"], cadvisor_image=IMAGE))
    assert {s.host for s in made.steps if s.kind == "wait" and "runs" in s.title} == {
        "deis-1",
        "deis-2",
    }
    assert "not waited for on deis-3" in " ".join(made.impact.notes)
