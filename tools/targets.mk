# Targets that are not the build itself; included by the Makefile.
# Targets that first run `deps` call make again for the build: pkg-config is asked when a Makefile is read.

FUZZ_TIME ?= 30
DURATION  ?= 24
WALL      ?= 300
MANPAGES  := $(patsubst docs/man/%.scd,$(BUILD)/man/%,$(sort $(wildcard docs/man/*.scd)))
C_FILES    = $(shell find lib dataplane controlplane tools tests -name '*.[ch]' | sort)
SCRIPTS    = $(shell grep -rlI '^\#!/bin/bash' tools tests .ci packaging) $(wildcard tests/smoke/_*.sh tests/interop/_*.sh tests/interop/real/_*.sh)
TSAN_SUPP := suppressions=$(CURDIR)/tests/support/tsan.supp
export BUILD

# Everything but these needs the libraries.
FREE_GOALS := deps demo check bench clean help lint format uninstall
ifneq ($(filter-out $(FREE_GOALS),$(or $(MAKECMDGOALS),all)),)
ifeq ($(shell command -v $(firstword $(CC)) 2>/dev/null),)
$(error there is no compiler '$(firstword $(CC))': run `make deps` (as root), or set CC)
endif
NEEDED := libdpdk libbpf libsodium libsecp256k1 libuv libmnl libcurl jansson smartcols
# Asked for all at once; one by one only to name those that are missing.
MISSING := $(shell $(PKG) --exists $(NEEDED) 2>/dev/null || \
	for l in $(NEEDED); do $(PKG) --exists $$l 2>/dev/null || echo $$l; done)
# intel-ipsec-mb has no .pc file: the preprocessor is asked for its header.
ifneq ($(IPSEC_MB),0)
MISSING += $(shell echo '\#include <intel-ipsec-mb.h>' | $(CC) -E -x c - >/dev/null 2>&1 || echo intel-ipsec-mb)
endif
ifneq ($(strip $(MISSING)),)
$(error libraries are missing: $(strip $(MISSING)): run `make deps` (as root) and then make again)
endif
endif

.PHONY: deps demo check bench install uninstall lint format asan tsan fuzz soak docs clean help
deps: ## install the Debian packages that are missing
	@tools/deps.sh
demo: deps ## build, run three nodes in network namespaces with real traffic
	@$(MAKE) programs PROFILE=release
	@tools/demo.sh $(BUILD)/release
check: deps ## all tests, in about 20 minutes; the last line is the sum
	@tools/check/all
bench: deps ## measure beside baselines: a table, build/bench/report.json
	@$(MAKE) all bench-bins PROFILE=release
	@tests/bench/run.py $(BUILD) $(BENCH_ARGS)
lint: ## formatting, layering, hot path, headers, comments, spelling
	@tools/check/lint

# Peers on the libraries that Skywire stands on, checked against the vectors before they are used.
PEER := $(BUILD)/interop/peer
$(PEER): $(wildcard tests/interop/go.* tests/interop/peer/*.go tests/vectors/*.json)
	@$(if $(filter 1,$V),,echo "  GO      $@")
	$Qcd tests/interop && export CGO_ENABLED=0 GOFLAGS=-buildvcs=false && go vet ./... && go test ./... && go build -o $(abspath $@) ./peer

.PHONY: programs test-bins fuzz-bins bench-bins unit replay smoke interop
programs: $(PROGRAMS)
test-bins: $(TEST_BINS) $O/tests/interop/decode $O/tests/interop/ask
fuzz-bins: $(FUZZ_BINS)
bench-bins: $(BENCH_BINS)
longest = $(filter %/soak_test %/rel_sim_test,$(TEST_BINS)) # first, lest all wait for it in the end
unit: $(TEST_BINS) ## run the unit tests of this PROFILE
	@TSAN_OPTIONS="$(TSAN_SUPP)" tools/run-tests "unit tests ($(PROFILE))" $(longest) $(filter-out $(longest),$(TEST_BINS))
replay: $(FUZZ_BINS) ## feed each decoder its corpus
	@BUILD=$(BUILD) tools/fuzz.sh replay "$(PROFILE)" $(FUZZ_BINS)
smoke: $(PROGRAMS) ## real processes in network namespaces (root)
	@tools/run-tests -s "smoke tests" tests/smoke/run $O
interop: $(PROGRAMS) $(PEER) $O/tests/interop/decode $O/tests/interop/ask ## with Go peers, and the real Skywire programs in SKYWIRE_BIN (root)
	@rm -f $(BUILD)/interop/matrix $(BUILD)/interop/real
	@tools/run-tests -s "Go peers" tests/smoke/run -d tests/interop $O
	@tools/run-tests -c tools/check/matrix "Go peers" $(BUILD)/interop/matrix
	@SKYRAIL_SMOKE_TIMEOUT=2700 tools/run-tests -s "real Skywire programs" tests/smoke/run -d tests/interop/real $O
	@[ -z "$(SKYWIRE_BIN)" ] || tools/run-tests -c tools/check/matrix -s "Real programs" $(BUILD)/interop/real
asan: ## unit tests and corpora under sanitizers
	@$(MAKE) unit replay PROFILE=asan
tsan: ## unit tests under the thread sanitizer
	@$(MAKE) unit PROFILE=tsan
fuzz: ## run each fuzz target for FUZZ_TIME seconds
	@$(MAKE) fuzz-bins PROFILE=fuzz
	@tools/fuzz.sh run $(FUZZ_TIME) $(patsubst %.c,$(BUILD)/fuzz/%,$(FUZZ))
soak: $(PROGRAMS) $O/tests/soak/soak_test ## faults at random: DURATION hours simulated, WALL seconds real
	@SOAK_HOURS=$(DURATION) $O/tests/soak/soak_test
	@[ $(WALL) -eq 0 ] || SKYRAIL_BIN=$(abspath $O) SOAK_SECONDS=$(WALL) bash tests/soak/processes.sh
format: ## format the C sources
	@clang-format -i $(C_FILES)
docs: $(MANPAGES) ## man pages
$(BUILD)/man/%: docs/man/%.scd $(SYSCONF_STAMP)
	@mkdir -p $(@D)
	@$(if $(filter 1,$V),,echo "  MAN     $@")
	$Q$(SUBST) $< | scdoc >$@.tmp && mv $@.tmp $@

# Written anew when the Makefile or the set of files changes: what make would run, as JSON.
all: compile_commands.json
compile_commands.json: Makefile tools/targets.mk $(sort $(dir $(lib_SRCS) $(dp_SRCS) $(cp_SRCS) $(ctl_SRCS) $(gen_SRCS) $(TESTS) $(FUZZ)))
ifndef COMPDB
	@$(MAKE) -kBn V=1 COMPDB=1 programs test-bins fuzz-bins bench-bins 2>/dev/null | tools/compile-commands >$@.tmp && mv $@.tmp $@
endif

D := $(DESTDIR)
SUBST := sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g'
# What the systemd units and the packages' user are called, in the configuration that is installed.
UNIT_USER := -e 's/^control_user =$$/control_user = skyrail/' \
	-e 's|^state_dir =$$|state_dir = /var/lib/skyrail|'
install: all ## install below DESTDIR/PREFIX; existing configuration is kept
	$Qinstall -d $D$(PREFIX)/bin $D$(PREFIX)/sbin $D$(SYSCONFDIR)/skyrail
	$Qinstall -m 0755 $O/skyrail $O/skyrail-bench $D$(PREFIX)/bin
	$Qinstall -m 0755 $O/skyrail-dataplane $O/skyrail-controlplane $D$(PREFIX)/sbin
	$Qfor s in 1 5 8; do install -d $D$(PREFIX)/share/man/man$$s && \
		install -m 0644 $(BUILD)/man/*.$$s $D$(PREFIX)/share/man/man$$s || exit 1; done
	$Qinstall -d $D$(PREFIX)/share/doc/skyrail && \
		install -m 0644 README.md CHANGELOG.md LICENSE config/*.ini $D$(PREFIX)/share/doc/skyrail
	$Qfor f in config/*.ini; do t=$D$(SYSCONFDIR)/skyrail/$${f##*/}; \
		[ -e $$t ] || { sed $(UNIT_USER) $$f >$$t && chmod 0644 $$t; } || exit 1; done
	$Qinstall -d $D$(PREFIX)/lib/systemd/system $D$(PREFIX)/lib/sysusers.d $D$(PREFIX)/lib/tmpfiles.d
	$Qfor f in packaging/*.service.in; do t=$${f##*/}; \
		$(SUBST) $$f >$D$(PREFIX)/lib/systemd/system/$${t%.in} || exit 1; done
	$Q$(SUBST) packaging/skyrail.sysusers.in >$D$(PREFIX)/lib/sysusers.d/skyrail.conf
	$Q$(SUBST) packaging/skyrail.tmpfiles.in >$D$(PREFIX)/lib/tmpfiles.d/skyrail.conf
	@echo 'installed in $D$(PREFIX), configuration in $D$(SYSCONFDIR)/skyrail'
	@printf '%s\n' 'next, as root$(if $D, and where $D is the root of the file system): make the user' \
		'skyrail, which dataplane.ini names, and /run/skyrail:' \
		'  systemd-sysusers $(PREFIX)/lib/sysusers.d/skyrail.conf' \
		'  systemd-tmpfiles --create $(PREFIX)/lib/tmpfiles.d/skyrail.conf'
	$Qcase '$(PREFIX)' in /usr|/usr/local) ;; *) printf '%s\n' \
		'  systemctl link $(PREFIX)/lib/systemd/system/skyrail-dataplane.service \' \
		'    $(PREFIX)/lib/systemd/system/skyrail-controlplane.service' \
		'and put $(PREFIX)/bin and $(PREFIX)/sbin into PATH, $(PREFIX)/share/man into MANPATH';; esac
uninstall: ## remove what install put there; configuration and keys stay
	$Qrm -f $D$(PREFIX)/bin/skyrail $D$(PREFIX)/bin/skyrail-bench $D$(PREFIX)/sbin/skyrail-dataplane $D$(PREFIX)/sbin/skyrail-controlplane
	$Qfor f in docs/man/*.scd; do p=$${f##*/}; p=$${p%.scd}; rm -f $D$(PREFIX)/share/man/man$${p##*.}/$$p; done
	$Qrm -rf $D$(PREFIX)/share/doc/skyrail
	$Qfor f in packaging/*.service.in; do t=$${f##*/}; rm -f $D$(PREFIX)/lib/systemd/system/$${t%.in}; done
	$Qrm -f $D$(PREFIX)/lib/sysusers.d/skyrail.conf $D$(PREFIX)/lib/tmpfiles.d/skyrail.conf
	@echo 'removed; $D$(SYSCONFDIR)/skyrail, /var/lib/skyrail and the user skyrail stay, and what runs goes on'
clean: ## remove all that was built
	rm -rf $(BUILD) compile_commands.json
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '%s\n' '' 'Variables (make NAME=VALUE; the same for build and install):' \
		'  PREFIX     where programs, man pages and units go: /usr/local' \
		'  SYSCONFDIR directory of skyrail/*.ini, wherever PREFIX is: /etc' \
		'  DESTDIR    put before both when installing, for packages: empty' \
		'  PROFILE    release, debug, asan, tsan or fuzz' \
		'  BUILD      directory of what is built: build' \
		'  DURATION   of soak, in hours of simulated time (three minutes for 24)' \
		'  WALL       of soak: seconds of real processes' \
		'  SKYWIRE_BIN directory of a Skywire deployment, for interop and check' \
		'  CC         gcc or clang; WERROR=0 lets warnings pass, V=1 shows commands'
