# Everything below works on a fresh Debian 12 machine as root: what is missing is installed first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
APT := python3-venv openssh-client iproute2 mmdebstrap systemd-container apt-utils e2fsprogs qemu-system-x86 \
	qemu-utils nftables shellcheck fontconfig fonts-wqy-microhei chromium
WORKERS ?= 2
# Hosts are waited for more than they are worked for: timers, boots, the delay after a wrong password.
LAB_WORKERS ?= 3
# Each boots emulated machines for many minutes; tests/lab/test_lab_vm.py shows the tier itself in every run.
LONG := $(filter-out tests/lab/test_lab_vm.py,$(wildcard tests/lab/test_*_vm.py))

.PHONY: help demo test lint unit lab-tests vm-tests faults bench acceptance box packages venv clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

packages: ## install the Debian packages that are missing
	@missing=$$(for p in $(APT); do dpkg-query -W -f '$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q '^ii' || echo $$p; done); \
	if [ -n "$$missing" ]; then apt-get -qq update && \
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing >/dev/null; fi

venv: packages $(VENV)/installed ## make the Python environment

$(VENV)/installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/pip -q --disable-pip-version-check install -c constraints.txt -e '.[dev]'
	touch $@

demo: venv ## boot a clinic, harden it by both engines, prove it, sabotage it, report
	PATH="$(abspath $(BIN)):$$PATH" lab/demo.sh

test: lint unit lab-tests acceptance ## everything that CI runs; vm-tests is the long rest

lint: venv ## style, types, import rules, shell, YAML, Ansible, stale indexes
	$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	$(BIN)/mypy medsec cli/medsec_cli roles playbooks verify
	shellcheck $$(git ls-files '*.sh' .ci/run)
	$(BIN)/yamllint -s .
	ANSIBLE_HOME=$${TMPDIR:-/tmp}/medsec-ansible-lint $(BIN)/ansible-lint --offline -q
	$(BIN)/medsec build --check

unit: venv ## tests that need no host
	$(BIN)/pytest -q -n $(WORKERS) tests/unit

lab-tests: venv ## tests on real hosts
	$(BIN)/pytest -q --durations=25 -n $(LAB_WORKERS) --dist loadgroup tests/lab $(foreach file,$(LONG),--ignore=$(file))

vm-tests: venv ## trials that need a kernel of their own, on emulated machines: half an hour and more
	$(BIN)/pytest -q tests/vm $(LONG)

faults: venv ## try every fault again, and write docs/faults.md
	notes=$$(mktemp); trap 'rm -f "$$notes"' EXIT; \
	MEDSEC_FAULTS="$$notes" $(BIN)/pytest -q -n $(LAB_WORKERS) --dist loadgroup tests/lab/test_faults.py tests/lab/test_controller_killed.py tests/lab/test_clock_jump_vm.py && \
	$(BIN)/python -m tests.lab.faults_table "$$notes" > docs/faults.md

bench: venv ## measure verify, apply, auditing and drills beside their peers, and write docs/benchmarks.md: on a quiet machine
	$(BIN)/pip -q --disable-pip-version-check install -c constraints.txt -e '.[bench]'
	for part in verify apply database; do $(BIN)/python -m tests.bench.$${part}_bench || exit; done > docs/benchmarks.md.new
	mv docs/benchmarks.md.new docs/benchmarks.md
	$(BIN)/python -m tests.bench.plots docs/benchmarks.md docs/images

acceptance: venv ## what a new user does
	$(BIN)/pytest -q tests/acceptance

box: venv ## build the Vagrant boxes here, from Debian packages
	lab/vagrant/build-boxes.sh

clean: ## take every lab of this machine away
	if [ -x $(BIN)/python ]; then $(BIN)/python -c 'from medsec.lab import Lab; Lab.reap()'; fi
