# Every target is one line that calls a script or cargo.

.PHONY: help demo picture check dev test client-table chart release bench bench-report bench-rollback chaos every-step mutations cost otel fuzz fmt sqlx openapi
.DEFAULT_GOAL := help

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## show the main job; ONCE=1 ends by itself, CLUSTER=kubernetes uses the current kubeconfig
	@ONCE='$(ONCE)' CLUSTER='$(CLUSTER)' scripts/demo

picture: ## take the README's picture of an order's page again, from the demo
	@PICTURE=docs/order-page.png scripts/demo

check: ## format, clippy, and the tests that need neither a database nor a cluster
	@scripts/check

dev: ## a server to work on, built again after each change; TESTBED=1 with the control plane of the tests, LISTEN=address
	@LISTEN='$(LISTEN)' TESTBED='$(TESTBED)' scripts/dev

test: ## everything that continuous integration runs; STEPS="format lint" runs some of it
	@scripts/test $(STEPS)

client-table: ## write the table of clients in docs/clients.md again, from the last run of the step clients
	@scripts/client-table write

chart: ## write charts/rendered again, after a change of the chart or of docs/rights.yaml
	@scripts/chart render

release: ## the static program, its image, chart, manual pages, bill of materials and checksums, in target/dist
	@scripts/release

bench: ## how fast Sluice is beside its database; ONLY="read accept drive statements takeover many" measures some of it
	@ONLY='$(ONLY)' scripts/bench load

bench-report: ## write docs/performance.md and its plots from the figures of the last make bench
	@scripts/bench-report write

chaos: ## random lives of applications: SEEDS=10000 of them, from FIRST=0 on; shrinks what breaks a promise
	@SLUICE_CHAOS_SEEDS='$(SEEDS)' SLUICE_CHAOS_FIRST='$(FIRST)' SQLX_OFFLINE=true scripts/postgres with target/chaos-postgres cargo test --locked -p sluice --test chaos every_seed -- --nocapture

every-step: ## stop the executor at every commit and every cluster call, on both sides, in every strategy and way back
	@SLUICE_EVERY_STEP=all SQLX_OFFLINE=true scripts/postgres with target/steps-postgres cargo test --locked --test it every_step:: -- --nocapture --test-threads=4

mutations: ## build faults in, one at a time, and show that tests find them; a build for each
	@scripts/mutations

bench-rollback: ## how fast a release goes back, beside kubectl rollout undo, on a real control plane
	@scripts/bench rollback

otel: ## what a collector gets of the program by OTLP, in a build with the feature otel
	@scripts/test traces

cost: ## what reading the worst inputs costs, in CPU time of a release build
	@SQLX_OFFLINE=true SLUICE_COST_TIME=yes cargo test --quiet --locked --release --test cost -- --nocapture no_input_costs

fuzz: ## let libFuzzer look for inputs that break a reader, until interrupted or for FOR=seconds
	@FOR='$(FOR)' scripts/fuzz-readers open

fmt: ## format the Rust code
	@cargo fmt

sqlx: ## record the queries in .sqlx again, after a change of a query or a migration
	@scripts/queries record

openapi: ## write openapi/edas.json again, after a change of the API
	@mkdir -p openapi && SQLX_OFFLINE=true cargo run --quiet --locked -- openapi >target/edas.json && mv target/edas.json openapi/edas.json
