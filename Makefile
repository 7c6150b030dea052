# What people and CI run alike. `make demo` and `make test` need Python >= 3.11, Rust and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Stamps make a second run quick: the tools, then the extension with everything it is built from.
TOOLS := $(VENV)/.tools-stamp
BUILT := $(VENV)/.built-stamp
RUST := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml 2>/dev/null)
export PYTHONDONTWRITEBYTECODE ?=

.PHONY: install demo test test-rust test-python lint lint-rust lint-python bench wheel clean

install: $(BUILT)

$(TOOLS):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'maturin>=1.9.4,<2'
	touch $@

# Editable: changes to Python files need no rebuild, changes to Rust or pyproject.toml do.
$(BUILT): $(TOOLS) pyproject.toml $(RUST)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --extras dev,test
	touch $@

demo: install
	$(BIN)/iotpm demo $(ARGS)

test: test-rust test-python

test-rust:
	cargo test --quiet

test-python: install
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: lint-rust lint-python

lint-rust:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# stubtest compares python/iotpm/_core.pyi with the extension that was built.
lint-python: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=python $(BIN)/stubtest iotpm._core

bench: install
	cargo bench -p iotpm-benches
	$(BIN)/iotpm bench engine $(ARGS)
	$(BIN)/iotpm bench features $(ARGS)

wheel: $(TOOLS)
	$(BIN)/maturin build --release --out dist

clean:
	rm -rf $(VENV) dist target
