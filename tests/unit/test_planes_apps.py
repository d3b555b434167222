"""Apps that are asked through the routers before and after the planes are isolated."""

from __future__ import annotations

from collections.abc import Mapping

from deiswizard.cluster.snapshot import Answer, KeyFact, Snapshot
from deiswizard.cluster.web import WebAnswer
from deiswizard.recommendations.planes import apps
from deiswizard.run.events import Check
from tests.unit.planes_world import world


def served(*names: str) -> Snapshot:
    keys = [KeyFact(key="/deis/platform/domain", value="example.com", index=1)]
    keys += [
        KeyFact(key=f"/deis/services/{name}/{name}_v2.web.1", value="10.21.2.14:49153", index=2)
        for name in names
    ]
    now = world()
    return now.model_copy(update={"keys": (*now.keys, *keys)})


def said(now: Snapshot, statuses: Mapping[tuple[str, str], int | None]) -> Snapshot:
    """The answers to what would be asked of it: by app and router; 200 where nothing else is named."""
    answers = []
    for question in apps.questions(now):
        app = question.id.removeprefix(apps.PREFIX)
        status = statuses.get((app, question.host), statuses.get((app, ""), 200))
        web = WebAnswer(status=status, said="" if status else "connection refused")
        answers.append(
            Answer(
                id=question.id, host=question.host, command=question.command,
                code=None if status is None else 0, web=web,
            )
        )  # fmt: skip
    return now.model_copy(update={"answers": (*now.answers, *answers)})


def judged(before: Snapshot, after: Snapshot) -> list[Check]:
    return list(apps.checks(before, after))


def test_each_app_with_a_container_is_asked_through_each_router() -> None:
    asked = apps.questions(served("shop", "blog"))
    assert {(one.id, one.host) for one in asked} == {
        (f"planes.app.{app}", f"deis-{n}") for app in ("shop", "blog") for n in (1, 2, 3)
    }
    assert all(one.web and one.web.name.endswith(".example.com") for one in asked)
    assert not apps.questions(world())


def test_of_very_many_the_first_router_is_asked() -> None:
    asked = apps.questions(served(*(f"app-{n}" for n in range(70))))
    assert len(asked) == apps.MANY and {one.host for one in asked} == {"deis-1"}


def test_all_that_answered_answer_whatever_they_say() -> None:
    now = served("shop", "blog")
    (check,) = judged(said(now, {}), said(now, {("shop", ""): 404}))
    assert check.ok and check.evidence == "2 apps through 3 routers: blog, shop"


def test_one_that_no_longer_answers_through_a_router_is_a_failure_with_its_words() -> None:
    now = served("shop", "blog")
    after = said(now, {("shop", "deis-2"): 503, ("shop", "deis-3"): None})
    failed, summed = judged(said(now, {}), after)
    assert failed.ok is False and failed.title == "shop answers through every router"
    assert failed.evidence == "deis-2: HTTP 503, deis-3: connection refused"
    assert summed.ok is False and "1 app through 3 routers: blog" in summed.evidence


def test_one_whose_containers_are_gone_is_a_failure() -> None:
    failed, _ = judged(said(served("shop", "blog"), {}), said(served("blog"), {}))
    assert failed.ok is False and "no container of it is published" in failed.evidence


def test_one_that_did_not_answer_before_is_only_told() -> None:
    now = said(served("shop", "blog"), {("shop", ""): 503})
    (check,) = judged(now, now)
    assert check.ok and check.evidence.endswith("blog; no answer before either: shop")


def test_without_apps_nothing_is_said() -> None:
    assert judged(world(), world()) == []
