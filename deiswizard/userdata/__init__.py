"""The operator's user-data (CoreOS cloud-config): read, judged, changed where needed, one file per role."""
