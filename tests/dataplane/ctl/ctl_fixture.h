// A whole main lcore on a null port and two workers that do not run on their own: the tests of
// dataplane/ctl share it. EAL must be up.
#pragma once

#include "dataplane/ctl/ctl_priv.h"
#include "lib/base/clock.h"
#include "lib/crypto/aead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FIX_WORKERS = 2, FIX_HOPS = 64, FIX_RULE_BITS = 8, FIX_REL_BUFS = 512 };

struct fix {
	struct aead_choice aead;
	struct region_conf rc;
	struct region region;
	struct reclaim *reclaim;
	struct rule_table rules;
	struct adj_table *adjs;
	struct hop_table *hops;
	struct port_set *ports;
	struct worker_set *workers;
	struct ctl *ctl;
	unsigned lcores[FIX_WORKERS];
	// the control plane's ends
	struct ring_w cmd;
	struct ring_r evt;
	uint64_t now_ns;
	uint64_t cookie;
};

static inline struct ring_shm *fix_ring(struct fix *f, uint64_t off, size_t *len)
{
	struct ring_shm *shm = region_ring(&f->region, off, len);

	assert_non_null(shm);
	return shm;
}

static inline void fix_ends(struct fix *f)
{
	size_t len;
	struct ring_shm *shm = fix_ring(f, f->region.hdr->cmd_off, &len);

	assert_int_equal(ring_w_attach(&f->cmd, shm, len), 0);
	shm = fix_ring(f, f->region.hdr->evt_off, &len);
	assert_int_equal(ring_r_attach(&f->evt, shm, len), 0);
}

static inline void fix_init(struct fix *f, int listen_fd)
{
	struct port_ask ask = {.name = "wan", .device = "net_null_ctl", .kernel_if = "", .tap = ""};
	char err[PORT_ERR_MAX] = "";

	memset(f, 0, sizeof(*f));
	f->rc = (struct region_conf){.n_workers = FIX_WORKERS,
		.n_ports = 1,
		.hop_max = FIX_HOPS,
		.rule_bits = FIX_RULE_BITS,
		.rx_index_bits = 10,
		.adj_max = 32,
		.udp_port = 7780,
		.cmd_size = 64 << 10,
		.evt_size = 64 << 10,
		.hs_size = 16 << 10,
		.up_size = 256 << 10,
		.down_size = 256 << 10};
	assert_int_equal(region_create(&f->region, &f->rc, 99), 0);
	f->reclaim = reclaim_new(FIX_WORKERS);
	assert_non_null(f->reclaim);
	assert_int_equal(rule_table_init(&f->rules, FIX_RULE_BITS, -1, f->reclaim), 0);
	f->adjs = adj_table_new(32, f->reclaim);
	assert_non_null(f->adjs);
	struct hop_table_conf hc = {.hop_max = FIX_HOPS,
		.rx_index_bits = 10,
		.n_workers = FIX_WORKERS,
		.stats = f->region.stats,
		.rel_bufs = FIX_REL_BUFS,
		.rules = &f->rules};
	f->hops = hop_table_new(&hc);
	assert_non_null(f->hops);
	f->ports = port_set_open(&ask, 1, FIX_WORKERS, NULL, err);
	if (f->ports == NULL)
		fail_msg("%s", err);
	struct worker_conf wc = {.n_workers = FIX_WORKERS,
		.udp_ports = {7780, 1},
		.idle = IDLE_ADAPTIVE,
		.rules = &f->rules,
		.adjs = f->adjs,
		.hops = f->hops,
		.reclaim = f->reclaim,
		.region = &f->region};
	f->workers = worker_set_new(&wc);
	assert_non_null(f->workers);
	for (unsigned i = 0; i < FIX_WORKERS; i++)
		port_set_bind(f->ports, worker_ctx(f->workers, i));
	for (unsigned i = 0; aead_backend_at(i) != NULL; i++)
		f->aead.be[AEAD_CHACHA20_POLY1305] = aead_backend_at(i); // the last: libsodium
	struct ctl_conf cc = {.region = &f->region,
		.region_conf = &f->rc,
		.rules = &f->rules,
		.reclaim = f->reclaim,
		.adjs = f->adjs,
		.hops = f->hops,
		.ports = f->ports,
		.workers = f->workers,
		.lcores = f->lcores,
		.aead = &f->aead,
		.listen_fd = listen_fd,
		.control_uid = (uid_t)-1};
	f->ctl = ctl_new(&cc);
	assert_non_null(f->ctl);
	f->now_ns = clock_mono_ns();
	fix_ends(f);
}

static inline void fix_fini(struct fix *f)
{
	ctl_free(f->ctl);
	worker_set_free(f->workers);
	hop_table_free(f->hops);
	adj_table_free(f->adjs);
	rule_table_fini(&f->rules);
	reclaim_free(f->reclaim);
	port_set_close(f->ports);
	region_close(&f->region);
}

// One turn of the main lcore, some of the workers, ms later than the last one.
static inline void fix_turn(struct fix *f, unsigned ms)
{
	f->now_ns += (uint64_t)ms * 1000000;
	ctl_turn(f->ctl, f->now_ns);
	for (unsigned i = 0; i < FIX_WORKERS; i++)
		worker_turn(worker_ctx(f->workers, i));
}

// Send a command; its header is filled. Returns its cookie.
static inline uint64_t fix_send(struct fix *f, void *cmd, uint16_t type, uint32_t len)
{
	struct dpmsg_hdr *h = cmd;
	void *to = ring_w_reserve(&f->cmd, len);

	assert_non_null(to);
	*h = (struct dpmsg_hdr){.len = len, .type = type, .cookie = ++f->cookie};
	memcpy(to, cmd, len);
	ring_w_publish(&f->cmd);
	return f->cookie;
}

union fix_evt {
	struct dpmsg_hdr h;
	struct evt_done done;
	struct evt_rule rule;
	struct evt_hop hop;
	struct evt_port port;
	struct evt_worker worker;
	struct evt_adj adj;
	struct evt_route_pause pause;
	uint8_t bytes[512];
};

// The next event of a type (0: any), skipping others; false when there is none.
static inline bool fix_event(struct fix *f, uint16_t type, union fix_evt *e)
{
	int n;

	while ((n = ring_r_read(&f->evt, e, sizeof(*e))) > 0) {
		ring_r_release(&f->evt);
		assert_int_equal(e->h.len, n);
		if (type == 0 || e->h.type == type)
			return true;
	}
	assert_int_equal(n, 0);
	return false;
}

// Send, turn, and the status that came back; other events are skipped.
static inline int fix_cmd(struct fix *f, void *cmd, uint16_t type, uint32_t len)
{
	uint64_t cookie = fix_send(f, cmd, type, len);
	union fix_evt e;

	fix_turn(f, 0);
	while (fix_event(f, EVT_DONE, &e)) {
		if (e.h.cookie == cookie)
			return e.done.status;
	}
	fail_msg("command %u was not answered", type);
	return 0;
}

static inline void fix_hello(struct fix *f)
{
	struct cmd_hello m = {.version = DPMSG_VERSION, .pid = 1};

	memset(m.mac1_key, 7, sizeof(m.mac1_key));
	assert_int_equal(fix_cmd(f, &m, CMD_HELLO, sizeof(m)), 0);
}

static inline struct cmd_rule_add fix_rule(uint32_t id)
{
	return (struct cmd_rule_add){.id = id,
		.next_id = 77,
		.tx_hop = 1 | 1u << DPMSG_HANDLE_BITS,
		.keep_alive_ms = 1000,
		.type = RULE_INTERMEDIARY};
}

static inline struct cmd_hop_add fix_hop(uint32_t index)
{
	struct cmd_hop_add m = {.hop = index | 1u << DPMSG_HANDLE_BITS,
		.tp = index | 1u << DPMSG_HANDLE_BITS,
		.flow = 1,
		.mode = HOP_MODE_DATAGRAM,
		.owner = (uint8_t)(index % FIX_WORKERS),
		.window_log2 = 13,
		.instance_local = 1,
		.instance_remote = 2,
		.adj = 1 | 1u << DPMSG_HANDLE_BITS,
		.local_port = 7780,
		.payload_max = 1452,
		.name = "link"};

	m.peer.ip[10] = m.peer.ip[11] = 0xff;
	m.peer.ip[12] = 10;
	m.peer.port = 7780;
	m.keys.rx_index = 0x1000 + index;
	m.keys.tx_index = 0x2000 + index;
	memset(m.keys.rx_key, 0xb1, sizeof(m.keys.rx_key));
	memset(m.keys.tx_key, 0xb2, sizeof(m.keys.tx_key));
	m.keys.cipher = AEAD_CHACHA20_POLY1305;
	m.keys.initiator = 1;
	return m;
}

// A connection of the control plane's.
static inline struct cmd_hop_add fix_carried(uint32_t index)
{
	return (struct cmd_hop_add){.hop = index | 1u << DPMSG_HANDLE_BITS,
		.tp = index | 1u << DPMSG_HANDLE_BITS,
		.flow = 1,
		.n_flows = 1,
		.mode = HOP_MODE_CARRIED,
		.owner = (uint8_t)(index % FIX_WORKERS),
		.name = "connection"};
}
