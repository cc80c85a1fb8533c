// Binds Noise IK, the payloads of lib/wire/rail_payload and the settlement signature into rail's
// handshake (rail 1 and 2). It checks everything that can be judged from the messages alone. It
// keeps no clock and no memory of peers: whether a key is allowed, a time is later than the last,
// an init crosses another or an instance is known, is the caller's business (transport_hs).
#include "lib/link/rail_hs.h"

#include "lib/base/err.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/sign.h"
#include "lib/link/rail_cookie.h"
#include "lib/wire/entry.h"

void rail_hs_mac1_key(uint8_t out[32], const struct key_pk *recipient)
{
	hash_label256(out, RAIL_LABEL_MAC1, recipient->b, sizeof(recipient->b));
}

void rail_hs_fini(struct rail_hs_side *s)
{
	noise_fini(&s->noise);
	key_wipe(s, sizeof(*s));
}

void rail_hs_keys_wipe(struct rail_hs_keys *k)
{
	key_wipe(k, sizeof(*k));
}

void rail_hs_flow_wipe(struct rail_hs_flow *f)
{
	key_wipe(f, sizeof(*f));
}

static int noise_begin(struct noise *n, const struct rail_hs_self *self, const struct key_pk *peer)
{
	struct noise_conf conf = {
		.pattern = NOISE_IK,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = peer != NULL,
		.prologue = RAIL_PROLOGUE,
		.prologue_len = sizeof(RAIL_PROLOGUE) - 1,
		.s = self->sk->b,
		.rs = peer != NULL ? peer->b : NULL,
	};

	return noise_init(n, &conf);
}

static int entry_sign(
	uint8_t sig[RAIL_SIG_LEN], const struct rail_hs_self *self, const struct key_pk *peer)
{
	uint8_t hash[ENTRY_HASH_LEN];
	struct sign_sig s;
	int rc;

	rc = entry_hash(hash, self->pk->b, peer->b, ENTRY_TYPE_RAIL);
	if (rc == 0)
		rc = sign_hash(&s, self->sk, hash);
	if (rc == 0)
		memcpy(sig, s.b, RAIL_SIG_LEN);
	return rc;
}

static int entry_verify(
	const uint8_t sig[RAIL_SIG_LEN], const struct rail_hs_self *self, const struct key_pk *peer)
{
	uint8_t hash[ENTRY_HASH_LEN];
	struct sign_sig s;
	int rc;

	memcpy(s.b, sig, RAIL_SIG_LEN);
	rc = entry_hash(hash, self->pk->b, peer->b, ENTRY_TYPE_RAIL);
	return rc != 0 ? rc : sign_verify_hash(&s, peer, hash);
}

// ---- payloads ----

static enum rail_payload_kind kind_of(enum rail_type type, bool inside)
{
	if (type == RAIL_INIT)
		return inside ? RAIL_PAYLOAD_REKEY_INIT : RAIL_PAYLOAD_INIT;
	return inside ? RAIL_PAYLOAD_REKEY_RESPONSE : RAIL_PAYLOAD_RESPONSE;
}

// Without what one would rather not use, unless nothing were left.
static uint8_t preferred(uint8_t bits, uint8_t avoid)
{
	return (bits & ~avoid) != 0 ? bits & (uint8_t)~avoid : bits;
}

static void payload_offer(struct rail_hs_payload *p, const struct rail_hs_offer *o, uint8_t n_flows)
{
	*p = (struct rail_hs_payload){
		.instance = o->instance,
		.mode = o->mode,
		.ciphers = o->ciphers,
		.n_flows = n_flows,
		.payload_max = o->payload_max,
		.window_log2 = o->window_log2,
	};
	memcpy(p->index, o->rx_index, sizeof(p->index));
	memcpy(p->port, o->port, sizeof(p->port));
}

static void terms_fill(struct rail_hs_terms *t, const struct rail_hs_payload *p)
{
	size_t n = p->refusal_text_len;

	t->instance = p->instance;
	memcpy(t->tx_index, p->index, sizeof(t->tx_index));
	memcpy(t->port, p->port, sizeof(t->port));
	t->payload_max = p->payload_max;
	t->mode = p->mode;
	t->ciphers = p->ciphers;
	t->window_log2 = p->window_log2;
	t->n_flows = p->n_flows;
	if ((p->has & RAIL_HAS(RAIL_TLV_REFUSAL)) == 0)
		return;
	t->refusal = p->refusal;
	if (n >= sizeof(t->refusal_text))
		n = sizeof(t->refusal_text) - 1;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = p->refusal_text[i];

		t->refusal_text[i] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
	}
	t->refusal_text[n] = '\0';
}

// ---- messages ----

// The macs at the end of a message for `recipient`; mac1 is also handed out.
static void macs_put(struct bytes_w *w, const struct key_pk *recipient, const uint8_t *cookie,
	uint8_t mac1[RAIL_MAC_LEN])
{
	uint8_t key[32];
	size_t len = bytes_w_len(w);
	uint8_t *macs = bytes_w_span(w, RAIL_MACS_LEN);

	if (macs == NULL)
		return;
	rail_hs_mac1_key(key, recipient);
	hash_mac128(macs, key, sizeof(key), w->start, len);
	memcpy(mac1, macs, RAIL_MAC_LEN);
	if (cookie != NULL)
		hash_mac128(macs + RAIL_MAC_LEN, cookie, RAIL_COOKIE_VALUE_LEN, w->start,
			len + RAIL_MAC_LEN);
	else
		memset(macs + RAIL_MAC_LEN, 0, RAIL_MAC_LEN);
}

static bool mac1_is_right(const void *msg, const struct rail_hs *m, const struct key_pk *self)
{
	uint8_t key[32], mac[RAIL_MAC_LEN];

	rail_hs_mac1_key(key, self);
	hash_mac128(mac, key, sizeof(key), msg, (size_t)(m->mac1 - (const uint8_t *)msg));
	return key_equal(mac, m->mac1, RAIL_MAC_LEN);
}

struct message {
	enum rail_type type;
	uint32_t sender, receiver;
	const struct key_pk *recipient;
	const uint8_t *cookie;
};

// Encode the payload, run it through Noise, put header and macs around it.
static ssize_t message_make(struct rail_hs_side *s, const struct message *m,
	const struct rail_hs_payload *p, uint8_t *out, size_t cap)
{
	uint8_t payload[RAIL_PAYLOAD_LEN_MAX + 256];
	struct bytes_w w = bytes_w(out, cap < RAIL_HS_MAX ? cap : RAIL_HS_MAX);
	int payload_len;
	ssize_t n;

	payload_len = rail_payload_encode(payload, sizeof(payload), kind_of(m->type, s->inside), p);
	if (payload_len < 0)
		return payload_len;
	rail_hs_begin(&w, m->type, m->sender, m->receiver);
	if (w.bad)
		return -ENOSPC;
	n = noise_write(&s->noise, payload, (size_t)payload_len, w.p, (size_t)(w.end - w.p));
	key_wipe(payload, sizeof(payload));
	if (n < 0)
		return n;
	w.p += n;
	if (!s->inside)
		macs_put(&w, m->recipient, m->cookie, s->mac1);
	return bytes_w_done(&w);
}

ssize_t rail_hs_init_make(struct rail_hs_side *s, const struct rail_hs_self *self,
	const struct key_pk *peer, const struct rail_hs_offer *offer, uint64_t time_ns, bool inside,
	const uint8_t *cookie, uint8_t *out, size_t cap)
{
	struct message m = {.type = RAIL_INIT,
		.sender = offer->rx_index[0],
		.recipient = peer,
		.cookie = cookie};
	struct rail_hs_payload p;
	ssize_t n;
	int rc;

	memset(s, 0, sizeof(*s));
	if (key_pk_cmp(self->pk, peer) == 0 || !key_pk_is_valid(peer))
		return -EINVAL;
	s->peer = *peer;
	s->offer = *offer;
	s->offer.ciphers = preferred(offer->ciphers, offer->avoid); // the answer is one of these
	s->inside = inside;
	payload_offer(&p, &s->offer, offer->n_flows);
	rc = noise_begin(&s->noise, self, peer);
	if (rc == 0 && !inside) {
		rail_time_put(p.time, time_ns);
		rc = entry_sign(p.sig, self, peer);
	}
	n = rc != 0 ? rc : message_make(s, &m, &p, out, cap);
	if (n < 0)
		rail_hs_fini(s);
	return n;
}

// Noise's payload of a message, decoded. n is spent when this fails.
static int message_read(struct noise *n, const struct rail_hs *m, bool inside, uint8_t *buf,
	size_t cap, struct rail_hs_payload *p)
{
	ssize_t len = noise_read(n, m->noise, m->noise_len, buf, cap);

	if (len < 0 || rail_payload_decode(buf, (size_t)len, kind_of(m->type, inside), p) != 0)
		return -EBADMSG;
	return 0;
}

int rail_hs_init_take(struct rail_hs_side *s, const struct rail_hs_self *self, const void *msg,
	size_t len, bool inside, struct rail_hs_terms *terms)
{
	uint8_t buf[RAIL_HS_MAX];
	struct rail_hs_payload p;
	struct rail_hs m;
	const uint8_t *pk;

	memset(s, 0, sizeof(*s));
	memset(terms, 0, sizeof(*terms));
	s->inside = inside;
	if (len > RAIL_HS_MAX || rail_hs_decode(msg, len, inside, &m) != 0 || m.type != RAIL_INIT ||
		(!inside && !mac1_is_right(msg, &m, self->pk)))
		return -EBADMSG;
	if (noise_begin(&s->noise, self, NULL) != 0 ||
		message_read(&s->noise, &m, inside, buf, sizeof(buf), &p) != 0)
		goto err_side;
	pk = noise_remote_static(&s->noise);
	if (pk == NULL)
		goto err_side;
	memcpy(terms->peer.b, pk, KEY_PK_LEN);
	terms_fill(terms, &p);
	// The index is said twice, in the clear for cookies and responses; both must be one.
	if (terms->tx_index[0] != m.sender || key_pk_cmp(&terms->peer, self->pk) == 0)
		goto err_side;
	if (!inside && (rail_time_get(p.time, &terms->time_ns) != 0 ||
			       entry_verify(p.sig, self, &terms->peer) != 0))
		goto err_side;
	s->peer = terms->peer;
	key_wipe(buf, sizeof(buf));
	return 0;

err_side:
	key_wipe(buf, sizeof(buf));
	rail_hs_fini(s);
	memset(terms, 0, sizeof(*terms));
	return -EBADMSG;
}

// In the order of preference.
static const struct {
	uint8_t bit;
	enum aead_cipher cipher;
} ciphers[] = {
	{RAIL_CIPHER_NONE, AEAD_NONE}, // both configurations say so, and thus want it
	{RAIL_CIPHER_AES_256_GCM, AEAD_AES_256_GCM}, // nobody for whom it is slow offers it
	{RAIL_CIPHER_CHACHA20_POLY1305, AEAD_CHACHA20_POLY1305},
};

static int cipher_of(uint8_t bit, enum aead_cipher *out)
{
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
		if (ciphers[i].bit == bit) {
			*out = ciphers[i].cipher;
			return 0;
		}
	}
	return -EPROTO;
}

uint8_t rail_hs_settle(
	const struct rail_hs_offer *offer, const struct rail_hs_terms *terms, uint8_t *cipher_bit)
{
	uint8_t both = preferred(offer->ciphers & terms->ciphers, offer->avoid);

	if (terms->mode != offer->mode)
		return RAIL_REFUSAL_MODE;
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
		if ((both & ciphers[i].bit) == 0)
			continue;
		*cipher_bit = ciphers[i].bit;
		return 0;
	}
	return RAIL_REFUSAL_CIPHER;
}

static uint8_t fewer(uint8_t a, uint8_t b)
{
	return a < b ? a : b;
}

// n_flows: of the peer; what is beyond the smaller number is nobody's.
static int keys_derive(const struct rail_hs_side *s, bool initiator,
	const struct rail_hs_offer *own, const struct rail_hs_terms *peers, uint8_t cipher_bit,
	struct rail_hs_keys *k)
{
	int rc;

	memset(k, 0, sizeof(*k));
	rc = cipher_of(cipher_bit, &k->cipher);
	if (rc == 0)
		rc = noise_split(&s->noise, initiator ? k->tx : k->rx, initiator ? k->rx : k->tx);
	if (rc != 0)
		return rc;
	k->cipher_bit = cipher_bit;
	k->initiator = initiator;
	k->n_flows = fewer(own->n_flows, peers->n_flows);
	for (unsigned i = 0; i < k->n_flows; i++) {
		k->rx_index[i] = own->rx_index[i];
		k->tx_index[i] = peers->tx_index[i];
		if (i > 0)
			k->port[i - 1] = peers->port[i - 1];
	}
	return 0;
}

int rail_hs_flow_make(const struct rail_hs_keys *k, unsigned flow, struct rail_hs_flow *out)
{
	uint8_t info[RAIL_FLOW_INFO_LEN];
	int rc;

	if (flow < 1 || flow > k->n_flows)
		return -EINVAL;
	rail_flow_info(info, (uint8_t)flow, k->cipher_bit);
	rc = hash_hkdf_sha256(out->rx_key, sizeof(out->rx_key), NULL, 0, k->rx, sizeof(k->rx), info,
		sizeof(info));
	if (rc == 0)
		rc = hash_hkdf_sha256(out->tx_key, sizeof(out->tx_key), NULL, 0, k->tx,
			sizeof(k->tx), info, sizeof(info));
	out->rx_index = k->rx_index[flow - 1];
	out->tx_index = k->tx_index[flow - 1];
	out->port = flow > 1 ? k->port[flow - 2] : 0;
	return rc;
}

ssize_t rail_hs_response_make(struct rail_hs_side *s, const struct rail_hs_self *self,
	const struct rail_hs_offer *offer, const struct rail_hs_terms *terms, uint8_t *out,
	size_t cap, struct rail_hs_keys *keys)
{
	struct message m = {.type = RAIL_RESPONSE,
		.sender = offer->rx_index[0],
		.receiver = terms->tx_index[0],
		.recipient = &s->peer};
	struct rail_hs_payload p;
	uint8_t bit = 0;
	ssize_t n;
	int rc = 0;

	memset(keys, 0, sizeof(*keys));
	if (rail_hs_settle(offer, terms, &bit) != 0)
		return -EINVAL;
	payload_offer(&p, offer, fewer(offer->n_flows, terms->n_flows));
	p.ciphers = bit;
	if (!s->inside)
		rc = entry_sign(p.sig, self, &s->peer);
	n = rc != 0 ? rc : message_make(s, &m, &p, out, cap);
	if (n < 0)
		return n;
	rc = keys_derive(s, false, offer, terms, bit, keys);
	if (rc != 0) {
		rail_hs_keys_wipe(keys);
		return rc;
	}
	return n;
}

ssize_t rail_hs_refusal_make(struct rail_hs_side *s, const struct rail_hs_terms *terms,
	uint8_t code, const char *text, uint8_t *out, size_t cap)
{
	struct message m = {
		.type = RAIL_RESPONSE, .receiver = terms->tx_index[0], .recipient = &s->peer};
	size_t text_len = strlen(text);
	struct rail_hs_payload p = {
		.has = RAIL_HAS(RAIL_TLV_REFUSAL),
		.refusal = code,
		.refusal_text = (const uint8_t *)text,
	};

	p.refusal_text_len = (uint8_t)(text_len < 200 ? text_len : 200);
	return message_make(s, &m, &p, out, cap);
}

// What a granted response must keep to; the sender index in the clear is that of TLV 5.
static int response_check(const struct rail_hs_side *s, const struct rail_hs_self *self,
	const struct rail_hs *m, const struct rail_hs_payload *p)
{
	enum aead_cipher cipher;

	if (p->mode != s->offer.mode || (p->ciphers & s->offer.ciphers) == 0 ||
		cipher_of(p->ciphers, &cipher) != 0 || p->index[0] != m->sender)
		return -EPROTO;
	if (!s->inside && entry_verify(p->sig, self, &s->peer) != 0)
		return -EPROTO;
	return 0;
}

int rail_hs_response_take(struct rail_hs_side *s, const struct rail_hs_self *self, const void *msg,
	size_t len, struct rail_hs_terms *terms, struct rail_hs_keys *keys)
{
	uint8_t buf[RAIL_HS_MAX];
	struct rail_hs_side copy;
	struct rail_hs_payload p;
	struct rail_hs m;
	int rc;

	memset(terms, 0, sizeof(*terms));
	memset(keys, 0, sizeof(*keys));
	if (len > RAIL_HS_MAX || rail_hs_decode(msg, len, s->inside, &m) != 0 ||
		s->offer.rx_index[0] == 0 || m.type != RAIL_RESPONSE ||
		m.receiver != s->offer.rx_index[0] ||
		(!s->inside && !mac1_is_right(msg, &m, self->pk)))
		return -EBADMSG;
	// Anybody can send a forged response: read with a copy, keep it on success.
	copy = *s;
	rc = message_read(&copy.noise, &m, s->inside, buf, sizeof(buf), &p);
	if (rc != 0)
		goto out;
	terms->peer = s->peer;
	terms_fill(terms, &p);
	if (terms->refusal != 0)
		goto out;
	rc = response_check(s, self, &m, &p);
	if (rc == 0)
		rc = keys_derive(&copy, true, &s->offer, terms, p.ciphers, keys);
	if (rc == 0)
		rail_hs_fini(s);
out:
	key_wipe(buf, sizeof(buf));
	rail_hs_fini(&copy);
	return rc;
}

int rail_hs_cookie_take(const struct rail_hs_side *s, const void *msg, size_t len,
	uint8_t cookie[RAIL_COOKIE_VALUE_LEN])
{
	struct rail_cookie c;
	uint8_t key[RAIL_COOKIE_KEY_LEN];

	if (s->inside || rail_cookie_decode(msg, len, &c) != 0 ||
		c.receiver != s->offer.rx_index[0])
		return -EBADMSG;
	rail_cookie_key(key, &s->peer);
	return aead_x_open(cookie, c.sealed, sizeof(c.sealed), s->mac1, RAIL_MAC_LEN, c.nonce, key);
}
