# From a bare machine: Python 3.11 or newer and make are all that is needed, the rest goes into .venv/.
# `make` alone lists the targets. Repeated calls install nothing, until pyproject.toml changes.

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
NOTEBOOK := notebooks/01-quickstart.ipynb
# Further arguments for pytest, the bench or JupyterLab: make test ARGS="tests/model -x"
ARGS :=
JOBS := 2
# The first Python that will do; another is chosen by: make PYTHON=/path/to/python3.12 demo
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

PIP = $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
RUN = JUPYTER_PREFER_ENV_PATH=1 $(BIN)

# Runs of make that overlap take turns in .venv/: the lock ends with the last process that holds it, however it ends.
LOCKED = $(PYTHON) -c 'import fcntl, os, sys; lock = os.open("$(VENV)/.lock", os.O_CREAT | os.O_WRONLY); \
	fcntl.flock(lock, fcntl.LOCK_EX); os.set_inheritable(lock, True); os.execvp(sys.argv[1], sys.argv[1:])'

# $(call ready,NAME) brings the stamp .venv/.NAME up to date, and everything it stands for.
ready = test $(VENV)/.$(1) -nt pyproject.toml -a $(VENV)/.$(1) -nt Makefile || { $(CHECK_PYTHON) mkdir -p $(VENV); \
	MAKEFLAGS= $(LOCKED) $(MAKE) -s PYTHON='$(PYTHON)' VENV='$(VENV)' $(VENV)/.$(1); }

.PHONY: help demo lab test check bench system clean

help:
	@echo 'make demo    run the quickstart notebook headless and print its table'
	@echo 'make lab     open it in JupyterLab'
	@echo 'make test    run the tests (ARGS="tests/model -x" for some of them)'
	@echo 'make check   ruff, mypy and the tests with coverage: what CI runs'
	@echo 'make bench   measure against mitmdump and against no proxy'
	@echo 'make clean   remove what all of these made'

demo:
	@$(call ready,demo)
	@$(RUN)/python notebooks/run.py $(NOTEBOOK)

lab:
	@$(call ready,lab)
	@$(RUN)/jupyter lab $$(test "$$(id -u)" != 0 || echo --allow-root) $(ARGS) $(NOTEBOOK)

test: system
	@$(call ready,test)
	@$(PYTEST) $(ARGS)

check: system
	@$(call ready,check)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(PYTEST) --cov --cov-report=term $(ARGS)

bench:
	@$(call ready,test)
	@$(call ready,mitmproxy)
	@$(BIN)/python -m tests.bench $(ARGS)

clean:
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The programs that the tests drive and that pip cannot bring.
system:
	@missing=; has() { command -v "$$1" >/dev/null 2>&1; }; \
	has curl || missing="$$missing curl"; \
	has node || missing="$$missing nodejs"; \
	has chromium || has chromium-browser || has google-chrome || test -n "$$CHROMIUM" || missing="$$missing chromium"; \
	test -n "$$missing" || exit 0; \
	root=; test "$$(id -u)" = 0 || root='sudo -n'; \
	if has apt-get && $$root true 2>/dev/null; then \
		echo "Installing$$missing"; \
		apt="$$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600"; \
		$$apt update && $$apt install --no-install-recommends -y $$missing >/dev/null; \
	else \
		echo "Not found:$$missing. The tests that need them will say so; on Debian or Ubuntu:" >&2; \
		echo "    sudo apt-get install$$missing" >&2; \
		echo "elsewhere by your own package manager (a browser by CHROMIUM=/path/to/it)." >&2; \
	fi

define CHECK_PYTHON
	test -n "$(PYTHON)" || { \
		echo "nbproxy needs Python 3.11 or newer, and none was found." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 demo" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "nbproxy needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)" >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: its modules venv and ensurepip are missing." >&2; \
		echo "On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; };
endef

# Stamps. Each is made under the lock, by way of $(call ready,NAME).

$(VENV)/.base:
	echo "Setting up $(VENV)/ with $$($(PYTHON) --version); the first time takes about a minute"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.demo: $(VENV)/.base pyproject.toml Makefile
	$(PIP) install --editable . --group demo
	touch $@

$(VENV)/.lab: $(VENV)/.base pyproject.toml Makefile
	echo 'Installing JupyterLab'
	$(PIP) install --editable '.[lab]' --group demo
	touch $@

$(VENV)/.test: $(VENV)/.base $(VENV)/.ipykernel-6 $(VENV)/.pandas-2 $(VENV)/.mitmproxy pyproject.toml Makefile
	echo 'Installing what the tests need'
	$(PIP) install --editable . --group test
	touch $@

$(VENV)/.check: $(VENV)/.test pyproject.toml Makefile
	$(PIP) install --group check
	touch $@

# The older line of ipykernel, put before the newer one on a kernel's path by the tests.
$(VENV)/.ipykernel-6: $(VENV)/.base Makefile
	$(PIP) install --upgrade --target $(VENV)/ipykernel-6.31 --no-deps ipykernel==6.31.0 nest-asyncio
	touch $@

# The oldest pandas that we support, put before the newest one on a path by the tests; pytz is what it needs beside.
$(VENV)/.pandas-2: $(VENV)/.base Makefile
	$(PIP) install --upgrade --target $(VENV)/pandas-2.3 --no-deps 'pandas==2.3.*' pytz
	touch $@

# In an environment of its own: its pins contradict Jupyter's.
$(VENV)/.mitmproxy: $(VENV)/.base Makefile
	echo 'Installing mitmproxy, to compare with'
	$(BIN)/python -m venv --clear $(VENV)/mitmproxy
	$(VENV)/mitmproxy/bin/python -m pip -qq --disable-pip-version-check --no-input install mitmproxy
	touch $@
