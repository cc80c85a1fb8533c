// Weather: truncated, oversized, random, replayed, flipped and wrongly addressed frames between
// good ones, and workers that run as threads while rules come and go. Nothing crashes, no buffer is
// lost, the books balance at rest, and the good packets of a good peer all arrive.

#include "tests/dataplane/worker/node.h"

#include "tests/support/eal.h"

#include <rte_eal.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { OFF_RAIL = 42, HISTORY = 32, ROUNDS = 30000, GOOD = 0x1001 };

static uint64_t rng;

static uint32_t rnd(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % below;
}

static void noise(uint8_t *p, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)rnd(256);
}

static unsigned route(uint8_t *f, uint32_t id, unsigned len)
{
	f[0] = 1;
	f[1] = 0;
	be32_put(f + 2, id);
	be16_put(f + 6, (uint16_t)len);
	memset(f + 8, 0x5a, len);
	return 8 + len;
}

struct storm {
	struct node n;
	uint8_t old[HISTORY][NODE_FRAME_MAX]; // frames of peer 0 that went in
	unsigned old_len[HISTORY];
	unsigned n_old;
	uint32_t good; // packets of peer 0, numbered
	uint32_t arrived;
};

static void good_packet(struct storm *s)
{
	unsigned at = s->n_old++ % HISTORY;
	uint8_t f[64];
	unsigned len = route(f, GOOD, 4);

	be32_put(f + 8, s->good++);
	s->old_len[at] = peer_frame(&s->n, &s->n.peer[0], f, len, s->old[at]);
	node_inject(&s->n, 0, 0, s->old[at], s->old_len[at]);
}

// What an outsider can do to the link of peer 0: all of it must bounce off.
static unsigned outsider(struct storm *s, uint8_t *buf)
{
	unsigned at = rnd(s->n_old < HISTORY ? s->n_old : HISTORY);
	unsigned len = s->old_len[at];

	memcpy(buf, s->old[at], len);
	switch (rnd(6)) {
	case 0: // again
		return len;
	case 1: // flipped, as a datagram that was never there
		be64_put(buf + OFF_RAIL + 8, s->n.peer[0].tx_counter + 1000 + rnd(1000));
		buf[OFF_RAIL + 16 + rnd(len - OFF_RAIL - 16)] ^= (uint8_t)(1u << rnd(8));
		return len;
	case 2: // flipped anywhere in the rail part
		buf[OFF_RAIL + rnd(len - OFF_RAIL)] ^= (uint8_t)(1u << rnd(8));
		return len;
	case 3: // cut, with headers that agree
		return peer_udp(&s->n, &s->n.peer[0], buf + OFF_RAIL, rnd(len - OFF_RAIL), buf);
	case 4: // an index that nobody has
		be32_put(buf + OFF_RAIL + 4, rnd(UINT32_MAX));
		return len;
	default: // from somewhere else
		buf[26 + rnd(10)] ^= (uint8_t)(1u << rnd(8));
		be64_put(buf + OFF_RAIL + 8, s->n.peer[0].tx_counter + 5);
		return len;
	}
}

// Frames of any shape.
static unsigned garbage(struct storm *s, uint8_t *buf)
{
	struct peer *p = &s->n.peer[2 + rnd(2)];
	unsigned len = rnd(NODE_FRAME_MAX);
	uint8_t f[1400];

	noise(buf, len);
	switch (rnd(6)) {
	case 0:
		return len == 0 ? 1 : len;
	case 1: // our MAC and EtherType before it
		memcpy(buf, s->n.mac, 6);
		buf[12] = rnd(2) ? 8 : 0x86;
		buf[13] = buf[12] == 8 ? 0 : 0xdd;
		return len < 14 ? 14 : len;
	case 2: // any UDP payload
		noise(f, sizeof(f));
		f[0] = (uint8_t)rnd(6);
		if (rnd(2))
			memset(f + 1, 0, 3);
		return peer_udp(&s->n, p, f, rnd(sizeof(f)), buf);
	case 3: // the headers of a good frame, damaged
		len = peer_frame(&s->n, p, (const uint8_t *)"\0\0", 2, buf);
		for (unsigned i = rnd(4); i > 0; i--)
			buf[rnd(OFF_RAIL)] ^= (uint8_t)(1u << rnd(8));
		return len - rnd(len - 14);
	case 4: // longer than the path carries
		noise(f, sizeof(f));
		return peer_frame(&s->n, p, f, sizeof(f), buf);
	default: // authentic, but what it holds is garbage that begins like a frame
		len = route(f, rnd(4) == 0 ? GOOD : rnd(UINT32_MAX), rnd(100));
		noise(f + rnd(len), 4);
		f[0] = (uint8_t)rnd(rnd(4) == 0 ? 256 : 13);
		return peer_frame(&s->n, p, f, rnd(len + 1), buf);
	}
}

static void take_good(struct storm *s)
{
	uint8_t frame[NODE_FRAME_MAX], f[NODE_FRAME_MAX];
	unsigned len;

	while ((len = node_output(&s->n, frame)) != 0) {
		struct peer *who;

		if (memcmp(frame, s->n.peer[1].mac, 6) != 0)
			continue; // what the others get does not matter here
		len = peer_open(&s->n, frame, len, f, &who);
		if (f[0] != 1)
			continue;
		assert_int_equal(len, 12);
		assert_int_equal(be32_get(f + 2), 0x77);
		assert_int_equal(be32_get(f + 8), s->arrived);
		s->arrived++;
	}
}

static void weather_does_no_harm(void **state)
{
	static struct storm s;
	uint8_t buf[NODE_FRAME_MAX + OFF_RAIL], up[4096];

	memset(&s, 0, sizeof(s));
	rng = 88172645463325252ull;
	node_open(&s.n, &(struct node_conf){.workers = 2,
				.peers = 4,
				.cipher = AEAD_CHACHA20_POLY1305,
				.exception = PORT_KERNEL_COPY});
	node_rule(&s.n, GOOD, RULE_INTERMEDIARY, 0x77, s.n.peer[1].hop, s.n.peer[0].tp);
	good_packet(&s);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned kind = rnd(4);
		unsigned len;

		if (kind == 0) {
			good_packet(&s);
			continue;
		}
		len = kind == 1 ? outsider(&s, buf) : garbage(&s, buf);
		if (len > NODE_FRAME_MAX)
			len = NODE_FRAME_MAX;
		// a copy that came by another queue might overtake, and be taken for the first
		if (kind == 1)
			node_inject(&s.n, 0, 0, buf, len);
		else
			node_inject(&s.n, rnd(NODE_PORTS), rnd(2), buf, len);
		if (rnd(20) != 0)
			continue;
		node_settle(&s.n);
		take_good(&s);
		while (node_up(&s.n, up, sizeof(up)) != 0 || node_hs(&s.n, up, sizeof(up)) != 0)
			;
	}
	node_settle(&s.n);
	take_good(&s);
	assert_int_equal(s.arrived, s.good);
	assert_true(node_counter(&s.n, W_drop_replay) > 0);
	assert_true(node_counter(&s.n, W_drop_auth) > 0);
	assert_true(node_counter(&s.n, W_drop_index) > 0);
	assert_true(node_counter(&s.n, W_drop_frame_type) > 0);
	assert_true(node_counter(&s.n, W_drop_frame_malformed) > 0);
	node_close(&s.n);
}

// ---- threads ----

static void *run(void *w)
{
	worker_run(w);
	return NULL;
}

static void nap_us(unsigned us)
{
	struct timespec ts = {.tv_nsec = (long)us * 1000};

	nanosleep(&ts, NULL);
}

static void drain(struct node *n)
{
	static uint8_t up[sizeof(struct msg_route) + DPMSG_ROUTE_MAX];
	uint8_t frame[NODE_FRAME_MAX], f[NODE_FRAME_MAX];
	struct dp_note notes[32];
	struct peer *who;
	unsigned len;

	while ((len = node_output(n, frame)) != 0)
		peer_open(n, frame, len, f, &who);
	while (node_up(n, up, sizeof(up)) != 0)
		;
	for (unsigned i = 0; i < n->conf.workers; i++)
		while (hop_table_notes(n->hops, i, notes, ARRAY_LEN(notes), NULL) != 0)
			;
}

// One rule goes, another comes, as the main lcore does it.
static void churn(struct node *n, uint32_t *generation)
{
	uint32_t at = 1 + rnd(63);
	struct evt_rule r;

	rule_table_poll(&n->rules, 16);
	if (rule_table_show(&n->rules, at, node_now_ds(n), &r) == 0) {
		rule_table_del(&n->rules, r.id, RULE_GONE_DEL);
		return;
	}
	struct cmd_rule_add c = {.id = ++*generation << NODE_RULE_BITS | at,
		.next_id = rnd(1000) + 1,
		.tx_hop = n->peer[rnd(n->conf.peers)].hop,
		.flags = RULE_STATIC,
		.type = (uint8_t)rnd(3)};

	rule_table_add(&n->rules, &c, node_now_ds(n)); // in its grace period: next time
}

static void one_of_many(struct node *n, uint8_t *pkt)
{
	struct peer *p = &n->peer[rnd(n->conf.peers)];
	unsigned len = rnd(50) == 0 ? 3000 : rnd(200);
	struct evt_rule r;
	uint32_t at = rnd(64);
	uint32_t id = 0;

	if (rule_table_show(&n->rules, at, 0, &r) == 0)
		id = r.id;
	pkt[0] = (uint8_t)rnd(24);
	be32_put(pkt + 1, id);
	be16_put(pkt + 5, (uint16_t)len);
	if (rnd(8) == 0)
		node_down_route(n, rnd(n->conf.workers), id, pkt, 7 + len);
	else
		peer_send(n, p, pkt, 7 + len, 0);
}

static uint64_t turns_idle(const struct node *n, unsigned worker)
{
	return stat_get(&stats_worker(n->region.stats, worker)->c[W_turns_idle]);
}

// True when every worker looked everywhere and found nothing since any of them last found work:
// two idle turns each, of which the second began after that. However the machine is loaded, a
// packet that waits in a hand-off ring would have made one of these turns a busy one.
static bool at_rest(const struct node *n)
{
	static uint64_t busy, idle[NODE_WORKERS];
	uint64_t now = node_counter(n, W_turns_busy);
	bool rest = true;

	if (now != busy) {
		busy = now;
		for (unsigned w = 0; w < n->conf.workers; w++)
			idle[w] = turns_idle(n, w);
		return false;
	}
	for (unsigned w = 0; w < n->conf.workers; w++)
		rest &= turns_idle(n, w) >= idle[w] + 2;
	return rest;
}

static void run_threads(struct node_conf *conf)
{
	static uint8_t pkt[4096];
	static struct node n;
	pthread_t t[NODE_WORKERS];
	uint32_t generation = 1;
	bool rest = false;

#ifdef __SANITIZE_THREAD__
	// Buffers cross threads in DPDK's rings and pools, whose order it does not see: each access
	// to a packet would be a race. (What is ours and shared, it finds in order.)
	skip();
#endif
	rng = 424242;
	conf->threads = true;
	node_open(&n, conf);
	for (unsigned i = 0; i < 64; i++)
		churn(&n, &generation);
	for (unsigned i = 0; i < conf->workers; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, n.w[i]), 0);
	for (unsigned i = 0; i < 8000; i++) {
		one_of_many(&n, pkt);
		if (i % 8 == 0)
			churn(&n, &generation);
		if (i % 64 == 0) {
			drain(&n);
			nap_us(100);
		}
	}
	for (unsigned i = 0; i < 10000 && !rest; i++) {
		drain(&n);
		nap_us(2000);
		rest = at_rest(&n);
	}
	assert_true(rest);
	worker_stop(n.set);
	for (unsigned i = 0; i < conf->workers; i++)
		pthread_join(t[i], NULL);
	assert_true(node_counter(&n, W_pkt_forwarded) > 0);
	assert_true(node_counter(&n, W_pkt_consumed) > 0);
	node_close(&n);
}

static void the_books_of_one_thread_balance(void **state)
{
	run_threads(&(struct node_conf){.workers = 1, .peers = 4, .cipher = AEAD_NONE});
}

static void the_books_of_three_threads_balance(void **state)
{
	run_threads(
		&(struct node_conf){.workers = 3, .peers = 6, .cipher = AEAD_CHACHA20_POLY1305});
}

static void the_books_of_threads_that_share_a_queue_balance(void **state)
{
	run_threads(&(struct node_conf){
		.workers = 3, .peers = 6, .cipher = AEAD_NONE, .one_txq = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weather_does_no_harm),
		cmocka_unit_test(the_books_of_one_thread_balance),
		cmocka_unit_test(the_books_of_three_threads_balance),
		cmocka_unit_test(the_books_of_threads_that_share_a_queue_balance),
	};
	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
