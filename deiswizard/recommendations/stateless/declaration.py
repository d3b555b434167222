"""3. Running without Ceph: images, data and logs in stores outside the cluster."""

from __future__ import annotations

from deiswizard.recommendations import provisioning
from deiswizard.recommendations.base import Recommendation
from deiswizard.recommendations.stateless.assess import assess
from deiswizard.recommendations.stateless.choices import check_choices, defaults
from deiswizard.recommendations.stateless.facts import (
    ACCESS,
    PASSWORD,
    SECRET,
    StatelessChoices,
    questions,
)
from deiswizard.recommendations.stateless.form import FIELDS
from deiswizard.recommendations.stateless.plan import plan
from deiswizard.recommendations.stateless.verify import verify

RECOMMENDATION = Recommendation(
    id="stateless",
    number=3,
    title="Running without Ceph",
    why="Takes state out of the control plane: images in S3, data in a PostgreSQL of your own, log lines in memory. "
    "Saves up to 2 GB of memory on each host, and Ceph's care.",
    doc="Production deployments, Running Deis without Ceph",
    choices=StatelessChoices,
    fields=FIELDS,
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    questions=questions,
    read=provisioning.read,
    fingerprints=provisioning.fingerprints,
    secrets=lambda choices: {
        ACCESS: choices.access_key,
        SECRET: choices.secret_key,
        PASSWORD: choices.database_password,
    },
)
