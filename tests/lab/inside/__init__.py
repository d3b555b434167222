"""Programs that run on the lab's hosts, with Debian's Python alone: stand-ins for what is in no package.

They lie below ``/usr/lib/lab`` there. fleetd, fleetctl, deisctl and Deis's components answer like the
recordings in ``tests/recorded``; a stand-in that is kinder than the recording is a defect.
"""
