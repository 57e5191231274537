# Everything one does with this tree. `make` alone lists it. Needs Go, make and sh; `make lint` fetches its linter.

GO       ?= go
FUZZTIME ?= 10s
SIM_ORDERS ?= 1000000
SIM_SEED   ?= 1
BENCH    ?= .

# The version is what git says, "dev" where there is no git.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD   := -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"

# Tools are built once, beside the repository, for the Go that builds it.
GOLANGCI_VERSION := v2.15.0
CACHE    := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/tiffin/tools
GOLANGCI  = $(CACHE)/golangci-lint-$(GOLANGCI_VERSION)-$(shell $(GO) env GOVERSION)/golangci-lint

GOVULN_VERSION := v1.9.0
GOVULNCHECK     = $(CACHE)/govulncheck-$(GOVULN_VERSION)-$(shell $(GO) env GOVERSION)/govulncheck
VULNDB         ?= https://vuln.go.dev

# Packages too slow under the race detector to run there: SQLite is C translated to Go, and a world of the
# simulation has one goroutine; MongoDB's suite waits for its stand-in. e2e kills processes, which are not built for it.
NO_RACE := /durable/sqlite$$|/durable/mongo$$|/sim$$|/verify$$|/house|/e2e$$

# Whether the race detector can run here: it needs a C compiler, but on macOS.
HAS_RACE = [ "$$(uname)" = Darwin ] || command -v "$$($(GO) env CC)" >/dev/null 2>&1

.DEFAULT_GOAL := help

.PHONY: help
help: ## List what can be made
	@echo "make up       is the one to begin with; the others:"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2 }' Makefile

.PHONY: up
up: check-go ## Build Tiffin and run all of it, 60 times as fast as life
	@$(MAKE) -s build
	@exec bin/tiffin up --speed 60

.PHONY: build
build: check-go ## Build bin/tiffin
	@printf 'building bin/tiffin %s (the first time takes a minute or two)\n' '$(VERSION)'
	@mkdir -p bin
	@{ $(GO) build -v $(BUILD) -o bin/tiffin ./cmd/tiffin 2>&1; echo "exit $$?"; } | { \
		n=0; eol=; \
		while IFS= read -r line; do \
			case "$$line" in \
			"exit "*) printf "$$eol"; exit "$${line#exit }" ;; \
			"go: downloading "*) [ ! -t 1 ] || { printf '\r\033[K  fetching %s' "$${line#go: downloading }"; eol='\r\033[K'; } ;; \
			*[!A-Za-z0-9_./-]*) printf "$$eol"; eol=; printf '%s\n' "$$line" ;; \
			*) n=$$((n+1)); [ ! -t 1 ] || { printf '\r\033[K  %s packages: %s' "$$n" "$$line"; eol='\r\033[K'; } ;; \
			esac; \
		done; }

# An older Go that may fetch newer ones (since 1.21 all do, unless told otherwise) is good enough.
.PHONY: check-go
check-go:
	@command -v $(GO) >/dev/null 2>&1 || { echo "make: Go is not installed (no '$(GO)' on the PATH). Install it from https://go.dev/dl and try again." >&2; exit 1; }
	@want=$$(awk '$$1 == "go" { print $$2 }' go.mod); \
	have=$$(cd / && GOTOOLCHAIN=local $(GO) env GOVERSION); have=$${have#go}; have=$${have%% *}; \
	oldest=$$(printf '%s\n%s\n' "$$want" "$$have" | sort -t . -k 1,1n -k 2,2n -k 3,3n | head -n 1); \
	[ "$$oldest" = "$$want" ] || case "$$have:$$(cd / && $(GO) env GOTOOLCHAIN)" in \
	1.?:*|1.1?:*|1.20:*|1.?.*|1.1?.*|1.20.*|*:local*) \
		echo "make: Go $$have is too old: Tiffin needs Go $$want or newer. Install it from https://go.dev/dl and try again." >&2; exit 1 ;; \
	*) echo "Go $$have is older than $$want: it fetches Go $$want for this build." ;; \
	esac

# The servers that tests need start once for all of them. Where one is to be installed first, that takes minutes.
.PHONY: test
test: check-go ## Run every test with the servers it needs, first what is concurrent under the race detector
	@mkdir -p bin
	@$(GO) build -buildvcs=false -o bin/with ./internal/engines/with
	@bin/with -- $(MAKE) --no-print-directory race tests

# Those that were not run under the race detector; all of them where it cannot run.
.PHONY: tests
tests:
	@if $(HAS_RACE); then \
		echo "go test, of the packages of NO_RACE"; \
		$(GO) test -timeout 15m $$($(GO) list ./... | grep -E '$(NO_RACE)'); \
	else \
		$(GO) test -timeout 20m ./...; \
	fi

.PHONY: race
race: ## Run the tests of what is concurrent under the race detector (needs a C compiler, but on macOS)
	@if $(HAS_RACE); then \
		echo "go test -race, without the packages of NO_RACE"; \
		$(GO) test -race -timeout 10m $$($(GO) list ./... | grep -Ev '$(NO_RACE)'); \
	else \
		echo "make: no C compiler here: THE RACE DETECTOR WAS NOT RUN" >&2; [ -z "$$CI" ]; \
	fi

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME=10s
	@$(MAKE) -s fuzz-list | while read -r pkg target; do \
		echo "--- $$pkg $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$pkg" || exit 1; \
	done

# One line a fuzz target: its package's folder and its name.
.PHONY: fuzz-list
fuzz-list:
	@grep -rE '^func Fuzz[A-Za-z0-9_]*\(' --include='*_test.go' . | \
		awk -F ':func |[(]' '{ dir = $$1; sub("/[^/]*$$", "", dir); print dir, $$2 }' | sort

.PHONY: bench
bench: ## Run the benchmarks, or those that match BENCH=regexp
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: sim
sim: build ## Simulate SIM_ORDERS=1000000 orders with faults, from SIM_SEED=1
	bin/tiffin sim --orders $(SIM_ORDERS) --seed $(SIM_SEED)

.PHONY: cover
cover: ## Run the tests and say how much of each package they reach
	$(GO) test -coverpkg=./internal/... -coverprofile=coverage.out ./...
	@$(GO) tool cover -func=coverage.out | tail -n 1

.PHONY: generate
generate: ## Make again what is generated: the status diagram, the command line's reference
	$(GO) generate ./...

.PHONY: lint
lint: drift format vet golangci ## Check what is generated, the format, and with vet and golangci-lint

.PHONY: drift
drift:
	@echo "go generate"; \
	state() { git status --porcelain 2>/dev/null; git diff 2>/dev/null; }; \
	before=$$(state | cksum); $(GO) generate ./... || exit 1; \
	[ "$$(state | cksum)" = "$$before" ] || { \
		echo "make: what is generated was not current; commit what 'make generate' changed:" >&2; git status --short >&2; exit 1; }

.PHONY: format
format:
	@echo "gofmt -l"; out=$$(gofmt -l cmd internal) || exit 1; \
	[ -z "$$out" ] || { echo "make: not formatted; run gofmt -w on:" >&2; echo "$$out" >&2; exit 1; }

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: golangci
golangci:
	@tool='$(GOLANGCI)'; \
	if [ ! -x "$$tool" ]; then \
		echo "building golangci-lint $(GOLANGCI_VERSION), once (a minute or two)"; \
		GOFLAGS= GOBIN="$$(dirname "$$tool")" $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION) || { \
			echo "make: golangci-lint $(GOLANGCI_VERSION) CANNOT BE BUILT: is the Go module proxy reachable?" >&2; \
			[ -n "$$CI" ] && exit 1; echo "make: THE TREE WAS NOT LINTED" >&2; exit 0; }; \
	fi; \
	[ -x "$$tool" ] || exit 0; \
	echo "golangci-lint run"; GOMEMLIMIT=3GiB "$$tool" run ./...

.PHONY: sbom
sbom: build ## List what bin/tiffin is made of, as CycloneDX: bin/tiffin.cdx.json
	@$(GO) run ./internal/house/sbom bin/tiffin '$(VERSION)' bin/tiffin.cdx.json
	@echo "bin/tiffin.cdx.json"

# Known vulnerabilities that the program can reach. The database is asked for first: where it cannot be reached nothing
# was checked, and that is said, not taken for a pass or a failure.
.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the program calls (needs vuln.go.dev)
	@tool='$(GOVULNCHECK)'; \
	if ! $(GO) run ./internal/house/reach '$(VULNDB)/index/db.json'; then \
		echo "make: $(VULNDB) cannot be reached: KNOWN VULNERABILITIES WERE NOT LOOKED FOR" >&2; exit 0; fi; \
	if [ ! -x "$$tool" ]; then \
		echo "building govulncheck $(GOVULN_VERSION), once"; \
		GOFLAGS= GOBIN="$$(dirname "$$tool")" $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULN_VERSION) || exit 1; \
	fi; \
	echo "govulncheck"; "$$tool" -db '$(VULNDB)' ./...

.PHONY: clean
clean: ## Remove what was built; data/ stays
	rm -rf bin coverage.out
