# Targets a person uses: build, demo, test, lint, bench, soak, fuzz.
GO      ?= go
BIN     := bin/refloat
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/refloat-db/refloat/internal/app.Version=$(VERSION)
GOBIN   := $(shell $(GO) env GOPATH)/bin

STATICCHECK  := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
TEMPL        := github.com/a-h/templ/cmd/templ@v0.3.977
GOVULNCHECK  := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VERSITYGW    := github.com/versity/versitygw/cmd/versitygw@v1.8.0

.PHONY: build generate demo test test-quick lint bench bench-live bench-detect soak soak-detect fuzz deps deps-test clean

build: ## build bin/refloat
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/refloat

generate: ## make the Go of the console's pages from their .templ files
	test/tools/templ.sh $(GOBIN) '$(TEMPL)' generate

deps: ## install what the demo needs (PostgreSQL from Debian)
	test/tools/install-debian.sh demo

deps-test: ## install what the tests need
	test/tools/install-debian.sh test
	test/tools/install-postgres.sh
	test/tools/install-axe.sh
	test -x $(GOBIN)/versitygw || $(GO) install $(VERSITYGW)

demo: deps build ## protect, drill, destroy and restore a busy PostgreSQL cluster
	$(GO) run ./test/demo -refloat $(BIN)

test: deps-test ## every test, with nothing skipped for want of a program
	REFLOAT_TEST_REQUIRE=1 PATH="$(GOBIN):$$PATH" $(GO) test -timeout 20m ./...

test-race: ## the same under the race detector
	REFLOAT_TEST_REQUIRE=1 PATH="$(GOBIN):$$PATH" $(GO) test -race -short -timeout 20m ./internal/...

lint: ## gofmt, vet, staticcheck, golangci-lint with depguard, govulncheck where its database is reachable
	test/tools/templ.sh $(GOBIN) '$(TEMPL)' check
	test/tools/lint.sh $(GOBIN) '$(STATICCHECK)' '$(GOLANGCI)' '$(GOVULNCHECK)'

bench: build ## compare with pg_basebackup, pg_receivewal and, where installed, pgBackRest
	$(GO) run ./test/bench -refloat $(BIN)

bench-live: ## 200 pages that listen, 50 events a second: how late the last is
	REFLOAT_LIVE=1 $(GO) test -count=1 -run TestLiveReachesAllInTime -v ./internal/app

bench-detect: ## from a fault to the page, 30 rounds of each (ROUNDS=n)
	REFLOAT_TEST_REQUIRE=1 REFLOAT_DETECT_ROUNDS=$(or $(ROUNDS),30) $(GO) test -run '^$$' -bench 'Detect|Scale' -benchtime 1x -timeout 0 ./test/detect

soak-detect: ## half an hour of a bad network and a starved machine: no false alarm
	REFLOAT_TEST_REQUIRE=1 REFLOAT_SOAK=$(or $(FOR),30m) $(GO) test -v -count=1 -run ALiveServer -timeout 0 ./test/detect

soak: build ## kill -9 rounds until stopped (ROUNDS=500)
	REFLOAT_CRASH_ROUNDS=$(or $(ROUNDS),500) REFLOAT_TEST_REQUIRE=1 $(GO) test -count=1 -timeout 0 -run 'Crash' -v ./test/recovery

fuzz: ## a minute for each fuzz target
	test/tools/fuzz.sh $(or $(FUZZTIME),60s)

clean:
	rm -rf bin
