"""How preseeding is asked: its hosts, its methods, the fields of the form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option
from deiswizard.recommendations.preseed import fleet as preseed_fleet
from deiswizard.recommendations.preseed.choices import (
    in_gb,
    missing_on,
    room_problem,
)
from deiswizard.recommendations.preseed.images import (
    needed_images,
)


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
        explain="Each host pulls what it lacks, and its engine is asked for the layers over the SSH "
        "connection: you see bytes, rate and time left, and every image is checked afterwards. If "
        "the link breaks, the pull goes on on its host.",
    ),
    Option(
        "script",
        "the hosts' own preseed script",
        explain="/run/deis/bin/preseed, as the Deis documentation has it. It shows no bytes, pulls all "
        "twelve components whether they are used or not, and its exit status says nothing (only its "
        "last image counts): every image is checked afterwards.",
    ),
    Option(
        "fleet",
        "one fleet unit, hosts that join later too",
        explain="A one-shot unit is submitted to fleet, which runs it on every host, and on each that "
        "joins later. No host is left out, and all pull at the same time: that is much for a narrow "
        "line or a public registry. You see which images are there, but no bytes. It stays until you "
        "take it back (undo); when the images change, this recommendation says so.",
    ),
)


def _methods(snapshot: Snapshot) -> tuple[Option, ...]:
    """The ways, the better one for this cluster marked, and why it is."""
    best, why = preseed_fleet.best_method(snapshot), preseed_fleet.why_offered(snapshot)
    return tuple(
        replace(
            option,
            recommended=option.value == best,
            explain=f"Recommended here: {why}. {option.explain}"
            if why and option.value == best
            else option.explain,
        )
        for option in METHODS
    )


def _chooses_hosts(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    """Fleet asks nobody on which hosts, nor on how many at a time."""
    return raw.get("method") != "fleet"


FIELDS = (
    FormField("method", "Method", "one", options=_methods),
    FormField(
        "hosts",
        "Hosts",
        "many",
        "Where the images shall be. A host that is left out downloads them during a failover.",
        options=_host_options,
        shown=_chooses_hosts,
    ),
    FormField(
        "hosts_at_a_time",
        "Hosts at a time",
        "number",
        "How many hosts pull side by side, 1 to 32. Two or three spare the registry and the line.",
        shown=_chooses_hosts,
    ),
    FormField(
        "extra_images",
        "Extra images",
        "list",
        "What else shall be there. Deis uses alpine:3.2 for its data containers, and store-admin "
        "to repair Ceph; neither is in the hosts' script. Separate names by spaces.",
        placeholder="repository:tag",
    ),
)
