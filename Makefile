# Everything a developer or CI runs. `make` alone lists the targets.
.DEFAULT_GOAL := help
FUZZTIME ?= 2m
BENCHTIME ?= 10s
STORE ?= both
BENCHFLAGS ?=

.PHONY: help build run fmt check test fuzz bench bench-token

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
	go test -short ./...

test: fmt ## everything CI runs: installs missing tools from apt, race detector on
	test/tools/install.sh
	go vet ./...
	CGO_ENABLED=1 go test -race -count=1 -timeout 30m ./...

fuzz: ## every fuzz target, each for FUZZTIME (default 2m)
	test/tools/fuzz.sh $(FUZZTIME)

bench: ## processor time a certificate: STORE=sqlite|postgres|both, BENCHTIME a row, BENCHFLAGS="-grow small -json FILE"
	test/tools/install.sh
	go run ./test/bench -store $(STORE) -time $(BENCHTIME) $(BENCHFLAGS)

bench-token: ## signatures a second in SoftHSM, beside bare calls of its module
	test/tools/install.sh
	CGO_ENABLED=1 go test -run '^$$' -bench Sign -benchtime $(BENCHTIME) ./ca/keys/pkcs11
