// Edges and super-packets: what goes out as one or is cut, what comes in as one, is cut or joined.
#include "tests/controlplane/app/edge_fixture.h"

// ---- offloads ----

static uint8_t raw[sizeof(struct gso_vnet) + 65536];

enum { ALL = GSO_TCP4 | GSO_TCP6 | GSO_UDP4 | GSO_UDP6, SEG = 1000 };

static void attach_offload(uint8_t kinds)
{
	dev_kinds = kinds;
	add();
	assert_int_equal(attach(), 0);
	turns();
	n_sent = 0;
}

static void far_says(uint8_t flags, uint8_t takes, uint16_t max)
{
	struct edge_hello h = {.flags = flags, .takes = takes, .max = max};
	uint8_t p[EDGE_HELLO_LEN];

	edge_hello_encode(p, sizeof(p), &h);
	in_data(p, sizeof(p));
}

// The kernel hands over TCP as one packet.
static void kernel_sends(uint16_t payload)
{
	struct packet k = {.version = 4, .payload = payload, .seq = 77};
	struct gso_vnet *v = (struct gso_vnet *)raw;
	size_t len = packet_make(raw + sizeof(*v), &k);
	struct gso_pkt g;

	// so that the checksum is the pseudo header's
	assert_int_equal(gso_from_far(raw + sizeof(*v), len, SEG, &g), 0);
	gso_to_kernel(&g, raw + sizeof(*v), v);
	assert_int_equal(send(dev_fd, raw, sizeof(*v) + len, 0), sizeof(*v) + len);
	turns();
}

static void kernel_sends_super(void)
{
	kernel_sends(3500);
}

static void expect_cut(unsigned first)
{
	static const unsigned lens[] = {SEG, SEG, SEG, 500};

	assert_int_equal(n_sent - first, ARRAY_LEN(lens));
	for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
		assert_int_equal(sent[first + i].len, ROUTE_HDR_LEN + 40 + lens[i]);
		assert_true(packet_is_right(sent[first + i].bytes + ROUTE_HDR_LEN, 40 + lens[i]));
	}
}

static void a_hello_is_sent_and_answered(void **state)
{
	attach_offload(ALL);
	assert_int_equal(n_hellos, 1);
	assert_int_equal(hello.flags, EDGE_HELLO_ASK);
	assert_int_equal(hello.takes, ALL);
	assert_int_equal(info().far, API_FAR_UNKNOWN);
	far_says(EDGE_HELLO_ASK, 0, 65535);
	assert_int_equal(info().far, API_FAR_PLAIN);
	assert_int_equal(n_hellos, 2);
	assert_int_equal(hello.flags, 0);
	far_says(0, ALL, 65535);
	assert_int_equal(info().far, API_FAR_SUPER);
	assert_int_equal(n_hellos, 2);
	in_data("\x01\x01", 2);
	assert_int_equal(info().drop_in_bad, 1);
}

static void an_edge_without_offloads_says_so(void **state)
{
	attach_offload(0);
	assert_int_equal(n_hellos, 1);
	assert_int_equal(hello.takes, 0);
}

static void a_super_packet_is_cut_until_the_far_end_takes_it(void **state)
{
	struct gso_pkt g;

	attach_offload(ALL);
	kernel_sends_super();
	expect_cut(0);
	assert_int_equal(info().out_cut, 4);
	far_says(0, GSO_TCP6, 65535); // not this kind
	kernel_sends_super();
	expect_cut(4);
	far_says(0, ALL, 3000); // not so long
	kernel_sends_super();
	expect_cut(8);
	far_says(0, ALL, 65535);
	n_sent = 0;
	kernel_sends_super();
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].len, ROUTE_HDR_LEN + EDGE_SUPER_HDR_LEN + 3540);
	assert_int_equal(route_hdr_len(sent[0].bytes), EDGE_SUPER_HDR_LEN + 3540);
	assert_int_equal(edge_super_decode(sent[0].bytes + ROUTE_HDR_LEN, 3544), SEG);
	assert_int_equal(
		gso_from_far(sent[0].bytes + ROUTE_HDR_LEN + EDGE_SUPER_HDR_LEN, 3540, SEG, &g), 0);
	assert_int_equal(info().out_supers, 1);
	// a far end that comes back without
	far_says(EDGE_HELLO_ASK, 0, 65535);
	n_sent = 0;
	kernel_sends_super();
	expect_cut(0);
}

static void a_full_ring_keeps_what_is_left_of_a_super_packet(void **state)
{
	attach_offload(ALL);
	room = 2;
	kernel_sends_super();
	kernel_sends_super();
	assert_int_equal(n_sent, 2);
	for (room = 3; room < 9; room++) {
		TELL(on_room);
		turns();
	}
	assert_int_equal(n_sent, 8);
	n_sent = 4;
	expect_cut(0);
	n_sent = 8;
	expect_cut(4);
	// what waits when the route ends is forgotten
	room = 10;
	kernel_sends_super();
	assert_int_equal(n_sent, 10);
	assert_int_equal(edge_detach(m, "sky0", false, err, sizeof(err)), 0);
	assert_int_equal(attach(), 0);
	room = ARRAY_LEN(sent);
	n_sent = 0;
	kernel_sends_super();
	for (unsigned i = 0; i < n_sent && n_sent > 4; i++) // keep-alives
		if (sent[i].len == ROUTE_HDR_LEN)
			memmove(&sent[i], &sent[i + 1], (--n_sent - i) * sizeof(sent[0]));
	expect_cut(0);
}

// What was cut before leaves nothing behind that a later packet could be taken for.
static void a_super_packet_that_waits_goes_out_once(void **state)
{
	attach_offload(ALL);
	kernel_sends_super();
	expect_cut(0);
	far_says(0, ALL, 65535);
	room = n_sent;
	kernel_sends(6500);
	assert_int_equal(info().waits, 1);
	room = ARRAY_LEN(sent);
	TELL(on_room);
	turns();
	assert_int_equal(n_sent, 5);
	assert_int_equal(sent[4].len, ROUTE_HDR_LEN + EDGE_SUPER_HDR_LEN + 6540);
}

static void nonsense_of_the_kernel_is_counted(void **state)
{
	attach_offload(ALL);
	memset(raw, 0xff, 100);
	assert_int_equal(send(dev_fd, raw, 100, 0), 100);
	turns();
	assert_int_equal(n_sent, 0);
	assert_int_equal(info().out_bad, 1);
}

static size_t super_from_far(void)
{
	struct packet k = {.version = 4, .payload = 3500, .seq = 77};

	edge_super_put(raw, SEG);
	return EDGE_SUPER_HDR_LEN + packet_make(raw + EDGE_SUPER_HDR_LEN, &k);
}

static void a_super_packet_goes_to_the_device_as_one(void **state)
{
	static uint8_t got[8000];
	struct gso_vnet v;
	size_t len = super_from_far();

	attach_offload(ALL);
	in_data(raw, len);
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), sizeof(v) + 3540);
	memcpy(&v, got, sizeof(v));
	assert_int_equal(v.type, GSO_VNET_TCP4);
	assert_int_equal(v.size, SEG);
	assert_memory_equal(got + sizeof(v) + 40, raw + EDGE_SUPER_HDR_LEN + 40, 3500);
	assert_int_equal(info().in_supers, 1);
	assert_int_equal(info().in_packets, 1);
	assert_int_equal(info().in_bytes, 3540);
	for (size_t bad = 3; bad < 60; bad += 3) { // lengths, segment size 0, a wrong checksum
		super_from_far();
		if (bad == 3)
			memset(raw + 2, 0, 2);
		raw[bad] ^= bad == 3 ? 0 : 0x40;
		in_data(raw, bad < 30 ? len : len - bad);
	}
	assert_int_equal(info().in_supers, 1);
	assert_int_equal(info().drop_in_bad, 19);
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), -1);
}

static void a_super_packet_is_cut_for_a_device_that_takes_none(void **state)
{
	uint8_t got[2000];
	size_t len = super_from_far();

	attach_offload(0);
	in_data(raw, len);
	for (int i = 0; i < 4; i++) {
		ssize_t n = recv(dev_fd, got, sizeof(got), 0);

		assert_int_equal(n, i < 3 ? 1040 : 540);
		assert_true(packet_is_right(got, (size_t)n));
	}
	assert_int_equal(info().in_cut, 4);
	assert_int_equal(info().in_packets, 4);
}

static void packets_of_a_burst_are_joined(void **state)
{
	static uint8_t got[8000];
	struct packet k = {.version = 6, .payload = 600};
	struct packet last = {.version = 6, .udp = true, .payload = 5};
	struct gso_vnet v;

	attach_offload(ALL);
	for (int i = 0; i < 5; i++, k.seq += 600)
		in_data(raw, packet_make(raw, &k));
	in_data(raw, packet_make(raw, &last));
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), -1);
	TELL(on_route_end);
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), sizeof(v) + 60 + 3000);
	memcpy(&v, got, sizeof(v));
	assert_int_equal(v.type, GSO_VNET_TCP6);
	assert_int_equal(v.size, 600);
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), sizeof(v) + 53);
	memcpy(&v, got, sizeof(v));
	assert_int_equal(v.flags, 0);
	assert_int_equal(info().in_joined, 5);
	assert_int_equal(info().in_packets, 6);
	assert_int_equal(info().in_bytes, 5 * 660 + 53);
}

static void what_the_kernel_refuses_is_counted(void **state)
{
	int small = 4096;
	size_t len = super_from_far();

	attach_offload(ALL);
	assert_int_equal(setsockopt(edge_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	len = EDGE_SUPER_HDR_LEN + packet_make(raw + EDGE_SUPER_HDR_LEN,
					   &(struct packet){.version = 4, .payload = 60000});
	in_data(raw, len);
	assert_int_equal(info().in_refused, 1);
	assert_int_equal(info().in_packets, 0);
}

static void the_wish_for_offloads_outlives_a_restart(void **state)
{
	struct api_edge_add spec = {
		.name = "sky0", .offload = API_OFFLOAD_AUTO, .super_max = 16384};

	dev_kinds = ALL;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(info().offload, API_OFFLOAD_AUTO);
		assert_int_equal(info().super_max, 16384);
		mgr_free();
		close(dev_fd);
		assert_int_equal(mgr_new(), 0);
		edge_mgr_restore(m);
	}
	assert_int_equal(edge_del(m, "sky0", err, sizeof(err)), 0);
	spec.offload = API_OFFLOAD_NO;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), 0);
	mgr_free();
	close(dev_fd);
	assert_int_equal(mgr_new(), 0);
	edge_mgr_restore(m);
	assert_int_equal(info().offload, API_OFFLOAD_NO);
	assert_int_equal(info().super_max, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_hello_is_sent_and_answered),
		T(an_edge_without_offloads_says_so),
		T(a_super_packet_is_cut_until_the_far_end_takes_it),
		T(a_full_ring_keeps_what_is_left_of_a_super_packet),
		T(a_super_packet_that_waits_goes_out_once),
		T(nonsense_of_the_kernel_is_counted),
		T(a_super_packet_goes_to_the_device_as_one),
		T(a_super_packet_is_cut_for_a_device_that_takes_none),
		T(packets_of_a_burst_are_joined),
		T(what_the_kernel_refuses_is_counted),
		T(the_wish_for_offloads_outlives_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
