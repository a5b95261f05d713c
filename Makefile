# Two targets do all: layers (the main job) and test (everything that CI runs). deploy brings it to an account.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOTESTSUM := go run gotest.tools/gotestsum@v1.13.0
CDK := .tools/node/node_modules/.bin/cdk --no-notices
TARGET ?=
FUZZSECONDS ?=
export CDK_DISABLE_CLI_TELEMETRY := 1
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20

.DEFAULT_GOAL := help
.PHONY: help layers test unit lint build setup tools functions synth deploy destroy e2e cost bench survey suites fuzz clean

help: ## print this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 11

layers: setup build ## the main job: the workspace layers/ to zips and report in dist/
	bin/layersmith build $(if $(TARGET),--target $(TARGET))

test: setup tools lint ## everything that CI runs: the three real layers, every path of the workflow, the product deployed to an emulator
	$(GOTESTSUM) --format pkgname --format-hide-empty-pkg -- -timeout 60m ./...

unit: ## seconds, while editing: no wheels, no network
	go test -short $$(go list ./internal/... | grep -v testenv/emulator)

lint: ## formatting, mistakes, width and length of the code: .golangci.yml
	$(GOLANGCI) run ./...

build: ## bin/layersmith
	go build -trimpath -o bin/layersmith .

setup: ## uv and the target's interpreter, where the machine has none
	@.ci/setup

tools: ## what only tests need: emulators, linters, the CDK's command line; pinned, in .tools
	@.ci/tools/install

functions: ## what a stack runs: build/functions/*/bootstrap and build/cli/layersmith
	functions/build

synth: functions ## the CloudFormation template of the stack in cdk.out/, by the settings in cdk.json
	@.ci/tools/install node
	$(CDK) synth --quiet

deploy: functions ## deploy the stack to the account of your AWS configuration
	@.ci/tools/install node
	$(CDK) deploy

destroy: ## take the stack away again; buckets stay unless cdk.json says otherwise
	@.ci/tools/install node
	$(CDK) destroy

e2e: setup tools ## the product, deployed to an emulator and used
	go test -count=1 -timeout 30m -v ./test/e2e

cost: ## write docs/cost.md from prices, the state machine and docs/benchmarks.md
	go run ./internal/tools/cost

bench: setup tools build ## sizes, CPU, wall, memory and import times against other tools; writes docs/benchmarks.md
	go run ./internal/tools/bench
	go test -count=1 -timeout 30m ./test/e2e -run 'TestTheProduct/an_upload' -update
	go run ./internal/tools/cost

survey: setup ## a hundred distributions, pruned and as shipped; writes docs/survey.md (an hour)
	go run ./internal/tools/survey

suites: setup ## packages' own tests on pruned layers, against unpruned; writes docs/suites.md (two hours)
	go run ./internal/tools/suites

fuzz: ## every fuzz target, FUZZTIME minutes in all (default 30), or FUZZSECONDS each
	.ci/fuzz $(FUZZSECONDS)

clean: ## outputs and tools of this checkout
	rm -rf bin build cdk.out dist .tools
