// Handshakes of the bench's links (rail 2): ours, the node's, and re-keys inside the links. What
// the control plane does with care for strangers is simple here: there is one peer, and it is
// named.

#include "tools/bench/wire_priv.h"

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"
#include "lib/wire/rail_frame.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
	RETRY_MIN_MS = 250, // the node is near
	RETRY_MAX_MS = 4000,
	INDEX_SERIALS = 4, // receiver indices of a link in turn: three keys live at most
};

static struct rail_hs_self self_of(const struct wire_link *l)
{
	return (struct rail_hs_self){.pk = &l->pk, .sk = &l->sk};
}

static uint8_t mode_of(const struct wire *w)
{
	return w->args->reliable ? RAIL_MODE_RELIABLE : RAIL_MODE_DATAGRAM;
}

static struct rail_hs_offer offer_of(const struct wire *w, struct wire_link *l)
{
	const struct wire_port *p = &w->port[l->port];
	bool v4 = p->self.ip[10] == 0xff && p->self.ip[0] == 0;
	uint32_t nr = (uint32_t)(l - w->link);

	return (struct rail_hs_offer){
		.instance = l->instance,
		.rx_index = {(randombytes_random() | 1u << 31) << 16 |
			     (nr * INDEX_SERIALS + l->serial++ % INDEX_SERIALS)},
		.n_flows = 1,
		.payload_max = (uint16_t)(p->mtu - (v4 ? 28 : 48)),
		.mode = mode_of(w),
		.ciphers = (uint8_t)(1u << w->args->cipher),
		.window_log2 = RAIL_WINDOW_LOG2_DEFAULT,
	};
}

static void send_datagram(struct wire *w, struct wire_link *l, const uint8_t *msg, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->peer->w.pool);
	char *p = m == NULL ? NULL : rte_pktmbuf_append(m, (uint16_t)len);

	if (p == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(p, msg, len);
	encap(&w->peer->w, w->port[l->port].adj, m, l->udp_port, w->port[l->port].node.port);
}

void wire_hs_stop(struct wire_link *l)
{
	rail_hs_fini(&l->side);
	l->trying = false;
	l->retry_ns = 0;
}

void wire_hs_send(struct wire *w, struct wire_link *l, bool inside)
{
	const struct rail_hs_self self = self_of(l);
	uint64_t now = peer_now_ns(w->peer);
	bool cookie = l->cookie_ns != 0 && now - l->cookie_ns < RAIL_COOKIE_S * CLOCK_NS_PER_S;
	struct rail_hs_offer offer;
	uint8_t msg[RAIL_HS_MAX];
	ssize_t n;

	if (l->trying && now - l->sent_ns < l->retry_ns)
		return;
	offer = offer_of(w, l);
	if (l->trying)
		rail_hs_fini(&l->side);
	n = rail_hs_init_make(&l->side, &self, &w->node, &offer, clock_wall_ns(), inside,
		cookie && !inside ? l->cookie : NULL, msg, sizeof(msg));
	if (n < 0)
		return;
	l->retry_ns = l->trying ? 2 * l->retry_ns : RETRY_MIN_MS * CLOCK_NS_PER_MS;
	if (l->retry_ns > RETRY_MAX_MS * CLOCK_NS_PER_MS)
		l->retry_ns = RETRY_MAX_MS * CLOCK_NS_PER_MS;
	l->trying = true;
	l->inside = inside;
	l->sent_ns = now;
	if (inside)
		hop_tx_rekey(&w->peer->w, l->hop, msg, (uint32_t)n);
	else
		send_datagram(w, l, msg, (size_t)n);
}

// ---- keys ----

static struct dpmsg_keys keys_of(const struct rail_hs_keys *k)
{
	struct dpmsg_keys d = {.cipher = (uint8_t)k->cipher, .initiator = k->initiator};
	struct rail_hs_flow f;

	if (rail_hs_flow_make(k, 1, &f) != 0)
		return d; // refused: it has no index
	d.rx_index = f.rx_index;
	d.tx_index = f.tx_index;
	memcpy(d.rx_key, f.rx_key, sizeof(d.rx_key));
	memcpy(d.tx_key, f.tx_key, sizeof(d.tx_key));
	rail_hs_flow_wipe(&f);
	return d;
}

static int hop_new(struct wire *w, struct wire_link *l, const struct rail_hs_keys *keys,
	const struct rail_hs_terms *terms)
{
	const struct wire_port *p = &w->port[l->port];
	struct cmd_hop_add c = {
		.hop = l->hop,
		.tp = l->hop,
		.flow = 1,
		.mode = w->args->reliable ? HOP_MODE_RELIABLE : HOP_MODE_DATAGRAM,
		.window_log2 = 13,
		.rel_window_log2 = RTE_MIN(terms->window_log2, (uint8_t)RAIL_WINDOW_LOG2_DEFAULT),
		.instance_local = l->instance,
		.instance_remote = terms->instance,
		.peer = p->node,
		.adj = p->adj,
		.local_port = l->udp_port,
		.payload_max = terms->payload_max,
		.path_mtu = p->mtu, // a search would take its time, and numbers
		.rekey_ms = (uint32_t)(w->args->rekey_s * 1000),
		.name = "bench",
		.keys = keys_of(keys),
	};
	uint16_t owner;
	int rc = hop_table_add(peer_hops(w->peer), &c, peer_now_ns(w->peer), &owner);

	key_wipe(&c.keys, sizeof(c.keys));
	return rc;
}

static int hop_key(struct wire *w, struct wire_link *l, const struct rail_hs_keys *keys,
	const struct rail_hs_terms *terms)
{
	struct cmd_hop_rekey c = {
		.hop = l->hop,
		.flags = terms->instance == l->instance_node ? 0 : HOP_RESET,
		.instance_local = l->instance,
		.instance_remote = terms->instance,
		.keys = keys_of(keys),
	};
	int rc = hop_table_rekey(peer_hops(w->peer), &c, peer_now_ns(w->peer));

	key_wipe(&c.keys, sizeof(c.keys));
	return rc;
}

static void keys_use(struct wire *w, struct wire_link *l, const struct rail_hs_keys *keys,
	const struct rail_hs_terms *terms)
{
	int rc = l->added ? hop_key(w, l, keys, terms) : hop_new(w, l, keys, terms);

	if (rc < 0) {
		snprintf(w->trouble, sizeof(w->trouble), "keys of a handshake: %s", strerror(-rc));
		return;
	}
	w->n_keys++;
	l->added = true;
	l->instance_node = terms->instance;
	l->cipher = keys->cipher;
}

// ---- what comes ----

static void on_response(struct wire *w, struct wire_link *l, const void *msg, size_t len)
{
	const struct rail_hs_self self = self_of(l);
	struct rail_hs_terms terms;
	struct rail_hs_keys keys;
	int rc;

	if (!l->trying)
		return;
	rc = rail_hs_response_take(&l->side, &self, msg, len, &terms, &keys);
	if (rc == 0 && terms.refusal != 0) {
		snprintf(w->trouble, sizeof(w->trouble), "the node refuses: %s%s%s",
			rail_refusal_name(terms.refusal), terms.refusal_text[0] != '\0' ? ", " : "",
			terms.refusal_text);
		wire_hs_stop(l);
	} else if (rc == 0) {
		keys_use(w, l, &keys, &terms);
		wire_hs_stop(l);
	}
	rail_hs_keys_wipe(&keys);
}

static void on_init(struct wire *w, struct wire_link *l, const void *msg, size_t len, bool inside)
{
	const struct rail_hs_self self = self_of(l);
	struct rail_hs_offer offer = offer_of(w, l);
	struct rail_hs_terms terms;
	struct rail_hs_side side;
	struct rail_hs_keys keys;
	uint8_t out[RAIL_HS_MAX];
	ssize_t n;

	if (rail_hs_init_take(&side, &self, msg, len, inside, &terms) != 0)
		return;
	// inits that cross: that of the lower key counts
	if (key_pk_cmp(&terms.peer, &w->node) == 0 &&
		!(l->trying && key_pk_cmp(&l->pk, &w->node) < 0)) {
		n = rail_hs_response_make(&side, &self, &offer, &terms, out, sizeof(out), &keys);
		if (n > 0) {
			wire_hs_stop(l);
			keys_use(w, l, &keys, &terms);
			hop_commands(&w->peer->w);
			if (inside)
				hop_tx_rekey(&w->peer->w, l->hop, out, (uint32_t)n);
			else
				send_datagram(w, l, out, (size_t)n);
		}
		rail_hs_keys_wipe(&keys);
	}
	rail_hs_fini(&side);
}

// Whom an init is for: its mac1 says so.
static struct wire_link *addressee(struct wire *w, const uint8_t *msg, size_t len)
{
	for (unsigned i = 0; i < w->n_links; i++) {
		uint8_t want[RAIL_MAC_LEN];

		hash_mac128(want, w->link[i].mac1_key, 32, msg, rail_mac1_off(len));
		if (key_equal(want, msg + rail_mac1_off(len), RAIL_MAC_LEN))
			return &w->link[i];
	}
	return NULL;
}

// The link that an index of ours was given to.
static struct wire_link *by_index(struct wire *w, uint32_t index)
{
	uint32_t nr = (index & 0xffff) / INDEX_SERIALS;

	return nr < w->n_links ? &w->link[nr] : NULL;
}

void wire_hs_take(void *ctx, const uint8_t *frame, const struct parsed *o, uint16_t dst_port)
{
	struct wire *w = ctx;
	const uint8_t *msg = frame + o->off;
	struct wire_link *l = NULL;
	struct rail_cookie cookie;
	struct rail_hs hs;

	if (o->rail == RAIL_COOKIE) {
		if (rail_cookie_decode(msg, o->len, &cookie) == 0)
			l = by_index(w, cookie.receiver);
		if (l != NULL && rail_hs_cookie_take(&l->side, msg, o->len, l->cookie) == 0) {
			l->cookie_ns = peer_now_ns(w->peer);
			l->retry_ns = 0; // at once, with the cookie
		}
	} else if (o->rail == RAIL_INIT) {
		l = addressee(w, msg, o->len);
		if (l != NULL)
			on_init(w, l, msg, o->len, false);
	} else if (rail_hs_decode(msg, o->len, false, &hs) == 0) {
		l = by_index(w, hs.receiver);
		if (l != NULL)
			on_response(w, l, msg, o->len);
	}
}

void wire_hs_rekey(void *ctx, uint32_t hop, const uint8_t *msg, uint32_t len)
{
	struct wire *w = ctx;
	struct wire_link *l = wire_link_by_hop(w, hop);

	if (l == NULL || len == 0)
		return;
	if (msg[0] == RAIL_INIT)
		on_init(w, l, msg, len, true);
	else if (msg[0] == RAIL_RESPONSE && l->inside)
		on_response(w, l, msg, len);
}
