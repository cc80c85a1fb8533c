// Records of the rings, both ways: packets and events with their shapes, and nonsense.
#include "tests/controlplane/dp/dp_fixture.h"

static void packets_go_down_by_the_ring_of_the_worker(void **state)
{
	static const struct {
		unsigned worker, ring;
	} rows[] = {{0, 0}, {1, 1}, {2, 0}, {1000, 0}};
	uint8_t buf[256];
	uint8_t big[DPMSG_ROUTE_MAX + 1] = {0};

	(void)state;
	attach_and_sync();
	for (size_t i = 0; i < 4; i++) {
		struct msg_route *m = (struct msg_route *)buf;

		assert_int_equal(dp_client_send_route(c, rows[i].worker, 42, "packet", 6), 0);
		turns(1);
		assert_int_equal(ring_r_read(&down[rows[i].ring], buf, sizeof(buf)), 30);
		ring_r_release(&down[rows[i].ring]);
		assert_int_equal(m->h.type, DOWN_ROUTE);
		assert_int_equal(m->id, 42);
		assert_memory_equal(m->bytes, "packet", 6);
	}
	assert_int_equal(dp_client_send_datagram(c, 0, 3, 1, 2, "hs", 2), 0);
	assert_int_equal(dp_client_send_rekey(c, 1, 5, "re", 2), 0);
	assert_int_equal(dp_client_send_carried(c, 1, 9, "packet", 6), 0);
	turns(1);
	assert_int_equal(ring_r_read(&down[0], buf, sizeof(buf)), 26);
	assert_int_equal(((struct down_datagram *)buf)->dst_port, 2);
	assert_int_equal(ring_r_read(&down[1], buf, sizeof(buf)), 26);
	assert_int_equal(((struct msg_rekey *)buf)->hop, 5);
	assert_int_equal(ring_r_read(&down[1], buf, sizeof(buf)), 30);
	assert_int_equal(((struct msg_route *)buf)->h.type, DOWN_CARRIED);
	assert_int_equal(((struct msg_route *)buf)->id, 0);
	assert_int_equal(((struct msg_route *)buf)->hop, 9);
	assert_memory_equal(((struct msg_route *)buf)->bytes, "packet", 6);
	assert_int_equal(dp_client_send_route(c, 0, 1, big, sizeof(big)), -EMSGSIZE);
	assert_int_equal(dp_client_send_route(c, 0, 1, big, 0), -EMSGSIZE);
}

// Other packets find room behind a flood of them, and it is over soon when a route has to wait.
static void carried_packets_fill_a_quarter_of_a_ring(void **state)
{
	const uint32_t record = sizeof(struct msg_route) + 64;
	uint8_t packet[64] = {0};
	uint8_t buf[256];
	uint32_t n = 0, size = 0;

	(void)state;
	attach_and_sync();
	size = down[1].size;
	while (dp_client_send_carried(c, 1, 9, packet, sizeof(packet)) == 0)
		n++;
	assert_true(n * record > size / 4 - record && n * record <= size / 4 + record);
	assert_int_equal(dp_client_send_carried(c, 1, 9, packet, sizeof(packet)), -EAGAIN);
	assert_int_equal(dp_client_send_carried(c, 0, 9, packet, sizeof(packet)), 0);
	assert_int_equal(dp_client_send_route(c, 1, 42, packet, sizeof(packet)), 0);
	turns(1);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(ring_r_read(&down[1], buf, sizeof(buf)), record);
	ring_r_release(&down[1]);
	assert_int_equal(dp_client_send_carried(c, 1, 9, packet, sizeof(packet)), 0);
}

static void packets_come_up_with_their_length(void **state)
{
	uint8_t b[sizeof(struct msg_route) + 1000] __attribute__((aligned(8))) = {0};
	struct msg_route *m = (struct msg_route *)b;

	(void)state;
	attach_and_sync();
	m->h.type = UP_ROUTE;
	m->id = 33;
	for (size_t n = 1; n < 1000; n += 111) {
		m->bytes[n - 1] = 0x5a;
		dp_put(&up[n % 2], b, (uint32_t)(sizeof(*m) + n));
		turns(1);
		assert_int_equal(last_len, n);
		assert_int_equal(last_id, 33);
	}
	assert_int_equal(n_routes, 9);
	assert_int_equal(n_passed_on, 9);
}

static void packets_that_are_carried_come_up_by_a_hook_of_their_own(void **state)
{
	uint8_t b[sizeof(struct msg_route) + 8] __attribute__((aligned(8))) = {0};
	struct msg_route *m = (struct msg_route *)b;
	struct dp_client_stats st;

	(void)state;
	attach_and_sync();
	m->h.type = UP_CARRIED;
	m->hop = 6;
	dp_put(&up[1], b, sizeof(*m)); // no packet
	m->bytes[7] = 0x5a;
	dp_put(&up[1], b, sizeof(b));
	turns(1);
	assert_int_equal(n_carried, 1);
	assert_int_equal(last_len, 8);
	assert_int_equal(last_hop, 6);
	assert_int_equal(n_routes, 0);
	dp_client_stats_get(c, &st);
	assert_int_equal(st.bad_records, 1);
}

static void a_pause_says_by_which_hop(void **state)
{
	struct evt_route_pause e = {.h.type = EVT_ROUTE_PAUSE, .id = 4, .paused = 1, .hop = 8};

	(void)state;
	attach_and_sync();
	dp_put(&evt, &e, sizeof(e));
	dp_put(&evt, &e, sizeof(e) - 8); // as it was before
	turns(1);
	assert_int_equal(n_pauses, 1);
	assert_int_equal(last_id, 4);
	assert_int_equal(last_hop, 8);
}

// Random records of any type and length, in every ring: counted, never believed.
static void nonsense_in_the_rings_is_counted(void **state)
{
	uint8_t b[600] __attribute__((aligned(8)));
	struct dpmsg_hdr *h = (struct dpmsg_hdr *)b;
	struct dp_client_stats st;
	unsigned seed = 3;

	(void)state;
	attach_and_sync();
	handler.on_route = handler.on_carried = NULL; // check a byte that random packets don't have
	for (int i = 0; i < 4000; i++) {
		uint32_t len = 16 + (uint32_t)rand_r(&seed) % 500;
		struct ring_w *rings[] = {&evt, &hs[0], &hs[1], &up[0], &up[1]};
		static const uint16_t fixed[] = {24, 216, 32, 88, 208, 64, 112};

		for (size_t k = 0; k < sizeof(b); k++)
			b[k] = (uint8_t)rand_r(&seed);
		h->type = (uint16_t)(rand_r(&seed) % 200);
		if (i % 2 == 0)
			len = fixed[rand_r(&seed) % 7];
		dp_put(rings[i % 5], b, len);
		turns(1);
		if (dp_client_epoch(c) == 0)
			break;
	}
	dp_client_stats_get(c, &st);
	assert_true(st.bad_records > 2000);
	assert_true(dp_client_is_ready(c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(packets_go_down_by_the_ring_of_the_worker),
		T(carried_packets_fill_a_quarter_of_a_ring),
		T(packets_come_up_with_their_length),
		T(packets_that_are_carried_come_up_by_a_hook_of_their_own),
		T(a_pause_says_by_which_hop),
		T(nonsense_in_the_rings_is_counted),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
