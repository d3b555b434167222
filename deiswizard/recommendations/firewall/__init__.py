"""The hosts' own firewall, a part of Security."""
