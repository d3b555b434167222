"""What makes a role's user-data of the operator's own, as data: a plan holds this, and never the text."""

from __future__ import annotations

from deiswizard.frozen import Frozen
from deiswizard.userdata.members import Member
from deiswizard.userdata.roles import EtcdRole, Role, role_user_data
from deiswizard.userdata.units import with_file, with_unit, with_unit_off


class HostFile(Frozen):
    """A file that a host writes at each start. It holds no secret: whoever reads the plan reads it."""

    path: str
    content: str


class HostUnit(Frozen):
    """A unit that a host starts, and (``enable``) systemd by itself at boot."""

    name: str
    content: str
    enable: bool = False


class RoleEdits(Frozen):
    """The edits of one role. ``members`` are names and peer URLs for a proxy's ``initial-cluster``;
    ``files`` and ``units`` are the firewall's; ``off`` are units that hosts without Ceph do not start.
    """

    etcd: EtcdRole | None = None
    planes: tuple[str, ...] = ()
    members: tuple[tuple[str, str], ...] = ()
    files: tuple[HostFile, ...] = ()
    units: tuple[HostUnit, ...] = ()
    off: tuple[str, ...] = ()

    @property
    def role(self) -> Role:
        """What the host is to be."""
        return Role(self.etcd, self.planes)

    @property
    def name(self) -> str:
        """``proxy``, ``control-router``, ``firewall``, ``stateless``."""
        return "firewall" if self.files else "stateless" if self.off else self.role.name

    @property
    def file_name(self) -> str:
        """``user-data-proxy``, as ``deiswizard userdata`` names it."""
        return f"user-data-{self.name}"


def user_data_of(text: str, edits: RoleEdits) -> str:
    """The role's file, made of the operator's own.

    Raises: as ``roles.role_user_data``.
    """
    members = tuple(Member(name, url) for name, url in edits.members)
    text = role_user_data(text, edits.role, members=members)
    for file in edits.files:
        text = with_file(text, file.path, file.content)
    for unit in edits.units:
        text = with_unit(text, unit.name, unit.content, enable=unit.enable)
    for name in edits.off:
        text = with_unit_off(text, name)
    return text
