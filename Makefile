# Two targets do all: layers builds the layers of this workspace, test runs all tests.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GORELEASER := go run github.com/goreleaser/goreleaser/v2@v2.15.1
GOTESTSUM := go run gotest.tools/gotestsum@v1.13.0
CDK := .tools/node/node_modules/.bin/cdk --no-notices
TARGET ?=
FUZZSECONDS ?=
FOLDERS ?=
export CDK_DISABLE_CLI_TELEMETRY := 1
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20

.DEFAULT_GOAL := help
.PHONY: help layers test unit lint style golden record build snapshot setup tools functions synth deploy destroy e2e
.PHONY: cost bench survey survey-old suites fuzz clean

help: ## print this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 11

layers: setup build ## build the workspace layers/ to dist/ (the main job); TARGET=python3.13-arm64 for another
	bin/layersmith build $(if $(TARGET),--target $(TARGET))

test: setup tools lint ## run all tests: real layers, every path of the workflow, a deployment to an emulator
	$(GOTESTSUM) --format pkgname --format-hide-empty-pkg -- -timeout 60m ./...

unit: setup ## run quick tests, for while you edit: no real wheels, no emulator
	go test -short $$(go list ./internal/... | grep -v testenv/emulator)

lint: ## check formatting, mistakes, width and length of the code: .golangci.yml
	$(GOLANGCI) run ./...
	@go run ./internal/tools/style -check .

style: ## measure functions, lines and blank lines of the code; FOLDERS="a b" compares others
	@go run ./internal/tools/style . $(FOLDERS)

golden: setup tools ## rewrite expected files and generated pages of docs/; read the diff
	go test -count=1 ./internal/cli -run TestCommandPage -update
	go test -count=1 ./infra -update
	go test -count=1 ./test/faults -update
	go test -count=1 ./test/workflow -run FailureModes -update
	go run ./internal/tools/cost

record: setup tools ## record executions of the deployed product for tests (ten minutes)
	go test -count=1 -timeout 30m ./test/e2e -record

build: ## build bin/layersmith
	go build -trimpath -o bin/layersmith .

snapshot: ## build release archives for all platforms, without publishing: build/release/
	$(GORELEASER) release --snapshot --clean

setup: ## install uv and the target's interpreter, where the machine has none
	@.ci/setup

tools: ## install what only tests need, pinned, in .tools: emulators, linters, the CDK's command line
	@.ci/tools/install

functions: ## build what a stack runs: build/functions/*/bootstrap and build/cli/layersmith
	functions/build

synth: functions ## write the stack's CloudFormation template to cdk.out/; settings are in cdk.json
	@.ci/tools/install node
	$(CDK) synth --quiet

deploy: functions ## deploy the stack to the account of your AWS configuration
	@.ci/tools/install node
	$(CDK) deploy

destroy: ## delete the stack; buckets stay unless cdk.json says otherwise
	@.ci/tools/install node
	$(CDK) destroy

e2e: setup tools ## deploy the product to an emulator and use it
	go test -count=1 -timeout 30m -v ./test/e2e

cost: ## write docs/cost.md from prices, the state machine and docs/benchmarks.md
	go run ./internal/tools/cost

bench: setup tools build ## measure size, CPU, time, memory and imports against other tools: docs/benchmarks.md
	go run ./internal/tools/bench
	go test -count=1 -timeout 30m ./test/e2e -run 'TestTheProduct/an_upload' -update
	go run ./internal/tools/cost

survey: setup ## compare a hundred distributions, pruned and unpruned: docs/survey.md (an hour)
	go run ./internal/tools/survey

survey-old: setup ## the same with versions of 2021 and 2022 on Python 3.9: docs/survey-old.md (half an hour)
	go run ./internal/tools/survey -old

suites: setup ## run packages' own tests on pruned and unpruned layers: docs/suites.md (two hours)
	go run ./internal/tools/suites

fuzz: ## run every fuzz target, FUZZTIME minutes in all (default 30), or FUZZSECONDS each
	.ci/fuzz $(FUZZSECONDS)

clean: ## remove outputs and tools of this checkout
	rm -rf bin build cdk.out dist .tools
