// Carried hops of carriers: their packets go by rings of their own, in nobody's way, and the main
// lcore wakes the one who sleeps.
#include "tests/dataplane/ctl/ctl_fixture.h"

#include "lib/wire/route_hdr.h"
#include "tests/support/eal.h"

#include <unistd.h>

enum { CARRIERS = 3, IN = 1, OUT = 2, OTHER = 4 };
#define ID(n) (1u << FIX_RULE_BITS | (n))
#define HANDLE(n) ((n) | 1u << DPMSG_HANDLE_BITS)

static struct fix f;
static struct ring_w down[CARRIERS];
static struct ring_r up[CARRIERS], plain_up[FIX_WORKERS];

static void pass(unsigned ms)
{
	while (ms-- > 0) {
		f.now_ns += 1000000;
		for (unsigned i = 0; i < FIX_WORKERS; i++)
			worker_turn_at(worker_ctx(f.workers, i), f.now_ns);
		ctl_turn(f.ctl, f.now_ns);
	}
}

static int setup(void **state)
{
	const struct region_hdr *h;
	size_t len;

	(void)state;
	fix_init(&f, -1);
	h = f.region.hdr;
	for (unsigned k = 0; k < CARRIERS; k++) {
		struct ring_shm *shm = fix_ring(&f, h->car_down_off[k], &len);

		assert_int_equal(ring_w_attach(&down[k], shm, len), 0);
		shm = fix_ring(&f, h->car_up_off[k], &len);
		assert_int_equal(ring_r_attach(&up[k], shm, len), 0);
	}
	for (unsigned i = 0; i < FIX_WORKERS; i++) {
		struct ring_shm *shm = fix_ring(&f, h->up_off[i], &len);

		assert_int_equal(ring_r_attach(&plain_up[i], shm, len), 0);
	}
	atomic_store(&f.region.hdr->n_carriers, CARRIERS);
	fix_hello(&f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fix_fini(&f);
	return 0;
}

// With carrier nr, from 1 on; the owner.
static uint32_t hop_add(uint32_t index, uint8_t nr)
{
	struct cmd_hop_add m = fix_carried(index);
	union fix_evt e;

	m.owner = 0xff;
	m.carrier = nr;
	fix_send(&f, &m, CMD_HOP_ADD, sizeof(m));
	pass(2);
	assert_true(fix_event(&f, EVT_DONE, &e));
	assert_int_equal(e.done.status, 0);
	return e.done.aux;
}

static void rule_add(uint32_t id, uint32_t in, uint32_t out)
{
	struct cmd_rule_add m = {.id = id,
		.next_id = id + 1000,
		.tx_hop = HANDLE(out),
		.in_tp = HANDLE(in),
		.keep_alive_ms = 3600 * 1000,
		.type = RULE_INTERMEDIARY};

	assert_int_equal(fix_cmd(&f, &m, CMD_RULE_ADD, sizeof(m)), 0);
}

static void send(unsigned k, uint16_t type, uint32_t in, uint32_t id, unsigned n, uint16_t len)
{
	struct msg_route m = {
		.h = {.len = (uint32_t)(sizeof(m) + ROUTE_HDR_LEN + len), .type = type},
		.hop = HANDLE(in)};
	static uint8_t p[ROUTE_HDR_LEN + 2000];

	route_hdr_put(p, ROUTE_DATA, id, len);
	while (n-- > 0) {
		uint8_t *to = ring_w_reserve(&down[k], m.h.len);

		assert_non_null(to);
		memcpy(to, &m, sizeof(m));
		memcpy(to + sizeof(m), p, ROUTE_HDR_LEN + len);
		ring_w_publish(&down[k]);
	}
	pass(5);
}

// Packets for the peer of that hop in a ring up, with that id.
static unsigned came(struct ring_r *r, uint32_t out, uint32_t id)
{
	static _Alignas(8) uint8_t rec[4096];
	const struct msg_route *m = (const struct msg_route *)rec;
	unsigned n = 0;

	while (ring_r_read(r, rec, sizeof(rec)) > 0) {
		ring_r_release(r);
		assert_int_equal(m->h.type, UP_CARRIED);
		assert_int_equal(m->hop, HANDLE(out));
		assert_int_equal(route_hdr_id(m->bytes), id);
		n++;
	}
	return n;
}

// ---- tests ----

static void only_carried_hops_have_one(void **state)
{
	struct cmd_hop_add carried = fix_carried(20), link = fix_hop(21);

	(void)state;
	carried.carrier = DPMSG_MAX_CARRIERS + 1;
	assert_int_equal(fix_cmd(&f, &carried, CMD_HOP_ADD, sizeof(carried)), -EINVAL);
	link.carrier = 1;
	assert_int_equal(fix_cmd(&f, &link, CMD_HOP_ADD, sizeof(link)), -EINVAL);
}

static void its_worker_is_the_owner(void **state)
{
	(void)state;
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS; k++)
		assert_int_equal(hop_add(1 + k, (uint8_t)(k + 1)), k % FIX_WORKERS);
}

static void packets_go_by_its_rings(void **state)
{
	(void)state;
	hop_add(IN, 1);
	hop_add(OUT, 2);
	rule_add(ID(1), IN, OUT);
	send(0, DOWN_CARRIED, IN, ID(1), 100, 500);
	assert_int_equal(came(&up[1], OUT, ID(1) + 1000), 100);
	assert_int_equal(came(&up[0], 0, 0) + came(&up[2], 0, 0), 0);
	for (unsigned i = 0; i < FIX_WORKERS; i++)
		assert_int_equal(came(&plain_up[i], 0, 0), 0);
	// nobody looks at those of carriers that there are not
	atomic_store(&f.region.hdr->n_carriers, 0);
	send(0, DOWN_CARRIED, IN, ID(1), 1, 500);
	assert_int_equal(came(&up[1], OUT, ID(1) + 1000), 0);
	atomic_store(&f.region.hdr->n_carriers, UINT32_MAX); // nonsense
	pass(5);
	assert_int_equal(came(&up[1], OUT, ID(1) + 1000), 1);
}

// Carriers 1 and 3 have the same worker.
static void a_full_ring_is_in_no_other_ones_way(void **state)
{
	unsigned n = 0, sent = 0;

	(void)state;
	hop_add(IN, 2);
	hop_add(OUT, 1);
	hop_add(OTHER, 3);
	rule_add(ID(1), IN, OUT);
	rule_add(ID(2), IN, OTHER);
	for (; ring_w_room(&down[1]) > 128 << 10 && sent < 300; sent += 10)
		send(1, DOWN_CARRIED, IN, ID(1), 10, 2000);
	send(1, DOWN_CARRIED, IN, ID(2), 10, 500);
	assert_int_equal(came(&up[2], OTHER, ID(2) + 1000), 10);
	for (unsigned i = 0; i < 100; i++) {
		n += came(&up[0], OUT, ID(1) + 1000);
		pass(1);
	}
	assert_int_equal(n, sent);
}

static void other_records_have_no_place_there(void **state)
{
	uint64_t before = stat_get(&stats_worker(f.region.stats, 0)->c[W_drop_down_bad]);

	(void)state;
	hop_add(IN, 1);
	send(0, DOWN_ROUTE, IN, ID(1), 1, 10);
	send(0, DOWN_CONTROL, IN, 0, 1, 10);
	send(0, DOWN_CARRIED, IN, 0, 1, 10);
	assert_int_equal(
		stat_get(&stats_worker(f.region.stats, 0)->c[W_drop_down_bad]), before + 3);
}

static bool rung(unsigned k)
{
	uint64_t n;

	return read(f.region.bell_car[k], &n, sizeof(n)) == sizeof(n);
}

static void the_bell_rings_for_one_who_sleeps(void **state)
{
	(void)state;
	hop_add(IN, 1);
	hop_add(OUT, 2);
	rule_add(ID(1), IN, OUT);
	f.ctl->control_fd = dup(f.region.bell_cp); // some connection: one is attached
	send(0, DOWN_CARRIED, IN, ID(1), 1, 10);
	assert_false(rung(1));
	atomic_store(&f.region.hdr->car[1].sleeping, 1);
	atomic_store(&f.region.hdr->car[0].sleeping, 1); // which has nothing to read
	pass(1);
	assert_true(rung(1));
	assert_int_equal(atomic_load(&f.region.hdr->car[1].sleeping), 0);
	assert_false(rung(0));
	assert_int_equal(atomic_load(&f.region.hdr->car[0].sleeping), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		T(only_carried_hops_have_one),
		T(its_worker_is_the_owner),
		T(packets_go_by_its_rings),
		T(a_full_ring_is_in_no_other_ones_way),
		T(other_records_have_no_place_there),
		T(the_bell_rings_for_one_who_sleeps),
#undef T
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
