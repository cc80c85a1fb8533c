# skyrail: one non-recursive Makefile. `make help` lists the targets.
# Variables: see `make help`  IPSEC_MB=0|1

VERSION   := $(shell cat VERSION)
PROFILE   ?= release
BUILD     ?= build
O         := $(BUILD)/$(PROFILE)
PREFIX    ?= /usr/local
SYSCONFDIR ?= /etc
WERROR    ?= 1
V         ?= 0
# intel-ipsec-mb is for x86_64 only; elsewhere, and with IPSEC_MB=0, libsodium does it all.
IPSEC_MB  ?= $(if $(filter x86_64,$(shell uname -m)),1,0)
Q         := $(if $(filter 1,$V),,@)
export MAKEFLAGS += --no-print-directory
ifeq ($(origin CC),default)
CC := gcc
endif

# ---- sources: explicit, sorted; a file that is not listed is not built ----
lib_SRCS := \
	lib/api/api_client.c lib/api/api_field.c lib/api/api_rec.c \
	lib/base/clock.c lib/base/file.c lib/base/htab.c lib/base/idpool.c lib/base/log.c \
	lib/conf/conf.c lib/conf/conf_edit.c lib/conf/conf_hint.c lib/conf/conf_value.c \
	lib/crypto/aead.c $(if $(filter 1,$(IPSEC_MB)),lib/crypto/aead_ipsec_mb.c) lib/crypto/aead_sodium.c \
	lib/crypto/aead_table.c lib/crypto/dh_25519.c lib/crypto/dh_secp256k1.c \
	lib/crypto/hash.c lib/crypto/key.c lib/crypto/key_file.c lib/crypto/noise.c lib/crypto/noise_rec.c lib/crypto/noise_unit.c \
	lib/crypto/secp.c lib/crypto/sign.c \
	lib/dmsg/accept.c lib/dmsg/dial.c lib/dmsg/inbox.c lib/dmsg/peer_mem.c lib/dmsg/relay.c lib/dmsg/session.c lib/dmsg/ss_mem.c \
	lib/link/carry_hs.c lib/link/cc.c lib/link/cc_bbr.c lib/link/cc_bbr_model.c lib/link/cc_cubic.c lib/link/gro.c lib/link/gso.c \
	lib/link/part.c lib/link/pmtu.c lib/link/rail_cookie.c lib/link/rail_hs.c \
	lib/link/rel.c lib/link/rel_ack.c lib/link/rel_ctl.c lib/link/rel_hold.c lib/link/rel_ids.c lib/link/rel_join.c lib/link/rel_kept.c lib/link/rel_limit.c \
	lib/link/rel_loss.c lib/link/rel_move.c lib/link/rel_order.c lib/link/rel_queue.c lib/link/rel_run.c lib/link/rel_rx.c lib/link/rel_tx.c \
	lib/route/claim.c lib/route/group.c lib/route/setup_plan.c lib/route/route_path.c \
	lib/mux/mux.c lib/mux/mux_buf.c lib/mux/smux.c lib/mux/yamux.c \
	lib/shm/region.c lib/shm/ring.c lib/shm/stats.c \
	lib/wire/connect_msg.c lib/wire/dmsg_answer.c lib/wire/dmsg_entry.c lib/wire/dmsg_msg.c lib/wire/edge_msg.c lib/wire/entry.c lib/wire/finder_msg.c lib/wire/gob.c lib/wire/http_auth.c lib/wire/ip.c lib/wire/json_text.c lib/wire/netrpc.c lib/wire/rail.c lib/wire/rail_frame.c lib/wire/rail_payload.c lib/wire/resolver_msg.c lib/wire/route_hdr.c lib/wire/rule.c lib/wire/setup_ask.c lib/wire/setup_msg.c lib/wire/smux_frame.c lib/wire/tp_entry.c lib/wire/tp_setup_msg.c lib/wire/visor_msg.c lib/wire/yamux_frame.c
dp_SRCS := \
	dataplane/ctl/ctl.c dataplane/ctl/ctl_cmd.c dataplane/ctl/ctl_dump.c \
	dataplane/ctl/ctl_event.c dataplane/ctl/ctl_route.c dataplane/ctl/ctl_sock.c dataplane/ctl/ctl_stats.c \
	dataplane/dp_caps.c dataplane/dp_conf.c dataplane/dp_cores.c dataplane/dp_crypto.c dataplane/dp_eal.c \
	dataplane/hop/hop.c dataplane/hop/hop_car.c dataplane/hop/hop_ctl.c dataplane/hop/hop_fast.c dataplane/hop/hop_hold.c \
	dataplane/hop/hop_join.c dataplane/hop/hop_make.c dataplane/hop/hop_move.c dataplane/hop/hop_mtu.c dataplane/hop/hop_rel.c dataplane/hop/hop_rel_rx.c dataplane/hop/hop_rel_tx.c dataplane/hop/hop_route.c \
	dataplane/hop/hop_route_event.c dataplane/hop/hop_rx.c dataplane/hop/hop_show.c dataplane/hop/hop_table.c dataplane/hop/hop_table_route.c dataplane/hop/hop_tx.c \
	dataplane/io/dev_socket.c dataplane/io/encap.c dataplane/io/exception.c dataplane/io/port.c dataplane/io/port_again.c \
	dataplane/io/port_caps.c dataplane/io/port_open.c dataplane/io/port_pool.c dataplane/io/udp_claim.c dataplane/io/xdp.c \
	dataplane/rule/reclaim.c dataplane/rule/rule_table.c dataplane/rule/sweeper.c \
	dataplane/worker/first_contact.c dataplane/worker/forward.c dataplane/worker/handoff.c dataplane/worker/move.c \
	dataplane/worker/idle.c dataplane/worker/uplink.c dataplane/worker/worker.c
# Runs in the kernel's virtual machine; dataplane/io/xdp.c carries the object.
bpf_SRC := dataplane/io/xdp_filter.bpf.c
cp_SRCS := \
	controlplane/app/edge.c controlplane/app/edge_far.c controlplane/app/edge_in.c \
	controlplane/app/edge_io.c controlplane/app/route_bench.c controlplane/app/tun.c \
	controlplane/core/backoff.c controlplane/core/conf_file.c controlplane/core/conn.c controlplane/core/conn_join.c controlplane/core/conn_listen.c controlplane/core/conn_tcp.c \
	controlplane/core/identity.c controlplane/core/loop.c controlplane/core/mailbox.c controlplane/core/noise_conn.c \
	controlplane/cp_conf.c controlplane/cp_conf_dmsg.c controlplane/in_force.c controlplane/lan.c controlplane/reload.c controlplane/reload_diff.c controlplane/cp_conf_route.c controlplane/cp_conf_transport.c controlplane/dial_role.c \
	controlplane/role.c controlplane/services.c controlplane/setup_role.c controlplane/host.c controlplane/group_role.c \
	controlplane/dmsg/dmsg_link.c controlplane/dmsg/dmsg_ping.c controlplane/dmsg/dmsg_rtt.c controlplane/dmsg/dmsg_stream.c controlplane/dmsg/dmsg_conn.c \
	controlplane/dmsg/dmsg_client.c controlplane/dmsg/dmsg_client_dial.c controlplane/dmsg/dmsg_client_find.c controlplane/dmsg/dmsg_client_lan.c \
	controlplane/dmsg/dmsg_http.c controlplane/dmsg/dmsg_publish.c \
	controlplane/dmsg/dmsg_mesh.c controlplane/dmsg/dmsg_mesh_find.c controlplane/dmsg/dmsg_server.c controlplane/dmsg/dmsg_server_mesh.c controlplane/dmsg/dmsg_server_relay.c \
	controlplane/dp/dp_client.c controlplane/dp/dp_lane.c controlplane/dp/dp_recv.c controlplane/dp/handles.c \
	controlplane/directory/dir_client.c controlplane/directory/finder.c controlplane/directory/resolver.c controlplane/directory/resolver_keep.c controlplane/directory/service.c \
	controlplane/directory/tp_discovery.c controlplane/directory/tp_register.c controlplane/http/http_client.c \
	controlplane/dp/neigh.c controlplane/dp/neigh_adj.c controlplane/dp/neigh_nl.c \
	controlplane/dmsg/lan_server.c controlplane/mux/mux_conn.c controlplane/route/route_gate.c controlplane/route/route_id.c controlplane/route/route_peer.c controlplane/route/rpc_port.c controlplane/route/rule_job.c controlplane/route/rule_keep.c \
	controlplane/route/rule_cmd.c controlplane/route/rule_list.c controlplane/route/rule_error.c controlplane/route/rule_install.c controlplane/route/rule_mgr.c controlplane/route/route_end.c controlplane/route/route_group.c controlplane/route/route_groups.c \
	controlplane/route/rule_pin.c controlplane/route/setup_call.c controlplane/route/setup_job.c controlplane/route/setup_node.c controlplane/route/route_dial.c controlplane/route/route_lay.c controlplane/route/route_loop.c controlplane/route/route_seek.c controlplane/route/route_trace.c \
	controlplane/rpc/api_dmsg.c controlplane/rpc/api_handlers.c controlplane/rpc/api_list.c controlplane/rpc/api_list_dmsg.c controlplane/rpc/api_list_route.c controlplane/rpc/api_list_service.c controlplane/rpc/api_list_tp.c controlplane/rpc/api_req.c controlplane/rpc/api_server.c controlplane/rpc/api_stream.c controlplane/rpc/visor_rpc.c controlplane/rpc/api_route.c controlplane/rpc/api_tp_setup.c \
	controlplane/transport/carried_link.c controlplane/transport/carrier.c controlplane/transport/hs_limit.c controlplane/transport/init_time.c controlplane/transport/peer_list.c controlplane/transport/rx_index.c \
	controlplane/transport/transport_adopt.c controlplane/transport/transport_call.c controlplane/transport/transport_carried.c controlplane/transport/transport_dp.c controlplane/transport/tp_gateway.c \
	controlplane/transport/transport_find.c controlplane/transport/transport_flow.c controlplane/transport/transport_hs.c controlplane/transport/transport_rekey.c \
	controlplane/transport/transport_mgr.c controlplane/transport/transport_move.c controlplane/transport/transport_packets.c controlplane/transport/transport_ping.c controlplane/transport/transport_way.c
ctl_SRCS := \
	tools/ctl/args.c tools/ctl/balance.c tools/ctl/cmd_dmsg.c tools/ctl/stream.c tools/ctl/cmd_edge.c tools/ctl/cmd_key.c tools/ctl/cmd_node.c tools/ctl/cmd_route.c tools/ctl/way.c tools/ctl/cmd_bench.c tools/ctl/route_load.c tools/ctl/cmd_rule.c \
	tools/ctl/block.c tools/ctl/cmd_balance.c tools/ctl/cmd_config.c tools/ctl/cmd_show.c tools/ctl/cmd_transport.c tools/ctl/command.c \
	tools/ctl/cmd_import.c tools/ctl/import.c tools/ctl/import_map.c tools/ctl/import_tp.c \
	tools/ctl/help.c tools/ctl/options.c tools/ctl/print.c
gen_SRCS := \
	tools/bench/args.c tools/bench/drops.c tools/bench/eal.c tools/bench/hist.c tools/bench/local.c tools/bench/memory.c \
	tools/bench/node_api.c tools/bench/peer.c tools/bench/prepare.c tools/bench/report.c tools/bench/report_out.c \
	tools/bench/resolve.c tools/bench/search.c tools/bench/stale.c tools/bench/traffic.c tools/bench/trial.c \
	tools/bench/wire.c tools/bench/wire_hs.c tools/bench/wire_key.c
BENCH := $(sort $(wildcard tests/bench/bench_*.c))
bench_SRCS := $(filter-out $(BENCH),$(sort $(wildcard tests/bench/*.c)))
TESTS := $(sort $(wildcard tests/lib/*/*_test.c tests/lib/*_test.c tests/dataplane/*/*_test.c \
	tests/dataplane/*_test.c tests/controlplane/*/*_test.c tests/controlplane/*_test.c tests/tools/*_test.c \
	tests/soak/*_test.c))
soak_SRCS := $(sort $(filter-out %_test.c,$(wildcard tests/soak/*.c)))
FUZZ  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
support_SRCS := $(sort $(wildcard tests/support/*.c))

# ---- flags ----
PKG := pkg-config
DPDK_CFLAGS := $(filter-out -march=%,$(subst -I,-isystem ,$(shell $(PKG) --cflags libdpdk 2>/dev/null)))
DPDK_LIBS   := $(shell $(PKG) --libs libdpdk libbpf 2>/dev/null)
# DPDK's x86 headers need SSE4.2; x86-64-v2 is that and nothing more, so binaries stay portable.
MARCH ?= $(if $(filter x86_64,$(shell uname -m)),-march=x86-64-v2)
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings \
	-Wpointer-arith -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter $(if $(filter 1,$(WERROR)),-Werror)
HARDEN := -fstack-protector-strong -fPIE
CPPFLAGS += -I. -D_GNU_SOURCE -DSKYRAIL_VERSION='"$(VERSION)"'
BASE_CFLAGS := -std=gnu17 $(WARN) -fno-common -g -ffile-prefix-map=$(CURDIR)=. $(MARCH)
ifeq ($(PROFILE),release)
OPT := -O2
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else ifeq ($(PROFILE),debug)
OPT := -Og
else ifeq ($(PROFILE),asan)
OPT := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(PROFILE),tsan)
OPT := -O1 -fno-omit-frame-pointer -fsanitize=thread
# rings by C11 atomics, which the sanitizer understands, instead of x86 barriers, which it does not
CPPFLAGS += -DRTE_USE_C11_MEM_MODEL
LDFLAGS += -fsanitize=thread
else ifeq ($(PROFILE),fuzz)
CC := clang
OPT := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address,undefined
else
$(error PROFILE is one of release debug asan tsan fuzz, not '$(PROFILE)')
endif
ALL_CFLAGS = $(BASE_CFLAGS) $(OPT) $(HARDEN) $(FORTIFY) $(CFLAGS)
LDFLAGS += -pie -Wl,-z,relro -Wl,-z,now -Wl,--as-needed
LIB_LIBS := $(if $(filter 1,$(IPSEC_MB)),-lIPSec_MB) -lsodium -lsecp256k1 -linih -ljansson -lm -lpthread
CP_LIBS  := -lcurl -luv -lmnl
CTL_LIBS := -lsmartcols

# ---- objects ----
obj = $(patsubst %.c,$O/%.o,$1)
LIB := $O/libskyrail.a
DP  := $O/libdataplane.a
CP  := $O/libcontrolplane.a
CTL := $O/libctl.a
GEN := $O/libbench.a
SUP := $O/libsupport.a
PROGRAMS := $O/skyrail-dataplane $O/skyrail-controlplane $O/skyrail $O/skyrail-bench
TEST_BINS  := $(patsubst %.c,$O/%,$(TESTS))
BENCH_BINS := $(patsubst %.c,$O/%,$(BENCH))
FUZZ_BINS  := $(patsubst %.c,$O/%,$(FUZZ))

.PHONY: all
all: $(PROGRAMS) docs ## build the programs and man pages
bench_OBJS := $(call obj,$(bench_SRCS))
dp_OBJS := $(call obj,$(dp_SRCS) dataplane/main.c)
$(dp_OBJS) $O/tests/dataplane/%.o $O/tests/bench/%.o $O/tests/soak/%.o $O/tests/support/%.o $O/tests/fuzz/%.o: CPPFLAGS += $(DPDK_CFLAGS)
$O/dataplane/%.o $O/tools/bench/%.o $O/tests/tools/bench_%.o: CPPFLAGS += $(DPDK_CFLAGS)
$O/dataplane/%.o $O/lib/crypto/%.o $O/lib/link/%.o $O/tools/bench/%.o: OPT += $(if $(filter release,$(PROFILE)),-O3)

# What has the configuration's directory in it is made anew when that changes.
SYSCONF_STAMP := $(BUILD)/sysconfdir
$O/controlplane/main.o $O/dataplane/main.o: CPPFLAGS += -DSKYRAIL_SYSCONFDIR='"$(SYSCONFDIR)/skyrail"'
$O/controlplane/main.o $O/dataplane/main.o: $(SYSCONF_STAMP)
$(SYSCONF_STAMP): force
	@mkdir -p $(@D)
	@echo '$(SYSCONFDIR)' | cmp -s - $@ || echo '$(SYSCONFDIR)' >$@
.PHONY: force

$O/%.o: %.c Makefile VERSION
	@mkdir -p $(@D)
	@$(if $(filter 1,$V),,echo "  CC      $<")
	$Q$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
XDP_OBJECT := $(BUILD)/bpf/$(bpf_SRC:.c=.o)
$(XDP_OBJECT): $(bpf_SRC) Makefile
	@mkdir -p $(@D)
	@$(if $(filter 1,$V),,echo "  BPF     $<")
	$Q clang -target bpf -O2 -g -ffreestanding -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror) -I. \
		$(addprefix -isystem /usr/include/,$(shell gcc -print-multiarch)) \
		-ffile-prefix-map=$(CURDIR)=. -MMD -MP -c -o $@ $<
-include $(XDP_OBJECT:.o=.d)
$O/dataplane/io/xdp.o: CPPFLAGS += -DXDP_OBJECT='"$(XDP_OBJECT)"'
$O/dataplane/io/xdp.o: $(XDP_OBJECT)
define archive
$1: $2
	@mkdir -p $$(@D)
	@$(if $(filter 1,$V),,echo "  AR      $$@")
	$Q rm -f $$@ && ar rcD $$@ $$(filter %.o,$$^)
endef
$(eval $(call archive,$(LIB),$(call obj,$(lib_SRCS))))
$(eval $(call archive,$(DP),$(call obj,$(dp_SRCS))))
$(eval $(call archive,$(CP),$(call obj,$(cp_SRCS))))
$(eval $(call archive,$(CTL),$(call obj,$(ctl_SRCS))))
$(eval $(call archive,$(GEN),$(call obj,$(gen_SRCS))))
$(eval $(call archive,$(SUP),$(call obj,$(support_SRCS))))
link = @mkdir -p $(@D); $(if $(filter 1,$V),,echo "  LINK    $@";) \
	$(CC) $(OPT) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $1 $(LIB_LIBS)
$O/skyrail-dataplane: $O/dataplane/main.o $(DP) $(LIB)
	$(call link,$(DPDK_LIBS))
$O/skyrail-controlplane: $O/controlplane/main.o $(CP) $(LIB)
	$(call link,$(CP_LIBS))
$O/skyrail-bench: $O/tools/bench/main.o $(GEN) $(DP) $(LIB)
	$(call link,$(DPDK_LIBS) -lrte_net_ring)
$O/skyrail: $O/tools/ctl/main.o $(CTL) $(LIB)
	$(call link,$(CTL_LIBS))
$O/tests/lib/%: $O/tests/lib/%.o $(SUP) $(LIB)
	$(call link,-lcmocka)
$O/tests/controlplane/%: $O/tests/controlplane/%.o $(CP) $(SUP) $(LIB)
	$(call link,$(CP_LIBS) -lcmocka)
$O/tests/tools/%: $O/tests/tools/%.o $(CTL) $(SUP) $(LIB)
	$(call link,$(CTL_LIBS) -lcmocka)
$O/tests/tools/bench_%: $O/tests/tools/bench_%.o $(GEN) $(DP) $(LIB)
	$(call link,$(DPDK_LIBS) -lrte_net_ring -lcmocka)
$(patsubst %.c,$O/%,$(filter tests/dataplane/worker/%,$(TESTS))): $O/tests/dataplane/worker/node.o
$O/tests/dataplane/%: $O/tests/dataplane/%.o $(SUP) $(DP) $(LIB)
	$(call link,$(DPDK_LIBS) -lrte_net_ring -lcmocka)
$O/tests/soak/%: $O/tests/soak/%.o $(call obj,$(soak_SRCS)) $(CP) $(DP) $(SUP) $(LIB)
	$(call link,$(CP_LIBS) $(DPDK_LIBS) -lrte_net_ring -lcmocka)
$O/tests/bench/%: $O/tests/bench/%.o $(bench_OBJS) $(GEN) $(DP) $(SUP) $(LIB)
	$(call link,$(DPDK_LIBS) -lrte_net_ring)
$O/tests/bench/bench_carriers $O/tests/bench/bench_dmsg_relay: $O/tests/bench/%: $O/tests/bench/%.o $(call obj,$(addprefix tests/bench/,cores.c figures.c options.c)) $(CP) $(LIB)
	$(call link,$(CP_LIBS))
$O/tests/interop/decode: $O/tests/interop/decode.o $(LIB)
	$(call link)
$O/tests/interop/ask: $O/tests/interop/ask.o $(CP) $(LIB)
	$(call link,$(CP_LIBS))
$O/tests/fuzz/%: $O/tests/fuzz/%.o $(if $(filter fuzz,$(PROFILE)),,$O/tests/fuzz/replay.o) $(CP) $(CTL) $(GEN) $(DP) $(LIB)
	$(call link,$(if $(filter fuzz,$(PROFILE)),-fsanitize=fuzzer) $(CP_LIBS) $(DPDK_LIBS))
.SECONDARY:
-include $(shell [ -d $O ] && find $O -name '*.d')

$O/lib/crypto/%.o $O/tests/support/aead_%.o: CPPFLAGS += -DAEAD_IPSEC_MB=$(IPSEC_MB)

# ---- what people call ----
include tools/targets.mk
