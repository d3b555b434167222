"""The lab itself: an aborted one leaves nothing that stands in the way of the next."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.lab.cgroups import identity
from tests.lab.fixtures import Ruins
from tests.lab.lab import Lab, running
from tests.lab.network import ip
from tests.lab.place import MOST, Place, taken
from tests.lab.waiting import await_that


def test_a_lab_that_was_killed_is_gone_and_the_next_one_works(aborted_lab: Ruins, lab: Lab) -> None:
    assert lab.place == aborted_lab.place and len(aborted_lab.processes) >= 3 * 8
    assert not [one for one in aborted_lab.processes if identity(int(one.split()[0])) == one]
    for host in lab.hosts:
        assert host.run("uname", "-n").stdout.strip() == host.name
    assert lab.value("/deis/platform/domain")


def test_nothing_of_the_hosts_is_mounted_outside(lab: Lab) -> None:
    assert str(lab.folder) not in Path("/proc/mounts").read_text()
    for host in lab.hosts:
        assert "/var/lib/docker" in host.run("cat", "/proc/mounts").stdout


def test_no_two_labs_have_the_same_place_and_one_too_many_harms_nothing(lab: Lab) -> None:
    with pytest.raises(RuntimeError, match="other labs"), running(number=lab.place.number):
        pass
    for host in lab.hosts:
        host.await_services()
    places = [Place(number) for number in range(MOST)]
    assert (
        len({place.network.inside for place in places} | {p.network.outside for p in places}) == 8
    )


def test_ruins_at_any_place_are_cleared_by_whoever_comes_next(lab: Lab) -> None:
    other = Place(MOST - 1)
    other.folder.mkdir(exist_ok=True)
    other.network.make_bridge()
    other.network.plug_in("deis-1", f"{other.network.inside}.11")
    other.groups.make("deis-1")
    with taken() as found:
        assert found not in (lab.place, other)
        assert not other.folder.exists() and not other.network.space("deis-1").exists()
        assert other.network.prefix not in ip("-o", "link", "show")


def test_the_registry_refuses_in_docker_hubs_words_and_is_missed_when_it_is_down(lab: Lab) -> None:
    host, image = lab.hosts[0], "deis/router:v1.13.4"

    def pull() -> str:
        said = host.run("docker", "pull", image, check=False)
        return said.stderr if said.returncode else ""

    lab.registry.refuse(429)
    assert "toomanyrequests: You have reached your pull rate limit" in pull()
    lab.registry.refuse(500)
    assert "500 Internal Server Error" in pull()
    lab.registry.stop()
    assert "connection refused" in pull()
    lab.registry.start()
    assert pull() == "" and image in host.images()


def test_database_and_store_lose_nothing_by_a_power_failure_and_all_of_a_test_by_a_reset(
    lab: Lab,
) -> None:
    first, host = lab.database.dump(), lab.host("deis-1")
    lab.store.start()
    lab.database.sql("insert into api_app values ('wiki', 1, '{}')")
    lab.store.remove("registry", next(iter(lab.store.objects("registry"))))
    host.power_off()
    host.power_on()
    lab.await_platform()
    count = "docker exec deis-database sudo -u postgres psql -d deis -tAc 'select count(*) from api_app'"
    await_that(lambda: host.run("sh", "-c", count, check=False).stdout == "3\n", "the same data")
    listed = "docker exec deis-database envdir /etc/wal-e.d/env wal-e --terse backup-list"
    assert host.run("sh", "-c", listed).stdout.count("\nbase_") == 3
    where = lab.value("/deis/store/gateway/host")
    lab.reset()
    assert lab.database.dump() == first
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"http://{where}:8888/", timeout=10)
    lab.store.start()
    assert len(lab.store.objects("registry")) == 12
    host.run("systemctl", "stop", "deis-database.service")
    gone = host.run("sh", "-c", count, check=False)
    host.run("systemctl", "start", "deis-database.service")  # fleet starts it no second time
    assert (gone.returncode, gone.stderr) == (1, "Error: No such container: deis-database\n")
