"""4. Preseeding containers: every Deis image on every host before a failover needs it."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.probe_script import DOCKER_DISK
from deiswizard.cluster.snapshot import Evidence, HostFacts, Snapshot
from deiswizard.recommendations.base import (
    Assessment,
    Finding,
    FormField,
    Option,
    Problem,
    Recommendation,
)
from deiswizard.recommendations.preseed_choices import (
    SCRIPT,
    PreseedChoices,
    bytes_missing,
    in_gb,
    missing_on,
    room_problem,
    wanted,
)
from deiswizard.recommendations.preseed_images import (
    DATA_IMAGE,
    STORE_ADMIN,
    components_in_use,
    image_of,
    is_mutable,
    needed_images,
    release_of,
    wrong_script_names,
)
from deiswizard.recommendations.preseed_plan import plan
from deiswizard.run.events import Check
from deiswizard.vocabulary import Status


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
    elif have == total:
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
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
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
    """Every host that answered; pull; three side by side; what Deis uses besides its components."""
    extras = [DATA_IMAGE]
    if any(name.startswith("store-") for name in components_in_use(snapshot)):
        admin = image_of(snapshot, STORE_ADMIN)
        extras += [admin.name] if admin else []
    hosts = tuple(host.name for host in snapshot.hosts if host.images is not None)
    return PreseedChoices(hosts=hosts, extra_images=tuple(extras))


def check_choices(snapshot: Snapshot, choices: PreseedChoices) -> tuple[Problem, ...]:
    """What cannot work, and what might not."""
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


def verify(_before: Snapshot, after: Snapshot, choices: PreseedChoices) -> tuple[Check, ...]:
    """Every image on every chosen host, as the new look found it."""
    images = wanted(after, choices)
    checks = []
    for name in choices.hosts:
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


def _host_options(snapshot: Snapshot) -> tuple[Option, ...]:
    images = [image.name for image in needed_images(snapshot)]
    options = []
    for host in snapshot.hosts:
        if host.images is None:
            why = host.trouble.what if host.trouble else "its Docker engine does not answer"
            options.append(
                Option(host.name, f"{host.name}  {host.address}", warning=why, enabled=False)
            )
            continue
        lacks = missing_on(host, images)
        free = f"{in_gb(host.disk.free)} free" if host.disk else ""
        options.append(
            Option(
                host.name,
                f"{host.name}  {host.address}",
                note=f"{len(images) - len(lacks)}/{len(images)} images   {free}",
                explain="Missing here: " + (", ".join(lacks) or "nothing") + ".",
                warning=room_problem(snapshot, host, lacks),
            )
        )
    return tuple(options)


METHODS = (
    Option(
        "pull",
        "pull through the Docker API",
        recommended=True,
        explain="Each host's engine is asked for each missing image over the SSH connection: you see "
        "bytes, rate and time left, and every image is checked afterwards. If the link breaks, the "
        "pull starts again where the engine kept finished layers.",
    ),
    Option(
        "script",
        "the hosts' own preseed script",
        explain="/run/deis/bin/preseed, as the Deis documentation has it. It shows no bytes, pulls all "
        "twelve components whether they are used or not, and its exit status says nothing (only its "
        "last image counts): every image is checked afterwards.",
    ),
)

RECOMMENDATION = Recommendation(
    id="preseed",
    number=4,
    title="Preseeding containers",
    why="Pulls every Deis image to every host before it is needed, so that a failover does not wait "
    "for a download.",
    doc="Production deployments, Preseeding containers",
    choices=PreseedChoices,
    fields=(
        FormField(
            "hosts",
            "Hosts",
            "many",
            "Where the images shall be. A host that is left out downloads them during a failover.",
            options=_host_options,
        ),
        FormField("method", "Method", "one", options=lambda snapshot: METHODS),
        FormField(
            "hosts_at_a_time",
            "Hosts at a time",
            "number",
            "How many hosts pull side by side, 1 to 32. Two or three spare the registry and the line.",
        ),
        FormField(
            "extra_images",
            "Extra images",
            "list",
            "What else shall be there. Deis uses alpine:3.2 for its data containers, and store-admin "
            "to repair Ceph; neither is in the hosts' script. Separate names by spaces.",
            placeholder="repository:tag",
        ),
    ),
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
)
