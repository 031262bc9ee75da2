# What a person needs: `make run`, `make test`, `make bench`; `make soak` for the tests that take an hour.

CARGO ?= cargo
GATEHOUSE_HOME ?= $(CURDIR)/gatehouse-home
export GATEHOUSE_HOME

.PHONY: run build test soak bench aarch64 tools

tools:
	@sh tests/run/tools.sh

build: tools
	$(CARGO) build --release --locked --target-dir target -p gatehouse-host -p system-monitor -p virtual-house

# A home with the bundled system-monitor plugin, served in the foreground.
run: build
	@mkdir -p "$(GATEHOUSE_HOME)/plugins"
	@chmod 700 "$(GATEHOUSE_HOME)"
	@cp target/release/libsystem_monitor.so "$(GATEHOUSE_HOME)/plugins/.libsystem_monitor.so.part"
	@mv "$(GATEHOUSE_HOME)/plugins/.libsystem_monitor.so.part" "$(GATEHOUSE_HOME)/plugins/libsystem_monitor.so"
	@exec target/release/gatehouse --home "$(GATEHOUSE_HOME)" serve

# The one test command: installs what it needs (and says so first), then runs everything.
test: tools
	@sh tests/run/test.sh

# The tests of `make test` that profit from it with counts that take about an hour.
soak: tools
	@sh tests/run/soak.sh

bench: build
	@sh tests/run/bench.sh

aarch64: tools
	@sh tests/run/aarch64.sh
