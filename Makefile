# `make` alone lists the targets. Each sets up what it needs; options pass through ARGS, as in make run ARGS="--port 8000".
.PHONY: help run test check bench torture screenshots docs format lint dev
BIN = .venv/bin
WITH_BROWSER = chromium=$$(scripts/browser.sh) && STILLROOM_CHROMIUM="$$chromium"

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

run: ## Open the app at http://127.0.0.1:7860
	@scripts/setup.sh local
	@$(BIN)/stillroom serve $(ARGS)

test: lint ## Everything that must hold: format, lint, types, imports and all tests
	$(BIN)/pytest -n 2 -m "not browser and not crash and not torture" $(ARGS)
	$(WITH_BROWSER) $(BIN)/pytest -m "(browser or crash) and not torture" $(ARGS)

check: lint ## The quick half of test: no browser, no crashes, no engine
	$(BIN)/pytest -m "not browser and not crash and not engine and not torture" $(ARGS)

lint: dev ## Format, lint, types and import rules, without tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: dev ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: dev ## Measure speed and memory against a loopback server
	$(BIN)/python -m tests.bench $(ARGS)

torture: dev ## Kill a run 100 times and count what was lost
	$(BIN)/pytest -m torture $(ARGS)

screenshots: dev ## Take the README's screenshots
	$(WITH_BROWSER) $(BIN)/python scripts/screenshots.py $(ARGS)

docs: dev ## Write the docs that come from the code
	$(BIN)/python -m scripts.write_docs

dev:
	@scripts/setup.sh dev
