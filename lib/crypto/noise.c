// The Noise state machine (revision 34, sections 5 and 7.5; skywire-routing 9.4, rail 2). A pattern
// is a row of tokens; writing and reading walk the same row. After the last message only the split
// and the hash are left: records, their framing and counters belong to whoever uses the keys.

#include "lib/crypto/noise.h"

#include "lib/base/err.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/key.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum token {
	END = 0,
	E,
	S,
	EE,
	ES,
	SE,
	SS,
};

enum {
	MAX_MSGS = 3,
	MAX_TOKENS = 5,
};

struct pattern {
	const char *name;
	bool knows_i; // pre-message: the initiator's static key
	bool knows_r; // pre-message: the responder's
	uint8_t n_msgs;
	uint8_t msg[MAX_MSGS][MAX_TOKENS];
};

static const struct pattern patterns[] = {
	[NOISE_IK] = {"IK", false, true, 2, {{E, ES, S, SS}, {E, EE, SE}}},
	[NOISE_KK] = {"KK", true, true, 2, {{E, ES, SS}, {E, EE, SE}}},
	[NOISE_XK] = {"XK", false, true, 3, {{E, ES}, {E, EE}, {S, SE}}},
};

enum phase {
	PHASE_NONE = 0, // zeroed memory
	PHASE_RUN,
	PHASE_DONE,
	PHASE_DEAD,
};

// What lies in struct noise.
struct __attribute__((may_alias)) state {
	const struct dh_suite *dh;
	const struct pattern *pattern;
	enum hash_alg hash;
	uint8_t phase;
	uint8_t step; // index of the next message
	bool initiator;
	bool has_k;
	bool has_rs;
	bool has_test_e;
	bool has_ss;
	uint64_t n; // nonce counter under k
	uint8_t k[NOISE_KEY_LEN];
	uint8_t ck[HASH_MAX_LEN];
	uint8_t h[HASH_MAX_LEN];
	uint8_t s[DH_MAX_SK_LEN];
	uint8_t e[DH_MAX_SK_LEN];
	uint8_t s_pk[DH_MAX_PK_LEN];
	uint8_t e_pk[DH_MAX_PK_LEN];
	uint8_t rs[DH_MAX_PK_LEN];
	uint8_t re[DH_MAX_PK_LEN];
	uint8_t ss[DH_MAX_DH_LEN];
};

static_assert(sizeof(struct state) <= NOISE_STATE_LEN, "struct noise is too small");

static struct state *state_of(struct noise *n)
{
	return (struct state *)n->opaque;
}

static const struct state *cstate_of(const struct noise *n)
{
	return (const struct state *)n->opaque;
}

static void mix_hash(struct state *s, const void *data, size_t len)
{
	struct hash h;

	hash_init(&h, s->hash);
	hash_update(&h, s->h, hash_len(s->hash));
	hash_update(&h, data, len);
	hash_final(&h, s->h);
}

static void mix_key(struct state *s, const uint8_t *ikm, size_t len)
{
	uint8_t k[HASH_MAX_LEN];

	hash_noise_hkdf(s->hash, s->ck, ikm, len, 2, (uint8_t *[]){s->ck, k});
	memcpy(s->k, k, sizeof(s->k)); // a 64-byte hash is cut to the cipher's key
	s->has_k = true;
	s->n = 0;
	key_wipe(k, sizeof(k));
}

static int mix_dh(struct state *s, const uint8_t *sk, const uint8_t *pk)
{
	uint8_t out[DH_MAX_DH_LEN];
	int rc = s->dh->dh(out, sk, pk);

	if (rc == 0)
		mix_key(s, out, s->dh->dh_len);
	key_wipe(out, sizeof(out));
	return rc;
}

// The DH tokens name the initiator's key first.
static int mix_token(struct state *s, uint8_t token)
{
	switch (token) {
	case EE:
		return mix_dh(s, s->e, s->re);
	case ES:
		return s->initiator ? mix_dh(s, s->e, s->rs) : mix_dh(s, s->s, s->re);
	case SE:
		return s->initiator ? mix_dh(s, s->s, s->re) : mix_dh(s, s->e, s->rs);
	default:
		if (!s->has_ss)
			return mix_dh(s, s->s, s->rs);
		mix_key(s, s->ss, s->dh->dh_len);
		return 0;
	}
}

// dst gets len bytes, and the tag when a key is set; returns what was written.
static size_t encrypt_and_hash(struct state *s, uint8_t *dst, const uint8_t *src, size_t len)
{
	uint8_t nonce[AEAD_NONCE_LEN];
	size_t out_len = len;

	if (s->has_k) {
		aead_nonce_le(nonce, s->n++);
		aead_seal(dst, src, len, s->h, hash_len(s->hash), nonce, s->k);
		out_len += NOISE_TAG_LEN;
	} else if (len > 0) {
		memcpy(dst, src, len);
	}
	mix_hash(s, dst, out_len);
	return out_len;
}

// `len` includes the tag when a key is set.
static int decrypt_and_hash(struct state *s, uint8_t *dst, const uint8_t *src, size_t len)
{
	uint8_t nonce[AEAD_NONCE_LEN];
	int rc = 0;

	if (s->has_k) {
		aead_nonce_le(nonce, s->n++);
		rc = aead_open(dst, src, len, s->h, hash_len(s->hash), nonce, s->k);
	} else if (len > 0) {
		memcpy(dst, src, len);
	}
	mix_hash(s, src, len);
	return rc;
}

static void die(struct noise *n)
{
	key_wipe(n, sizeof(*n));
	state_of(n)->phase = PHASE_DEAD;
}

static void advance(struct state *s)
{
	s->step++;
	if (s->step < s->pattern->n_msgs)
		return;
	s->phase = PHASE_DONE;
	// nothing but the chaining key and the hash is needed any more
	key_wipe(s->k, sizeof(s->k));
	key_wipe(s->e, sizeof(s->e));
	key_wipe(s->s, sizeof(s->s));
	key_wipe(s->ss, sizeof(s->ss));
}

static bool conf_is_valid(const struct noise_conf *c)
{
	if ((unsigned)c->pattern >= ARRAY_LEN(patterns) || c->dh == NULL || c->s == NULL)
		return false;
	if (c->hash != HASH_SHA256 && c->hash != HASH_BLAKE2B)
		return false;
	const struct pattern *p = &patterns[c->pattern];
	bool needs_rs = c->initiator ? p->knows_r : p->knows_i;

	return needs_rs == (c->rs != NULL) && (c->ss == NULL || c->rs != NULL);
}

ssize_t noise_name(const struct noise_conf *c, char *out, size_t cap)
{
	int n;

	if ((unsigned)c->pattern >= ARRAY_LEN(patterns) || c->dh == NULL)
		return -EINVAL;
	n = snprintf(out, cap, "Noise_%s_%s_ChaChaPoly_%s", patterns[c->pattern].name, c->dh->name,
		c->hash == HASH_BLAKE2B ? "BLAKE2b" : "SHA256");
	return n < 0 || (size_t)n >= cap ? -ENOSPC : n;
}

static void start_hash(struct state *s, const struct noise_conf *c, const char *name, size_t len)
{
	if (len > hash_len(s->hash)) {
		struct hash h;

		hash_init(&h, s->hash);
		hash_update(&h, name, len);
		hash_final(&h, s->h);
	} else {
		memcpy(s->h, name, len); // the rest is zero already
	}
	memcpy(s->ck, s->h, sizeof(s->ck));
	mix_hash(s, c->prologue, c->prologue_len);
	if (s->pattern->knows_i)
		mix_hash(s, s->initiator ? s->s_pk : s->rs, s->dh->pk_len);
	if (s->pattern->knows_r)
		mix_hash(s, s->initiator ? s->rs : s->s_pk, s->dh->pk_len);
}

int noise_init(struct noise *n, const struct noise_conf *c)
{
	struct state *s = state_of(n);
	char name[NOISE_MAX_NAME_LEN];
	ssize_t name_len;

	memset(n, 0, sizeof(*n));
	if (!conf_is_valid(c))
		return -EINVAL;
	name_len = noise_name(c, name, sizeof(name));
	if (name_len < 0)
		return -EINVAL;
	s->dh = c->dh;
	s->pattern = &patterns[c->pattern];
	s->hash = c->hash;
	s->initiator = c->initiator;
	if (c->s_pk != NULL) {
		memcpy(s->s_pk, c->s_pk, s->dh->pk_len);
	} else if (s->dh->pub(s->s_pk, c->s) < 0) {
		noise_fini(n);
		return -EINVAL;
	}
	memcpy(s->s, c->s, s->dh->sk_len);
	if (c->rs != NULL) {
		memcpy(s->rs, c->rs, s->dh->pk_len);
		s->has_rs = true;
	}
	if (c->ss != NULL) {
		memcpy(s->ss, c->ss, s->dh->dh_len);
		s->has_ss = true;
	}
	if (c->test_e != NULL) {
		memcpy(s->e, c->test_e, s->dh->sk_len);
		s->has_test_e = true;
	}
	start_hash(s, c, name, (size_t)name_len);
	s->phase = PHASE_RUN;
	return 0;
}

void noise_fini(struct noise *n)
{
	key_wipe(n, sizeof(*n));
}

bool noise_is_done(const struct noise *n)
{
	return cstate_of(n)->phase == PHASE_DONE;
}

bool noise_is_writer(const struct noise *n)
{
	const struct state *s = cstate_of(n);

	return s->phase == PHASE_RUN && (s->step % 2 == 0) == s->initiator;
}

size_t noise_overhead(const struct noise *n)
{
	const struct state *s = cstate_of(n);
	bool keyed = s->has_k;
	size_t len = 0;

	if (s->phase != PHASE_RUN)
		return 0;
	for (const uint8_t *t = s->pattern->msg[s->step]; *t != END; t++) {
		if (*t == E)
			len += s->dh->pk_len;
		else if (*t == S)
			len += s->dh->pk_len + (keyed ? NOISE_TAG_LEN : 0);
		else
			keyed = true;
	}
	return len + (keyed ? NOISE_TAG_LEN : 0);
}

// Common entry of write and read: is it this side's turn?
static int check_turn(const struct noise *n, bool writing)
{
	const struct state *s = cstate_of(n);

	if (s->phase == PHASE_DONE)
		return -EALREADY;
	if (s->phase != PHASE_RUN)
		return -EPIPE;
	return noise_is_writer(n) == writing ? 0 : -EALREADY;
}

static int write_e(struct state *s, uint8_t *out)
{
	int rc = s->has_test_e ? s->dh->pub(s->e_pk, s->e) : s->dh->generate(s->e, s->e_pk);

	if (rc < 0)
		return rc;
	memcpy(out, s->e_pk, s->dh->pk_len);
	mix_hash(s, s->e_pk, s->dh->pk_len);
	return 0;
}

ssize_t noise_write(
	struct noise *n, const void *payload, size_t payload_len, uint8_t *out, size_t cap)
{
	struct state *s = state_of(n);
	uint8_t *p = out;
	int rc = check_turn(n, true);

	if (rc < 0)
		return rc;
	if (cap > NOISE_MAX_MSG_LEN)
		cap = NOISE_MAX_MSG_LEN;
	if (cap < noise_overhead(n) || cap - noise_overhead(n) < payload_len)
		return -ENOSPC;
	for (const uint8_t *t = s->pattern->msg[s->step]; *t != END; t++) {
		if (*t == E) {
			rc = write_e(s, p);
			p += s->dh->pk_len;
		} else if (*t == S) {
			p += encrypt_and_hash(s, p, s->s_pk, s->dh->pk_len);
		} else {
			rc = mix_token(s, *t);
		}
		if (rc < 0)
			goto fail;
	}
	p += encrypt_and_hash(s, p, payload, payload_len);
	advance(s);
	return p - out;

fail:
	memset(out, 0, (size_t)(p - out));
	die(n);
	return rc == -EIO ? -EIO : -EBADMSG;
}

// Takes the tokens of the message; returns how many of its bytes they used. The caller has checked
// that the message is at least as long as noise_overhead().
static ssize_t read_tokens(struct state *s, const uint8_t *msg)
{
	const uint8_t *p = msg;
	int rc = 0;

	for (const uint8_t *t = s->pattern->msg[s->step]; *t != END; t++) {
		if (*t == E) {
			memcpy(s->re, p, s->dh->pk_len);
			mix_hash(s, p, s->dh->pk_len);
			p += s->dh->pk_len;
		} else if (*t == S) {
			size_t len = s->dh->pk_len + (s->has_k ? NOISE_TAG_LEN : 0);

			rc = decrypt_and_hash(s, s->rs, p, len);
			s->has_rs = true;
			p += len;
		} else {
			rc = mix_token(s, *t);
		}
		if (rc < 0)
			return rc;
	}
	return p - msg;
}

ssize_t noise_read(struct noise *n, const uint8_t *msg, size_t len, uint8_t *payload, size_t cap)
{
	struct state *s = state_of(n);
	size_t overhead = noise_overhead(n);
	size_t payload_len;
	ssize_t used;
	int rc = check_turn(n, false);

	if (rc < 0)
		return rc;
	if (len < overhead || len > NOISE_MAX_MSG_LEN) {
		die(n);
		return -EBADMSG;
	}
	payload_len = len - overhead;
	if (cap < payload_len)
		return -ENOSPC;
	used = read_tokens(s, msg);
	if (used < 0 || decrypt_and_hash(s, payload, msg + used, len - (size_t)used) < 0) {
		if (payload_len > 0)
			memset(payload, 0, payload_len);
		die(n);
		return -EBADMSG;
	}
	advance(s);
	return (ssize_t)payload_len;
}

const uint8_t *noise_remote_static(const struct noise *n)
{
	const struct state *s = cstate_of(n);

	return s->has_rs ? s->rs : NULL;
}

size_t noise_hash(const struct noise *n, uint8_t out[HASH_MAX_LEN])
{
	const struct state *s = cstate_of(n);

	memcpy(out, s->h, hash_len(s->hash));
	return hash_len(s->hash);
}

int noise_split(const struct noise *n, uint8_t k1[NOISE_KEY_LEN], uint8_t k2[NOISE_KEY_LEN])
{
	const struct state *s = cstate_of(n);
	uint8_t a[HASH_MAX_LEN];
	uint8_t b[HASH_MAX_LEN];

	if (s->phase == PHASE_RUN)
		return -EAGAIN;
	if (s->phase != PHASE_DONE)
		return -EPIPE;
	hash_noise_hkdf(s->hash, s->ck, NULL, 0, 2, (uint8_t *[]){a, b});
	memcpy(k1, a, NOISE_KEY_LEN);
	memcpy(k2, b, NOISE_KEY_LEN);
	key_wipe(a, sizeof(a));
	key_wipe(b, sizeof(b));
	return 0;
}

int noise_split_by_writer(
	const struct noise *n, uint8_t tx[NOISE_KEY_LEN], uint8_t rx[NOISE_KEY_LEN])
{
	const struct state *s = cstate_of(n);

	if (s->phase != PHASE_DONE)
		return s->phase == PHASE_RUN ? -EAGAIN : -EPIPE;
	// The initiator writes messages 1 and 3.
	if (s->initiator == (s->pattern->n_msgs % 2 == 1))
		return noise_split(n, rx, tx);
	return noise_split(n, tx, rx);
}
