// Limits, full rings, handshakes, what the control plane may send, and sleep: one behaviour a test,
// on a node of real workers.

#include "tests/dataplane/worker/node.h"

#include "dataplane/worker/forward.h"
#include "dataplane/worker/handoff.h"
#include "dataplane/worker/uplink.h"
#include "lib/base/clock.h"
#include "lib/crypto/hash.h"
#include "lib/wire/rail.h"
#include "lib/wire/rail_frame.h"
#include "tests/support/eal.h"

#include <rte_eal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct node_conf one = {.workers = 1, .peers = 2, .cipher = AEAD_NONE};
static const struct node_conf sealed = {.workers = 1, .peers = 2, .cipher = AEAD_CHACHA20_POLY1305};

// A route packet with `len` payload bytes 0x5a.
static unsigned packet(uint8_t *p, uint8_t type, uint32_t id, unsigned len)
{
	p[0] = type;
	be32_put(p + 1, id);
	be16_put(p + 5, (uint16_t)len);
	memset(p + 7, 0x5a, len);
	return 7 + len;
}

static void send(struct node *n, unsigned peer, uint8_t type, uint32_t id, unsigned len)
{
	uint8_t p[2048];

	peer_send(n, &n->peer[peer], p, packet(p, type, id, len), 0);
}

static unsigned notes_of(struct node *n, enum dp_note_kind kind, uint32_t id)
{
	struct dp_note note;
	unsigned k = 0;

	for (unsigned i = 0; i < n->conf.workers; i++)
		while (hop_table_notes(n->hops, i, &note, 1, NULL) == 1)
			k += note.kind == kind && (id == 0 || note.id == id);
	return k;
}

// ---- limits ----

static void a_transport_that_guesses_ids_may_pin_no_more(void **state)
{
	struct node n;

	node_open(&n, &one);
	n.still_ns = clock_mono_ns();
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[1].hop, RULE_IN_ANY);
	node_rule(&n, 0x1002, RULE_INTERMEDIARY, 7, n.peer[1].hop, n.peer[0].tp);
	for (unsigned i = 0; i < FWD_MISS_BURST + 200; i++) {
		send(&n, 0, 0, 0x70000000 + i, 1);
		if (i % 256 == 0)
			node_settle(&n);
	}
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_rule_unknown), FWD_MISS_BURST + 200);
	send(&n, 0, 0, 0x1001, 1);
	send(&n, 0, 0, 0x1002, 1); // pinned already: goes on
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_pin_limit), 1);
	assert_int_equal(node_counter(&n, W_pkt_forwarded), 1);
	// another transport still may
	send(&n, 1, 0, 0x1001, 1);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_rule_pins), 1);
	assert_int_equal(node_counter(&n, W_pkt_forwarded), 2);
	node_close(&n);
}

static void foreign_ids_count_as_guesses(void **state)
{
	struct node n;

	node_open(&n, &one);
	n.still_ns = clock_mono_ns();
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[1].hop, RULE_IN_ANY);
	node_rule(&n, 0x1002, RULE_INTERMEDIARY, 7, n.peer[1].hop, n.peer[1].tp);
	for (unsigned i = 0; i < FWD_MISS_BURST + 200; i++) {
		send(&n, 0, 0, 0x1002, 1);
		if (i % 256 == 0)
			node_settle(&n);
	}
	send(&n, 0, 0, 0x1001, 1);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_rule_ingress), FWD_MISS_BURST + 200);
	assert_int_equal(node_counter(&n, W_drop_pin_limit), 1);
	node_close(&n);
}

static void misses_are_told_a_few_times_only(void **state)
{
	struct node n;
	unsigned told;

	node_open(&n, &one);
	n.still_ns = clock_mono_ns();
	for (unsigned i = 0; i < 500; i++)
		send(&n, 0, 0, 0x70000001, 1);
	node_settle(&n);
	told = notes_of(&n, NOTE_RULE_MISS, 0x70000001);
	assert_int_equal(told, FWD_NOTE_BURST);
	assert_int_equal(stat_get(&stats_hop(n.region.stats, 1)->c[H_hop_rule_misses]), 500);
	node_close(&n);
}

static void control_packets_are_limited_per_transport(void **state)
{
	struct node n;
	uint64_t up;

	node_open(&n, &one);
	n.still_ns = clock_mono_ns();
	for (unsigned i = 0; i < 2000; i++)
		send(&n, 0, 13, 0, 100);
	node_settle(&n);
	up = node_counter(&n, W_pkt_control);
	assert_int_equal(up, FWD_CONTROL_BURST);
	assert_int_equal(up + node_counter(&n, W_drop_type0_rate), 2000);
	assert_int_equal(node_counter(&n, W_notices_tx), 1);
	send(&n, 1, 13, 0, 100);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_pkt_control), up + 1);
	node_close(&n);
}

// ---- full rings ----

static void a_close_ends_its_rule_even_if_the_ring_up_is_full(void **state)
{
	struct node_conf conf = one;
	struct node n;
	struct evt_rule r;
	uint64_t lost;

	conf.up_size = 4096;
	node_open(&n, &conf);
	node_rule(&n, 0x1001, RULE_CONSUME, 0, 0, n.peer[0].tp);
	for (unsigned i = 0; i < 64; i++)
		send(&n, 0, 0, 0x1001, 100);
	node_settle(&n);
	lost = node_counter(&n, W_drop_up_ring);
	assert_true(lost > 0);
	send(&n, 0, 1, 0x1001, 1000);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_up_ring), lost + 1);
	assert_int_equal(notes_of(&n, NOTE_RULE_CLOSE, 0x1001), 1);
	// what was not delivered is not counted
	assert_int_equal(rule_table_show(&n.rules, 1, node_now_ds(&n), &r), 0);
	assert_int_equal(r.packets, 64 - lost);
	assert_int_equal(r.bytes, (64 - lost) * 100);
	node_close(&n);
}

static void a_flood_of_closes_is_told_a_few_times(void **state)
{
	struct node n;

	node_open(&n, &one);
	node_rule(&n, 0x1001, RULE_CONSUME, 0, 0, n.peer[0].tp);
	for (unsigned i = 0; i < 1000; i++)
		send(&n, 0, 1, 0x1001, 1);
	node_settle(&n);
	// one for each tenth of a second
	assert_in_range(notes_of(&n, NOTE_RULE_CLOSE, 0x1001), 1, 500);
	node_close(&n);
}

static void a_full_transmit_queue_drops_and_counts(void **state)
{
	struct node n;
	uint8_t p[8];
	unsigned sent = 9000;

	node_open(&n, &one);
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[1].hop, n.peer[0].tp);
	for (unsigned i = 0; i < sent; i++) {
		packet(p, 0, 0x1001, 1);
		peer_send(&n, &n.peer[0], p, 8, 0);
		if (i % 1000 == 0)
			node_settle(&n);
	}
	node_settle(&n);
	assert_true(node_counter(&n, W_drop_tx_full) > 0);
	assert_int_equal(node_outputs(&n) + node_counter(&n, W_drop_tx_full), sent);
	node_close(&n);
}

// Five peers hold all buffers for joining that there are, a byte each: others join all the same.
static void peers_that_hold_most_parts_give_way(void **state)
{
	struct node_conf conf = {.workers = 1, .peers = 6, .cipher = AEAD_NONE};
	uint8_t part[17] = {3, [10] = 200}, pkt[1000], frame[NODE_FRAME_MAX];
	struct node n;

	node_open(&n, &conf);
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[5].hop, n.peer[5].tp);
	part[15] = 1; // length
	for (unsigned i = 0; i < 500; i++)
		for (unsigned p = 0; p < (i < 48 ? 5 : 4); p++) { // 2048 in all
			be32_put(part + 1, i / 100);
			be16_put(part + 9, 60000);
			be16_put(part + 12, (uint16_t)(2 * (i % 100)));
			node_inject(&n, n.peer[p].port, n.peer[p].queue, frame,
				peer_frame(&n, &n.peer[p], part, sizeof(part), frame));
			if (i % 16 == 0)
				node_settle(&n);
		}
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_parts_dropped), 0);
	for (unsigned i = 0; i < 20; i++) {
		packet(pkt, 0, 0x1001, sizeof(pkt) - ROUTE_HDR_LEN);
		peer_send(&n, &n.peer[5], pkt, sizeof(pkt), 600);
		node_settle(&n);
	}
	assert_int_equal(node_counter(&n, W_pkt_forwarded), 20);
	node_close(&n);
}

static void frames_for_a_full_queue_owner_are_dropped(void **state)
{
	struct node_conf conf = {.workers = 2, .peers = 2, .cipher = AEAD_NONE, .one_txq = true};
	struct node n;
	uint8_t p[8];
	unsigned sent = 3 * HANDOFF_RING_LEN / 2;

	node_open(&n, &conf);
	// a packet of the control plane for a hop of worker 1, whose frames worker 0 must send
	node_rule(&n, 0x1001, RULE_FORWARD, 7, n.peer[1].hop, RULE_IN_LOCAL);
	for (unsigned i = 0; i < sent; i++) {
		packet(p, 0, 0, 1);
		node_down_route(&n, 1, 0x1001, p, 8);
	}
	while (worker_turn(n.w[1]))
		;
	assert_int_equal(node_counter(&n, W_drop_handoff_raw), sent - (HANDOFF_RING_LEN - 1));
	node_settle(&n);
	assert_int_equal(node_outputs(&n), HANDOFF_RING_LEN - 1);
	node_close(&n);
}

// ---- handshakes ----

static const uint8_t mac1_key[32] = {1, 2, 3};

static unsigned handshake(struct node *n, uint8_t type, unsigned len, uint8_t *frame)
{
	uint8_t hs[RAIL_HS_MAX] = {type};

	memset(hs + 4, 0x77, len - 4);
	if (type != RAIL_COOKIE)
		hash_mac128(hs + len - 32, mac1_key, 32, hs, len - 32);
	return peer_udp(n, &n->peer[0], hs, len, frame);
}

static void handshakes_with_the_right_mac_go_up(void **state)
{
	static const struct {
		uint8_t type;
		uint16_t len;
	} cases[] = {{RAIL_INIT, RAIL_INIT_MIN}, {RAIL_INIT, RAIL_HS_MAX},
		{RAIL_RESPONSE, RAIL_RESPONSE_MIN}, {RAIL_COOKIE, RAIL_COOKIE_LEN}};
	uint8_t frame[NODE_FRAME_MAX], buf[2048];
	struct node n;

	node_open(&n, &sealed);
	assert_int_equal(worker_set_mac1_key(n.set, mac1_key), 0);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned len = handshake(&n, cases[i].type, cases[i].len, frame);
		struct up_handshake rec;

		node_inject(&n, n.peer[0].port, 0, frame, len);
		n.w[0]->mac_credit = n.w[0]->tsc_hz;
		worker_turn(n.w[0]);
		assert_int_equal(node_hs(&n, buf, sizeof(buf)), sizeof(rec) + cases[i].len);
		memcpy(&rec, buf, sizeof(rec));
		assert_int_equal(rec.h.type, UP_HANDSHAKE);
		assert_int_equal(rec.src.port, n.peer[0].udp);
		assert_memory_equal(rec.src.ip + 12, n.peer[0].ip, 4);
		assert_int_equal(rec.dst.port, NODE_UDP);
		assert_memory_equal(rec.dst.ip + 12, frame + 30, 4);
		assert_int_equal(rec.port, n.port[0]);
		assert_memory_equal(buf + sizeof(rec), frame + 42, cases[i].len);
	}
	assert_int_equal(node_counter(&n, W_rx_handshake), ARRAY_LEN(cases));
	node_close(&n);
}

static void strangers_get_no_further_than_the_mac(void **state)
{
	uint8_t frame[NODE_FRAME_MAX], buf[2048];
	unsigned len;
	struct node n;

	node_open(&n, &sealed);
	len = handshake(&n, RAIL_INIT, RAIL_INIT_MIN, frame);
	n.w[0]->mac_credit = n.w[0]->tsc_hz;
	node_inject(&n, 0, 0, frame, len); // no key yet
	worker_turn(n.w[0]);
	assert_int_equal(node_counter(&n, W_drop_hs_mac1), 1);
	worker_set_mac1_key(n.set, mac1_key);
	for (unsigned i = 0; i < 16; i++) {
		frame[len - 32 + i] ^= 0x80;
		node_inject(&n, 0, 0, frame, len);
		n.w[0]->mac_credit = n.w[0]->tsc_hz;
		worker_turn(n.w[0]);
		frame[len - 32 + i] ^= 0x80;
	}
	assert_int_equal(node_counter(&n, W_drop_hs_mac1), 17);
	assert_int_equal(node_hs(&n, buf, sizeof(buf)), 0);
	assert_int_equal(node_outputs(&n), 0); // never answered
	node_close(&n);
}

static void handshakes_cost_a_share_of_the_cycles_at_most(void **state)
{
	uint8_t frame[NODE_FRAME_MAX];
	unsigned len;
	struct node n;
	uint64_t up, spent = 0;

	node_open(&n, &sealed);
	worker_set_mac1_key(n.set, mac1_key);
	len = handshake(&n, RAIL_INIT, RAIL_INIT_MIN, frame);
	n.w[0]->mac_credit = 20000;
	for (unsigned i = 0; i < 500; i++) {
		uint64_t before;

		node_inject(&n, 0, 0, frame, len);
		before = n.w[0]->mac_credit;
		worker_turn(n.w[0]);
		if (n.w[0]->mac_credit < before)
			spent += before - n.w[0]->mac_credit;
	}
	up = node_counter(&n, W_rx_handshake);
	assert_true(spent > 0);
	assert_int_equal(
		up + node_counter(&n, W_drop_hs_budget) + node_counter(&n, W_drop_hs_ring), 500);
	n.w[0]->mac_credit = 0;
	n.w[0]->tsc_hz = 0; // no refill
	node_inject(&n, 0, 0, frame, len);
	worker_turn(n.w[0]);
	assert_int_equal(node_counter(&n, W_rx_handshake), up);
	node_close(&n);
}

static void a_new_key_replaces_the_old_one(void **state)
{
	static const uint8_t other[32] = {9};
	uint8_t frame[NODE_FRAME_MAX];
	unsigned len;
	struct node n;

	node_open(&n, &sealed);
	worker_set_mac1_key(n.set, mac1_key);
	worker_set_mac1_key(n.set, other);
	node_settle(&n);
	assert_int_equal(reclaim_poll(n.reclaim, 8), 1);
	len = handshake(&n, RAIL_INIT, RAIL_INIT_MIN, frame);
	node_inject(&n, 0, 0, frame, len);
	n.w[0]->mac_credit = n.w[0]->tsc_hz;
	worker_turn(n.w[0]);
	assert_int_equal(node_counter(&n, W_drop_hs_mac1), 1);
	node_close(&n);
}

// ---- records of the control plane ----

static void datagrams_of_the_control_plane_leave_as_they_are(void **state)
{
	uint8_t rec[sizeof(struct down_datagram) + 100], frame[NODE_FRAME_MAX];
	struct down_datagram d = {.h.type = DOWN_DATAGRAM,
		.adj = 1u << DPMSG_HANDLE_BITS | 1,
		.src_port = NODE_UDP,
		.dst_port = 4321};
	struct node n;
	unsigned len;

	node_open(&n, &sealed);
	memcpy(rec, &d, sizeof(d));
	memset(rec + sizeof(d), 0x33, 100);
	node_down(&n, 0, rec, sizeof(rec));
	node_settle(&n);
	len = node_output(&n, frame);
	assert_int_equal(len, 42 + 100);
	assert_memory_equal(frame, n.peer[0].mac, 6);
	assert_int_equal(be16_get(frame + 34), NODE_UDP);
	assert_int_equal(be16_get(frame + 36), 4321);
	assert_memory_equal(frame + 42, rec + sizeof(d), 100);
	d.adj++; // unknown way
	d.adj += 5;
	memcpy(rec, &d, sizeof(d));
	node_down(&n, 0, rec, sizeof(rec));
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_adj), 1);
	node_close(&n);
}

static void rekeys_travel_inside_the_link(void **state)
{
	uint8_t rec[sizeof(struct msg_rekey) + 60], frame[NODE_FRAME_MAX], f[NODE_FRAME_MAX];
	struct msg_rekey r = {.h.type = DOWN_REKEY};
	struct msg_rekey back;
	struct node n;
	struct peer *p;
	uint8_t buf[256];

	node_open(&n, &sealed);
	r.hop = n.peer[1].hop;
	memcpy(rec, &r, sizeof(r));
	memset(rec + sizeof(r), 0x44, 60);
	node_down(&n, 0, rec, sizeof(rec));
	node_settle(&n);
	assert_int_equal(peer_open(&n, frame, node_output(&n, frame), f, &p), 3 + 60);
	assert_ptr_equal(p, &n.peer[1]);
	assert_int_equal(f[0], 8);
	assert_int_equal(be16_get(f + 1), 60);
	assert_memory_equal(f + 3, rec + sizeof(r), 60);
	// and the answer comes up
	node_inject(&n, p->port, 0, frame, peer_frame(&n, p, f, 63, frame));
	node_settle(&n);
	assert_int_equal(node_hs(&n, buf, sizeof(buf)), sizeof(back) + 60);
	memcpy(&back, buf, sizeof(back));
	assert_int_equal(back.h.type, UP_REKEY);
	assert_int_equal(back.hop, p->hop);
	r.hop = 0x12345;
	memcpy(rec, &r, sizeof(r));
	node_down(&n, 0, rec, sizeof(rec));
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_down_bad), 1);
	node_close(&n);
}

// The control plane does not know yet: it says it again when it does, so nothing is wrong.
static void a_rekey_for_a_hop_that_has_moved_is_no_nonsense(void **state)
{
	static const struct node_conf two = {
		.workers = 2, .peers = 2, .cipher = AEAD_CHACHA20_POLY1305};
	uint8_t rec[sizeof(struct msg_rekey) + 60] = {0}, frame[NODE_FRAME_MAX];
	struct msg_rekey r = {.h.type = DOWN_REKEY};
	struct node n;

	node_open(&n, &two);
	assert_int_equal(n.peer[1].owner, 1);
	r.hop = n.peer[1].hop;
	memcpy(rec, &r, sizeof(r));
	node_down(&n, 0, rec, sizeof(rec));
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_rekeys_dropped), 1);
	assert_int_equal(node_counter(&n, W_drop_down_bad), 0);
	assert_int_equal(node_output(&n, frame), 0);
	node_down(&n, 1, rec, sizeof(rec));
	node_settle(&n);
	assert_true(node_output(&n, frame) > 60);
	node_close(&n);
}

static void floods_of_first_contacts_leave_room_for_rekeys(void **state)
{
	uint8_t frame[NODE_FRAME_MAX], f[3 + 60] = {RAIL_REKEY, 0, 60}, buf[RAIL_HS_MAX + 128];
	unsigned len, rekeys = 0;
	struct node n;
	int got;

	node_open(&n, &sealed);
	worker_set_mac1_key(n.set, mac1_key);
	len = handshake(&n, RAIL_INIT, RAIL_INIT_MIN, frame);
	for (unsigned i = 0; i < 10000 && node_counter(&n, W_drop_hs_ring) == 0; i++) {
		n.w[0]->mac_credit = UINT32_MAX;
		node_inject(&n, 0, 0, frame, len);
		worker_turn(n.w[0]);
	}
	assert_true(node_counter(&n, W_drop_hs_ring) > 0); // no room for another stranger
	node_inject(&n, n.peer[0].port, 0, frame, peer_frame(&n, &n.peer[0], f, sizeof(f), frame));
	node_settle(&n);
	while ((got = node_hs(&n, buf, sizeof(buf))) > 0) {
		struct dpmsg_hdr h;

		memcpy(&h, buf, sizeof(h));
		rekeys += h.type == UP_REKEY;
	}
	assert_int_equal(rekeys, 1);
	node_close(&n);
}

static void control_packets_of_ours_leave_by_their_hop(void **state)
{
	uint8_t rec[sizeof(struct msg_route) + 15], frame[NODE_FRAME_MAX], f[NODE_FRAME_MAX];
	struct msg_route r = {.h.type = DOWN_CONTROL};
	struct node n;
	struct peer *p;

	node_open(&n, &sealed);
	r.hop = n.peer[0].hop;
	memcpy(rec, &r, sizeof(r));
	packet(rec + sizeof(r), 8, 0x55, 8); // the id is put right
	node_down(&n, 0, rec, sizeof(rec));
	node_settle(&n);
	assert_int_equal(peer_open(&n, frame, node_output(&n, frame), f, &p), 16);
	assert_ptr_equal(p, &n.peer[0]);
	assert_int_equal(f[1], 8);
	assert_int_equal(be32_get(f + 2), 0);
	r.hop = 0x00300001; // no such hop
	memcpy(rec, &r, sizeof(r));
	node_down(&n, 0, rec, sizeof(rec));
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_hop_gone), 1);
	node_close(&n);
}

static void records_of_any_kind_and_length_do_no_harm(void **state)
{
	static const uint16_t types[] = {DOWN_DATAGRAM, DOWN_REKEY, DOWN_ROUTE, DOWN_CONTROL,
		UP_ROUTE, CMD_HOP_ADD, 0, 0xffff};
	uint8_t rec[2048];
	struct node n;
	uint32_t rng = 1;

	node_open(&n, &sealed);
	for (unsigned i = 0; i < 20000; i++) {
		struct dpmsg_hdr h = {.type = types[i % ARRAY_LEN(types)]};
		unsigned len = 4 + rng % (i % 3 == 0 ? 2040 : 60);

		for (unsigned k = 0; k < len; k++)
			rec[k] = (uint8_t)((rng = rng * 1664525 + 1013904223) >> 24);
		if (i % 16 != 0 && len >= sizeof(h))
			memcpy(rec, &h, sizeof(h));
		if (i % 4 == 0 && len >= 24) { // nearly right ones
			uint32_t hop = n.peer[i / 4 % 2].hop;

			memcpy(rec + 16, &hop, 4);
			memcpy(rec + 20, &hop, 4);
		}
		node_down(&n, 0, rec, len);
		if (i % 64 == 63) {
			node_settle(&n);
			node_outputs(&n);
		}
	}
	node_close(&n);
}

static void a_ring_full_of_nonsense_is_given_up_and_works_again(void **state)
{
	struct node n;
	uint8_t p[64];
	uint32_t *wild;

	node_open(&n, &one);
	node_rule(&n, 0x1001, RULE_FORWARD, 7, n.peer[1].hop, RULE_IN_LOCAL);
	wild = ring_w_reserve(&n.down[0], 64);
	assert_non_null(wild);
	*wild = 0x7ffffff0; // longer than the ring
	ring_w_publish(&n.down[0]);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_down_bad), 1);
	packet(p, 0, 0, 1);
	node_down_route(&n, 0, 0x1001, p, 8);
	node_settle(&n);
	assert_int_equal(node_outputs(&n), 1);
	node_close(&n);
}

// What edges make of TCP: 60 KB each. A turn takes a few, so that its parts do not flood a port.
static void large_packets_leave_a_few_a_turn(void **state)
{
	static uint8_t p[ROUTE_PACKET_MAX];
	struct node n;

	node_open(&n, &one);
	node_rule(&n, 0x1001, RULE_FORWARD, 7, n.peer[1].hop, RULE_IN_LOCAL);
	packet(p, 0, 0, 60000);
	for (unsigned i = 0; i < 9; i++)
		node_down_route(&n, 0, 0x1001, p, ROUTE_HDR_LEN + 60000);
	for (unsigned i = 1; i <= 3; i++) {
		assert_true(worker_turn(n.w[0]));
		assert_int_equal(node_counter(&n, W_pkt_down), 3 * i);
	}
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_seal_parted), 9);
	assert_int_equal(node_counter(&n, W_drop_no_mbuf) + node_counter(&n, W_drop_tx_full), 0);
	node_close(&n);
}

static void the_largest_packet_goes_up(void **state)
{
	static uint8_t p[ROUTE_PACKET_MAX], rec[sizeof(struct msg_route) + ROUTE_PACKET_MAX];
	struct node n;

	node_open(&n, &one);
	node_rule(&n, 0x1001, RULE_CONSUME, 0, 0, RULE_IN_ANY);
	packet(p, 0, 0x1001, ROUTE_PAYLOAD_MAX);
	peer_send(&n, &n.peer[0], p, sizeof(p), 1400);
	node_settle(&n);
	assert_int_equal(node_up(&n, rec, sizeof(rec)), sizeof(rec));
	assert_memory_equal(rec + sizeof(struct msg_route), p, sizeof(p));
	node_close(&n);
}

static void without_buffers_records_stay_in_the_ring(void **state)
{
	struct node n;
	struct rte_mbuf **hoard;
	unsigned got = 0;
	uint8_t p[64];

	node_open(&n, &one);
	node_rule(&n, 0x1001, RULE_FORWARD, 7, n.peer[1].hop, RULE_IN_LOCAL);
	hoard = calloc(n.pool_start + 1, sizeof(hoard[0]));
	assert_non_null(hoard);
	while ((hoard[got] = rte_pktmbuf_alloc(n.pool)) != NULL)
		got++;
	packet(p, 0, 0, 1);
	node_down_route(&n, 0, 0x1001, p, 8);
	for (unsigned i = 0; i < 10; i++)
		assert_false(worker_turn(n.w[0]));
	rte_pktmbuf_free_bulk(hoard, got);
	free(hoard);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_pkt_down), 1);
	assert_int_equal(node_outputs(&n), 1);
	node_close(&n);
}

// ---- frames that are not ours ----

static void foreign_frames_go_to_the_kernel_or_nowhere(void **state)
{
	uint8_t arp[60];
	struct node n;

	node_open(&n, &one);
	memset(arp, 0xff, sizeof(arp));
	n.w[0]->exception[n.port[0]] = PORT_DROP;
	n.w[0]->exception[n.port[1]] = PORT_KERNEL_COPY;
	for (unsigned i = 0; i < 40; i++) {
		node_inject(&n, 0, 0, arp, sizeof(arp));
		node_inject(&n, 1, 0, arp, sizeof(arp));
	}
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_exception), 40);
	assert_int_equal(node_counter(&n, W_to_kernel), 40);
	node_close(&n);
}

static void a_tap_gets_the_rest_and_its_frames_leave_unchanged(void **state)
{
	uint8_t arp[60], udp[200], frame[NODE_FRAME_MAX];
	struct node n;
	unsigned len;

	node_open(&n, &one);
	for (unsigned i = 0; i < sizeof(arp); i++)
		arp[i] = (uint8_t)i;
	n.w[0]->exception[n.port[0]] = PORT_TAP;
	n.w[0]->exception_peer[n.port[0]] = (uint8_t)n.port[1];
	n.w[0]->exception[n.port[1]] = PORT_IS_TAP;
	n.w[0]->exception_peer[n.port[1]] = (uint8_t)n.port[0];
	node_inject(&n, 0, 0, arp, sizeof(arp));
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_to_kernel), 1);
	assert_int_equal(node_output(&n, frame), sizeof(arp));
	assert_memory_equal(frame, arp, sizeof(arp));
	// even what looks like a rail frame is the kernel's when it comes from there
	memset(udp, 4, sizeof(udp));
	len = peer_udp(&n, &n.peer[0], udp, 100, udp);
	node_inject(&n, 1, 0, udp, len);
	node_settle(&n);
	assert_int_equal(node_output(&n, frame), len);
	assert_memory_equal(frame, udp, len);
	node_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_transport_that_guesses_ids_may_pin_no_more),
		cmocka_unit_test(foreign_ids_count_as_guesses),
		cmocka_unit_test(misses_are_told_a_few_times_only),
		cmocka_unit_test(control_packets_are_limited_per_transport),
		cmocka_unit_test(a_close_ends_its_rule_even_if_the_ring_up_is_full),
		cmocka_unit_test(a_flood_of_closes_is_told_a_few_times),
		cmocka_unit_test(a_full_transmit_queue_drops_and_counts),
		cmocka_unit_test(peers_that_hold_most_parts_give_way),
		cmocka_unit_test(frames_for_a_full_queue_owner_are_dropped),
		cmocka_unit_test(handshakes_with_the_right_mac_go_up),
		cmocka_unit_test(strangers_get_no_further_than_the_mac),
		cmocka_unit_test(handshakes_cost_a_share_of_the_cycles_at_most),
		cmocka_unit_test(a_new_key_replaces_the_old_one),
		cmocka_unit_test(datagrams_of_the_control_plane_leave_as_they_are),
		cmocka_unit_test(rekeys_travel_inside_the_link),
		cmocka_unit_test(a_rekey_for_a_hop_that_has_moved_is_no_nonsense),
		cmocka_unit_test(floods_of_first_contacts_leave_room_for_rekeys),
		cmocka_unit_test(control_packets_of_ours_leave_by_their_hop),
		cmocka_unit_test(records_of_any_kind_and_length_do_no_harm),
		cmocka_unit_test(a_ring_full_of_nonsense_is_given_up_and_works_again),
		cmocka_unit_test(large_packets_leave_a_few_a_turn),
		cmocka_unit_test(the_largest_packet_goes_up),
		cmocka_unit_test(without_buffers_records_stay_in_the_ring),
		cmocka_unit_test(foreign_frames_go_to_the_kernel_or_nowhere),
		cmocka_unit_test(a_tap_gets_the_rest_and_its_frames_leave_unchanged),
	};
	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
