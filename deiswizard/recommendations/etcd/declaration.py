"""2. Isolating etcd: few members on hosts that stay, a proxy on every other."""

from __future__ import annotations

from deiswizard.recommendations import provisioning
from deiswizard.recommendations.base import Recommendation
from deiswizard.recommendations.etcd.assess import assess
from deiswizard.recommendations.etcd.choices import EtcdChoices, check_choices, defaults
from deiswizard.recommendations.etcd.facts import questions
from deiswizard.recommendations.etcd.form import FIELDS
from deiswizard.recommendations.etcd.plan import plan
from deiswizard.recommendations.etcd.verify import verify

RECOMMENDATION = Recommendation(
    id="etcd",
    number=2,
    title="Isolating etcd",
    why="Keeps etcd on a few hosts that stay. Every other host runs a proxy, so hosts can come and go "
    "without a vote being lost.",
    doc="Production deployments, Isolating etcd",
    choices=EtcdChoices,
    fields=FIELDS,
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    questions=questions,
    read=provisioning.read,
    fingerprints=provisioning.fingerprints,
)
