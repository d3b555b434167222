"""Real services to test against: hosts with their own sshd, etcd and Docker engine, and a registry."""
