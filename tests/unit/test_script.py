"""The runbook as text: valid for every kind of step and every text, and without a secret."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.cluster.web import WebRequest
from deiswizard.inventory import Target
from deiswizard.plan import quoting
from deiswizard.plan.conditions import (
    CommandSays,
    Condition,
    DiskRoom,
    ImagePresent,
    KeyIs,
    MemberListed,
    NoMember,
    WebSays,
)
from deiswizard.plan.etcd_stands import EtcdPeer, EtcdStands
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.plan import Basis, FileBasis, KeyBasis, Plan
from deiswizard.plan.reach import Reach, reach_of
from deiswizard.plan.reach_conditions import ClusterWhole, FreshLogin, PortsTake
from deiswizard.plan.script import script
from deiswizard.plan.step import (
    CommandStep,
    CopyKeyStep,
    GuardStep,
    PullStep,
    RemoveKeyStep,
    Step,
    UploadStep,
    WaitStep,
    WriteKeyStep,
    shown,
)
from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.preseed import plan as preseed_plan
from deiswizard.recommendations.registration import plan as registration_plan
from deiswizard.recommendations.registration.facts import RegistrationChoices
from deiswizard.vocabulary import Danger, JobWay
from tests.builders import snapshot
from tests.unit.memory_cluster import command, plan_of, stage

DIRECT = reach_of(Target(host="10.21.2.11"), snapshot(), entry_name="deis-1", dialled="10.21.2.11")
THROUGH = reach_of(
    Target(host="gate.example", port=2222, identities=(Path("/k/id"),), use_agent=False),
    snapshot(), entry_name="deis-1", dialled="203.0.113.7",
)  # fmt: skip
SECRET_TEXT = "a ${secret:db/pass} 100% \\ $HOME `x` ${secret:db.pass}\n"
HARD = st.text("\\'\"`$!%#;&|<>(){}*? \n\t\x1b\u202eaé-=\x00", max_size=25)


def steps(host: str = "deis-2", text: str = "x", secret: str = "${secret:pass}") -> list[Step]:
    """Every kind of step and condition, with ``text`` wherever it may stand."""
    write, says = Danger.WRITE, CommandSays(host=host, command=text or "true", pattern="^x$")
    asked = WebRequest(host=host, name="deis.example.com", path=f"/{text}")
    sealed = asked.model_copy(update={"tls": True, "port": 443, "headers": (("X-A", text),)})
    conditions: list[Condition] = [
        FreshLogin(host=host), ClusterWhole(members=3, machines=("0" * 32,)),
        PortsTake(hosts=(host, "deis-1"), places=(("10.21.2.11", 22), ("10.21.2.13", 4001))),
        PortsTake(hosts=("",), places=(("10.21.2.12", 2375),), open=False),
        says, says.model_copy(update={"sudo": True, "pattern": "(?m)^x$"}),
        says.model_copy(update={"pattern": "(?=x)"}), KeyIs(key="/k", value=text),
        KeyIs(key="/k", value=None), ImagePresent(host=host, image="deis/x:v1"),
        DiskRoom(host=host, path="/var", needed=5),
        WebSays(request=asked, status="30[12]", header=("Location", "^https://")),
        WebSays(request=sealed, status="200", leaf="ab" * 32, trusted=True),
        WebSays(request=sealed.model_copy(update={"roots": "pem", "proxy_from": "198.51.100.7"}),
                status="(?=2)200", header=("X", "(?=x)"), leaf="ab" * 32, trusted=True),
    ]  # fmt: skip
    return [
        CommandStep(id="c1", title=text, host=host, command=text or "true", danger=write, undo=text),
        CommandStep(id="c2", title=text, host=host, command="cat", sudo=True, stdin=f"{text}\n"),
        CommandStep(id="c3", title=text, host=host, command="cat", stdin=text + secret),
        UploadStep(id="u1", title=text, host=host, path="/etc/x y", content=f"{text}\n", mode=0o600),
        UploadStep(id="u2", title=text, host=host, path="/x", content=secret, sudo=True, expect=""),
        UploadStep(id="u3", title=text, host=host, path="/x", content="", expect="0" * 64),
        WriteKeyStep(id="w1", title=text, key="/deis/x/y", value=text, danger=write),
        WriteKeyStep(id="w2", title=text, key="/deis/x/y", value=f"-{text}", expect=7),
        WriteKeyStep(id="w3", title=text, key="/deis/x/y", value=secret + text, expect=0),
        RemoveKeyStep(id="r1", title=text, key="/deis/x/y"),
        RemoveKeyStep(id="r2", title=text, key="/deis/x/y", expect=7),
        CopyKeyStep(id="k1", title=text, source="/deis/x/a b", key="/deis/x/y", danger=write),
        CopyKeyStep(id="k2", title=text, source="/deiswizard/kept/t/x", key="/y", expect=0),
        CopyKeyStep(id="k3", title=text, source="/a", key="/y", expect=7),
        *etcd_steps(host, text),
        PullStep(id="p", title=text, host=host, image="deis/x:v1", way=JobWay.UNIT),
        *(
            GuardStep(id=f"g{n}", title=text, host=host, condition=c, otherwise=text)
            for n, c in enumerate(conditions)
        ),
        *(
            WaitStep(id=f"t{n}", title=text, host=host, condition=c, waiting_for=text, on_timeout=text)
            for n, c in enumerate(conditions)
        ),
    ]  # fmt: skip


def etcd_steps(host: str, text: str) -> list[Step]:
    """What changes etcd's members, and what asks about them."""
    here = EtcdPeer(host=host, peer_url="http://10.21.2.12:2380", id="ab12")
    other = EtcdPeer(host="deis-1", peer_url="http://10.21.2.11:2380")
    found: list[Step] = [
        AddMemberStep(id="am", title=text, host=host, peer=here, others=(other,), name=text),
        RemoveMemberStep(id="rm", title=text, host=host, peer=here, others=(other,)),
        RemoveMemberStep(id="ru", title=text, host=host, peer=other, others=(here,)),
        CommandStep(
            id="cu", title=text, host=host, command=text or "true", unless=MemberListed(id="ab12")
        ),
    ]
    for change in ("none", "add", "remove"):
        asked = EtcdStands.model_validate(
            {"others": [other], "target": here, "change": change, "ready": host}
        )
        found.append(
            GuardStep(id=f"e{change}", title=text, host=host, condition=asked, otherwise=text)
        )
    gone = EtcdStands(others=(other,), target=here, change="remove", is_gone=True)
    nobody = NoMember(peer_url="http://10.21.2.12:2380")
    for name, condition in (("gone", gone), ("nobody", nobody)):
        found.append(
            GuardStep(id=f"e{name}", title=text, host=host, condition=condition, otherwise=text)
        )
    return found


def whole(text: str = "x", host: str = "deis-2", secret: str = "${secret:pass}") -> Plan:
    """A plan with all of them, forward and back."""
    all_steps = stage(*steps(host, text, secret), name=text)
    return plan_of(
        all_steps,
        undo=(all_steps,),
        basis=Basis(
            taken_at=0.0,
            keys=(KeyBasis(key="/k", index=7), KeyBasis(key="/l", index=0)),
            files=(
                FileBasis(host=host, path="/etc/x y", sha256="a" * 64),
                FileBasis(host=host, path="/etc/z", sha256=""),
            ),
            machines=("b", "a"),
        ),
    ).model_copy(update={"title": text, "cluster": text})


def is_valid(text: str) -> None:
    """As the shells and shellcheck see it."""
    for shell in ("sh", "bash"):
        done = subprocess.run([shell, "-n"], input=text, text=True, capture_output=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("reach", [DIRECT, THROUGH, Reach(entry="core@x")])
def test_every_kind_of_step_is_valid(reach: Reach) -> None:
    is_valid(script(whole(), reach))


def test_our_plans_are_valid_and_say_what_the_preview_says() -> None:
    now = snapshot()
    choices = preseed.defaults(now)
    plans = [
        registration_plan.plan(now, RegistrationChoices()),
        preseed_plan.plan(now, choices),
        preseed_plan.plan(now, choices.model_copy(update={"method": "script"})),
        plan_of(),
    ]
    for plan in plans:
        text = script(plan, DIRECT)
        is_valid(text)
        plain = text.replace("'\\''", "'")
        for step in plan.steps:
            assert shown(step) in plain or shown(step).replace("'\"'\"'", "'") in plain
            assert f"# {step.host or 'etcd'}: {step.title}" in text


@settings(max_examples=40, deadline=None)
@given(HARD)
def test_no_text_breaks_out(evil: str) -> None:
    plan = whole(evil or "x", host=evil or "x")
    text = script(plan, THROUGH)
    assert all(char.isprintable() or char == "\n" for char in text)
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    # what is commented out stays so: everything after the last word is a comment
    tail = text.split("# How to take it back", 1)[1].split("\n")
    assert all(line.startswith("#") for line in tail[1:] if line)


@settings(max_examples=150, deadline=None)
@given(HARD, st.sampled_from(["", "é$x'%s\\\n"]))
def test_a_quoted_text_is_that_text(text: str, value: str) -> None:
    text = text.replace("\x00", "")
    template = f"{text}${{secret:a.b}}{text}" if value else text
    expected = template.replace("${secret:a.b}", value)
    name = quoting.variable("a.b")
    for shell in ("dash", "bash"):
        done = subprocess.run(
            [shell, "-c", quoting.printf(template)], capture_output=True, env={name: value}
        )
        assert done.stdout.decode() == expected, done.stderr
        done = subprocess.run(
            [shell, "-c", f"printf '%s.' {quoting.word(template)}"],
            capture_output=True, env={name: value},
        )  # fmt: skip
        assert done.stdout.decode().rstrip("\n.") == expected.rstrip("\n.")


def test_a_here_document_ends_where_its_text_does() -> None:
    text = "a\nEND_OF_FILE\n$x `y` \\\n"
    here = quoting.heredoc(text)
    assert here is not None
    done = subprocess.run(
        ["sh"], input="\n".join([f"cat {here[0]}", *here[1], ""]), text=True, capture_output=True
    )
    assert done.stdout == text
    assert quoting.heredoc("no end of line") is None
    assert quoting.heredoc("\ttab\n") is None
    assert quoting.heredoc("${secret:x}\n") is None


def test_secrets_are_asked_for_once_and_stand_nowhere() -> None:
    plan = whole(secret="${secret:db/pass}x${secret:db.pass}")
    text = script(plan, DIRECT)
    assert plan.secrets == ("db/pass", "db.pass")
    assert text.count("\nask ") == 2 and "${secret:" not in text and "stty -echo" in text
    for line in text.splitlines():
        if '"$secret_' in line and not line.startswith("#"):
            assert line.lstrip("# ").startswith("printf ")  # a builtin: nothing of it in argv
    is_valid(text)


def test_what_the_plan_expects_is_compared() -> None:
    text = script(whole(), DIRECT)
    for words in (
        "etcdctl set --swap-with-index 7 /deis/x/y' >/dev/null",
        "| $SSH core@10.21.2.11 'etcdctl mk /deis/x/y'",
        "etcdctl rm --with-index 7 /deis/x/y' >/dev/null",
        "etcdctl rm /deis/x/y' >/dev/null",
        "| grep -qx 'Modified-Index: 7'",
        "sha256sum < '",
    ):
        assert words in text, words


def test_what_a_step_needs_comes_before_it() -> None:
    plan = plan_of(stage(command("one", "b", needs=("two",)), command("two", "a")))
    text = script(plan, DIRECT)
    assert text.index("do two") < text.index("do one")
    circle = plan_of(stage(command("one", needs=("two",)), command("two", needs=("one",))))
    assert script(circle, DIRECT).count("# a: do ") == 2


def test_hosts_are_reached_as_the_wizard_reached_them() -> None:
    plan = plan_of(stage(command("one", "deis-1"), command("two", "deis-2"), command("x", "new")))
    direct = script(plan, DIRECT)
    assert "$SSH -n core@10.21.2.11 one" in direct and "$SSH -n core@10.21.2.12 two" in direct
    assert "$SSH -n core@new x" in direct and "inside" not in direct
    through = script(plan, THROUGH)
    assert "$SSH -n -p 2222 core@gate.example one" in through
    assert "inside -n core@10.21.2.12 two" in through
    assert "-i /k/id -o IdentitiesOnly=yes" in through


def test_a_gate_and_a_path_with_spaces_are_told() -> None:
    gate = Target(host="gate", user="ann", port=2022)
    target = Target(
        host="10.21.2.11", jumps=(gate,), identities=(Path("/my keys/id"),), identities_only=True,
        ssh_config=Path("/c"), explicit_known_hosts=(Path("/kh"),),
    )  # fmt: skip
    reach = reach_of(target, snapshot(), entry_name="deis-1", dialled="10.21.2.11")
    text = script(plan_of(stage(command("one", "deis-2"))), reach)
    is_valid(text)
    assert "-J ann@gate:2022" in text and "-F /c" in text and "UserKnownHostsFile=/kh" in text
    assert "# left out, because of the spaces: -i '/my keys/id'" in text


def test_reach_needs_no_live_hosts() -> None:
    empty = Snapshot(taken_at=0, cluster="c", via="x")
    reach = reach_of(Target(host="h"), empty, entry_name="", dialled="")
    assert "core@h" in script(plan_of(stage(command("one", ""))), reach)
