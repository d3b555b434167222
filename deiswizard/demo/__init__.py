"""A whole pretend cluster in this process: real SSH, the etcd v2 API, the Docker API."""
