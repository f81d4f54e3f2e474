# make demo    everything on this machine: a private PostgreSQL, the gateway, a theft, and what became of it
# make test    all tests, against a real PostgreSQL (started and removed by the tests)
# make check   format, vet, lint, and the tests under the race detector
# make bench   benchmarks with allocations, and what Sallyport costs beside a direct connection and pgbouncer
# make bench-history  history with 100,000,000 reveals, from a record of 5,000,000, and beside PostgreSQL (an hour; 5 GiB free)
# make bench-pages  the pages on a year of 1,000 made-up people: size and time (half an hour)
# make bench-detect detection on made-up companies with insiders, 30 of each kind and some large ones (an hour); what it came to stays in RESULTS, so it may be ended and gone on with
# make siege   every trick that was ever tried against the gateway, against a real PostgreSQL, and kill -9 while keys are rotated and gateways share (an hour)
# make moving moving 12,000,000 rows in beside an application, and kill -9 on the way (hours; 40 GiB free)
# make faults  each rule of the protocol between controller and gateways, broken by hand: a test must fail (half an hour)
# make smith   sqlsmith's made-up statements, and every byte that comes back (minutes; part of make siege)
# make servers the tests against PostgreSQL 13 to 18, from npm's packages (half an hour; docs/compatibility.md)
# make suites  other people's test suites, through Sallyport (half an hour; docs/compatibility.md)
# make fuzz    every fuzz target for FUZZTIME (10s)
# make screenshots  each page of the console in light and dark, at 360 and 1440 px, into screenshots/ (needs Chromium)
# make attack  names and ids of techniques, held to ATT&CK's own file (needs the network, or ATTACK=FILE)
# make axe     axe-core on each page, in light and dark (needs Chromium, npm and the network)
# make build   bin/sallyport; TAGS=clouds for the clouds' key services

GOLANGCI := 2.15.0
GOFUMPT  := 0.12.0
TOOLS    := $(CURDIR)/bin/tools
FUZZTIME ?= 10s
DEMO     ?=
TAGS     ?=
ROWS     ?= 12000000
RESULTS  ?= bench-detect.jsonl

.PHONY: faults build demo test check format bench bench-trace bench-detect siege journal moving smith servers suites fuzz clean tamper bench-history bench-pages axe screenshots attack

build:
	@[ -e bin/sallyport ] || echo "The first build compiles PostgreSQL's parser and takes a minute or two."
	go build -tags "$(TAGS)" -o bin/sallyport ./cmd/sallyport

# Whoever has no PostgreSQL hears of it before the first build, not after it.
demo:
	scripts/postgres.sh
	@$(MAKE) --no-print-directory build
	bin/sallyport demo $(DEMO)

test:
	scripts/postgres.sh
	scripts/test.sh

check: $(TOOLS)/golangci-lint-$(GOLANGCI) $(TOOLS)/gofumpt-$(GOFUMPT)
	scripts/postgres.sh
	@files=$$($(TOOLS)/gofumpt-$(GOFUMPT) -l .); if [ -n "$$files" ]; then echo "make format would change:"; echo "$$files"; exit 1; fi
	go vet ./...
	$(TOOLS)/golangci-lint-$(GOLANGCI) run ./...
	go test -race -timeout 60m ./...
	go vet -tags clouds ./keys
	go test -tags clouds -run Cloud ./keys

format: $(TOOLS)/gofumpt-$(GOFUMPT)
	$(TOOLS)/gofumpt-$(GOFUMPT) -l -w .

bench: build
	scripts/postgres.sh
	go test -run '^$$' -bench . -benchmem ./...
	@command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || echo "pgbouncer is not installed, so it is left out; 'apt-get install pgbouncer' brings it"
	bin/sallyport bench

axe: $(TOOLS)/axe-core-4.14.1.js
	SALLYPORT_AXE=1 go test -count=1 -v -run '^(TestBrowser|TestBrowserProgramme)$$/^axe$$' ./console

$(TOOLS)/axe-core-4.14.1.js:
	mkdir -p $(TOOLS)
	cd $(TOOLS) && npm pack axe-core@4.14.1 && tar xzf axe-core-4.14.1.tgz package/axe.min.js && mv package/axe.min.js $@ && rm -r package axe-core-4.14.1.tgz

ATTACK ?= $(TOOLS)/enterprise-attack-18.0.json

attack: $(ATTACK)
	SALLYPORT_ATTACK=$(abspath $(ATTACK)) go test -count=1 -v -run '^TestTechniquesAreAttacks$$' ./program

$(TOOLS)/enterprise-attack-18.0.json:
	mkdir -p $(TOOLS)
	curl -fsSLo $@.part https://raw.githubusercontent.com/mitre-attack/attack-stix-data/master/enterprise-attack/enterprise-attack-18.0.json && mv $@.part $@

screenshots:
	SALLYPORT_SCREENSHOTS=$(CURDIR)/screenshots go test -count=1 -v -run '^(TestScreenshots|TestBrowserProgramme)$$' ./console

# The pages on a year of 1,000 people (minutes).
bench-pages:
	SALLYPORT_PAGES=$${SALLYPORT_PAGES:-1000} go test -count=1 -timeout 2h -v -run '^TestPageSpeed$$' ./serve

bench-history:
	SALLYPORT_HISTORY=$${SALLYPORT_HISTORY:-100000000} go test -count=1 -timeout 3h -v -run '^TestFigures$$' ./history/duck
	SALLYPORT_HISTORY_RECORD=$${SALLYPORT_HISTORY_RECORD:-5000000} go test -count=1 -timeout 1h -v -run '^TestFiguresFromRecord$$' ./history/apart
	SALLYPORT_HISTORY_PG=$${SALLYPORT_HISTORY_PG:-5000000} go test -count=1 -timeout 1h -v -run '^TestAgainstPostgreSQL$$' ./history/duck

# Who is behind reports, in 1,296 made-up companies and in as many that have had reports for a year, and how long 100,000,000 reveals take (an hour, 4 GB of memory).
bench-trace:
	SALLYPORT_TRACE=1 go test ./trace -v -run 'TestCalibration|TestCalm' -bench BenchmarkTrace -timeout 120m

bench-detect:
	SALLYPORT_SIEGE=1 SALLYPORT_RESULTS="$(abspath $(RESULTS))" go test -v -count=1 -timeout 24h -run '^TestBenchDetect$$' ./detect

siege:
	scripts/postgres.sh
	SALLYPORT_SIEGE=1 go test -count=1 -timeout 30m -run '^TestBypass' ./gateway
	SALLYPORT_SIEGE=1 go test -count=1 -timeout 30m -run '^TestKilled' ./history/duck
	SALLYPORT_SIEGE=1 go test -count=1 -timeout 60m -run '^TestBypass|^TestClientRandom|^TestLimit|^TestSmith' ./serve
	SALLYPORT_SIEGE=1 go test -count=1 -timeout 2h -run '^TestRotate.*Killed|^TestShredKilled|^TestOwnKeysKilled|^TestMoveOutKilled|^TestMoveBank|^TestGateways$$' ./serve

tamper:
	SALLYPORT_TAMPERINGS=10000 go test -v -count=1 -timeout 30m -run TestTamperings ./ledger

journal:
	scripts/postgres.sh
	SALLYPORT_SIEGE=1 go test -v -count=1 -timeout 30m -run '^TestCrash$$|^TestPowerCuts' ./record ./internal/durable
	SALLYPORT_SIEGE=1 go test -v -count=1 -timeout 2h -run '^TestJournalKilled$$' ./serve

moving:
	scripts/postgres.sh
	SALLYPORT_SIEGE=1 SALLYPORT_MOVE_ROWS=$(ROWS) go test -v -count=1 -timeout 12h -run '^TestMoveIn' ./serve

smith:
	scripts/postgres.sh
	SALLYPORT_SIEGE=1 go test -v -count=1 -timeout 60m -run '^TestSmith' ./serve

servers:
	scripts/servers.sh

suites:
	scripts/suites.sh

# go test fuzzes one target of one package at a time.
fuzz:
	@set -e; for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

clean:
	rm -rf bin

# The checkers are built from the module proxy once, each beside its version.
$(TOOLS)/golangci-lint-$(GOLANGCI):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI)
	mv $(TOOLS)/golangci-lint $@

$(TOOLS)/gofumpt-$(GOFUMPT):
	GOBIN=$(TOOLS) go install mvdan.cc/gofumpt@v$(GOFUMPT)
	mv $(TOOLS)/gofumpt $@

faults:
	SALLYPORT_FAULTS=$${SALLYPORT_FAULTS:-1} $(GO) test -count=1 -timeout 3h -run TestFaultsAreFound -v ./lease
