// The packet path against a model. Random rule tables and packets of all types and odd lengths go
// through real workers (one, and three with hand-off), sealed and in clear; a model that is written
// straight from skywire-routing 2.5 and 3 says what must come out where, what each rule counts, and
// what each counter says. SKYRAIL_TEST_SEED=n runs one seed, SKYRAIL_TEST_ROUNDS=n more of each.

#include "tests/dataplane/worker/node.h"

#include "tests/support/eal.h"

#include <rte_eal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	RULES = 64,
	BATCH = 48,
	EXPECTED = BATCH * 2,
	BATCHES_PER_TABLE = 12,
	AGE_DS = 50, // of a rule when it is added
	WHOLE_MAX = NODE_DGRAM_MAX - 32 - 1, // route packet that goes as it is
	CONTROL_MAX = 200, // of a peer, below its limit
	MISS_MAX = 900, // ditto
	TO_CP = -1,
	FROM_CP = -1,
};

struct model_rule {
	bool live;
	uint32_t id, next;
	uint8_t type;
	int egress; // peer, or -1: a hop that is gone
	uint32_t in_tp;
	bool expired;
	bool fresh; // stamp refreshed since it was added
	uint64_t packets, bytes;
	uint32_t born_ds;
	bool closed; // a Close came in this batch
};

struct expected {
	int to; // peer or TO_CP
	uint32_t id; // as it goes out
	int from; // TO_CP: peer it came by
	unsigned len;
	uint8_t *bytes;
	bool seen;
};

struct model {
	struct node n;
	uint64_t rng;
	struct model_rule rule[RULES];
	struct expected exp[EXPECTED];
	unsigned n_exp;
	uint64_t want[W_COUNT];
	unsigned controls[NODE_PEERS];
	unsigned misses[NODE_PEERS];
	unsigned n_close; // notes
	uint32_t close_id[BATCH * 2];
	// parts on their way out, by peer
	uint8_t *join[NODE_PEERS];
	unsigned joined[NODE_PEERS];
};

static uint32_t rnd(struct model *m, uint32_t below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return (uint32_t)(m->rng >> 32) % below;
}

// ---- rules ----

static uint32_t random_ingress(struct model *m, uint8_t type)
{
	switch (rnd(m, type == RULE_FORWARD ? 3 : 8)) {
	case 0:
		return RULE_IN_ANY;
	case 1:
		return RULE_IN_LOCAL;
	default:
		return m->n.peer[rnd(m, m->n.conf.peers)].tp;
	}
}

static void new_rules(struct model *m, uint32_t generation)
{
	for (unsigned i = 0; i < RULES; i++) {
		struct model_rule *r = &m->rule[i];
		struct cmd_rule_add c = {0};

		*r = (struct model_rule){.live = true, .type = (uint8_t)rnd(m, 3)};
		r->id = generation << NODE_RULE_BITS | i;
		r->next = rnd(m, UINT32_MAX) + 1;
		r->egress = rnd(m, 10) == 0 ? -1 : (int)rnd(m, m->n.conf.peers);
		r->in_tp = random_ingress(m, r->type);
		r->expired = rnd(m, 12) == 0;
		r->born_ds = node_now_ds(&m->n) - AGE_DS;
		c.id = r->id;
		c.next_id = r->next;
		c.type = r->type;
		c.in_tp = r->in_tp;
		c.tx_hop = r->egress < 0 ? 0x00700003 : m->n.peer[r->egress].hop;
		c.keep_alive_ms = r->expired ? 1000 : 3600 * 1000;
		assert_int_equal(rule_table_add(&m->n.rules, &c, r->born_ds), 0);
	}
}

static void check_rule(const struct model *m, const struct model_rule *r)
{
	struct evt_rule e;
	uint32_t stamp;

	assert_int_equal(
		rule_table_show(&m->n.rules, r->id & m->n.rules.mask, node_now_ds(&m->n), &e), 0);
	stamp = atomic_load(&rule_slot(&m->n.rules, r->id)->stamp_ds);
	assert_int_equal(e.id, r->id);
	assert_int_equal(e.in_tp, r->in_tp);
	assert_int_equal(e.packets, r->packets);
	assert_int_equal(e.bytes, r->bytes);
	assert_int_equal(stamp != r->born_ds, r->fresh);
}

static void end_rule(struct model *m, struct model_rule *r)
{
	check_rule(m, r);
	assert_int_equal(rule_table_del(&m->n.rules, r->id, RULE_GONE_DEL), 0);
	r->live = false;
}

static void settle_deleted(struct model *m)
{
	while (m->n.rules.n_retired != 0) {
		rule_table_poll(&m->n.rules, RULES);
		node_settle(&m->n);
	}
}

static struct model_rule *find_rule(struct model *m, uint32_t id)
{
	for (unsigned i = 0; i < RULES; i++)
		if (m->rule[i].live && m->rule[i].id == id)
			return &m->rule[i];
	return NULL;
}

// ---- the model ----

static void expect(struct model *m, int to, uint32_t id, int from, const uint8_t *pkt, unsigned len)
{
	struct expected *e = &m->exp[m->n_exp++];

	assert_true(m->n_exp <= EXPECTED);
	*e = (struct expected){.to = to, .id = id, .from = from, .len = len};
	e->bytes = malloc(len);
	assert_non_null(e->bytes);
	memcpy(e->bytes, pkt, len);
	if (to != TO_CP)
		be32_put(e->bytes + 1, id);
}

static void sealed(struct model *m, unsigned len)
{
	m->want[W_seal_in]++;
	m->want[len <= WHOLE_MAX ? W_seal_whole : W_seal_parted]++;
}

static void counted(struct model_rule *r, unsigned len)
{
	r->fresh = true;
	r->packets++;
	r->bytes += len - 7;
}

static void closed(struct model *m, struct model_rule *r)
{
	r->closed = true;
	m->close_id[m->n_close++] = r->id;
}

static void forwarded(
	struct model *m, struct model_rule *r, int from, const uint8_t *pkt, unsigned len)
{
	if (r->egress < 0) {
		m->want[W_drop_hop_gone]++;
		return;
	}
	m->want[W_pkt_forwarded]++;
	sealed(m, len);
	counted(r, len);
	expect(m, r->egress, r->next, from, pkt, len);
}

static void on_id_0(struct model *m, int from, const uint8_t *pkt, unsigned len)
{
	uint8_t type = pkt[0];

	if (type == 8 && len == 15) {
		uint8_t pong[15];

		memcpy(pong, pkt, len);
		pong[0] = 9;
		m->want[W_pkt_answered]++;
		sealed(m, len);
		expect(m, from, 0, from, pong, len);
	} else if (type == 8) {
		m->want[W_drop_packet_malformed]++;
	} else if ((type >= 9 && type <= 16) || type == 18 || type == 19) {
		m->want[W_pkt_control]++;
		expect(m, TO_CP, 0, from, pkt, len);
	} else {
		m->want[W_drop_type0]++;
	}
}

// May packets of that origin use the rule? Pins.
static bool ingress(struct model *m, struct model_rule *r, int from)
{
	uint32_t tp = from == FROM_CP ? RULE_IN_LOCAL : m->n.peer[from].tp;

	if (r->in_tp == RULE_IN_ANY) {
		r->in_tp = tp;
		m->want[W_rule_pins]++;
	}
	if (r->in_tp == tp)
		return true;
	m->want[W_drop_rule_ingress]++;
	if (from != FROM_CP)
		m->misses[from]++;
	return false;
}

static void from_cp(struct model *m, uint32_t id, const uint8_t *pkt, unsigned len)
{
	struct model_rule *r = find_rule(m, id);

	m->want[W_pkt_down]++;
	if (id == 0 || len < 7)
		m->want[W_drop_down_bad]++;
	else if (7u + be16_get(pkt + 5) != len)
		m->want[W_drop_packet_malformed]++;
	else if (r == NULL || r->type != RULE_FORWARD)
		m->want[W_drop_down_bad]++;
	else if (r->expired)
		m->want[W_drop_rule_expired]++;
	else if (ingress(m, r, FROM_CP))
		forwarded(m, r, FROM_CP, pkt, len);
}

static void by_type(
	struct model *m, struct model_rule *r, int from, const uint8_t *pkt, unsigned len)
{
	uint8_t type = pkt[0];

	if (type == 1)
		closed(m, r);
	if (r->type == RULE_CONSUME) {
		counted(r, len);
		m->want[type == 2 ? W_pkt_ended : W_pkt_consumed]++;
		if (type != 2)
			expect(m, TO_CP, r->id, from, pkt, len);
	} else if (r->type == RULE_FORWARD && (type == 1 || type == 2)) {
		m->want[W_pkt_ended]++;
	} else {
		forwarded(m, r, from, pkt, len);
	}
}

static void from_peer(struct model *m, int from, const uint8_t *pkt, unsigned len)
{
	uint32_t id = be32_get(pkt + 1);
	struct model_rule *r = find_rule(m, id);

	m->want[W_pkt_rx]++;
	if (7u + be16_get(pkt + 5) != len) {
		m->want[W_drop_packet_malformed]++;
	} else if (id == 0) {
		on_id_0(m, from, pkt, len);
	} else if (r == NULL) {
		m->want[W_drop_rule_unknown]++;
		m->misses[from]++;
	} else if (r->expired) {
		m->want[W_drop_rule_expired]++;
	} else if (ingress(m, r, from)) {
		by_type(m, r, from, pkt, len);
	}
}

// ---- what really comes out ----

static void match(struct model *m, int to, int from, uint32_t id, const uint8_t *pkt, unsigned len)
{
	for (unsigned i = 0; i < m->n_exp; i++) {
		struct expected *e = &m->exp[i];

		// order is kept per route: the first one open is the one
		if (e->seen || e->to != to || e->id != id)
			continue;
		assert_int_equal(len, e->len);
		assert_memory_equal(pkt, e->bytes, len);
		if (to == TO_CP)
			assert_int_equal(from, e->from);
		e->seen = true;
		return;
	}
	fail_msg("nobody expected a packet of type %u, id %u, %u bytes to %d", pkt[0], id, len, to);
}

static void on_part(struct model *m, const struct peer *p, const uint8_t *f, unsigned len)
{
	unsigned total = (unsigned)f[8] << 16 | be16_get(f + 9);
	unsigned off = (unsigned)f[11] << 16 | be16_get(f + 12);
	unsigned part = be16_get(f + 14);

	assert_int_equal(len, 16 + part);
	assert_int_equal(off, m->joined[p->n]); // nothing is lost or reordered here
	assert_true(off + part <= total && total <= DPMSG_ROUTE_MAX);
	memcpy(m->join[p->n] + off, f + 16, part);
	m->joined[p->n] += part;
	if (m->joined[p->n] == total) {
		const uint8_t *pkt = m->join[p->n];

		m->joined[p->n] = 0;
		match(m, (int)p->n, 0, be32_get(pkt + 1), pkt, total);
	}
}

static void take_outputs(struct model *m)
{
	uint8_t frame[NODE_FRAME_MAX], f[NODE_FRAME_MAX];
	struct peer *p;
	unsigned len;

	while ((len = node_output(&m->n, frame)) != 0) {
		len = peer_open(&m->n, frame, len, f, &p);
		if (f[0] == 3)
			on_part(m, p, f, len);
		else if (f[0] == 1)
			match(m, (int)p->n, 0, be32_get(f + 2), f + 1, len - 1);
		else
			fail_msg("unexpected frame of type %u", f[0]);
	}
}

static void take_ups(struct model *m)
{
	static uint8_t buf[sizeof(struct msg_route) + DPMSG_ROUTE_MAX];
	int len;

	while ((len = node_up(&m->n, buf, sizeof(buf))) != 0) {
		struct msg_route rec;
		unsigned body = (unsigned)len - (unsigned)sizeof(rec);
		int from = -2;

		memcpy(&rec, buf, sizeof(rec));
		for (unsigned i = 0; i < m->n.conf.peers; i++)
			if (m->n.peer[i].hop == rec.hop)
				from = (int)i;
		assert_int_equal(rec.h.len, len);
		assert_int_equal(rec.h.type, rec.id == 0 ? UP_CONTROL : UP_ROUTE);
		match(m, TO_CP, from, rec.id, buf + sizeof(rec), body);
	}
}

static void take_notes(struct model *m)
{
	struct dp_note note;

	for (unsigned i = 0; i < m->n.conf.workers; i++)
		while (hop_table_notes(m->n.hops, i, &note, 1, NULL) == 1) {
			unsigned k = 0;

			if (note.kind != NOTE_RULE_CLOSE)
				continue;
			while (k < m->n_close && m->close_id[k] != note.id)
				k++;
			assert_true(k < m->n_close);
			m->close_id[k] = m->close_id[--m->n_close];
		}
	assert_int_equal(m->n_close, 0);
}

static void check_counters(const struct model *m)
{
	size_t n;
	const struct counter_desc *d = stats_desc(SCOPE_WORKER, &n);

	for (size_t i = 0; i < n; i++) {
		uint64_t is = node_counter(&m->n, (enum worker_counter)i);

		if ((d[i].stage == STAGE_packet || d[i].stage == STAGE_seal || i == W_rule_pins) &&
			is != m->want[i])
			fail_msg("%s is %llu, not %llu", d[i].name, (unsigned long long)is,
				(unsigned long long)m->want[i]);
	}
	node_check_books(&m->n);
}

static void check_batch(struct model *m)
{
	node_settle(&m->n);
	take_outputs(m);
	take_ups(m);
	take_notes(m);
	for (unsigned i = 0; i < m->n_exp; i++) {
		assert_true(m->exp[i].seen);
		free(m->exp[i].bytes);
	}
	m->n_exp = 0;
	check_counters(m);
	for (unsigned i = 0; i < RULES; i++) {
		struct model_rule *r = &m->rule[i];

		if (!r->live)
			continue;
		check_rule(m, r);
		if (r->closed)
			end_rule(m, r);
	}
}

// ---- what goes in ----

static uint8_t random_type(struct model *m)
{
	switch (rnd(m, 4)) {
	case 0:
		return (uint8_t)rnd(m, 24);
	case 1:
		return (uint8_t)rnd(m, 256);
	case 2:
		return 0;
	default:
		return rnd(m, 20) == 0 ? 1 : 2;
	}
}

static uint32_t random_id(struct model *m, int from)
{
	const struct model_rule *r = &m->rule[rnd(m, RULES)];

	// so many that the limits stay out of it: they have tests of their own
	if (rnd(m, 12) == 0 && (from < 0 || m->controls[from]++ < CONTROL_MAX))
		return 0;
	if (rnd(m, 12) == 0 && (from < 0 || m->misses[from] < MISS_MAX))
		return r->id ^ (1u + rnd(m, 7)) << 29;
	return r->id;
}

static unsigned random_packet(struct model *m, int from, uint8_t *pkt)
{
	static const uint16_t lens[] = {0, 1, 8, 15, 16, 300, 1400, WHOLE_MAX - 7, WHOLE_MAX - 6};
	unsigned len = lens[rnd(m, ARRAY_LEN(lens))];

	if (rnd(m, 24) == 0)
		len = rnd(m, 3) == 0 ? 65535 : rnd(m, 65536);
	pkt[0] = random_type(m);
	be32_put(pkt + 1, random_id(m, from));
	be16_put(pkt + 5, (uint16_t)len);
	for (unsigned i = 0; i < len; i++)
		pkt[7 + i] = (uint8_t)(m->rng >> (i % 8 * 8)) ^ (uint8_t)(i / 8);
	return 7 + len;
}

// A packet may consist of 128 pieces.
static unsigned random_cut(struct model *m, unsigned len)
{
	static const uint16_t cuts[] = {1, 6, 7, 8, 100, 1000};
	unsigned cut = cuts[rnd(m, ARRAY_LEN(cuts))];

	if (rnd(m, 3) != 0)
		return 0;
	return cut > len / 100 ? cut : len / 100;
}

static void batch_of_peer(struct model *m, int from, uint8_t *pkt)
{
	unsigned n = 1 + rnd(m, BATCH);

	for (unsigned i = 0; i < n; i++) {
		unsigned len = random_packet(m, from, pkt);
		unsigned cut = random_cut(m, len);

		// the one way in which a packet can contradict itself: joined from parts
		if (rnd(m, 30) == 0) {
			be16_put(pkt + 5, (uint16_t)rnd(m, 65536));
			cut = 100 + len / 100;
		}
		from_peer(m, from, pkt, len);
		peer_send(&m->n, &m->n.peer[from], pkt, len, cut);
		if (rnd(m, 8) == 0)
			node_settle(&m->n);
	}
}

static void batch_of_cp(struct model *m, uint8_t *pkt)
{
	unsigned n = 1 + rnd(m, BATCH / 2);

	for (unsigned i = 0; i < n; i++) {
		unsigned len = random_packet(m, FROM_CP, pkt);
		uint32_t id = be32_get(pkt + 1);
		struct model_rule *r = find_rule(m, id);

		be32_put(pkt + 1, rnd(m, UINT32_MAX)); // what stands there does not matter
		if (rnd(m, 20) == 0)
			len = rnd(m, 16);
		else if (rnd(m, 20) == 0)
			be16_put(pkt + 5, (uint16_t)rnd(m, 65536));
		from_cp(m, id, pkt, len);
		node_down_route(&m->n, r != NULL && r->egress >= 0 ? m->n.peer[r->egress].owner : 0,
			id, pkt, len);
		if (rnd(m, 8) == 0)
			node_settle(&m->n);
	}
}

static void run_seed(uint64_t seed, const struct node_conf *conf, unsigned tables)
{
	static uint8_t pkt[DPMSG_ROUTE_MAX];
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	print_message("seed %llu, %u workers, cipher %s\n", (unsigned long long)seed, conf->workers,
		aead_cipher_name(conf->cipher));
	m->rng = seed * 0x9e3779b97f4a7c15ull | 1;
	for (unsigned i = 0; i < NODE_PEERS; i++)
		assert_non_null(m->join[i] = malloc(DPMSG_ROUTE_MAX));
	node_open(&m->n, conf);
	for (unsigned t = 1; t <= tables; t++) {
		new_rules(m, t);
		for (unsigned b = 0; b < BATCHES_PER_TABLE; b++) {
			int from = (int)rnd(m, conf->peers + 1) - 1;

			if (from == FROM_CP)
				batch_of_cp(m, pkt);
			else
				batch_of_peer(m, from, pkt);
			check_batch(m);
		}
		for (unsigned i = 0; i < RULES; i++)
			if (m->rule[i].live)
				end_rule(m, &m->rule[i]);
		settle_deleted(m);
	}
	node_close(&m->n);
	for (unsigned i = 0; i < NODE_PEERS; i++)
		free(m->join[i]);
	free(m);
}

static void run(const struct node_conf *conf)
{
	const char *one = getenv("SKYRAIL_TEST_SEED");
	const char *more = getenv("SKYRAIL_TEST_ROUNDS");
	unsigned tables = more != NULL ? (unsigned)atoi(more) : 3;

	if (one != NULL) {
		run_seed(strtoull(one, NULL, 10), conf, tables);
		return;
	}
	for (uint64_t seed = 1; seed <= 3; seed++)
		run_seed(seed, conf, tables);
}

static void one_worker_in_clear(void **state)
{
	run(&(struct node_conf){.workers = 1, .peers = 4, .cipher = AEAD_NONE});
}

static void one_worker_sealed(void **state)
{
	run(&(struct node_conf){.workers = 1, .peers = 4, .cipher = AEAD_CHACHA20_POLY1305});
}

static void one_worker_sealed_by_aes(void **state)
{
	if (!node_has_aes())
		skip();
	run(&(struct node_conf){.workers = 1, .peers = 4, .cipher = AEAD_AES_256_GCM});
}

static void three_workers_hand_over(void **state)
{
	run(&(struct node_conf){.workers = 3, .peers = 6, .cipher = AEAD_NONE});
}

static void three_workers_sealed_share_a_tx_queue(void **state)
{
	run(&(struct node_conf){
		.workers = 3, .peers = 6, .cipher = AEAD_CHACHA20_POLY1305, .one_txq = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_worker_in_clear),
		cmocka_unit_test(one_worker_sealed),
		cmocka_unit_test(one_worker_sealed_by_aes),
		cmocka_unit_test(three_workers_hand_over),
		cmocka_unit_test(three_workers_sealed_share_a_tx_queue),
	};
	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
