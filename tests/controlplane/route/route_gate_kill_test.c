// A control plane that is killed at random instants while routes are laid, hundreds of times, each
// followed by a new one that adopts what the data plane has. Whatever happened: no id is ever given
// to a second rule, and a keep-alive and a sweep later nothing is left.
#include "tests/controlplane/route/gate_fixture.h"

enum { LIVES = 600, STEPS = 40, OPEN_MAX = 8, USED_MAX = 1 << 18, SWEEP_S = 5 };

static const struct key_pk *const nodes[] = {&one, &two};
static uint64_t seed = 88172645463325252ull;
static char life_path[] = "/tmp/skyrail-kill-XXXXXX";
static uint64_t born_ns[FAKE_SLOTS]; // of the rule in the slot
static uint32_t used[USED_MAX]; // ids that rules had; open addressing
static struct fake_cmd untold[4]; // done, and nobody heard of it
static unsigned n_untold;
static unsigned n_laid, n_expired, n_refused, n_lost;

// An id that was reserved and is not used up.
static struct {
	uint32_t id;
	unsigned by;
} open_ids[2 * OPEN_MAX];
static unsigned n_open;

static unsigned pick(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static void use(uint32_t id)
{
	uint32_t at = id * 0x9e3779b1u >> 14;

	for (; used[at] != 0; at = (at + 1) % USED_MAX)
		assert_int_not_equal(used[at], id); // it had a rule before
	used[at] = id;
}

// ---- the data plane ----

// The first n commands of the ring; told: somebody is there to hear of it.
static void work(size_t n, bool told)
{
	struct fake_cmd *q = fake.queue;

	for (size_t i = 0; i < n && fake.n_queue > 0; i++) {
		struct fake_cmd c = q[0];
		int rc = 0;

		memmove(q, q + 1, --fake.n_queue * sizeof(*q));
		if (c.c.h.type == CMD_RULE_ADD) {
			rc = fake_add(&c.c.add);
			if (rc == 0) {
				use(c.c.add.id);
				born_ns[c.c.add.id % FAKE_SLOTS] = now_ns;
			}
		} else if (c.c.h.type == CMD_RULE_DEL) {
			rc = fake_del(c.c.del.id, RULE_GONE_DEL);
		}
		if (!told)
			untold[n_untold++] = c;
		else if (c.done != NULL)
			c.done(c.arg, rc, 0);
	}
}

static void sweep(void)
{
	for (uint32_t i = 0; i < FAKE_SLOTS; i++) {
		const struct evt_rule *e = &fake.rules[i];

		if (e->id == 0 || now_ns - born_ns[i] < e->keep_alive_ms * CLOCK_NS_PER_MS)
			continue;
		assert_int_equal(fake_del(e->id, RULE_GONE_EXPIRED), 0);
		n_expired++;
	}
}

// ---- a life of the control plane ----

static void live(void)
{
	const uint8_t secret[32] = {1};

	ids = route_id_new(secret, life_path);
	assert_non_null(ids);
	m = rule_mgr_new(loop, &fake, ids, &tr, (struct transport_mgr *)&fake);
	assert_non_null(m);
	assert_int_equal(gate_new(NULL), 0);
}

static void end_command(const struct fake_cmd *c)
{
	if (c->done != NULL)
		c->done(c->arg, -ECONNRESET, 0);
}

// What was in its rings is done or is not, and nobody hears of it.
static void die(void)
{
	n_untold = 0;
	work(pick(4), false);
	n_lost += (unsigned)fake.n_queue;
	fake.ready = false;
	route_gate_free(gate);
	rule_mgr_free(m);
	// this frees what the manager still had under way
	while (n_untold > 0)
		end_command(&untold[--n_untold]);
	while (fake.n_queue > 0)
		end_command(&fake.queue[--fake.n_queue]);
	route_id_free(ids);
	fake.n_gone = 0;
}

static void ask_ids(void)
{
	unsigned by = pick(2);
	uint32_t id[2];

	if (n_open + 2 > ARRAY_LEN(open_ids))
		return;
	reserve(nodes[by], id, 2);
	for (int i = 0; i < 2; i++) {
		open_ids[n_open].id = id[i];
		open_ids[n_open++].by = by;
	}
}

// One or two of those that are open, perhaps of another set-up node, or of a life before.
static void ask_rules(void)
{
	uint32_t id[2], n = 1 + pick(2);
	unsigned by = 0;

	if (n_open < n)
		return;
	for (uint32_t i = 0; i < n; i++) {
		unsigned at = pick(n_open);

		id[i] = open_ids[at].id;
		by = open_ids[at].by;
		if (pick(8) != 0) // else once more, later
			open_ids[at] = open_ids[--n_open];
		if (n_open == 0)
			n = i + 1;
	}
	if (lay(nodes[by], id, n, NULL) < 0)
		n_refused++;
}

static void ask_back(void)
{
	struct route_call *call;
	uint32_t id = fake.rules[pick(FAKE_SLOTS)].id;

	route_gate_delete(gate, nodes[pick(2)], &id, 1, on_said, NULL, &call, why);
}

static void step(void)
{
	switch (pick(8)) {
	case 0:
	case 1:
		ask_ids();
		break;
	case 2:
	case 3:
		ask_rules();
		break;
	case 4:
		ask_back();
		break;
	case 5:
		now_ns += pick(2000) * CLOCK_NS_PER_MS;
		sweep();
		break;
	case 6:
		work(1 + pick(3), true);
		break;
	default:
		fake_tell_gone();
		loop_turn(loop);
	}
}

// What is under way ends.
static void settle_all(void)
{
	work(FAKE_QUEUE, true);
	fake_tell_gone();
	loop_turn(loop);
}

static void nothing_is_left_and_no_id_is_used_twice(void **state)
{
	int fd = mkstemp(life_path);

	assert_true(fd >= 0);
	close(fd);
	fake_attach(DP_SYNC_FRESH);
	memset(fake.rules, 0, sizeof(fake.rules));
	// the fixture's own life has another file
	route_gate_free(gate);
	rule_mgr_free(m);
	route_id_free(ids);
	for (int i = 0; i < LIVES; i++) {
		live();
		fake_attach(DP_SYNC_ADOPT);
		for (unsigned k = pick(STEPS) + 1; k > 0; k--)
			step();
		n_laid += (unsigned)stats().laid;
		if (i + 1 < LIVES)
			die();
	}
	for (int i = 0; i < 4; i++)
		settle_all();
	now_ns += (uint64_t)(KEEP_S + SWEEP_S) * CLOCK_NS_PER_S;
	sweep();
	settle_all();
	for (uint32_t i = 0; i < FAKE_SLOTS; i++)
		assert_int_equal(fake.rules[i].id, 0);
	now_ns += HOLD_S * CLOCK_NS_PER_S;
	reserve(&one, &open_ids[0].id, 1);
	assert_int_equal(rule_mgr_n_live(m), 1);
	// and all of it did happen
	assert_true(n_laid > LIVES / 4 && n_expired > 0 && n_refused > LIVES / 4 &&
		    n_lost > LIVES / 20);
	unlink(life_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			nothing_is_left_and_no_id_is_used_twice, gate_setup, gate_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
