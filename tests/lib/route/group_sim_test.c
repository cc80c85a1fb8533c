// Hours of a route group over hops that keep their rules as Skywire does (skywire-routing 2.5): a
// rule lives while it is used, and nobody tells when it is not. Packets are never lost nor change
// places, but may be long under way.

#include "tests/lib/route/group_world.h"

enum { HOPS = 4, FLIGHT = 512, SWEEP_MS = 5000, TICK_MS = 10 };

struct packet {
	uint64_t at_ns;
	size_t len;
	uint8_t bytes[GROUP_PACKET_MAX];
};

// One direction: rules from the near edge's forward rule to the far edge's consume rule, and the
// packets on the way.
struct way {
	uint64_t used_ns[HOPS]; // 0: there is no rule any more
	struct packet q[FLIGHT];
	unsigned head, n;
};

static struct way there, back; // from ini to res, from res to ini
static uint64_t keep_ns;
static uint32_t dice;
static unsigned n_keep_alives, n_pings;

static uint32_t roll(uint32_t below)
{
	dice = dice * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(dice >> 8) * below >> 24);
}

static void way_init(struct way *w)
{
	memset(w, 0, sizeof(*w));
	for (int i = 0; i < HOPS; i++)
		w->used_ns[i] = now_ns;
}

static void put(struct way *w, const uint8_t *p, size_t len, uint32_t delay_ms)
{
	struct packet *k = &w->q[(w->head + w->n) % FLIGHT];
	struct packet *before = &w->q[(w->head + w->n + FLIGHT - 1) % FLIGHT];

	assert_true(w->n < FLIGHT);
	k->at_ns = now_ns + delay_ms * CLOCK_NS_PER_MS;
	if (w->n > 0 && k->at_ns < before->at_ns)
		k->at_ns = before->at_ns;
	k->len = len;
	memcpy(k->bytes, p, len);
	w->n++;
	n_keep_alives += route_hdr_type(p) == ROUTE_KEEP_ALIVE;
	n_pings += route_hdr_type(p) == ROUTE_PING;
}

static void send_due(struct end *e, struct way *w, uint32_t jitter_ms)
{
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	while ((n = pull(e, p)) > 0)
		put(w, p, n, 20 + roll(jitter_ms + 1));
}

// A packet on its way: each rule is looked up, used, and ended by a Close. False: dropped.
static bool forward(struct way *w, const struct packet *k)
{
	for (int i = 0; i < HOPS; i++) {
		if (w->used_ns[i] == 0 || now_ns - w->used_ns[i] > keep_ns)
			return false;
		w->used_ns[i] = route_hdr_type(k->bytes) == ROUTE_CLOSE ? 0 : now_ns;
	}
	return true;
}

static unsigned deliver(struct way *w, struct end *to)
{
	unsigned dropped = 0;

	while (w->n > 0 && w->q[w->head].at_ns <= now_ns) {
		struct packet *k = &w->q[w->head];

		if (forward(w, k))
			give(to, k->bytes, k->len);
		else
			dropped++;
		w->head = (w->head + 1) % FLIGHT;
		w->n--;
	}
	return dropped;
}

static void sweep(struct way *w)
{
	for (int i = 0; i < HOPS; i++)
		if (w->used_ns[i] != 0 && now_ns - w->used_ns[i] > keep_ns)
			w->used_ns[i] = 0;
}

static unsigned n_rules(void)
{
	unsigned n = 0;

	for (int i = 0; i < HOPS; i++)
		n += (there.used_ns[i] != 0) + (back.used_ns[i] != 0);
	return n;
}

// So long; how many packets were dropped.
static unsigned run(uint64_t ms, uint32_t jitter_ms)
{
	unsigned dropped = 0;

	for (uint64_t t = 0; t < ms; t += TICK_MS) {
		if (group_next_ns(&ini.g) <= now_ns)
			send_due(&ini, &there, jitter_ms);
		if (group_next_ns(&res.g) <= now_ns)
			send_due(&res, &back, jitter_ms);
		dropped += deliver(&there, &res) + deliver(&back, &ini);
		later(TICK_MS);
		if (now_ns / CLOCK_NS_PER_MS % SWEEP_MS == 0) {
			sweep(&there);
			sweep(&back);
		}
	}
	return dropped;
}

static void start(uint32_t keep_alive_ms)
{
	struct group_conf c = conf_of(&ini, &res);

	dice = 7;
	n_keep_alives = n_pings = 0;
	keep_ns = keep_alive_ms * CLOCK_NS_PER_MS;
	c.keep_alive_ms = keep_alive_ms;
	assert_int_equal(group_init(&ini.g, &c, now_ns), 0);
	c = conf_of(&res, &ini);
	c.keep_alive_ms = keep_alive_ms;
	assert_int_equal(group_init(&res.g, &c, now_ns), 0);
	ini.n_got = res.n_got = 0;
	way_init(&there);
	way_init(&back);
}

static void talk(struct end *from, struct way *w)
{
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	assert_int_equal(group_write(&from->g, now_ns, "still here", 10, p, sizeof(p), &n), 10);
	put(w, p, n, 20);
}

static void an_idle_hour_keeps_every_rule(void **state)
{
	static const uint32_t keep_ms[] = {30000, 600000, 5000, 3600000};

	for (size_t i = 0; i < sizeof(keep_ms) / sizeof(keep_ms[0]); i++) {
		start(keep_ms[i]);
		assert_int_equal(run(3600 * 1000, 200), 0);
		assert_int_equal(n_rules(), 2 * HOPS);
		talk(&ini, &there);
		talk(&res, &back);
		assert_int_equal(run(1000, 0), 0);
		assert_int_equal(ini.n_got, 10);
		assert_int_equal(res.n_got, 10);
		assert_in_range(n_pings, 2 * 1190, 2 * 1200);
		// rules that pings keep need none
		assert_true((n_keep_alives > 0) == (keep_ms[i] / 3 < GROUP_PING_MS));
	}
}

static void a_closed_group_leaves_nothing(void **state)
{
	static const uint32_t keep_ms[] = {30000, 600000};

	for (size_t i = 0; i < 4; i++) {
		bool silent = (i & 2) != 0; // the far end is gone without a word

		start(keep_ms[i & 1]);
		run(10000, 200);
		if (silent)
			group_fini(&res.g), res.g.state = GROUP_OVER;
		group_close(&ini.g, now_ns, NULL);
		run(silent ? GROUP_CLOSE_MS + 500 : 1000, 200);
		assert_int_equal(group_state(&ini.g), GROUP_OVER);
		assert_int_equal(group_state(&res.g), GROUP_OVER);
		assert_int_equal(n_rules(), silent ? HOPS : 0);
		run(keep_ms[i & 1] + SWEEP_MS, 0);
		assert_int_equal(n_rules(), 0);
		assert_true(there.n == 0 && back.n == 0);
	}
}

// What one direction holds up, up to what each side waits, costs nothing but time.
static void slow_ways_are_waited_for(void **state)
{
	static const uint32_t delay_ms[] = {0, 700, 1500, 2500, 4500};
	uint8_t p[GROUP_PACKET_MAX];

	for (size_t i = 0; i < sizeof(delay_ms) / sizeof(delay_ms[0]); i++) {
		start(600000);
		// each Handshake that is repeated meanwhile comes, too
		for (uint32_t t = 0; t <= delay_ms[i]; t += 100, later(100))
			for (size_t n; (n = pull(&ini, p)) > 0;)
				put(&there, p, n, delay_ms[i] - t);
		assert_int_equal(run(2000, 50), 0);
		assert_int_equal(group_state(&ini.g), GROUP_OPEN);
		assert_int_equal(group_state(&res.g), GROUP_OPEN);
		assert_true(
			group_stats_of(&res.g)->rx_again == 0 || delay_ms[i] >= GROUP_REPEAT_MS);
	}
}

// Back-pressure holds all packets of one direction for a time; rules live on, as pings go on.
static void a_held_way_goes_on(void **state)
{
	start(30000);
	run(5000, 100);
	for (int i = 0; i < 20; i++)
		talk(&ini, &there);
	for (unsigned i = 0; i < there.n; i++)
		there.q[(there.head + i) % FLIGHT].at_ns += 20 * CLOCK_NS_PER_S;
	assert_int_equal(run(60000, 100), 0);
	assert_int_equal(res.n_got, 200);
	assert_int_equal(n_rules(), 2 * HOPS);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_idle_hour_keeps_every_rule),
		TEST(a_closed_group_leaves_nothing),
		TEST(slow_ways_are_waited_for),
		TEST(a_held_way_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
