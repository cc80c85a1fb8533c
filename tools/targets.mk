# Targets that are not the build itself; included by the Makefile.

.PHONY: deps demo check unit smoke bench install uninstall lint format asan tsan fuzz docs clean help
unit: $(TEST_BINS) ## run the unit tests of this PROFILE
	tools/run-tests $(TEST_BINS)
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
docs:
clean: ## remove build/
	rm -rf $(BUILD)
