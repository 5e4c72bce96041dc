.DEFAULT_GOAL := help
.PHONY: help demo build test live check bench protections package

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## run the main job on embedded defaults, no account needed
	bin/millrace demo

build: ## compile the CLI to bin/millrace (needs Go and a C compiler)
	go build -o bin/millrace ./scripts/millrace

test: ## run all tests
	go test ./...

live: ## run the kits against an account (MILLRACE_LIVE_SNOWFLAKE) and a bucket (MILLRACE_LIVE_STAGE)
	go test -count=1 -timeout 3h -run TestLive -v ./shared/warehouse/snowflake ./shared/platform

check: ## run exactly what CI runs
	bash .ci/run

protections: ## take each protection away and see its test fail
	go run ./scripts/protections

bench: build ## measure against the floors (plain downloads and one INSERT … SELECT), and how long a package takes to answer
	go run ./scripts/bench
	go test -run=^$$ -bench=FirstAnswer ./scripts/package

package: ## stage the upload of a function: FN=clari (or all) CLOUD=gcp|aws [ARCH=arm64|amd64] [SYNCS=folder of job files]
	go run ./scripts/package -fn "$(FN)" -cloud "$(CLOUD)" -arch "$(or $(ARCH),arm64)" -syncs "$(SYNCS)"
