// Connect handshake and settlement as one machine, of either side. It never gives up by itself: a
// deadline passes when its owner says what time it is. Which peers may connect, who dials and what
// is registered where are the owner's decisions.
#include "lib/link/carry_hs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

enum state {
	NONCE, // initiator: waits for it
	ANSWER,
	ASK, // responder: waits for get_nonce
	CALL,
	PROVE, // for its owner
	ADMIT, // ditto
	NOISE,
	CODE, // initiator
	ENTRY, // responder
	SETTLE, // for its owner
	UP,
	FAILED,
};

static enum carry_hs_event fail(struct carry_hs *h, int err, const char *why)
{
	h->state = FAILED;
	h->deadline_ns = 0;
	h->err = err;
	snprintf(h->why, sizeof(h->why), "%s", why);
	return CARRY_HS_FAILED;
}

static void wait_for(struct carry_hs *h, enum state s)
{
	h->state = (uint8_t)s;
	h->in_len = 0;
}

static void limit(struct carry_hs *h, uint64_t now_ns, unsigned s)
{
	h->deadline_ns = now_ns + s * CLOCK_NS_PER_S;
}

static void begin(struct carry_hs *h, const struct carry_hs_conf *conf)
{
	memset(h, 0, sizeof(*h));
	h->conf = *conf;
}

void carry_hs_dial(struct carry_hs *h, const struct carry_hs_conf *conf, const struct key_pk *peer,
	uint16_t port, uint64_t now_ns)
{
	begin(h, conf);
	h->initiator = true;
	h->peer = *peer;
	h->port = port;
	h->out_len = CONNECT_ASK_LEN;
	memcpy(h->out, CONNECT_ASK, CONNECT_ASK_LEN);
	wait_for(h, NONCE);
	limit(h, now_ns, CARRY_HS_CONNECT_S);
}

void carry_hs_accept(struct carry_hs *h, const struct carry_hs_conf *conf,
	const uint8_t nonce[CONNECT_NONCE_LEN], uint64_t now_ns)
{
	begin(h, conf);
	memcpy(h->nonce, nonce, sizeof(h->nonce));
	wait_for(h, ASK);
	limit(h, now_ns, CARRY_HS_CONNECT_S);
}

// ---- connect handshake ----

static enum carry_hs_event enter_noise(struct carry_hs *h, uint64_t now_ns)
{
	wait_for(h, NOISE);
	limit(h, now_ns, CARRY_HS_NOISE_S);
	return CARRY_HS_NOISE;
}

static enum carry_hs_event send_call(struct carry_hs *h)
{
	struct connect_call c = {
		.src = {*h->conf.pk, h->port}, .dst = {h->peer, CONNECT_PORT_TRANSPORT}};

	if (connect_nonce_read(c.nonce, h->in, h->in_len) != 0)
		return fail(h, -EBADMSG, "the peer's nonce is none: does it speak this protocol?");
	if (connect_call_sign(&c, h->conf.sk) != 0)
		return fail(h, -EINVAL, "our key can't sign");
	h->out_len = (uint16_t)connect_call_write(&c, h->out, sizeof(h->out));
	wait_for(h, ANSWER);
	return CARRY_HS_NONE;
}

static enum carry_hs_event take_answer(struct carry_hs *h, uint64_t now_ns)
{
	struct connect_answer a;
	char why[CARRY_HS_WHY_LEN];

	if (connect_answer_read(&a, h->in, h->in_len) != 0)
		return fail(h, -EBADMSG, "the peer's answer is none");
	if (a.ok)
		return enter_noise(h, now_ns);
	snprintf(why, sizeof(why), "the peer refuses%s%s", a.err[0] != '\0' ? ": " : "", a.err);
	return fail(h, -ECONNREFUSED, why);
}

static enum carry_hs_event send_nonce(struct carry_hs *h)
{
	if (memcmp(h->in, CONNECT_ASK, CONNECT_ASK_LEN) != 0)
		return fail(h, -EBADMSG, "the caller does not ask for a nonce");
	h->out_len = (uint16_t)connect_nonce_write(h->nonce, h->out, sizeof(h->out));
	wait_for(h, CALL);
	return CARRY_HS_NONE;
}

static enum carry_hs_event answer(struct carry_hs *h, int err, const char *refusal)
{
	struct connect_answer a = {.ok = refusal == NULL};

	snprintf(a.err, sizeof(a.err), "%s", refusal != NULL ? refusal : "");
	h->out_len = (uint16_t)connect_answer_write(&a, h->out, sizeof(h->out));
	return refusal != NULL ? fail(h, err, refusal) : CARRY_HS_NONE;
}

static enum carry_hs_event take_call(struct carry_hs *h)
{
	struct connect_call *c = &h->call;

	if (connect_call_read(c, h->in, h->in_len) != 0)
		return fail(h, -EBADMSG, "the caller's message is none");
	if (memcmp(c->nonce, h->nonce, sizeof(c->nonce)) != 0)
		return answer(h, -EBADMSG, "it is another nonce");
	if (key_pk_cmp(&c->dst.pk, h->conf.pk) != 0)
		return answer(h, -ECONNREFUSED, "this is another node");
	if (c->dst.port != CONNECT_PORT_TRANSPORT)
		return answer(h, -ECONNREFUSED, CONNECT_ERR_PORT);
	if (key_pk_cmp(&c->src.pk, h->conf.pk) == 0)
		return answer(h, -ECONNREFUSED, "that is this node's own key");
	h->peer = c->src.pk;
	h->port = c->src.port;
	wait_for(h, PROVE);
	return CARRY_HS_CLAIM;
}

enum carry_hs_event carry_hs_prove(struct carry_hs *h, const char *refusal)
{
	if (h->state != PROVE)
		return fail(h, -EBADMSG, "nobody waits to be known");
	if (refusal != NULL)
		return answer(h, -ECONNREFUSED, refusal);
	if (connect_call_verify(&h->call) != 0)
		return answer(h, -EBADMSG, "the signature is not right");
	wait_for(h, ADMIT);
	return CARRY_HS_CALLER;
}

enum carry_hs_event carry_hs_admit(struct carry_hs *h, const char *refusal, uint64_t now_ns)
{
	if (h->state != ADMIT)
		return fail(h, -EBADMSG, "nobody waits to be admitted");
	if (answer(h, -ECONNREFUSED, refusal) == CARRY_HS_FAILED)
		return CARRY_HS_FAILED;
	return enter_noise(h, now_ns);
}

// ---- settlement ----

static enum carry_hs_event send_entry(struct carry_hs *h)
{
	struct tp_entry *e = &h->entry;
	ssize_t len;

	if (tp_entry_make(e, h->conf.pk, &h->peer, h->conf.type, TP_ENTRY_LABEL_USER) != 0 ||
		tp_entry_sign(e, h->conf.pk, h->conf.sk) != 0)
		return fail(h, -EINVAL, "our key can't sign");
	len = tp_entry_write(e, h->out, sizeof(h->out) - 1);
	h->out[len] = '\n';
	h->out_len = (uint16_t)(len + 1);
	h->offered = true;
	wait_for(h, CODE);
	return CARRY_HS_NONE;
}

static enum carry_hs_event enter_settlement(struct carry_hs *h, uint64_t now_ns)
{
	limit(h, now_ns, CARRY_HS_SETTLE_S);
	if (h->initiator)
		return send_entry(h);
	wait_for(h, ENTRY);
	return CARRY_HS_NONE;
}

enum carry_hs_event carry_hs_inside(struct carry_hs *h, uint64_t now_ns)
{
	if (h->state != NOISE)
		return fail(h, -EBADMSG, "nobody waits for secrecy");
	return enter_settlement(h, now_ns);
}

enum carry_hs_event carry_hs_settlement(struct carry_hs *h, const struct carry_hs_conf *conf,
	const struct key_pk *peer, bool initiator, uint64_t now_ns)
{
	begin(h, conf);
	h->initiator = initiator;
	h->peer = *peer;
	return enter_settlement(h, now_ns);
}

static enum carry_hs_event up(struct carry_hs *h)
{
	h->state = UP;
	h->deadline_ns = 0;
	return CARRY_HS_UP;
}

static enum carry_hs_event answer_entry(
	struct carry_hs *h, enum carry_hs_code code, const char *why)
{
	h->out[0] = (char)code;
	h->out_len = 1;
	return code == CARRY_HS_CODE_OK ? up(h) : fail(h, -EBADMSG, why);
}

static enum carry_hs_event take_entry(struct carry_hs *h)
{
	struct tp_entry *e = &h->entry;

	if (tp_entry_read(e, h->in, h->in_len) != 0 ||
		!tp_entry_is_of(e, h->conf.pk, &h->peer, h->conf.type))
		return answer_entry(h, CARRY_HS_CODE_ENTRY, "the peer's entry is not of this link");
	if (tp_entry_verify(e, &h->peer) != 0)
		return answer_entry(
			h, CARRY_HS_CODE_SIGNATURE, "the peer has not signed its entry");
	if (tp_entry_sign(e, h->conf.pk, h->conf.sk) != 0)
		return answer_entry(h, CARRY_HS_CODE_FAILED, "our key can't sign");
	wait_for(h, SETTLE);
	return CARRY_HS_ENTRY;
}

enum carry_hs_event carry_hs_settle(struct carry_hs *h, enum carry_hs_code code)
{
	if (h->state != SETTLE)
		return fail(h, -EBADMSG, "no entry waits");
	return answer_entry(h, code, "refused by us");
}

static enum carry_hs_event take_code(struct carry_hs *h)
{
	switch (h->in[0]) {
	case CARRY_HS_CODE_OK:
		return up(h);
	case CARRY_HS_CODE_SIGNATURE:
		return fail(h, -ECONNREFUSED, "the peer says that our signature is wrong");
	case CARRY_HS_CODE_ENTRY:
		return fail(h, -ECONNREFUSED, "the peer says that our entry is wrong");
	default:
		return fail(h, -ECONNREFUSED, "the peer failed to settle the transport");
	}
}

// ---- bytes ----

// Takes what belongs to a message of `want` bytes. True: it is whole.
static bool gather(struct carry_hs *h, size_t want, const uint8_t *p, size_t len, size_t *used)
{
	size_t part = want - h->in_len;

	if (part > len)
		part = len;
	memcpy(h->in + h->in_len, p, part);
	h->in_len = (uint16_t)(h->in_len + part);
	*used = part;
	return h->in_len == want;
}

// The same of a text, whose length shows only at its end. *rc: -EBADMSG when it can't be one.
static bool gather_text(struct carry_hs *h, const uint8_t *p, size_t len, size_t *used, ssize_t *rc)
{
	size_t before = h->in_len;

	gather(h, sizeof(h->in), p, len, used);
	*rc = connect_text_len(h->in, h->in_len, sizeof(h->in));
	if (*rc <= 0)
		return false;
	*used = (size_t)*rc - before;
	h->in_len = (uint16_t)*rc;
	return true;
}

static enum carry_hs_event on_message(struct carry_hs *h, uint64_t now_ns)
{
	switch (h->state) {
	case NONCE:
		return send_call(h);
	case ANSWER:
		return take_answer(h, now_ns);
	case ASK:
		return send_nonce(h);
	case CALL:
		return take_call(h);
	case CODE:
		return take_code(h);
	default:
		return take_entry(h);
	}
}

enum carry_hs_event carry_hs_read(
	struct carry_hs *h, const uint8_t *p, size_t len, size_t *used, uint64_t now_ns)
{
	enum carry_hs_event ev;
	ssize_t rc = 0;
	bool whole;

	*used = 0;
	if (h->state == UP || h->state == FAILED)
		return h->state == UP ? CARRY_HS_UP : CARRY_HS_FAILED;
	if (len == 0)
		return CARRY_HS_NONE;
	if (h->state == PROVE || h->state == ADMIT || h->state == NOISE || h->state == SETTLE)
		return fail(h, -EBADMSG, "the peer sends ahead");
	if (h->state == ASK)
		whole = gather(h, CONNECT_ASK_LEN, p, len, used);
	else if (h->state == CODE)
		whole = gather(h, 1, p, len, used);
	else
		whole = gather_text(h, p, len, used, &rc);
	if (rc < 0 && rc != -EAGAIN)
		return fail(h, -EBADMSG, "what the peer sends is none of its messages");
	if (!whole)
		return CARRY_HS_NONE;
	ev = on_message(h, now_ns);
	// Whoever sends it is not Go, and would wait for what Go never reads.
	if (*used < len && ev != CARRY_HS_FAILED && ev != CARRY_HS_UP) {
		h->out_len = 0;
		return fail(h, -EBADMSG, "the peer sends ahead");
	}
	return ev;
}

enum carry_hs_event carry_hs_tick(struct carry_hs *h, uint64_t now_ns)
{
	static const char *const what[] = {
		[NONCE] = "no nonce came within 10 s",
		[ANSWER] = "no answer came within 10 s",
		[ASK] = "the caller said nothing for 10 s",
		[CALL] = "the caller did not say who it is within 10 s",
		[PROVE] = "nobody looked at the signature",
		[ADMIT] = "nobody admitted the caller",
		[NOISE] = "no Noise handshake within 5 s",
		[CODE] = "the peer did not settle the transport within 20 s",
		[ENTRY] = "the peer sent no entry within 20 s",
		[SETTLE] = "nobody settled the transport",
	};

	if (h->deadline_ns == 0 || now_ns < h->deadline_ns)
		return CARRY_HS_NONE;
	return fail(h, -ETIMEDOUT, what[h->state]);
}
