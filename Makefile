# Each target works alone on a fresh clone: it makes .venv, installs what it
# needs there, and runs. Nothing outside this folder is changed, but for system
# packages on Debian and Ubuntu when run as root.
#
#   make demo    the whole job without a screen, results in demo-output/
#   make test    the test suite           (PYTEST_ARGS="-k name" picks tests)
#   make lint    style, types, manifest
#   make bench   benchmarks
#   make fuzz    damaged files for every reader, for long   (FUZZ=20000 sets how many)

SHELL := bash
SYSTEM_PACKAGES ?= yes
PYTEST_ARGS ?=
FUZZ ?= 3000
BIN := .venv/bin

# napari keeps settings in the home directory: use our own instead.
STATE := $(CURDIR)/.venv/state
export NAPARI_CONFIG := $(STATE)/napari.yaml
export XDG_RUNTIME_DIR ?= $(STATE)

.PHONY: demo test lint bench fuzz clean system-packages
.DEFAULT_GOAL := test

demo: system-packages
	tools/environment.sh gui
	@mkdir -p -m 700 "$(STATE)"
	MPLBACKEND=Agg tools/with-screen.sh $(BIN)/napari-liso demo

test: system-packages
	tools/environment.sh test
	@mkdir -p -m 700 "$(STATE)"
	$(BIN)/python -m pytest -n auto --maxprocesses=8 --dist loadfile $(PYTEST_ARGS)

lint:
	tools/environment.sh lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/npe2 validate src/napari_liso/napari.yaml

bench: system-packages
	tools/environment.sh test bench
	@mkdir -p -m 700 "$(STATE)"
	$(BIN)/python -m pytest benchmarks --benchmark-only $(PYTEST_ARGS)

fuzz:
	tools/environment.sh test
	LISO_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/readers -m hypothesis $(PYTEST_ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks dist build demo-output

system-packages:
ifeq ($(SYSTEM_PACKAGES),yes)
	@tools/system-packages.sh
endif
