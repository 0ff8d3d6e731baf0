# Every target is what CI runs, and does its own set-up.
#
#   make demo         three nodes and a chat page; needs nothing but Go
#   make test         all checks and all tests; installs what is missing where it may
#   make faults       breaks Redis, nodes and networks under load, and writes docs/faults.md
#   make bench-compare  all benchmarks beside the baseline; fails when one allocates more
#   make growth       measures how costs grow, beside Node.js, and draws docs/performance
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO ?= go
JS := test/integration/js
CLIENT := cmd/node/web/assets/socket.io.min.js
FUZZTIME ?= 10s
# The duration of one benchmark and how often it runs; benchstat wants six at least.
BENCHTIME ?= 50ms
BENCHCOUNT ?= 6
BASELINE := test/bench/baseline.txt

.PHONY: build demo test fmt lint race fuzz-short integration bench bench-compare bench-baseline faults growth tools client

build: client ## bin/node
	$(GO) build -trimpath -o bin/node ./cmd/node

demo: client
	$(GO) run ./cmd/node demo $(ARGS)

# The page falls back to the public CDN, so a machine without npm is no failure, and
# one whose npm reaches nobody does not wait for more than some seconds.
client:
	@if [ ! -e $(CLIENT) ] && [ ! -d $(JS)/node_modules/socket.io-client ] && command -v npm >/dev/null; then \
	  npm ci --prefix $(JS) --loglevel=error --omit=dev --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=3000 || echo "npm could not fetch the browser client; the page will load it from the CDN"; \
	fi
	@if [ -e $(JS)/node_modules/socket.io-client/dist/socket.io.min.js ]; then \
	  cp $(JS)/node_modules/socket.io-client/dist/socket.io.min.js $(CLIENT); \
	fi

tools:
	@.ci/tools $(JS)

fmt:
	@files=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

lint: fmt
	$(GO) vet -tags integration ./...
	$(GO) tool staticcheck -tags integration ./...
	$(GO) vet -C examples ./...
	cd examples && $(GO) tool -modfile=../go.mod staticcheck ./...
	$(GO) vet -C test/kubernetes ./...
	cd test/kubernetes && $(GO) tool -modfile=../../go.mod staticcheck ./...
	$(GO) vet -C test/growth ./...
	cd test/growth && $(GO) tool -modfile=../../go.mod staticcheck ./...

# The house rules of internal/archtest and the seeds of all fuzz targets are
# among the tests. Allocations and what a socket weighs are counted without the race detector, in processes of their own.
# The server is tested with its connections parked at once, and never, as well.
# The examples are a module of their own, and so are the tests of the Kubernetes
# manifests and the program that draws growth. One summary counts them all.
test: tools client lint
	@{ failed=0; \
	  $(GO) test -json -race -shuffle=on ./... || failed=1; \
	  $(GO) test -C examples -json -race -shuffle=on ./... || failed=1; \
	  $(GO) test -json -race -tags park_at_once ./internal/engine ./pkg/server || failed=1; \
	  $(GO) test -json -tags park_never ./internal/engine ./pkg/server || failed=1; \
	  $(GO) test -C test/kubernetes -json -race -shuffle=on ./... || failed=1; \
	  $(GO) test -C test/growth -json -race -shuffle=on ./... || failed=1; \
	  $(GO) test -json -run '^Test(Allocations|Weight)_' ./internal/... ./pkg/... || failed=1; \
	  $(GO) test -json -race -shuffle=on -p 1 -timeout 20m -tags integration ./test/... || failed=1; \
	  exit $$failed; } | $(GO) run ./internal/testcount

race:
	$(GO) test -race -shuffle=on -count=2 ./...
	$(GO) test -C examples -race -shuffle=on -count=2 ./...

integration: tools client
	$(GO) test -race -shuffle=on -p 1 -timeout 20m -tags integration ./test/...

# Each target for FUZZTIME: the fuzzer takes one target of one package at a time.
fuzz-short:
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

# A minute on a quiet machine. Left out is what weighs instead of timing, and what runs so few times that its beginning counts.
bench:
	@mkdir -p bin
	$(GO) test -run '^$$' -bench . -skip '^BenchmarkWeight_|_IdleWebSocket$$|^BenchmarkEmit_Fanout$$/^10000$$' -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT) \
	  $$(git grep -l '^func Benchmark' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|') | \
	  grep -E '^(goos|goarch|pkg|cpu|Benchmark|FAIL|--- FAIL)' | tee bin/bench.txt

# Times are shown beside those of the machine that wrote the baseline; more allocations fail.
bench-compare: bench
	$(GO) tool benchstat $(BASELINE) bin/bench.txt
	$(GO) run ./internal/benchcheck $(BASELINE) bin/bench.txt

bench-baseline: bench
	cp bin/bench.txt $(BASELINE)

# Half an hour of faults, against what is promised. ARGS takes --row F1,F3,
# --adapter streams and --short, which is what the tests run.
faults:
	$(GO) run ./test/faults --write docs/faults.md $(ARGS)

# Twenty minutes on a quiet machine, with Go, Node.js, npm and redis-server. ARGS takes
# --only rooms,nodes for some curves, and --rounds 0 to draw what was measured before.
growth:
	@if [ ! -d $(JS)/node_modules/socket.io ]; then npm ci --prefix $(JS) --loglevel=error; fi
	$(GO) run -C test/growth . $(ARGS)
