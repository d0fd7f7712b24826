# make alone lists the targets. Every target installs what it needs, or says in one line what to install.
SHELL := /bin/bash
export CGO_ENABLED := 1
# fdatasync instead of fsync: the journal's commits are what the panel's ack waits for.
export CGO_CFLAGS := -O2 -g -DHAVE_FDATASYNC
GO ?= go
BIN := bin
DEMO ?= $(CURDIR)/demo
HTTP ?= 127.0.0.1:8080
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unversioned)
# The time of the commit: a box believes no clock that shows less, and building it again gives the same program.
BUILT := $(shell git log -1 --format=%ct 2>/dev/null)
LDFLAGS := -X sitewatch/cmd/cli.Version=$(VERSION) -X sitewatch/cmd/cli.BuiltAt=$(BUILT)

# Debian packages: to build, to run the demo, and to test.
PKGS_BUILD := gcc libc6-dev pkg-config libavcodec-dev libavutil-dev
PKGS_DEMO := $(PKGS_BUILD) ffmpeg
PKGS_TEST := $(PKGS_DEMO) chromium git python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly python3-pymodbus python3-serial-asyncio socat
PKGS_PROTO := protobuf-compiler

.DEFAULT_GOAL := help
.PHONY: help build demo smoke test torture torture-power torture-eye check fuzz bench bench-link bench-eye lint proto sim deps-build deps-demo deps-test deps-proto clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 22

# $(call need,PACKAGES): installs those Debian packages that are missing, as root or by sudo; else says what to do.
define need
	@missing=; for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo=sudo; else echo "install first: apt-get install$$missing"; exit 1; fi; \
	  echo "installing$$missing"; log=$$(mktemp); \
	  { $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing; } >$$log 2>&1 \
	    || { tail -n 5 $$log; echo "could not install: apt-get install$$missing"; exit 1; }; \
	fi
endef

deps-build:
	$(call need,$(PKGS_BUILD))
deps-demo:
	$(call need,$(PKGS_DEMO))
deps-test:
	$(call need,$(PKGS_TEST))
deps-proto:
	$(call need,$(PKGS_PROTO))

build: deps-build ## the four programs, in bin/
	@mkdir -p $(BIN)
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

demo: deps-demo build ## a whole site on a desk: panel, cameras, gateway, SOC, console (CAMERA=file.mp4 your video, HTTP=127.0.0.1:8081 another console address)
	@exec $(BIN)/sitesim demo --dir '$(DEMO)' --bin $(BIN) --http $(HTTP) $(if $(CAMERA),--camera '$(CAMERA)')

smoke: deps-demo build ## the demo without a person: waits for alarms and clips at the SOC, checks them, exits
	@exec $(BIN)/sitesim demo --smoke --bin $(BIN) $(if $(CAMERA),--camera '$(CAMERA)')

sim: build ## the fake site alone (panel and cameras), for a gateway of your own
	$(BIN)/sitesim run --dir '$(DEMO)'

test: deps-test ## every test, with the race detector
	$(GO) test -race -shuffle=on -timeout 20m ./...

KILLS ?= 1000
torture: deps-test ## gateway and SOC killed at any moment and at each named one: KILLS (1000) times; about 5 minutes
	$(GO) test -count 1 -timeout 120m -v -run 'TestKilledAtAnyMoment|TestKilledInItsFirstRun|TestKilledWhile|TestDamagedJournal|TestPanelKilled' ./cmd/gateway -kills $(KILLS)

CUTS ?= 200
torture-power: deps-test ## as root: power cuts, CUTS (200), and a full disk, on ext4 on loop devices
	@[ "$$(id -u)" = 0 ] || { echo "run as root: it mounts disks of its own"; exit 1; }
	$(call need,e2fsprogs mount)
	$(GO) test -count 1 -timeout 120m -v -run 'TestPowerCuts|TestFullDisk|TestDiskFullOfPictures' ./cmd/gateway -cuts $(CUTS)

SEEDS ?= 10000
torture-eye: deps-test ## damaged films through the decoder: each of 16 films SEEDS (10000) times, and ten times SEEDS of small ones through eyes as the gateway has them
	$(GO) test -count 1 -timeout 240m -v -run 'TestDamage' ./cmd/eye -seeds $(SEEDS) -films $(abspath $(FOOTAGE))
	$(GO) test -count 1 -timeout 240m -v -run 'TestTorturedEyes' ./video/motion -seeds $(SEEDS)0 -films $(abspath $(FOOTAGE))

lint: deps-build ## gofmt, go vet, staticcheck, go mod tidy
	@out=$$(gofmt -l cmd edge drivers video uplink); [ -z "$$out" ] || { echo "not gofmt'd:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

check: lint build test smoke ## what CI runs: lint, build, test, smoke

FUZZTIME ?= 30s
fuzz: deps-test ## every fuzz target for FUZZTIME (30s) each
	@for f in $$(grep -rlE '^func Fuzz' --include=*_test.go cmd edge drivers video uplink); do \
	  for t in $$(grep -oE '^func Fuzz[A-Za-z0-9_]*' $$f | cut -c6-); do \
	    echo "== $$(dirname $$f) $$t"; $(GO) test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$(dirname $$f) || exit 1; \
	  done; done

bench: deps-test build ## the figures of the README, each beside what it is compared with
	$(GO) test -run '^$$' -bench . -benchmem ./edge/... ./drivers/... ./video/... ./uplink/...
	$(GO) test -run '^$$' -bench AlarmToSOC -benchtime 1000x -timeout 30m ./cmd/gateway
	$(GO) test -run '^$$' -bench ClipToSOC -benchtime 10x -timeout 30m ./cmd/gateway
	$(GO) test -run '^$$' -bench Record -benchtime 1x -timeout 30m ./cmd/gateway

N ?= 1000
ROWS ?=
bench-link: build ## how late alarms are behind clips on slow lines, beside plain gRPC (root; N=100 is quick, ROWS="2mbit loss" some of it)
	@exec $(BIN)/sitesim link-bench --bin $(BIN) --n $(N) $(foreach r,$(ROWS),--rows $(r)) $(if $(ROWS),,$(if $(filter 1000,$(N)),--svg uplink/bench-link.svg))

FOOTAGE ?= ../shared/footage
bench-eye: deps-demo build ## how well and how cheaply the eye finds movement, beside Debian's motion (FOOTAGE=DIR; as long as the longest film)
	$(if $(wildcard $(FOOTAGE)),$(call need,motion python3))
	@cmd/eye/bench.sh $(BIN) '$(FOOTAGE)'

proto: deps-proto ## generate the wire's code from uplink/wire/sitewatch.proto
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
	PATH=$(CURDIR)/$(BIN):$$PATH protoc --go_out=. --go_opt=module=sitewatch --go-grpc_out=. --go-grpc_opt=module=sitewatch uplink/wire/sitewatch.proto

clean: ## removes bin/ and demo/
	rm -rf $(BIN) '$(DEMO)'
