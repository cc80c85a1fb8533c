// Ports on devices that need neither root nor hardware: what is taken, what is lacking, what is
// refused, how queues are dealt out.

#include "dataplane/io/port_priv.h"
#include "tests/support/eal.h"

#include <rte_ethdev.h>

#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct port_ask ask(const char *name, const char *device)
{
	return (struct port_ask){.name = name, .device = device, .kernel_if = "", .tap = ""};
}

static struct wctx *bound(const struct port_set *s, uint16_t id)
{
	struct wctx *w = aligned_alloc(64, (sizeof(*w) + 63) & ~63ul);

	assert_non_null(w);
	memset(w, 0, sizeof(*w));
	w->id = id;
	port_set_bind(s, w);
	return w;
}

static void ports_open_by_name_and_describe_themselves(void **state)
{
	struct port_ask asks[] = {ask("wan", "net_null_a,copy=1"), ask("lan", "net_ring_a")};
	char err[PORT_ERR_MAX] = "";
	struct port_set *s = port_set_open(asks, 2, 1, NULL, err);
	struct evt_port e;
	uint64_t total, free_now;

	if (s == NULL)
		fail_msg("%s", err);
	assert_int_equal(port_set_n(s), 2);
	port_show(s, 0, &e);
	assert_string_equal(e.name, "wan");
	assert_string_equal(e.device, "net_null_a,copy=1");
	assert_int_equal(e.mtu, 1500);
	assert_int_equal(e.exception, PORT_DROP);
	assert_int_equal(e.n_rxq, 1);
	assert_int_equal(e.link_up, 1);
	assert_true(port_known(s, e.port));
	assert_false(port_known(s, 31));
	port_set_mbufs(s, &total, &free_now);
	assert_true(total >= 8192 && free_now <= total);
	port_set_close(s);
	// all is given back: the same again
	s = port_set_open(asks, 2, 1, NULL, err);
	if (s == NULL)
		fail_msg("%s", err);
	port_set_close(s);
}

static void queues_are_dealt_out_and_lacks_are_named(void **state)
{
	struct port_ask asks[] = {ask("one", "net_ring_b"), ask("two", "net_ring_c")};
	char err[PORT_ERR_MAX] = "";
	struct port_set *s = port_set_open(asks, 2, 3, NULL, err);
	struct wctx *w[3];
	unsigned rx = 0;
	struct evt_port e;

	if (s == NULL)
		fail_msg("%s", err);
	for (uint16_t i = 0; i < 3; i++)
		w[i] = bound(s, i);
	for (unsigned p = 0; p < 2; p++) {
		port_show(s, p, &e);
		rx += e.n_rxq;
		for (unsigned i = 0; i < 3; i++) {
			const struct tx_array *tx = &w[i]->tx[e.port];

			// whoever has no queue is told who has one
			assert_true(tx->queue == TX_NO_QUEUE || tx->queue < e.n_txq);
			assert_true(w[tx->owner]->tx[e.port].queue != TX_NO_QUEUE);
			assert_int_equal(tx->mtu, 1500);
		}
		if (e.n_txq < 3)
			assert_non_null(strstr(port_lacks(s, p), "tx queues"));
	}
	assert_int_equal(w[0]->n_rxq + w[1]->n_rxq + w[2]->n_rxq, rx);
	assert_non_null(w[2]->pool);
	for (unsigned i = 0; i < 3; i++)
		free(w[i]);
	port_set_close(s);
}

// A socket of a memif server that was killed; dir gets its directory, path its name.
static void stale_socket(char dir[32], char path[64])
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(dir, "/tmp/port_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, 64, "%s/memif.sock", dir);
	strcpy(sa.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd);
}

static void a_killed_memif_server_is_not_in_the_way_of_the_next(void **state)
{
	char dir[32], path[64], device[160], err[PORT_ERR_MAX] = "";
	struct port_ask asks[] = {ask("m", device)};
	struct port_set *s;

	stale_socket(dir, path);
	snprintf(device, sizeof(device), "net_memif_s,role=server,socket=%s,socket-abstract=no",
		path);
	s = port_set_open(asks, 1, 1, NULL, err);
	if (s == NULL)
		fail_msg("%s", err);
	port_set_close(s);
	assert_int_equal(access(path, F_OK), -1);
	rmdir(dir);
}

static void a_memif_client_waits_for_its_server(void **state)
{
	char dir[32], path[64], device[160], err[PORT_ERR_MAX] = "";
	struct port_ask asks[] = {ask("m", device)};
	struct reclaim *r = reclaim_new(1);
	struct port_set *s;
	struct evt_port e;
	struct wctx *w;

	stale_socket(dir, path);
	snprintf(device, sizeof(device), "net_memif_c,role=client,socket=%s,socket-abstract=no",
		path);
	s = port_set_open(asks, 1, 1, NULL, err);
	if (s == NULL)
		fail_msg("%s", err);
	w = bound(s, 0);
	for (uint64_t at_ns = 0; at_ns < 3000000000; at_ns += 250000000) {
		assert_int_equal(port_again(s, 0, r, at_ns, err), PORT_AGAIN_NOT);
		port_poll(s, 0);
		port_show(s, 0, &e);
		assert_int_equal(e.link_up, 0);
		assert_int_equal(*w->ports_away, 1u << e.port);
	}
	free(w);
	port_set_close(s);
	reclaim_free(r);
	unlink(path);
	rmdir(dir);
}

// It is dialed again for as long as the node lives: with the capability to do so if the mode of the
// socket does not let us.
static void a_memif_client_keeps_what_its_socket_takes(void **state)
{
	static const struct {
		mode_t mode;
		const char *abstract;
		uint64_t caps;
	} rows[] = {
		{0600, "no", 0},
		{0400, "no", 1ull << CAP_DAC_OVERRIDE},
		{0077, "no", 1ull << CAP_DAC_OVERRIDE},
		{0077, "yes", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char dir[32], path[64], device[160], err[PORT_ERR_MAX] = "";
		struct port_ask asks[] = {ask("m", device)};
		struct port_set *s;

		stale_socket(dir, path);
		assert_int_equal(chmod(path, rows[i].mode), 0);
		snprintf(device, sizeof(device),
			"net_memif_c,role=client,socket=%s,socket-abstract=%s", path,
			rows[i].abstract);
		s = port_set_open(asks, 1, 1, NULL, err);
		if (s == NULL)
			fail_msg("%s", err);
		assert_int_equal(port_set_caps(s), rows[i].caps);
		port_set_close(s);
		unlink(path);
		rmdir(dir);
	}
}

static void missing_devices_are_named_with_their_port(void **state)
{
	static const struct {
		const char *device, *reason;
	} cases[] = {
		{"0000:ff:1f.7", "vfio-pci"},
		{"net_nosuchdriver0", "does not start"},
		{"net_af_packet9,iface=nosuchif0", "no interface nosuchif0"},
		{"net_af_xdp9,iface=nosuchif0", "no interface nosuchif0"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct port_ask asks[] = {ask("fine", "net_null_d"), ask("wan7", cases[i].device)};
		char err[PORT_ERR_MAX] = "";

		assert_null(port_set_open(asks, 2, 1, NULL, err));
		assert_non_null(strstr(err, "wan7"));
		assert_non_null(strstr(err, cases[i].device));
		if (strstr(err, cases[i].reason) == NULL)
			fail_msg("no '%s' in: %s", cases[i].reason, err);
	}
	assert_int_equal(rte_eth_dev_count_avail(), 0);
}

static void where_the_kernel_sees_our_port_it_must_be_claimed(void **state)
{
	static const struct {
		const char *device;
		enum port_exception exception;
		bool sees;
	} cases[] = {
		{"net_af_packet0,iface=eth1", EXCEPTION_AUTO, true},
		{"net_af_packet0,iface=eth1", EXCEPTION_DROP, true},
		{"net_af_xdp0,iface=eth1", EXCEPTION_AUTO, true},
		{"net_af_xdp0,iface=eth1", EXCEPTION_KERNEL, true},
		// the driver's own program takes every frame
		{"net_af_xdp0,iface=eth1", EXCEPTION_TAP, false},
		{"net_af_xdp0,iface=eth1", EXCEPTION_DROP, false},
		{"net_null0", EXCEPTION_AUTO, false},
		{"0000:03:00.0", EXCEPTION_AUTO, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct port_ask a = ask("wan", cases[i].device);

		a.exception = cases[i].exception;
		if (port_kernel_sees(&a) != cases[i].sees)
			fail_msg("%s, exception %d", cases[i].device, cases[i].exception);
	}
}

static void jumbo_frames_fit_one_buffer(void **state)
{
	struct port_ask a = ask("jumbo", "net_null_e");
	char err[PORT_ERR_MAX] = "";
	struct port_set *s;

	a.mtu = 9000;
	s = port_set_open(&a, 1, 1, NULL, err);
	if (s == NULL)
		fail_msg("%s", err);
	assert_true(rte_pktmbuf_data_room_size(port_set_pool(s, SOCKET_ID_ANY)) >=
		    9000 + 14 + RTE_PKTMBUF_HEADROOM);
	port_set_close(s);
}

// What af_xdp's driver shares with the kernel: from the start of the pool, its size in buffers.
static unsigned within_the_driver(struct rte_mempool *pool, void **all, unsigned n)
{
	const struct rte_mempool_memhdr *first = STAILQ_FIRST(&pool->mem_list);
	size_t len = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, NULL), in = 0;

	for (unsigned i = 0; i < n; i++) {
		size_t end =
			(size_t)((char *)all[i] - (char *)first->addr) - pool->header_size + len;

		in += end <= pool->populated_size * len;
	}
	return (unsigned)in;
}

static void af_xdp_can_share_the_buffers_of_a_port(void **state)
{
	struct port_ask asks[] = {ask("one", "net_ring_b")};
	char err[PORT_ERR_MAX] = "";
	struct port_set *s = port_set_open(asks, 1, 1, NULL, err);
	struct rte_mempool *pool;

	if (s == NULL)
		fail_msg("%s", err);
	pool = port_set_pool(s, SOCKET_ID_ANY);
	assert_int_equal(rte_mempool_calc_obj_size(pool->elt_size, pool->flags, NULL), 4096);
	// the first one begins with a page, and the memory does not
	assert_in_range(port_pool_fit_xdp(pool), 0, 1);
	port_set_close(s);
}

static void buffers_that_af_xdp_can_not_share_are_set_aside(void **state)
{
	// of 2368 bytes and one a page: the last two fifths lie beyond n * 2368 bytes
	struct rte_mempool *pool =
		rte_pktmbuf_pool_create("aside", 1000, 0, 0, 2176, SOCKET_ID_ANY);
	void *all[1000];
	int aside;
	unsigned n;

	assert_non_null(pool);
	aside = port_pool_fit_xdp(pool);
	assert_in_range(aside, 410, 430);
	n = rte_mempool_avail_count(pool);
	assert_int_equal(n, 1000 - aside);
	assert_int_equal(rte_mempool_get_bulk(pool, all, n), 0);
	assert_int_equal(within_the_driver(pool, all, n), n);
	rte_mempool_free(pool);
}

static void pci_addresses_are_told_from_vdevs(void **state)
{
	assert_true(port_device_is_pci("0000:03:00.0"));
	assert_true(port_device_is_pci("03:00.1"));
	assert_false(port_device_is_pci("net_null0"));
	assert_false(port_device_is_pci("net_af_packet0,iface=a"));
	assert_false(port_device_is_pci("0000:03:00.0x"));
}

static uint32_t nap_of(const struct port_set *s, uint16_t worker)
{
	struct wctx *w = bound(s, worker);
	uint32_t ns;

	port_set_nap(s, w);
	ns = w->nap_max_ns;
	free(w);
	return ns;
}

static void naps_are_as_short_as_the_queues_of_fast_links_ask_for(void **state)
{
	static const struct port_driver nic = {.name = "", .wire = true};
	struct port_ask asks[] = {ask("one", "net_ring_n"), ask("two", "net_ring_o")};
	char err[PORT_ERR_MAX] = "";
	struct port_set *s = port_set_open(asks, 2, 2, NULL, err);

	if (s == NULL)
		fail_msg("%s", err);
	assert_int_equal(s->p[0].n_rxd, PORT_RING_LEN);
	assert_true(s->p[0].speed_mbps != 0);
	assert_int_equal(nap_of(s, 0), 0); // no link fills them
	s->p[0].driver = &nic;
	s->p[0].n_rxq = s->p[1].n_rxq = 1; // one to each worker
	s->p[0].speed_mbps = 1000;
	assert_int_equal(nap_of(s, 0), 344064); // 512 frames of 672 bits
	assert_int_equal(nap_of(s, 1), 0);
	s->p[0].speed_mbps = 10000;
	assert_int_equal(nap_of(s, 0), 34406);
	s->p[0].speed_mbps = 0; // not known
	assert_int_equal(nap_of(s, 0), 1);
	s->p[1].driver = &nic; // the fastest counts
	s->p[1].n_rxq = 2;
	s->p[0].speed_mbps = 1000;
	s->p[1].speed_mbps = 2500;
	assert_int_equal(nap_of(s, 0), 137625);
	assert_int_equal(nap_of(s, 1), 137625);
	port_set_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(naps_are_as_short_as_the_queues_of_fast_links_ask_for),
		cmocka_unit_test(ports_open_by_name_and_describe_themselves),
		cmocka_unit_test(queues_are_dealt_out_and_lacks_are_named),
		cmocka_unit_test(missing_devices_are_named_with_their_port),
		cmocka_unit_test(a_killed_memif_server_is_not_in_the_way_of_the_next),
		cmocka_unit_test(a_memif_client_waits_for_its_server),
		cmocka_unit_test(a_memif_client_keeps_what_its_socket_takes),
		cmocka_unit_test(where_the_kernel_sees_our_port_it_must_be_claimed),
		cmocka_unit_test(jumbo_frames_fit_one_buffer),
		cmocka_unit_test(af_xdp_can_share_the_buffers_of_a_port),
		cmocka_unit_test(buffers_that_af_xdp_can_not_share_are_set_aside),
		cmocka_unit_test(pci_addresses_are_told_from_vdevs),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
