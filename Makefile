# Every command that a person types. `make` alone prints them.

NODE ?= node
NPM  ?= npm
MALABAR := $(NODE) services/cli/bin/malabar.js

.DEFAULT_GOAL := help
.PHONY: help setup run run-php test bench check proto lint format build clean

help: ## print this help
	@echo 'make <target>, one of:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: node_modules/.package-lock.json ## install the npm packages that package-lock.json pins

node_modules/.package-lock.json: package-lock.json
	$(NPM) ci
	@touch $@

run: build ## start everything in one process with a demo queue; Ctrl-C drains
	@$(MALABAR) demo $(ARGS)

run-php: build ## the demo with php-fpm as the consumer (needs php-fpm)
	@$(MALABAR) demo --php $(ARGS)

test: setup ## build, check and run every test; the last line counts them
	@$(NPM) run --silent build && $(NPM) run --silent check \
	  || { echo '0 passed, 1 failed (build or check, see above)'; exit 1; }
	@$(NPM) run --silent test

bench: build ## measure throughput, latency and memory beside the peers
	@$(NODE) --conditions=source --import tsx test/bench/main.ts $(ARGS)

check: setup ## lint, types, boundaries, dead code, contracts
	@$(NPM) run --silent check

proto: setup ## generate libs/contracts from proto/
	@$(NPM) run --silent proto

lint: setup ## report what Biome and buf find
	@npx --no-install biome check . && npx --no-install buf lint proto

format: setup ## rewrite the sources as Biome wants them
	@npx --no-install biome check --write .

build: setup ## generate and compile
	@$(NPM) run --silent build

clean: ## remove what was built and the demo's data, not node_modules
	@rm -rf .malabar coverage libs/contracts/src/gen
	@rm -rf libs/*/dist services/*/dist libs/*/tsconfig.tsbuildinfo services/*/tsconfig.tsbuildinfo
