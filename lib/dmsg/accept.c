// The accepting end of a stream (dmsg 5.2, 4.3).

#include "lib/dmsg/accept.h"

void dmsg_accept_init(struct dmsg_accept *a)
{
	memset(a, 0, offsetof(struct dmsg_accept, in));
	dmsg_inbox_init(&a->in);
}

static enum dmsg_err take_request(struct dmsg_accept *a, const struct dmsg_session *s)
{
	enum dmsg_err err = dmsg_inbox_request(&a->in, &a->req);

	if (err != DMSG_OK)
		return err;
	if (key_pk_cmp(&a->req.dst.pk, &s->pk) != 0)
		return DMSG_ERR_REQ_DST_PK;
	dmsg_object_hash(a->req_hash, a->in.obj, a->in.obj_len);
	return DMSG_OK;
}

enum dmsg_step dmsg_accept_feed(
	struct dmsg_accept *a, struct dmsg_session *s, const uint8_t *p, size_t len, size_t *used)
{
	enum dmsg_step step = dmsg_inbox_feed(&a->in, s, p, len, used);

	if (step == DMSG_READY)
		a->err = take_request(a, s);
	else if (step == DMSG_FAILED)
		a->err = a->in.err;
	return a->err == DMSG_OK ? step : DMSG_FAILED;
}

static ssize_t shake(struct dmsg_accept *a, const struct dmsg_session *s, const uint8_t *test_e,
	struct noise *kk, uint8_t msg[DMSG_NOISE_MIN_LEN])
{
	uint8_t ignored[DMSG_NOISE_MAX_LEN];
	ssize_t n = dmsg_session_kk(s, &a->req.src.pk, false, test_e, kk);

	if (n == 0 && a->req.noise.len > sizeof(ignored))
		n = -EBADMSG;
	if (n == 0)
		n = noise_read(kk, a->req.noise.p, a->req.noise.len, ignored, sizeof(ignored));
	if (n < 0)
		return n;
	return noise_write(kk, NULL, 0, msg, DMSG_NOISE_MIN_LEN);
}

ssize_t dmsg_accept_answer(struct dmsg_accept *a, struct dmsg_session *s, const uint8_t *test_e,
	struct noise_rec *rec, uint8_t *out, size_t cap)
{
	uint8_t msg[DMSG_NOISE_MIN_LEN], obj[DMSG_OBJECT_MAX];
	struct dmsg_response resp = {.accepted = true};
	struct noise kk;
	ssize_t n;

	memset(rec, 0, sizeof(*rec));
	n = shake(a, s, test_e, &kk, msg);
	if (n >= 0) {
		memcpy(resp.req_hash, a->req_hash, sizeof(resp.req_hash));
		resp.noise = (struct gob_span){msg, (size_t)n};
		n = dmsg_response_make(&resp, s->sk, obj, sizeof(obj));
	}
	if (n >= 0)
		n = dmsg_session_seal(s, obj, (size_t)n, out, cap);
	if (n >= 0 && noise_rec_adopt(rec, &kk) < 0)
		n = -EBADMSG;
	noise_fini(&kk);
	return n;
}
