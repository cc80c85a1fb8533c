// Macs, cookies and their regime on real workers and ring devices: who gets up, who gets a cookie,
// who is dropped and by which name; and every byte of the answer, over IPv4 and IPv6.

#include "dataplane/worker/first_contact.h"

#include "lib/crypto/hash.h"
#include "lib/link/rail_cookie.h"
#include "tests/dataplane/worker/node.h"
#include "tests/support/eal.h"

#include <rte_eal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct node_conf one = {.workers = 1, .peers = 1, .cipher = AEAD_NONE};
static const uint8_t mac1_key[32] = {1, 2, 3};
static const struct cmd_cookies cookies = {
	.key = {4, 5, 6}, .secret = {{7}, {8}}, .salt = {9, 9}, .n_secrets = 2};

enum mac1 { RIGHT, WRONG };
enum mac2 { NONE, JUNK, PRESENT, PREVIOUS, OLDER };
enum regime { OFF, DEMAND, OWN }; // OWN: the worker's, as it had too many
enum what { UP, COOKIE, DROP_MAC1, DROP_BUDGET };

static void ip_of(const struct peer *p, uint8_t ip[16])
{
	memset(ip, 0, 10);
	ip[10] = ip[11] = 0xff;
	memcpy(ip + 12, p->ip, 4);
}

static void mac2_put(
	uint8_t *msg, unsigned len, const uint8_t secret[32], const uint8_t ip[16], uint16_t port)
{
	uint8_t cookie[RAIL_COOKIE_VALUE_LEN];

	rail_cookie_value(cookie, secret, ip, port);
	hash_mac128(msg + len - 16, cookie, sizeof(cookie), msg, len - 16);
}

// A handshake message of a peer with these macs, without headers.
static void message(const struct peer *p, uint8_t *msg, unsigned len, uint8_t type, enum mac1 mac1,
	enum mac2 mac2)
{
	static const uint8_t older[32] = {66};
	const uint8_t *secret[] = {NULL, NULL, cookies.secret[0], cookies.secret[1], older};
	uint8_t ip[16];

	memset(msg, 0x77, len);
	memcpy(msg, (uint8_t[4]){type}, 4);
	hash_mac128(msg + len - 32, mac1_key, 32, msg, len - 32);
	msg[len - 20] ^= mac1 == WRONG;
	memset(msg + len - 16, mac2 == JUNK ? 0x3c : 0, 16);
	ip_of(p, ip);
	if (mac2 >= PRESENT)
		mac2_put(msg, len, secret[mac2], ip, p->udp);
}

static void keys_set(struct node *n, bool demand)
{
	struct cmd_cookies c = cookies;

	c.demand = demand;
	assert_int_equal(worker_set_mac1_key(n->set, mac1_key), 0);
	assert_int_equal(worker_set_cookies(n->set, &c), 0);
}

static void credit(struct node *n)
{
	for (unsigned i = 0; i < n->conf.workers; i++)
		n->w[i]->mac_credit = n->w[i]->tsc_hz;
}

static void give(struct node *n, unsigned queue, const uint8_t *frame, unsigned len)
{
	assert_true(node_inject(n, 0, queue, frame, len));
	credit(n);
	worker_turn(n->w[queue]);
}

// What became of one message.
static enum what outcome(struct node *n, const uint8_t *msg, unsigned len, bool budget)
{
	static const enum worker_counter of[] = {
		W_rx_handshake, W_hs_cookies, W_drop_hs_mac1, W_drop_hs_budget};
	uint8_t frame[NODE_FRAME_MAX], rec[2048];
	uint64_t was[ARRAY_LEN(of)], tsc_hz = n->w[0]->tsc_hz;
	enum what w = UP;
	unsigned ups, outs = 0, hits = 0;

	len = peer_udp(n, &n->peer[0], msg, len, frame);
	for (unsigned i = 0; i < ARRAY_LEN(of); i++)
		was[i] = node_counter(n, of[i]);
	if (budget) {
		give(n, 0, frame, len);
	} else {
		node_inject(n, 0, 0, frame, len);
		n->w[0]->mac_credit = n->w[0]->tsc_hz = 0; // no refill
		worker_turn(n->w[0]);
		n->w[0]->tsc_hz = tsc_hz;
	}
	for (unsigned i = 0; i < ARRAY_LEN(of); i++) {
		if (node_counter(n, of[i]) == was[i])
			continue;
		w = (enum what)i;
		hits++;
	}
	assert_int_equal(hits, 1);
	for (ups = 0; node_hs(n, rec, sizeof(rec)) != 0; ups++)
		;
	while (node_output(n, frame) != 0)
		outs++;
	assert_int_equal(ups, w == UP);
	assert_int_equal(outs, w == COOKIE);
	return w;
}

static void every_combination_of_macs_and_regime_is_judged(void **state)
{
	static const struct {
		uint8_t type;
		enum mac1 mac1;
		enum mac2 mac2;
		enum what off, demand, own;
	} rows[] = {
		{RAIL_INIT, RIGHT, NONE, UP, COOKIE, COOKIE},
		{RAIL_INIT, RIGHT, JUNK, UP, COOKIE, COOKIE},
		{RAIL_INIT, RIGHT, PRESENT, UP, UP, UP},
		{RAIL_INIT, RIGHT, PREVIOUS, UP, UP, UP},
		{RAIL_INIT, RIGHT, OLDER, UP, COOKIE, COOKIE},
		{RAIL_INIT, WRONG, NONE, DROP_MAC1, DROP_MAC1, DROP_MAC1},
		{RAIL_INIT, WRONG, JUNK, DROP_MAC1, DROP_MAC1, DROP_MAC1},
		{RAIL_INIT, WRONG, PRESENT, DROP_MAC1, DROP_MAC1, DROP_MAC1},
		// only inits are asked for cookies
		{RAIL_RESPONSE, RIGHT, NONE, UP, UP, UP},
		{RAIL_RESPONSE, RIGHT, JUNK, UP, UP, UP},
		{RAIL_RESPONSE, WRONG, NONE, DROP_MAC1, DROP_MAC1, DROP_MAC1},
	};
	struct node n;

	(void)state;
	node_open(&n, &one);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const enum what want[] = {rows[i].off, rows[i].demand, rows[i].own};

		for (enum regime r = OFF; r <= OWN; r++) {
			uint8_t msg[RAIL_INIT_MIN + 60];

			keys_set(&n, r == DEMAND);
			n.w[0]->hs_strangers = (struct bucket){0};
			n.w[0]->hs_demand_ns = r == OWN ? UINT64_MAX : 0;
			message(&n.peer[0], msg, sizeof(msg), rows[i].type, rows[i].mac1,
				rows[i].mac2);
			if (outcome(&n, msg, sizeof(msg), true) != want[r])
				fail_msg("row %u regime %u", i, r);
			assert_int_equal(outcome(&n, msg, sizeof(msg), false), DROP_BUDGET);
		}
	}
	node_close(&n);
}

static void cookies_take_no_more_than_half_of_the_budget(void **state)
{
	uint8_t cookie[RAIL_COOKIE_LEN], init[RAIL_INIT_MIN], frame[NODE_FRAME_MAX];
	const struct peer *from;
	uint64_t tsc_hz, half;
	struct node n;

	(void)state;
	node_open(&n, &one);
	keys_set(&n, false);
	from = &n.peer[0];
	message(from, init, sizeof(init), RAIL_INIT, RIGHT, PRESENT);
	message(from, cookie, sizeof(cookie), RAIL_COOKIE, WRONG, NONE);
	tsc_hz = n.w[0]->tsc_hz;
	n.w[0]->tsc_hz <<= 20; // what a turn adds is nothing beside this
	half = n.w[0]->tsc_hz / WORKER_CREDIT_CAP_HZ / 2;
	for (unsigned row = 0; row < 3; row++) {
		bool is_init = row == 2;
		unsigned len = peer_udp(&n, from, is_init ? init : cookie,
			is_init ? sizeof(init) : sizeof(cookie), frame);

		node_inject(&n, 0, 0, frame, len);
		n.w[0]->mac_credit = row == 0 ? half + half / 2 : half / 2;
		worker_turn(n.w[0]);
		assert_int_equal(node_counter(&n, W_rx_handshake), row == 2 ? 2 : 1);
		assert_int_equal(node_counter(&n, W_drop_hs_budget), row >= 1);
	}
	n.w[0]->tsc_hz = tsc_hz;
	node_close(&n);
}

static void without_secrets_nobody_is_asked(void **state)
{
	uint8_t msg[RAIL_INIT_MIN];
	struct cmd_cookies c = cookies;
	struct node n;

	(void)state;
	node_open(&n, &one);
	assert_int_equal(worker_set_cookies(n.set, &c), -EINVAL); // before the key
	assert_int_equal(worker_set_mac1_key(n.set, mac1_key), 0);
	message(&n.peer[0], msg, sizeof(msg), RAIL_INIT, RIGHT, NONE);
	n.w[0]->hs_demand_ns = UINT64_MAX;
	assert_int_equal(outcome(&n, msg, sizeof(msg), true), UP);
	for (unsigned bad = 0; bad < 3; bad++) {
		c.n_secrets = bad == 0 ? 0 : bad == 1 ? 3 : 1;
		c.demand = bad == 2 ? 2 : 1;
		assert_int_equal(worker_set_cookies(n.set, &c), -EINVAL);
	}
	c.demand = c.n_secrets = 1;
	assert_int_equal(worker_set_cookies(n.set, &c), 0);
	assert_int_equal(outcome(&n, msg, sizeof(msg), true), COOKIE);
	message(&n.peer[0], msg, sizeof(msg), RAIL_INIT, RIGHT, PREVIOUS); // there is none
	assert_int_equal(outcome(&n, msg, sizeof(msg), true), COOKIE);
	// a control plane that begins asks for none
	assert_int_equal(worker_set_mac1_key(n.set, mac1_key), 0);
	assert_int_equal(outcome(&n, msg, sizeof(msg), true), UP);
	node_close(&n);
}

static void a_cookie_of_another_address_or_port_is_none(void **state)
{
	uint8_t msg[RAIL_INIT_MIN], ip[16];
	struct node n;

	(void)state;
	node_open(&n, &one);
	keys_set(&n, true);
	ip_of(&n.peer[0], ip);
	message(&n.peer[0], msg, sizeof(msg), RAIL_INIT, RIGHT, NONE);
	mac2_put(msg, sizeof(msg), cookies.secret[0], ip, n.peer[0].udp + 1);
	assert_int_equal(outcome(&n, msg, sizeof(msg), true), COOKIE);
	ip[15]++;
	mac2_put(msg, sizeof(msg), cookies.secret[0], ip, n.peer[0].udp);
	assert_int_equal(outcome(&n, msg, sizeof(msg), true), COOKIE);
	node_close(&n);
}

// More than FIRST_PER_S a second without a cookie: the worker asks by itself, for FIRST_CALM_NS
// after the last one too many. The clock is moved by moving what was noted.
static void a_worker_asks_by_itself_when_it_has_too_many(void **state)
{
	uint8_t none[RAIL_INIT_MIN], right[RAIL_INIT_MIN];
	struct node n;
	unsigned ups = 0;

	(void)state;
	node_open(&n, &one);
	keys_set(&n, false);
	message(&n.peer[0], none, sizeof(none), RAIL_INIT, RIGHT, NONE);
	message(&n.peer[0], right, sizeof(right), RAIL_INIT, RIGHT, PRESENT);
	// those with a cookie count for nothing
	for (unsigned i = 0; i < 4 * FIRST_BURST; i++)
		assert_int_equal(outcome(&n, right, sizeof(right), true), UP);
	n.w[0]->hs_strangers = (struct bucket){0};
	while (outcome(&n, none, sizeof(none), true) == UP)
		ups++;
	assert_in_range(ups, FIRST_BURST, 2 * FIRST_BURST);
	assert_int_equal(node_counter(&n, W_hs_demands), 1);
	assert_int_equal(outcome(&n, right, sizeof(right), true), UP);
	assert_int_equal(outcome(&n, none, sizeof(none), true), COOKIE);
	assert_true(n.w[0]->hs_demand_ns > n.w[0]->now_ns + FIRST_CALM_NS - 1000000000ull);
	// calm, then over
	n.w[0]->hs_strangers = (struct bucket){0};
	assert_int_equal(outcome(&n, none, sizeof(none), true), COOKIE);
	n.w[0]->hs_demand_ns = n.w[0]->now_ns;
	n.w[0]->hs_strangers = (struct bucket){0};
	assert_int_equal(outcome(&n, none, sizeof(none), true), UP);
	assert_int_equal(node_counter(&n, W_hs_demands), 1);
	node_close(&n);
}

// ---- the answer, byte by byte ----

static uint16_t sum16(const uint8_t *p, unsigned n, uint32_t sum)
{
	for (unsigned i = 0; i < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void cookie_check(const uint8_t *got, const uint8_t *init, unsigned init_len,
	const uint8_t ip[16], uint16_t port)
{
	uint8_t want[RAIL_COOKIE_VALUE_LEN], value[RAIL_COOKIE_VALUE_LEN];

	assert_memory_equal(got, ((uint8_t[4]){RAIL_COOKIE}), 4);
	assert_memory_equal(got + 4, init + 4, 4);
	assert_int_equal(aead_x_open(value, got + 32, 32, init + init_len - 32, RAIL_MAC_LEN,
				 got + 8, cookies.key),
		0);
	rail_cookie_value(want, cookies.secret[0], ip, port);
	assert_memory_equal(value, want, sizeof(want));
}

static void the_answer_turns_an_ipv4_frame_round(void **state)
{
	uint8_t msg[RAIL_HS_MAX], in[NODE_FRAME_MAX], out[NODE_FRAME_MAX], ip[16], nonce[24];
	struct node n;
	unsigned len;

	(void)state;
	node_open(&n, &one);
	keys_set(&n, true);
	message(&n.peer[0], msg, sizeof(msg), RAIL_INIT, RIGHT, NONE);
	len = peer_udp(&n, &n.peer[0], msg, sizeof(msg), in);
	memset(in + 15, 0x2e, 1); // class of service and id are not given back
	memset(in + 18, 0x11, 2);
	give(&n, 0, in, len);
	assert_int_equal(node_output(&n, out), 14 + 28 + RAIL_COOKIE_LEN);
	assert_memory_equal(out, in + 6, 6);
	assert_memory_equal(out + 6, in, 6);
	assert_memory_equal(out + 12, in + 12, 2);
	assert_memory_equal(
		out + 14, ((uint8_t[]){0x45, 0, 0, 28 + 64, 0, 0, 0x40, 0, 64, 17}), 10);
	assert_int_equal(sum16(out + 14, 20, 0), 0xffff);
	assert_memory_equal(out + 26, in + 30, 4);
	assert_memory_equal(out + 30, in + 26, 4);
	assert_memory_equal(out + 34, in + 36, 2);
	assert_memory_equal(out + 36, in + 34, 2);
	assert_memory_equal(out + 38, ((uint8_t[]){0, 8 + 64, 0, 0}), 4);
	ip_of(&n.peer[0], ip);
	cookie_check(out + 42, msg, sizeof(msg), ip, n.peer[0].udp);
	memcpy(nonce, out + 50, 24);
	give(&n, 0, in, len);
	assert_true(node_output(&n, out) > 0);
	assert_memory_not_equal(nonce, out + 50, 24);
	node_close(&n);
}

static unsigned frame6(const struct node *n, const uint8_t *msg, unsigned len, uint8_t *b)
{
	static const uint8_t src[16] = {0x20, 1, 0xd, 0xb8, [15] = 9},
			     dst[16] = {0x20, 1, [15] = 1};

	memcpy(b, n->mac, 6);
	memcpy(b + 6, n->peer[0].mac, 6);
	memcpy(b + 12, ((uint8_t[]){0x86, 0xdd, 0x6a, 0xbc, 0xde, 0xf0}), 6);
	be16_put(b + 18, (uint16_t)(8 + len));
	b[20] = 17;
	b[21] = 3;
	memcpy(b + 22, src, 16);
	memcpy(b + 38, dst, 16);
	be16_put(b + 54, 9000);
	be16_put(b + 56, NODE_UDP);
	be16_put(b + 58, (uint16_t)(8 + len));
	be16_put(b + 60, 0x1234);
	memcpy(b + 62, msg, len);
	return 62 + len;
}

static void the_answer_turns_an_ipv6_frame_round(void **state)
{
	uint8_t msg[RAIL_INIT_MIN + 1], in[NODE_FRAME_MAX], out[NODE_FRAME_MAX];
	struct node n;
	unsigned len;

	(void)state;
	node_open(&n, &one);
	keys_set(&n, true);
	message(&n.peer[0], msg, sizeof(msg), RAIL_INIT, RIGHT, NONE);
	len = frame6(&n, msg, sizeof(msg), in);
	for (unsigned i = 0; i < 300; i++) { // sums of all kinds
		give(&n, 0, in, len);
		assert_int_equal(node_output(&n, out), 62 + RAIL_COOKIE_LEN);
		assert_memory_equal(out, in + 6, 6);
		assert_memory_equal(out + 6, in, 6);
		assert_memory_equal(
			out + 12, ((uint8_t[]){0x86, 0xdd, 0x60, 0, 0, 0, 0, 8 + 64, 17, 64}), 10);
		assert_memory_equal(out + 22, in + 38, 16);
		assert_memory_equal(out + 38, in + 22, 16);
		assert_memory_equal(out + 54, in + 56, 2);
		assert_memory_equal(out + 56, in + 54, 2);
		assert_memory_equal(out + 58, ((uint8_t[]){0, 8 + 64}), 2);
		assert_int_not_equal(be16_get(out + 60), 0);
		assert_int_equal(sum16(out + 22, 32 + 72, 17 + 72), 0xffff);
	}
	cookie_check(out + 62, msg, sizeof(msg), in + 22, 9000);
	node_close(&n);
}

static void another_worker_sends_where_this_one_has_no_queue(void **state)
{
	struct node_conf conf = {.workers = 2, .peers = 2, .cipher = AEAD_NONE, .one_txq = true};
	uint8_t msg[RAIL_INIT_MIN], in[NODE_FRAME_MAX], out[NODE_FRAME_MAX], ip[16];
	struct node n;
	unsigned len;

	(void)state;
	node_open(&n, &conf);
	keys_set(&n, true);
	message(&n.peer[0], msg, sizeof(msg), RAIL_INIT, RIGHT, NONE);
	len = peer_udp(&n, &n.peer[0], msg, sizeof(msg), in);
	give(&n, 1, in, len);
	assert_int_equal(node_output(&n, out), 0);
	node_settle(&n);
	assert_int_equal(node_output(&n, out), 42 + RAIL_COOKIE_LEN);
	ip_of(&n.peer[0], ip);
	cookie_check(out + 42, msg, sizeof(msg), ip, n.peer[0].udp);
	node_close(&n);
}

static void nobody_is_answered_whom_nobody_can_be(void **state)
{
	static const struct {
		unsigned at;
		uint8_t to;
	} v4[] = {{26, 0}, {26, 127}, {26, 224}, {26, 255}, {30, 255}, {30, 224}, {6, 3}};
	static const struct {
		unsigned at;
		uint8_t to;
	} v6[] = {{22, 0xff}, {38, 0xff}, {6, 3}};
	uint8_t msg[RAIL_INIT_MIN], in[NODE_FRAME_MAX], out[NODE_FRAME_MAX];
	struct node n;
	unsigned len, k = 0;

	(void)state;
	node_open(&n, &one);
	keys_set(&n, true);
	message(&n.peer[0], msg, sizeof(msg), RAIL_INIT, RIGHT, NONE);
	for (unsigned i = 0; i < ARRAY_LEN(v4); i++, k++) {
		len = peer_udp(&n, &n.peer[0], msg, sizeof(msg), in);
		in[v4[i].at] = v4[i].to;
		give(&n, 0, in, len);
	}
	for (unsigned i = 0; i < ARRAY_LEN(v6); i++, k++) {
		len = frame6(&n, msg, sizeof(msg), in);
		in[v6[i].at] = v6[i].to;
		give(&n, 0, in, len);
	}
	for (unsigned last = 0; last < 2; last++, k++) { // :: and ::1
		len = frame6(&n, msg, sizeof(msg), in);
		memset(in + 22, 0, 16);
		in[37] = (uint8_t)last;
		give(&n, 0, in, len);
	}
	assert_int_equal(node_counter(&n, W_drop_hs_source), k);
	assert_int_equal(node_output(&n, out), 0);
	assert_int_equal(node_hs(&n, out, sizeof(out)), 0);
	node_close(&n);
}

// ---- keys change under those who read them ----

static void secrets_of_old_are_freed_after_a_grace_period(void **state)
{
	struct node n;

	(void)state;
	node_open(&n, &one);
	for (unsigned i = 0; i < 5; i++)
		keys_set(&n, (i & 1) != 0);
	assert_int_equal(reclaim_pending(n.reclaim), 9);
	assert_int_equal(reclaim_poll(n.reclaim, 64), 0);
	node_settle(&n);
	assert_int_equal(reclaim_poll(n.reclaim, 64), 9);
	// one who floods us with secrets is refused, not believed to have memory for all
	while (worker_set_cookies(n.set, &cookies) == 0)
		;
	assert_int_equal(worker_set_cookies(n.set, &cookies), -EAGAIN);
	assert_int_equal(worker_set_mac1_key(n.set, mac1_key), -EAGAIN);
	node_settle(&n);
	while (reclaim_poll(n.reclaim, 64) != 0)
		;
	assert_int_equal(worker_set_cookies(n.set, &cookies), 0);
	node_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_of_macs_and_regime_is_judged),
		cmocka_unit_test(cookies_take_no_more_than_half_of_the_budget),
		cmocka_unit_test(without_secrets_nobody_is_asked),
		cmocka_unit_test(a_cookie_of_another_address_or_port_is_none),
		cmocka_unit_test(a_worker_asks_by_itself_when_it_has_too_many),
		cmocka_unit_test(the_answer_turns_an_ipv4_frame_round),
		cmocka_unit_test(the_answer_turns_an_ipv6_frame_round),
		cmocka_unit_test(another_worker_sends_where_this_one_has_no_queue),
		cmocka_unit_test(nobody_is_answered_whom_nobody_can_be),
		cmocka_unit_test(secrets_of_old_are_freed_after_a_grace_period),
	};
	int rc;

	test_eal_init(NULL, NULL);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return rc;
}
