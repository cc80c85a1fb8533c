// Templates, headers and checksums, and what happens to frames that cannot go.

#include "tests/support/hop_pair.h"

#include <rte_ip.h>
#include <rte_udp.h>

static struct rte_mbuf *payload(struct pair *p, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
	uint8_t *to;

	assert_non_null(m);
	to = (uint8_t *)rte_pktmbuf_append(m, len);
	for (uint16_t i = 0; i < len; i++)
		to[i] = (uint8_t)(i * 37 + len);
	return m;
}

// The sum over pseudo-header and datagram as RFC 8200 has it, plainly; right is 0xffff.
static uint32_t udp6_sum(const uint8_t *ip, const uint8_t *udp)
{
	uint32_t len = be16_get(udp + 4);
	uint32_t sum = len + 17;

	for (unsigned i = 8; i < 40; i += 2)
		sum += be16_get(ip + i);
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)udp[i] << 8 : udp[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void headers_are_right(void **state)
{
	static const uint16_t lens[] = {0, 1, 2, 33, 64, 1001, 1452};

	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct pair p;

		pair_init(&p, AEAD_NONE, v6);
		for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
			struct rte_mbuf *m = payload(&p, lens[i]);
			const uint8_t *f, *ip, *udp;
			uint32_t ip_len = lens[i] + (v6 ? 48u : 28u);

			encap(&p.a.w, ADJ, m, 1111, 2222);
			tx_flush(&p.a.w, 0);
			assert_int_equal(p.a.n_wire, 1);
			m = p.a.wire[--p.a.n_wire];
			f = rte_pktmbuf_mtod(m, const uint8_t *);
			ip = f + 14;
			udp = ip + (v6 ? 40 : 20);
			assert_int_equal(m->pkt_len, 14 + ip_len);
			assert_int_equal(m->data_len, m->pkt_len);
			assert_memory_equal(f, p.b.mac, 6);
			assert_memory_equal(f + 6, p.a.mac, 6);
			assert_int_equal(be16_get(udp), 1111);
			assert_int_equal(be16_get(udp + 2), 2222);
			assert_int_equal(be16_get(udp + 4), lens[i] + 8);
			if (v6) {
				assert_int_equal(be16_get(f + 12), 0x86dd);
				assert_int_equal(ip[0], 0x60);
				assert_int_equal(be16_get(ip + 4), lens[i] + 8);
				assert_int_equal(ip[7], 64);
				assert_memory_equal(ip + 8, p.a.ip, 16);
				assert_memory_equal(ip + 24, p.b.ip, 16);
				assert_int_equal(udp6_sum(ip, udp), 0xffff);
			} else {
				assert_int_equal(be16_get(f + 12), 0x0800);
				assert_int_equal(ip[0], 0x45);
				assert_int_equal(be16_get(ip + 2), ip_len);
				assert_int_equal(be16_get(ip + 6), 0x4000);
				assert_memory_equal(ip + 12, p.a.ip + 12, 4);
				assert_memory_equal(ip + 16, p.b.ip + 12, 4);
				assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
				assert_int_equal(be16_get(udp + 6), 0);
			}
			for (uint16_t k = 0; k < lens[i]; k++)
				assert_int_equal(udp[8 + k], (uint8_t)(k * 37 + lens[i]));
			rte_pktmbuf_free(m);
		}
		pair_fini(&p);
	}
}

static void ipv6_checksum_is_never_zero(void **state)
{
	struct pair p;

	pair_init(&p, AEAD_NONE, true);
	// somewhere among 65536 two-byte payloads the sum comes out as zero
	for (uint32_t v = 0; v < 65536; v++) {
		struct rte_mbuf *m = payload(&p, 2);
		const uint8_t *ip;

		be16_put(rte_pktmbuf_mtod(m, uint8_t *), (uint16_t)v);
		encap(&p.a.w, ADJ, m, 1, 2);
		tx_flush(&p.a.w, 0);
		m = p.a.wire[--p.a.n_wire];
		ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
		assert_int_not_equal(be16_get(ip + 46), 0);
		assert_int_equal(udp6_sum(ip, ip + 40), 0xffff);
		rte_pktmbuf_free(m);
	}
	pair_fini(&p);
}

static void frames_without_a_way_are_counted(void **state)
{
	struct pair p;
	struct cmd_adj_set c = {.adj = ADJ};
	struct adj_table *t;

	pair_init(&p, AEAD_NONE, false);
	t = (struct adj_table *)(uintptr_t)p.a.w.adjs;
	encap(&p.a.w, ADJ + 1, payload(&p, 40), 1, 2); // never set
	encap(&p.a.w, ADJ ^ 1u << 31, payload(&p, 40), 1, 2); // another generation
	encap(&p.a.w, 0xffffffff, payload(&p, 40), 1, 2); // beyond the table
	assert_int_equal(counter(&p.a, W_drop_adj), 3);
	assert_int_equal(adj_set(t, &c), 0); // known, but its address is not resolved
	encap(&p.a.w, ADJ, payload(&p, 40), 1, 2);
	assert_int_equal(counter(&p.a, W_drop_adj), 4);
	set_adj(&p.a, &p.b, 1500);
	encap(&p.a.w, ADJ, payload(&p, 1473), 1, 2);
	assert_int_equal(counter(&p.a, W_drop_tx_mtu), 1);
	encap(&p.a.w, ADJ, payload(&p, 1472), 1, 2);
	p.a.w.tx[0].mtu = 1400; // the port carries less than the path
	encap(&p.a.w, ADJ, payload(&p, 1373), 1, 2);
	assert_int_equal(counter(&p.a, W_drop_tx_mtu), 2);
	assert_int_equal(counter(&p.a, W_tx_built), 7);
	assert_int_equal(adj_del(t, ADJ), 0);
	assert_int_equal(adj_del(t, ADJ), -ENOENT);
	encap(&p.a.w, ADJ, payload(&p, 40), 1, 2);
	assert_int_equal(counter(&p.a, W_drop_adj), 5);
	tx_flush(&p.a.w, 0);
	assert_int_equal(p.a.n_wire, 1);
	pair_fini(&p);
}

static void refuses_adjs_that_cannot_be(void **state)
{
	struct pair p;
	struct cmd_adj_set good = {.adj = 3, .mtu = 1280, .usable = 1};
	struct adj_table *t;

	pair_init(&p, AEAD_NONE, false);
	t = (struct adj_table *)(uintptr_t)p.a.w.adjs;
	memset(good.src_ip + 10, 0xff, 2);
	memset(good.dst_ip + 10, 0xff, 2);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct cmd_adj_set c = good;                                                       \
		change;                                                                            \
		assert_int_equal(adj_set(t, &c), -EINVAL);                                         \
	} while (0)
	REFUSED(c.adj = 0);
	REFUSED(c.adj = 16);
	REFUSED(c.port = DPMSG_MAX_PORTS);
	REFUSED(c.mtu = 1279);
	REFUSED(c.usable = 2);
	REFUSED(c.dst_ip[0] = 0xfd);
	assert_int_equal(adj_set(t, &good), 0);
	pair_fini(&p);
}

static void shows_adjs_as_they_were_set(void **state)
{
	struct pair p;
	struct evt_adj e;

	pair_init(&p, AEAD_NONE, false);
	assert_int_equal(adj_count(p.a.w.adjs), 1);
	assert_int_equal(adj_show(p.a.w.adjs, 2, &e), 0);
	assert_int_equal(e.h.type, EVT_ADJ);
	assert_int_equal(e.set.adj, ADJ);
	assert_memory_equal(e.set.dst_mac, p.b.mac, 6);
	assert_int_equal(adj_show(p.a.w.adjs, 3, &e), -ENOENT);
	assert_int_equal(adj_show(p.a.w.adjs, 16, &e), -ENOENT);
	pair_fini(&p);
}

static void an_adj_in_use_stays_until_the_grace_period_is_over(void **state)
{
	struct pair p;
	const struct adj *before;
	struct adj_table *t;
	uint8_t tmpl[64];

	pair_init(&p, AEAD_NONE, false);
	t = (struct adj_table *)(uintptr_t)p.a.w.adjs;
	reclaim_online(p.a.w.reclaim, 0);
	before = adj_find(t, ADJ);
	memcpy(tmpl, before->tmpl, sizeof(tmpl));
	for (unsigned i = 0; i < 10; i++) {
		set_adj(&p.a, &p.b, (uint16_t)(1300 + i));
		adj_poll(t);
	}
	assert_memory_equal(before->tmpl, tmpl, sizeof(tmpl)); // the sanitizer would see it freed
	assert_int_equal(adj_find(t, ADJ)->payload_max, 1309 - 28);
	for (unsigned i = 0; i < 3; i++) {
		reclaim_quiescent(p.a.w.reclaim, 0);
		adj_poll(t);
	}
	reclaim_offline(p.a.w.reclaim, 0);
	pair_fini(&p);
}

static void a_full_array_is_sent_at_once(void **state)
{
	struct pair p;
	struct rte_mbuf *m[BURST];

	pair_init(&p, AEAD_NONE, false);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < BURST; i++)
			m[i] = payload(&p, 50);
		encap_burst(&p.a.w, adj_find(p.a.w.adjs, ADJ), m, BURST, 1, 2);
	}
	assert_int_equal(p.a.n_wire, 2 * TX_ARRAY);
	assert_int_equal(p.a.w.tx[0].n, BURST);
	tx_flush(&p.a.w, 0);
	assert_int_equal(p.a.n_wire, 5 * BURST);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_right),
		cmocka_unit_test(ipv6_checksum_is_never_zero),
		cmocka_unit_test(frames_without_a_way_are_counted),
		cmocka_unit_test(refuses_adjs_that_cannot_be),
		cmocka_unit_test(shows_adjs_as_they_were_set),
		cmocka_unit_test(an_adj_in_use_stays_until_the_grace_period_is_over),
		cmocka_unit_test(a_full_array_is_sent_at_once),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
