// The macs. A stranger who does not know our public key gets no further than mac1 and learns
// nothing. One who does, but can't show that he receives at his address while cookies are asked
// for, gets a cookie: the frame turns round with its addresses exchanged, shorter than it came.
// Whatever this costs is paid out of mac_credit. A received cookie has no mac1 (only the sender of
// an init can open it) and pays a fixed price. Deliberately not here: limits per source, and who is
// allowed, which are the control plane's.

#include "dataplane/worker/first_contact.h"

#include "dataplane/io/encap.h"
#include "dataplane/worker/uplink.h"
#include "lib/crypto/hash.h"
#include "lib/link/rail_cookie.h"

#include <rte_cycles.h>
#include <rte_ip.h>

enum {
	COOKIE_CYCLES = 2000, // about what a mac1 check costs
	IP4 = PARSE_ETH_LEN,
	UDP4 = PARSE_ETH_LEN + PARSE_IP4_LEN,
	UDP6 = PARSE_ETH_LEN + PARSE_IP6_LEN,
	TTL = 64,
};
#define FIRST_PERIOD_NS (1000000000ull / FIRST_PER_S)

static bool mac1_ok(const struct hs_keys *keys, const uint8_t *p, uint32_t len)
{
	size_t at = rail_mac1_off(len);
	uint8_t want[RAIL_MAC_LEN];
	uint8_t diff = 0;

	hash_mac128(want, keys->mac1, sizeof(keys->mac1), p, at);
	for (unsigned i = 0; i < RAIL_MAC_LEN; i++)
		diff |= want[i] ^ p[at + i];
	return diff == 0;
}

static bool mac2_ok(
	const struct hs_keys *keys, const struct parsed *o, const uint8_t *p, uint32_t len)
{
	uint8_t cookie[RAIL_COOKIE_VALUE_LEN];

	if (!rail_mac2_is_there(p, len))
		return false;
	for (unsigned i = 0; i < keys->n_secrets; i++) {
		rail_cookie_value(cookie, keys->secret[i], o->src_ip, o->src_port);
		if (rail_mac2_is_right(p, len, cookie))
			return true;
	}
	return false;
}

static void pay(struct wctx *w, uint64_t cycles)
{
	w->mac_credit -= RTE_MIN(w->mac_credit, cycles);
}

// An address that one machine may have, and in this network.
static bool is_somebody(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t local[15] = {0}; // ::, ::1

	if (memcmp(ip, mapped, sizeof(mapped)) == 0)
		return ip[12] != 0 && ip[12] != 127 && ip[12] < 224;
	return ip[0] != 0xff && (memcmp(ip, local, sizeof(local)) != 0 || ip[15] > 1);
}

// Neither an answer to many nor one in the name of many is ever sent.
static bool is_sane(const uint8_t *frame, const struct parsed *o)
{
	uint8_t dst[16];

	parse_dst_ip(frame, o, dst);
	return (frame[6] & 1) == 0 && is_somebody(o->src_ip) && is_somebody(dst);
}

static bool wants_cookie(struct wctx *w, const struct hs_keys *keys)
{
	if (!bucket_take(&w->hs_strangers, w->now_ns, FIRST_PERIOD_NS, FIRST_BURST)) {
		if (w->now_ns >= w->hs_demand_ns)
			count(w, W_hs_demands, 1);
		w->hs_demand_ns = w->now_ns + FIRST_CALM_NS;
	}
	return keys->n_secrets != 0 && (keys->demand || w->now_ns < w->hs_demand_ns);
}

// ---- a frame turns round ----

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
	uint8_t t[16];

	memcpy(t, a, n);
	memcpy(a, b, n);
	memcpy(b, t, n);
}

static uint32_t sum_words(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += be16_get(p + i);
	return sum;
}

static void head4(uint8_t *p, uint32_t udp_len)
{
	uint8_t *ip = p + IP4;

	swap(ip + 12, ip + 16, 4);
	ip[1] = 0;
	be16_put(ip + 2, (uint16_t)(PARSE_IP4_LEN + udp_len));
	be16_put(ip + 4, 0);
	be16_put(ip + 6, 0x4000);
	ip[8] = TTL;
	be16_put(ip + 10, 0);
	be16_put(ip + 10, (uint16_t)~encap_fold(sum_words(ip, PARSE_IP4_LEN)));
	be16_put(p + UDP4 + 6, 0);
}

static void head6(uint8_t *p, uint32_t udp_len)
{
	uint8_t *ip = p + PARSE_ETH_LEN, *udp = p + UDP6;
	uint16_t csum;

	swap(ip + 8, ip + 24, 16);
	be32_put(ip, 6u << 28);
	be16_put(ip + 4, (uint16_t)udp_len);
	ip[7] = TTL;
	be16_put(udp + 6, 0);
	csum = (uint16_t)~encap_fold(
		sum_words(ip + 8, 32) + 17 + udp_len + sum_words(udp, udp_len));
	be16_put(udp + 6, csum != 0 ? csum : 0xffff); // 0 would mean none
}

// The frame of an init becomes that of the cookie which answers it.
static void turn_round(const struct parsed *o, struct rte_mbuf *m, const uint8_t *cookie)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *udp = p + o->off - PARSE_UDP_LEN;
	uint32_t udp_len = PARSE_UDP_LEN + RAIL_COOKIE_LEN;

	swap(p, p + 6, 6);
	swap(udp, udp + 2, 2);
	be16_put(udp + 4, (uint16_t)udp_len);
	memcpy(p + o->off, cookie, RAIL_COOKIE_LEN);
	if (o->off == UDP4 + PARSE_UDP_LEN)
		head4(p, udp_len);
	else
		head6(p, udp_len);
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - (o->off + RAIL_COOKIE_LEN)));
}

static void answer(struct wctx *w, const struct hs_keys *keys, uint16_t port,
	const struct parsed *o, struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, o->off);
	uint8_t value[RAIL_COOKIE_VALUE_LEN], out[RAIL_COOKIE_LEN];
	uint8_t nonce[RAIL_COOKIE_NONCE_LEN];

	memcpy(nonce, keys->salt, sizeof(keys->salt));
	be64_put(nonce + sizeof(keys->salt), (uint64_t)w->id << 48 | w->hs_nonce++);
	rail_cookie_value(value, keys->secret[0], o->src_ip, o->src_port);
	rail_cookie_make(out, keys->cookie, p, o->len, nonce, value); // it is an init
	turn_round(o, m, out);
	count(w, W_hs_cookies, 1);
	count(w, W_tx_built, 1);
	if (w->tx[port].mtu == 0)
		drop(w, W_drop_adj, m);
	else
		tx_frame(w, port, m);
}

// ---- up ----

static void give_up(struct wctx *w, uint16_t port, const struct parsed *o, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	struct dpmsg_addr src = {.port = o->src_port};
	struct dpmsg_addr dst = {.port = be16_get(frame + o->off - PARSE_UDP_LEN + 2)};

	memcpy(src.ip, o->src_ip, sizeof(src.ip));
	parse_dst_ip(frame, o, dst.ip);
	if (!uplink_handshake(w, &src, &dst, port, frame + o->off, o->len)) {
		drop(w, W_drop_hs_ring, m);
		return;
	}
	count(w, W_rx_handshake, 1);
	rte_pktmbuf_free(m);
}

// An init or response, before what it costs is known.
static void judge(struct wctx *w, uint16_t port, const struct parsed *o, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *p = frame + o->off;
	// pairs with the release in hs_keys_set()
	const struct hs_keys *keys = atomic_load_explicit(&w->hs_keys, memory_order_acquire);

	if (keys == NULL || !mac1_ok(keys, p, o->len))
		drop(w, W_drop_hs_mac1, m);
	else if (!is_sane(frame, o))
		drop(w, W_drop_hs_source, m);
	else if (o->rail == RAIL_INIT && !mac2_ok(keys, o, p, o->len) && wants_cookie(w, keys))
		answer(w, keys, port, o, m);
	else
		give_up(w, port, o, m);
}

void first_contact(struct wctx *w, uint16_t port, const struct parsed *o, struct rte_mbuf *m)
{
	uint64_t begin;

	if (w->mac_credit == 0) {
		drop(w, W_drop_hs_budget, m);
		return;
	}
	if (o->rail == RAIL_COOKIE) {
		// Half of it is for those who proved nothing: a flood of these leaves the other
		// half.
		if (w->mac_credit < w->tsc_hz / (2 * WORKER_CREDIT_CAP_HZ)) {
			drop(w, W_drop_hs_budget, m);
			return;
		}
		pay(w, COOKIE_CYCLES);
		give_up(w, port, o, m);
		return;
	}
	begin = rte_rdtsc();
	judge(w, port, o, m);
	pay(w, rte_rdtsc() - begin);
}
