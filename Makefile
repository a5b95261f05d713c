# Two targets do all: layers (the main job) and test (everything that CI runs).
export PATH := $(CURDIR)/.tools/bin:$(PATH)
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
TARGET ?=

.DEFAULT_GOAL := help
.PHONY: help layers test unit lint build setup bench fuzz clean

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

layers: setup build ## the main job: the workspace layers/ to zips and report in dist/
	bin/layersmith build $(if $(TARGET),--target $(TARGET))

test: setup lint ## everything that CI runs, the three real layers included
	go test -timeout 40m ./...

unit: ## seconds, while editing: no wheels, no network
	go test -short ./internal/...

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l main.go internal test)" || { gofmt -d main.go internal test; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

build: ## bin/layersmith
	go build -trimpath -o bin/layersmith .

setup: ## uv and the target's interpreter, where the machine has none
	@.ci/setup

bench: setup build ## sizes, CPU, wall, memory and import times against other tools; writes docs/benchmarks.md
	go run ./test/bench

fuzz: ## every fuzz target for FUZZTIME (default 30 m in all)
	.ci/fuzz

clean: ## outputs and tools of this checkout
	rm -rf bin dist .tools
