// The mac1 check. A stranger who does not know our public key gets no further than this and learns
// nothing; whatever the check costs is paid out of mac_credit. A cookie has no mac1 (only the
// sender of an init can open it) and pays a fixed price. Deliberately not here: cookies of our own.

#include "dataplane/worker/first_contact.h"

#include "dataplane/worker/uplink.h"
#include "lib/crypto/hash.h"

#include <rte_cycles.h>

enum {
	MAC1_KEY_LEN = 32,
	COOKIE_CYCLES = 2000, // about what a mac1 check costs
};

static bool mac1_ok(const uint8_t *key, const uint8_t *p, uint32_t len)
{
	size_t at = rail_mac1_off(len);
	uint8_t want[RAIL_MAC_LEN];
	uint8_t diff = 0;

	hash_mac128(want, key, MAC1_KEY_LEN, p, at);
	for (unsigned i = 0; i < RAIL_MAC_LEN; i++)
		diff |= want[i] ^ p[at + i];
	return diff == 0;
}

static void pay(struct wctx *w, uint64_t cycles)
{
	w->mac_credit -= RTE_MIN(w->mac_credit, cycles);
}

void first_contact(struct wctx *w, uint16_t port, const struct parsed *o, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *p = frame + o->off;
	// pairs with the release in worker_set_mac1_key()
	const uint8_t *key = atomic_load_explicit(&w->mac1_key, memory_order_acquire);
	struct dpmsg_addr src = {.port = o->src_port};
	struct dpmsg_addr dst = {.port = w->udp_port};
	uint64_t begin;

	if (w->mac_credit == 0) {
		drop(w, W_drop_hs_budget, m);
		return;
	}
	if (o->rail == RAIL_COOKIE) {
		pay(w, COOKIE_CYCLES);
	} else {
		bool ok;

		begin = rte_rdtsc();
		ok = key != NULL && mac1_ok(key, p, o->len);
		pay(w, rte_rdtsc() - begin);
		if (!ok) {
			drop(w, W_drop_hs_mac1, m);
			return;
		}
	}
	memcpy(src.ip, o->src_ip, sizeof(src.ip));
	parse_dst_ip(frame, o, dst.ip);
	if (!uplink_handshake(w, &src, &dst, port, p, o->len)) {
		drop(w, W_drop_hs_ring, m);
		return;
	}
	count(w, W_rx_handshake, 1);
	rte_pktmbuf_free(m);
}
