"""1. Isolating the planes: the control plane, the data plane and the router mesh on hosts of their own."""

from __future__ import annotations

from deiswizard.recommendations import provisioning
from deiswizard.recommendations.base import Recommendation
from deiswizard.recommendations.planes import apps, shutdown
from deiswizard.recommendations.planes.assess import assess
from deiswizard.recommendations.planes.ceph_facts import ceph_questions
from deiswizard.recommendations.planes.choices import check_choices, defaults
from deiswizard.recommendations.planes.facts import PlanesChoices, questions
from deiswizard.recommendations.planes.form import FIELDS
from deiswizard.recommendations.planes.plan import plan
from deiswizard.recommendations.planes.verify import verify

RECOMMENDATION = Recommendation(
    id="planes",
    number=1,
    title="Isolating the planes",
    why="Keeps the control plane, apps and routers on hosts of their own, so that hosts for apps can come and "
    "go without taking a part of the platform with them.",
    doc="Production deployments, Isolating the Planes",
    choices=PlanesChoices,
    fields=FIELDS,
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    questions=lambda snapshot: (
        *questions(snapshot),
        *ceph_questions(snapshot),
        *shutdown.questions(snapshot),
        *apps.questions(snapshot),
    ),
    read=provisioning.read,
    fingerprints=provisioning.fingerprints,
)
