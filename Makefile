# Everything a developer or CI runs. `make` alone lists the targets.
.DEFAULT_GOAL := help
FUZZTIME ?= 2m
BENCHTIME ?= 10s
STORE ?= both
BENCHFLAGS ?=
KILLS ?= 200

# Code of others that never shares what it computes on goes without the race
# detector, in tests and in the daemon that they build: SQLite, which is C made
# into Go, the primitives of crypto, and kong, which reads a command line. It
# took more than half of the tests' time.
UNRACED := $(foreach p,modernc.org/sqlite/lib modernc.org/libc crypto/internal/fips140/... github.com/alecthomas/kong regexp,-gcflags=$(p)=-race=false)
RACED := GOFLAGS="$(GOFLAGS) $(UNRACED)" CGO_ENABLED=1

.PHONY: help build run fmt check test unit interop equality chaos fuzz bench bench-token

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/enrollgate
	go build -trimpath -o bin/enrollgate ./cmd/enrollgate

run: build ## start the daemon on embedded defaults (development, not production)
	bin/enrollgate serve --dev

fmt: ## fail when a Go file is not formatted
	@files=$$(gofmt -l .) && test -z "$$files" || { echo "run gofmt -w on:" $$files >&2; exit 1; }

check: fmt ## fmt, vet and the tests that start no external program
	go vet ./...
	go -C test/interop vet ./...
	go test -short ./...
	go -C test/interop test -short -count=1 ./...

test: fmt ## everything CI runs: installs missing tools from apt
	test/tools/install.sh
	$(MAKE) -j2 unit interop equality

# vet takes the tests' flags: packages are compiled once.
unit: ## everything CI runs but the tests against clients of others
	$(RACED) go vet -race ./...
	$(RACED) go test -race -count=1 -timeout 60m ./...

# test/interop is a module of its own: what its clients require, the program does not.
# It goes without the race detector, which took two thirds of its time; the unit tests
# of the doors, the stores and the daemon ask for many things at once, with it.
# After a change of requirements in go.mod: go -C test/interop mod tidy
interop: ## the tests against clients of others alone: certbot, lego, acmez, x/crypto/acme, acme-client, Caddy, Apache, estclient, strongSwan, scepclient, certmonger
	test/tools/install.sh
	go -C test/interop vet ./...
	go -C test/interop test -count=1 -timeout 60m ./...

# Nothing runs at once in this one, so that it goes without the race detector;
# 400 of its identities are among the unit tests, with it.
equality: ## 10,000 random identities through every door that can carry them, and the Go API: the same certificates
	go test -count=1 -timeout 60m ./protocols/everydoor -run TestEveryDoorGivesTheSameCertificate -args -identities 10000

chaos: ## fault injection, the long form: KILLS (default 200) of the daemon on each store, and longer rounds of every other fault
	test/tools/install.sh
	go test -count=1 -v -timeout 60m ./test/chaos -args -kills $(KILLS)

fuzz: ## every fuzz target, each for FUZZTIME (default 2m)
	test/tools/fuzz.sh $(FUZZTIME)

bench: ## processor time a certificate: STORE=sqlite|postgres|both, BENCHTIME a row, BENCHFLAGS="-grow small -json FILE"
	test/tools/install.sh
	go run ./test/bench -store $(STORE) -time $(BENCHTIME) $(BENCHFLAGS)

bench-token: ## signatures a second in SoftHSM, beside bare calls of its module
	test/tools/install.sh
	CGO_ENABLED=1 go test -run '^$$' -bench Sign -benchtime $(BENCHTIME) ./ca/keys/pkcs11
