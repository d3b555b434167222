# Two targets are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := python3-venv openssh-server openssh-client etcd-server etcd-client docker.io docker-registry \
	debootstrap e2fsprogs openssl iproute2 iptables postgresql-15 sudo tmux curl procps shellcheck

# Tests start the wizard hundreds of times: without its bytecode each start compiles all of it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check unit lab lab-shell pictures bench clean

demo: $(VENV)/installed
	$(BIN)/deiswizard demo

test: check unit

# What a person would forget: style, types, the border between engine and screens.
check: $(VENV)/installed-dev
	$(BIN)/ruff check deiswizard screens tests bench scripts
	$(BIN)/ruff format --check deiswizard screens tests bench scripts
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/installed-dev $(VENV)/packages
	$(BIN)/pytest -n 4 --dist loadgroup --no-loadscope-reorder --durations=60

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { apt-get update -q && apt-get install -y -q python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/python -m pip install -q -U pip

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install -q --group dev
	@touch $@

# The service tests need real servers; without root they are skipped and say so.
$(VENV)/packages: $(VENV)/bin/python Makefile
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then scripts/install-packages $(PACKAGES); fi
	@touch $@

# The tests that need real hosts. The first run builds their root file system: a minute or two.
lab: $(VENV)/installed-dev $(VENV)/packages
	$(BIN)/pytest -m lab

# Real hosts to point the wizard at; ctrl-c ends them.
lab-shell: $(VENV)/installed-dev $(VENV)/packages
	$(BIN)/python -m tests.lab

pictures: $(VENV)/installed-dev
	$(BIN)/python -m scripts.pictures

# The peers need another paramiko than we do, so they live in an environment of their own.
bench: $(VENV)/installed-dev
	@test -d .venv-peers || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q -U pip
	.venv-peers/bin/python -m pip install -q --only-binary :all: --group bench
	$(BIN)/python -m bench.first_frame
	$(BIN)/python -m bench.connect .venv-peers/bin/python
	$(BIN)/python -m bench.streaming

clean:
	rm -rf $(VENV) .venv-peers build dist *.egg-info
