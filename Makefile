# The two commands: `make demo` and `make test`. Everything they need beyond Rust, Go and a C compiler is built once into
# the user's cache (COVENANT_CACHE, or ~/.cache/covenant) and found again next time.

.DEFAULT_GOAL := help
SHELL := /bin/bash

.PHONY: help demo test fast test-oldest guard-coverage e2e tools bench soak mutants lint deny fmt crds cluster

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 22

demo: ## Tell the main job as a story, on a real API server (DEMO_FLAGS="--keep" leaves it running)
	@echo "==> building the operator (release)"
	@cargo build --release --locked --bin covenant
	@cargo build --locked -p testbed --bins
	@tools/build 1.36 etcd helm cyclonus
	@cargo run --quiet --locked -p testbed --bin demo -- --covenant "$${CARGO_TARGET_DIR:-target}/release/covenant" $(DEMO_FLAGS)

test: tools ## Pass all tests, on the newest and the oldest supported Kubernetes
	@echo "==> the oldest supported Kubernetes first: resources, guards and the main story"
	@$(MAKE) --no-print-directory test-oldest
	@echo "==> everything, on Kubernetes $${COVENANT_KUBERNETES:-1.36}"
	@tools/test

test-oldest: ## Resources, guards and the main story on Kubernetes 1.33
	COVENANT_KUBERNETES=1.33 cargo test --locked --test crd_drift --test guards_reach --test operator_smoke
	COVENANT_KUBERNETES=1.33 cargo test --locked --test hold_stories life
	@$(call guards_seen_both_ways,1.33)

# Runs the guards' tests with shadows of the guards beside them, and asks the audit logs what every expression came to.
define guards_seen_both_ways
folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && export COVENANT_KUBERNETES=$(1) COVENANT_GUARD_COVERAGE="$$folder" && \
RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} cargo test --locked --test guards --test guards_bypasses --test holds --test retention_guards --test encryption_guards --test break_glass --test transit_guards --test telemetry_guards && cargo run --quiet --locked -p testbed --bin guard-coverage
endef

guard-coverage: tools ## Every expression of every guard, seen both ways on the newest and the oldest supported Kubernetes
	@$(call guards_seen_both_ways,1.33)
	@$(call guards_seen_both_ways,1.36)

fast: ## The one-minute loop: everything that needs no cluster
	cargo test --locked --lib --test decision --test hold_plan --test retention_plan --test transit_plan --test encryption_plan --test telemetry_plan --test retention_cli --test ledger_cli --test timers --test laws --test simulate --test check --test layering --test examples --test cli

e2e: ## Holds on a real node: kubelet and containerd (root; installs nothing)
	@tools/build 1.36 etcd helm node-1.36
	cargo test --locked --features node --test node -- --nocapture

tools: ## Build etcd, Kubernetes, helm, cyclonus and what else the tests run into the cache
	@tools/build 1.36 1.33 etcd helm cyclonus ledger-verify kms-plugin prometheus otel-collector

bench: ## Measure calls, revisions, times and memory against raw clients, interleaved
	@tools/build 1.36 etcd helm cyclonus
	@cargo build --release --locked --bin covenant
	@cargo run --release --locked -p testbed --bin bench -- --covenant "$${CARGO_TARGET_DIR:-target}/release/covenant" $(BENCH_FLAGS)

soak: ## A million deletes under a hold, ten thousand holds in the midst of a disposal, every weakening of a guard on a cluster, forty times the random cases
	@tools/build 1.36 etcd helm cyclonus
	COVENANT_SOAK=$${COVENANT_SOAK:-1000000} COVENANT_SOAK_RETENTION=$${COVENANT_SOAK_RETENTION:-10000} \
		cargo test --release --locked --test soak -- --nocapture
	COVENANT_EXHAUSTIVE=1 cargo test --release --locked --test laws --test ledger --test retention_plan --test retention_decision
	COVENANT_EXHAUSTIVE=1 cargo test --release --locked --test hold_stories weakening -- --nocapture
	COVENANT_EXHAUSTIVE=1 cargo test --release --locked --test retention_faults --test convergence -- --nocapture

mutants: ## Break the decision on purpose, and see every break caught (MUTANTS="name name": those only)
	cargo run --quiet --locked -p testbed --bin mutants -- $(MUTANTS)

lint: ## Formatting, clippy, the core without a client, licences and bans
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features node -- -D warnings
	cargo check --locked --lib --no-default-features
	@$(MAKE) --no-print-directory deny

deny: ## Licences, bans and sources of dependencies; advisories where they are at hand
	@tools/deny

fmt: ## Format
	cargo fmt --all

crds: ## Write the generated CustomResourceDefinitions
	cargo run --quiet --locked --no-default-features --bin covenant -- crds --dir crds

cluster: tools ## Start a cluster with the chart installed, for trying things by hand
	cargo run --quiet --locked -p testbed --bin testbed-cluster
