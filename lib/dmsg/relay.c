// One stream through a server (dmsg 6.1). Objects are re-sealed for the other session and otherwise
// untouched. Which session Y is, limits and copying are the server's matter.

#include "lib/dmsg/relay.h"

void dmsg_relay_init(struct dmsg_relay *r)
{
	memset(r, 0, offsetof(struct dmsg_relay, request));
	dmsg_inbox_init(&r->request);
	dmsg_inbox_init(&r->answer);
}

static enum dmsg_err take_request(
	struct dmsg_relay *r, const struct dmsg_session *x, bool x_is_peer)
{
	const struct dmsg_inbox *in = &r->request;
	enum dmsg_err err = dmsg_inbox_request(in, &r->req);

	if (err != DMSG_OK)
		return err;
	if (!x_is_peer && key_pk_cmp(&r->req.src.pk, &x->peer) != 0)
		return DMSG_ERR_REQ_SRC_PK;
	if (dmsg_relay_where(r, x) == RELAY_ONWARD && !dmsg_noise_is_safe(r->req.noise))
		return DMSG_ERR_UNSAFE_NOISE;
	dmsg_object_hash(r->req_hash, in->obj, in->obj_len);
	return DMSG_OK;
}

enum dmsg_step dmsg_relay_feed(struct dmsg_relay *r, struct dmsg_session *x, bool x_is_peer,
	const uint8_t *p, size_t len, size_t *used)
{
	enum dmsg_step step = dmsg_inbox_feed(&r->request, x, p, len, used);

	if (step == DMSG_READY)
		r->err = take_request(r, x, x_is_peer);
	else if (step == DMSG_FAILED)
		r->err = r->request.err;
	return r->err == DMSG_OK ? step : DMSG_FAILED;
}

enum dmsg_relay_where dmsg_relay_where(const struct dmsg_relay *r, const struct dmsg_session *x)
{
	return r->req.ip_info && key_pk_cmp(&r->req.dst.pk, &x->pk) == 0 ? RELAY_TO_SELF
									 : RELAY_ONWARD;
}

ssize_t dmsg_relay_answer_ip(const struct dmsg_relay *r, struct dmsg_session *x, const uint8_t *ip,
	size_t ip_len, uint8_t *out, size_t cap)
{
	struct dmsg_response resp = {.accepted = true, .ip_len = (uint8_t)ip_len};
	uint8_t obj[DMSG_OBJECT_MAX];
	ssize_t n;

	if (ip_len != 4 && ip_len != DMSG_IP_MAX_LEN)
		return -EINVAL;
	memcpy(resp.req_hash, r->req_hash, sizeof(resp.req_hash));
	memcpy(resp.ip, ip, ip_len);
	n = dmsg_response_make(&resp, x->sk, obj, sizeof(obj));
	return n < 0 ? n : dmsg_session_seal(x, obj, (size_t)n, out, cap);
}

ssize_t dmsg_relay_onward(struct dmsg_relay *r, struct dmsg_session *y, uint8_t *out, size_t cap)
{
	r->err = DMSG_OK;
	dmsg_inbox_init(&r->answer);
	return dmsg_session_seal(y, r->request.obj, r->request.obj_len, out, cap);
}

static enum dmsg_err take_answer(struct dmsg_relay *r)
{
	const struct dmsg_inbox *in = &r->answer;
	struct dmsg_response resp;
	enum dmsg_err err;

	if (dmsg_response_read(&resp, in->obj, in->obj_len) < 0)
		return DMSG_ERR_MALFORMED;
	err = dmsg_response_check(&resp, in->obj, in->obj_len, r->req_hash, &r->req.dst.pk);
	if (err != DMSG_OK)
		return err;
	return dmsg_noise_is_safe(resp.noise) ? DMSG_OK : DMSG_ERR_UNSAFE_NOISE;
}

enum dmsg_step dmsg_relay_feed_answer(
	struct dmsg_relay *r, struct dmsg_session *y, const uint8_t *p, size_t len, size_t *used)
{
	enum dmsg_step step = dmsg_inbox_feed_answer(&r->answer, y, p, len, used);

	if (step == DMSG_MORE)
		return step;
	r->err = step == DMSG_READY ? take_answer(r) : r->answer.err;
	return r->err == DMSG_OK ? DMSG_READY : DMSG_FAILED;
}

ssize_t dmsg_relay_back(
	const struct dmsg_relay *r, struct dmsg_session *x, uint8_t *out, size_t cap)
{
	return dmsg_session_seal(x, r->answer.obj, r->answer.obj_len, out, cap);
}
