# What there is to run. It takes cargo and a Python of 3.10 or later; the rest goes into .venv.
#
# Stamps in .venv tell what is installed there, so that a second call builds only what has changed.

PYTHON ?= python3
# Those that test-range looks for.
PYTHONS ?= $(PYTHON) python3.10 python3.11 python3.12 python3.13 python3.14
# What bench is told; for instance BENCH="--quick --only ResNet", which keeps nothing.
BENCH ?= --save

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
# Folders count as well: their times tell that a file was removed.
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md LICENSE \
	$(shell find src python -name __pycache__ -prune -o -print)
OLDEST = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
WHEEL = dist/shrew_ema-*.whl
STUB = python/shrew_ema/_core.pyi
# Zig links against the glibc of 2014, whichever this machine has. Of itself it would also link its own unwinder in
# place of the system's: when Python ends a daemon thread inside a call, the one would walk the frames of the other, and
# crash. Other systems have no such choice, and no such trouble.
UNWINDER = $(shell cc -print-file-name=libgcc_s.so.1)
PORTABLE = --zig --compatibility manylinux2014 -- -C link-arg=$(UNWINDER)

# maturin sets this where it belongs. Anywhere else it makes programs that can't be linked.
unexport PYO3_BUILD_EXTENSION_MODULE

.NOTPARALLEL:
.PHONY: help demo test test-rust test-python test-range check-range test-trainers lint lint-rust lint-python \
	stub counts counting wheel bench measure dev clean tools

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo $(VENV)/.package ## train on noisy digits, with and without averages, and draw digits.png
	@$(BIN)/python examples/digits.py --out "$(CURDIR)/digits.png"

test: test-rust test-python ## build everything and run every test, Rust and Python

test-rust: | tools
	@cargo test --locked --features shrew

test-python: $(VENV)/.dev $(VENV)/.package
	@$(BIN)/python -m pytest
	@$(BIN)/python -m pytest tests/trainers -k shrew

test-range: wheel ## run the Python tests on the wheel with the oldest and the newest NumPy, for each Python here
	@$(BIN)/python tests/wheel/numpy_range.py $(WHEEL) $(PYTHONS)

# What this machine can't run it can check. What rustup lacks it fetches.
check-range: | tools ## check the crate with the oldest Rust that it is for, and for aarch64; it takes rustup
	@rustup toolchain install --profile minimal $(OLDEST)
	@rustup target add aarch64-unknown-linux-gnu
	@cargo +$(OLDEST) check --quiet --locked --features shrew
	@cargo +$(OLDEST) check --quiet --locked --no-default-features
	@RUSTFLAGS="--deny warnings" cargo check --quiet --locked --target aarch64-unknown-linux-gnu
	@RUSTFLAGS="--deny warnings" PYO3_NO_PYTHON=1 \
		cargo check --quiet --locked --target aarch64-unknown-linux-gnu --features python
	@echo "check-range: Rust $(OLDEST) and aarch64 have nothing to complain of"

# Apart from test and lint, as both frameworks take minutes to build. With both features in every line, so that what they
# have in common is built once.
test-trainers: export TRAINERS := candle,burn
test-trainers: $(VENV)/.dev $(VENV)/.package ## test and lint the adapters for candle and burn, and read what they save in Python
	@cargo clippy --quiet --locked --all-targets --features $(TRAINERS) -- --deny warnings
	@RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --locked --no-deps --features $(TRAINERS)
	@cargo test --locked --features $(TRAINERS) --lib --test candle --test burn
	@cargo test --locked --features $(TRAINERS) --doc -- candle burn
	@$(BIN)/python -m pytest tests/trainers -k "candle or burn"

lint: $(VENV)/.dev $(VENV)/.package ## check formats, warnings, types, documentation and dependencies
	@git status --porcelain >$(VENV)/.status
	@$(MAKE) --no-print-directory lint-rust lint-python
	@git status --porcelain | diff $(VENV)/.status - || { echo "lint: the lines above were left behind"; exit 1; }
	@echo "lint: nothing to complain of"

lint-rust: | tools
	@echo "lint: Rust"
	@cargo fmt --check
	@cargo clippy --quiet --locked --all-targets --features shrew -- --deny warnings
	@PYO3_PYTHON="$(CURDIR)/$(BIN)/python" \
		cargo clippy --quiet --locked --all-targets --features python -- --deny warnings
	@cargo clippy --quiet --locked --no-default-features -- --deny warnings
	@RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --locked --no-deps --features shrew
	@# Rust users never meet Python; the third line makes sure that the first two would notice.
	@! cargo tree --locked --edges normal --no-default-features --prefix none | grep -E '^(pyo3|numpy) '
	@! cargo tree --locked --edges normal --prefix none | grep -E '^(pyo3|numpy) '
	@cargo tree --locked --edges normal --features python --prefix none | grep -qE '^(pyo3|numpy) '

lint-python:
	@echo "lint: Python"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy
	@$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml shrew_ema

# The package has to be installed as it is, so that what is read off it is of today.
stub: $(VENV)/.dev $(VENV)/.package ## write the documentation of the compiled module into its stub, where editors read it
	@$(BIN)/python -c 'import re, sys; text = open(sys.argv[1]).read(); \
		open(sys.argv[1], "w").write(re.sub(r"\n *\"\"\"(?s:.*?)\"\"\"(?=\n)", "", text))' $(STUB)
	@$(BIN)/docify --quiet --in-place python
	@$(BIN)/ruff format --quiet $(STUB)

counts: counting $(VENV)/.dev $(VENV)/.package ## count the instructions of kernels and updates, and look for masked stores
	@$(BIN)/python -m pytest tests/counts

counting:
	@[ "$$(uname -sm)" = "Linux x86_64" ] || { echo "counts: the bounds are for Linux on x86-64"; exit 1; }
	@for tool in valgrind objdump; do command -v $$tool >/dev/null || { \
		echo "counts: $$tool is not on the PATH: on Debian, apt install valgrind binutils"; exit 1; }; done

# maturin looks for zig on the PATH.
wheel: $(VENV)/.wheel ## build the wheel for every Python and Linux into dist, install it and check it
	@echo "building the wheel: a minute or two the first time"
	@rm -f $(WHEEL)
	@PATH="$(CURDIR)/$(BIN):$$PATH" maturin build --quiet --release --out dist $(if $(filter Linux,$(shell uname)),$(PORTABLE))
	@$(BIN)/python tests/wheel/check.py $(WHEEL)

# The peers are gigabytes, so they have an environment of their own, and nothing else waits for them.
bench: ## measure everything against its peers, print the table and keep it in benches/
	@$(MAKE) --no-print-directory VENV=.venv-bench measure

measure: $(VENV)/.bench $(VENV)/.package
	@mkdir -p target/rows
	@RAYON_NUM_THREADS=2 cargo bench --quiet --locked --features shrew --bench against_shrew >target/rows/shrew.jsonl
	@cargo bench --quiet --locked --bench guard >target/rows/guard.jsonl
	@$(BIN)/python benches/python/run.py --rows target/rows/*.jsonl $(BENCH)

dev: $(VENV)/.dev $(VENV)/.package ## make .venv, with the package and the tools for work on it

clean: ## remove .venv and everything that was built
	@rm -rf $(VENV) .venv-bench target dist digits.png .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find python tests examples benches -name __pycache__ -prune -exec rm -rf {} +

# Asks before anything is made: without cargo, for one, maturin would set about downloading a Rust of its own.
tools:
	@command -v cargo >/dev/null || { echo "cargo is not on the PATH: see https://rustup.rs"; exit 1; }
	@[ -x $(BIN)/python ] || command -v $(PYTHON) >/dev/null || { \
		echo "there is no $(PYTHON): make PYTHON=/path/to/python ..."; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "$(PYTHON) is older than 3.10: make PYTHON=/path/to/another ..."; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) lacks the module named above: on Debian, apt install python3-venv"; exit 1; }

$(VENV)/.made: | tools
	@echo "making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1' # the first that reads dependency groups
	@touch $@

$(VENV)/.bench $(VENV)/.demo $(VENV)/.dev $(VENV)/.wheel: $(VENV)/.made pyproject.toml
	@echo "installing the dependency group $(subst .,,$(@F))"
	@$(PIP) install --group $(subst .,,$(@F))
	@touch $@

# The stamp is as old as the start of the build, so that what is edited meanwhile is built the next time.
$(VENV)/.package: $(VENV)/.made $(SOURCES) | tools
	@echo "building the package: a minute or two the first time"
	@touch $@.new
	@$(PIP) install .
	@mv $@.new $@
