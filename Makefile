# Needs go, make, git, python3 with pip, and for the race detector a C compiler.
# Everything else is fetched at pinned versions into .cache/.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOLS   := .cache/tools
VENV    := .cache/venv
LINTERS := .cache/linters
DATA    ?= ../shared/data
FUZZTIME ?= 10s
# The git revision that bench-diff compares with, and the benchmarks it runs.
BASE  ?= HEAD
BENCH ?= .

# Black-box packages drive real processes against the clock, so they run after
# the others, one at a time. They race no memory with what they test.
BLACKBOX := ./e2e/... ./internal/docstest/...
PACKAGES  = $(shell go list ./... | grep -vE '^wye/(e2e|internal/docstest)(/|$$)')
# Race detection costs a second build and ten times the run. It is left out only
# where nothing is concurrent, or where a race would be the tool's, not Wye's.
RACELESS  = ^wye/(predict/train|internal/(archtest|bench|configdoc|eval|protogen))(/|$$)

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.PHONY: demo
demo: build ## See prompts routed through a real Envoy, then stop everything.
	bin/wye demo

.PHONY: build
build: ## Build bin/wye, one static binary.
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/wye ./cmd/wye

.PHONY: test
test: vet unit race monitoring e2e ## Vet, unit, race and end-to-end tests: all of them.

.PHONY: vet
vet:
	go vet ./...

.PHONY: unit
unit: ## Unit tests alone.
	go test -timeout 15m $(PACKAGES)
	go test -tags purego ./predict # as on architectures without kernels of their own

.PHONY: race
race: ## Unit tests of what is concurrent, under the race detector.
	@command -v "$$(go env CC)" >/dev/null || { echo "the race detector needs a C compiler ($$(go env CC)): install one, e.g. apt-get install gcc" >&2; exit 1; }
	CGO_ENABLED=1 go test -race -timeout 20m $(shell go list ./... | grep -vE '^wye/(e2e|internal/docstest)(/|$$)' | grep -vE '$(RACELESS)')

.PHONY: e2e
e2e: build $(VENV)/ready ## Black-box tests with a real Envoy and the OpenAI SDKs.
	go test -count=1 -p 1 -timeout 20m $(BLACKBOX)

.PHONY: monitoring
monitoring: ## Check the alert rules and the dashboard with Prometheus's parsers.
	cd tools/monitoring && go vet . && go test . && go run . ../../examples/monitoring/alerts.yaml ../../examples/monitoring/dashboard.json

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s) each.
	tools/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build ## Compare Wye with Envoy alone and with no-op ext_proc servers.
	go run ./internal/bench

.PHONY: bench-fleet
bench-fleet: build ## Measure the control plane with 1,000 simulated sidecars and 20 Envoys.
	go run ./internal/fleetbench

.PHONY: bench-diff
bench-diff: $(TOOLS)/benchstat ## Compare Go benchmarks with revision BASE (HEAD).
	tools/bench-diff.sh '$(BASE)' '$(BENCH)' $(TOOLS)/benchstat

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## Format the Go code.
	$(TOOLS)/golangci-lint fmt ./...

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(LINTERS)/ready ## Lint the code, the scripts, the examples and the Dockerfile.
	$(TOOLS)/golangci-lint run ./...
	$(LINTERS)/bin/shellcheck .ci/run tools/*.sh internal/docstest/stubs/*
	$(LINTERS)/bin/ruff check --quiet --no-cache --per-file-ignores 'e2e/testdata/*:BLE001' examples e2e # a test reports whatever was raised
	$(LINTERS)/bin/hadolint Dockerfile

.PHONY: vuln
vuln: $(TOOLS)/govulncheck ## Look for known vulnerabilities (needs vuln.go.dev).
	$(TOOLS)/govulncheck ./...

.PHONY: gen
gen: ## Regenerate code and reference pages.
	go generate ./...

.PHONY: tidy
tidy:
	go mod tidy
	cd tools && go mod tidy
	cd tools/monitoring && go mod tidy

.PHONY: weights
weights: build ## Train the embedded predictor from DATA (../shared/data).
	bin/wye train --data '$(DATA)' --out predict/weights/default.wye

.PHONY: cover
cover: $(VENV)/ready ## Measure test coverage: .cache/cover.html.
	mkdir -p .cache
	go test -timeout 30m -coverpkg=./... -coverprofile=.cache/cover.out $(PACKAGES)
	go tool cover -html=.cache/cover.out -o .cache/cover.html
	go tool cover -func=.cache/cover.out | tail -n 1

.PHONY: image
image: ## Build the container image wye:VERSION.
	docker build --build-arg VERSION='$(VERSION)' --tag 'wye:$(VERSION)' .

.PHONY: check
check: fmt gen tidy lint ## Prove the tree formatted, linted, generated, tidy and committed.
	@git diff --exit-code
	@test -z "$$(git status --porcelain)" || { git status --short; echo "the tree is not clean" >&2; exit 1; }

.PHONY: clean
clean: ## Remove what this Makefile made.
	rm -rf bin dist .cache

$(TOOLS)/golangci-lint: PACKAGE = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/govulncheck:   PACKAGE = golang.org/x/vuln/cmd/govulncheck
$(TOOLS)/benchstat:     PACKAGE = golang.org/x/perf/cmd/benchstat
$(TOOLS)/golangci-lint $(TOOLS)/govulncheck $(TOOLS)/benchstat: tools/go.mod tools/go.sum
	mkdir -p $(TOOLS)
	cd tools && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o ../$@ $(PACKAGE)

$(VENV)/ready: e2e/requirements.txt
$(LINTERS)/ready: tools/requirements.txt
$(VENV)/ready $(LINTERS)/ready:
	python3 -m venv --without-pip $(@D)
	python3 -m pip --python $(@D)/bin/python install --quiet --disable-pip-version-check \
		--require-hashes --only-binary=:all: -r $<
	touch $@
