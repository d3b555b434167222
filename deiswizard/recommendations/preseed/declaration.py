"""4. Preseeding containers: every Deis image on every host before a failover needs it."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.probe_script import DOCKER_DISK
from deiswizard.cluster.snapshot import Evidence, HostFacts, Snapshot
from deiswizard.recommendations.base import (
    Assessment,
    Finding,
    Problem,
    Recommendation,
)
from deiswizard.recommendations.preseed import fleet as preseed_fleet
from deiswizard.recommendations.preseed.choices import (
    SCRIPT,
    PreseedChoices,
    bytes_missing,
    in_gb,
    missing_on,
    room_problem,
    wanted,
)
from deiswizard.recommendations.preseed.form import FIELDS
from deiswizard.recommendations.preseed.images import (
    DATA_IMAGE,
    STORE_ADMIN,
    components_in_use,
    image_of,
    is_mutable,
    needed_images,
    release_of,
    wrong_script_names,
)
from deiswizard.recommendations.preseed.plan import plan
from deiswizard.run.events import Check
from deiswizard.vocabulary import Status
from deiswizard.wording import few


def assess(snapshot: Snapshot) -> Assessment:
    """How many of the needed images are where they should be."""
    images = [image.name for image in needed_images(snapshot)]
    findings: list[Finding] = []
    if not snapshot.keys_read:
        findings.append(
            Finding(
                status=Status.UNKNOWN,
                what="the image names could not be read from etcd",
                evidence=tuple(t.evidence for t in snapshot.troubles[:1]),
                do="look at etcd, then look again",
            )
        )
    readable = [host for host in snapshot.hosts if host.images is not None]
    for host in snapshot.hosts:
        if host.images is None:
            evidence = [t.evidence for t in snapshot.troubles if t.evidence.host == host.name]
            if host.trouble is not None:
                evidence.append(host.trouble.evidence)
            findings.append(
                Finding(
                    status=Status.UNKNOWN,
                    what=f"the images on {host.name} could not be read",
                    evidence=tuple(evidence),
                    do="see what is wrong with that host, then look again",
                )
            )
    findings += _findings_on_hosts(snapshot, readable, images)
    of_unit = preseed_fleet.findings(snapshot)
    findings += of_unit
    have = sum(len(images) - len(missing_on(host, images)) for host in readable)
    total = len(images) * len(snapshot.hosts)
    if not images:
        return Assessment(
            recommendation="preseed",
            status=Status.UNKNOWN,
            now="the Deis release is not known",
            explanation="Neither /deis/platform/version nor /etc/deis-release says which images "
            "Deis uses here.",
            findings=tuple(findings),
        )
    status = Status.PARTLY if have else Status.TO_DO
    if not readable or not snapshot.keys_read:
        status = Status.UNKNOWN
    elif have == total and not of_unit:
        status = Status.OK
    lacking = {host.name: missing_on(host, images) for host in readable}
    size = sum(bytes_missing(snapshot, names) for names in lacking.values())
    hosts = sum(bool(names) for names in lacking.values())
    missing = sum(len(names) for names in lacking.values())
    explanation = (
        f"{missing} images missing on {hosts} hosts (about {in_gb(size)}). Nothing restarts. "
        "Can be repeated."
        if missing
        else "Every host has every image that Deis needs here."
    )
    if preseed_fleet.covers_new_hosts(snapshot):
        explanation += " Hosts that join later are preseeded by fleet."
    return Assessment(
        recommendation="preseed",
        status=status,
        now=f"{have} of {total} images",
        explanation=explanation,
        findings=tuple(findings),
    )


def _findings_on_hosts(
    snapshot: Snapshot, hosts: Sequence[HostFacts], images: Sequence[str]
) -> list[Finding]:
    findings = []
    for host in hosts:
        if names := missing_on(host, images):
            shown = few(names, 3)
            findings.append(
                Finding(
                    status=Status.TO_DO,
                    what=f"{host.name} lacks {len(names)} of {len(images)} images: {shown}",
                    evidence=(Evidence(source="GET /images/json", host=host.name),),
                )
            )
        short = room_problem(snapshot, host, missing_on(host, images))
        if short:
            findings.append(
                Finding(
                    status=Status.AT_RISK,
                    what=f"{host.name}: {short}",
                    evidence=(Evidence(source=f"df -P -k {DOCKER_DISK}", host=host.name),),
                    do="free some space, or leave this host out",
                )
            )
    wrong = wrong_script_names(snapshot)
    for name_of_host in dict.fromkeys(host.name for host, *_ in wrong):
        of_host = [item for item in wrong if item[0].name == name_of_host]
        _, component, says, should = of_host[0]
        more = f" (and {len(of_host) - 1} more)" if len(of_host) > 1 else ""
        findings.append(
            Finding(
                status=Status.AT_RISK,
                what=f"{name_of_host}: its own preseed script would pull {says} for {component}, "
                f"but {should} is used here{more}",
                evidence=tuple(
                    Evidence(
                        source=f"/run/deis/bin/get_image /deis/{name}", host=name_of_host, said=said
                    )
                    for _, name, said, _ in of_host
                ),
                do="use the method 'pull', or see why etcdctl fails on that host",
            )
        )
    if mutable := [name for name in images if is_mutable(name)]:
        findings.append(
            Finding(
                status=Status.SOON,
                what=f"{', '.join(mutable)}: the tag moves, so being there does not mean being new",
                do="name a fixed tag in /deis/<component>/image",
            )
        )
    releases = {host.deis_release for host in hosts if host.deis_release}
    if len(releases) > 1 and not snapshot.value("/deis/platform/version"):
        findings.append(
            Finding(
                status=Status.AT_RISK,
                what=f"the hosts are of different releases: {', '.join(sorted(releases))}",
                evidence=tuple(
                    Evidence(source="/etc/deis-release", host=h.name, said=h.deis_release or "")
                    for h in hosts
                ),
                do=f"{release_of(snapshot)[0]} is used; set /deis/platform/version to decide it",
            )
        )
    return findings


def defaults(snapshot: Snapshot) -> PreseedChoices:
    """Every host that answered; three side by side; what Deis uses besides its components.

    By fleet where there are many hosts or they come and go, else by pulls.
    """
    extras = [DATA_IMAGE]
    if any(name.startswith("store-") for name in components_in_use(snapshot)):
        admin = image_of(snapshot, STORE_ADMIN)
        extras += [admin.name] if admin else []
    extras += [name for name in preseed_fleet.kept_extras(snapshot) if name not in extras]
    return PreseedChoices(
        hosts=tuple(host.name for host in preseed_fleet.readable_hosts(snapshot)),
        method=preseed_fleet.best_method(snapshot),
        extra_images=tuple(extras),
    )


def check_choices(snapshot: Snapshot, choices: PreseedChoices) -> tuple[Problem, ...]:
    """What cannot work, and what might not."""
    if choices.method == "fleet":
        return _check_fleet(snapshot, choices)
    problems = []
    if not choices.hosts:
        problems.append(Problem(field="hosts", what="no host is chosen", allowed="at least one"))
    for name in choices.hosts:
        host = snapshot.host(name)
        if host is None:
            known = ", ".join(h.name for h in snapshot.hosts)
            problems.append(Problem(field="hosts", what=f"there is no host {name}", allowed=known))
        elif host.images is None:
            why = host.trouble.what if host.trouble else "its Docker engine does not answer"
            problems.append(Problem(field="hosts", what=f"{name} cannot be used: {why}"))
        elif short := room_problem(snapshot, host, missing_on(host, wanted(snapshot, choices))):
            problems.append(
                Problem(
                    field="hosts",
                    what=f"{name}: {short}. Free some space, or leave this host out",
                    blocks=False,
                )
            )
        elif choices.method == "script" and not host.has_preseed_script:
            problems.append(
                Problem(
                    field="method",
                    what=f"{name} has no {SCRIPT}",
                    allowed="pull, or leave this host out",
                )
            )
    if choices.method == "script":
        wrong = {
            host.name for host, *_ in wrong_script_names(snapshot) if host.name in choices.hosts
        }
        problems += [
            Problem(
                field="method",
                what=f"the script on {name} would pull other images than those used here",
                allowed="pull",
                blocks=False,
            )
            for name in sorted(wrong)
        ]
    return tuple(problems)


def _check_fleet(snapshot: Snapshot, choices: PreseedChoices) -> tuple[Problem, ...]:
    """The same for the method that leaves no host out."""
    images = wanted(snapshot, choices)
    problems = [
        Problem(
            field="method",
            what=f"{name!r} is not an image name, so it is not put into a fleet unit",
            allowed="repository:tag, in /deis/<component>/image too",
        )
        for name in images
        if not preseed_fleet.is_safe(name)
    ]
    readable = preseed_fleet.readable_hosts(snapshot)
    if not readable:
        problems.append(Problem(field="method", what="the images of no host can be looked at"))
    for host in readable:
        if short := room_problem(snapshot, host, missing_on(host, images)):
            what = f"{host.name}: {short}. Free some space: this method leaves no host out"
            problems.append(Problem(field="method", what=what, blocks=False))
    problems += [
        Problem(
            field="method",
            what=f"{host.name} cannot be looked at; the unit runs there too",
            blocks=False,
        )
        for host in snapshot.hosts
        if host not in readable
    ]
    return tuple(problems)


def verify(before: Snapshot, after: Snapshot, choices: PreseedChoices) -> tuple[Check, ...]:
    """Every image on every chosen host, as the new look found it; and the fleet unit, if chosen."""
    images = wanted(after, choices)
    checks: list[Check] = []
    names = choices.hosts
    if choices.method == "fleet":
        names = tuple(host.name for host in preseed_fleet.readable_hosts(before))
        checks += preseed_fleet.checks(after, names, images)
    for name in names:
        host = after.host(name)
        if host is None or host.images is None:
            checks.append(Check(title=f"{name} has every image", ok=None, evidence="not reachable"))
            continue
        lacks = missing_on(host, images)
        have = len(images) - len(lacks)
        evidence = f"{have} of {len(images)} in the engine's list"
        if lacks:
            evidence += f"; missing: {', '.join(lacks[:3])}"
        checks.append(Check(title=f"{name} has every image", ok=not lacks, evidence=evidence))
    return tuple(checks)


RECOMMENDATION = Recommendation(
    id="preseed",
    number=4,
    title="Preseeding containers",
    why="Pulls every Deis image to every host before it is needed, so that a failover does not wait "
    "for a download.",
    doc="Production deployments, Preseeding containers",
    choices=PreseedChoices,
    fields=FIELDS,
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
)
