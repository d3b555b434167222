"""``deiswizard plan``: what would change and run; nothing does."""

from __future__ import annotations

import argparse
import json

from deiswizard.answers import AnswersFile, load
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.commands.opening import opened
from deiswizard.commands.saving import save
from deiswizard.commands.saying import result, talk
from deiswizard.commands.secrets import ask_secret
from deiswizard.errors import AnswersError
from deiswizard.materials import Prepared, make_plan
from deiswizard.plan.plan import Plan
from deiswizard.plan.preview import View, as_text
from deiswizard.plan.script import script
from deiswizard.recommendations import catalogue

VIEWS: tuple[View, ...] = ("changes", "commands", "impact")


def answers_of(args: argparse.Namespace) -> AnswersFile:
    """The answers file, or an empty one: then every choice is the default."""
    from pathlib import Path

    ids = tuple(recommendation.id for recommendation in catalogue.ALL)
    return load(args.answers, ids) if args.answers else AnswersFile(Path("(defaults)"), {}, {})


def plans_for(names: list[str], answers: AnswersFile, snapshot: Snapshot) -> list[Prepared]:
    """A plan for each named recommendation. Raises AnswersError, PreconditionError."""
    chosen = [catalogue.named(name) for name in names]
    return [make_plan(r, snapshot, answers.choices_for(r, snapshot, ask_secret)) for r in chosen]


def text_of(plan: Plan) -> str:
    """All three views of a plan."""
    return "\n\n".join(f"{view.upper()}\n{as_text(plan, view)}" for view in VIEWS)


def run(args: argparse.Namespace) -> int:
    """Make the plans, print or save them."""
    answers = answers_of(args)
    for name in args.recommendations:
        catalogue.named(name)
    if args.output and len(args.recommendations) != 1:
        raise AnswersError("-o saves one plan", do="name one recommendation")
    if args.script and len(args.recommendations) != 1:
        raise AnswersError("--script writes one plan", do="name one recommendation")
    with opened(args) as session:
        snapshot = session.look(*args.recommendations)
        plans = [one.plan for one in plans_for(args.recommendations, answers, snapshot)]
        reach = session.reach(snapshot)
    if args.script:
        text = script(plans[0], reach)
        if args.output:
            save(args.output, text)
            talk(f"saved: {args.output}   read it, then run it with: sh {args.output}")
        else:
            result(text.rstrip("\n"))
        return 0
    if args.output:
        save(args.output, plans[0].model_dump_json(indent=2) + "\n")
        talk(f"saved: {args.output}")
    if args.json:
        result(json.dumps([plan.model_dump(mode="json") for plan in plans], indent=2))
    elif not args.output:
        result("\n\n".join(f"== {plan.title} ==\n{text_of(plan)}" for plan in plans))
    return 0
