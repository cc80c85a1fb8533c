// Object reader of a mux stream. The length is judged as soon as it is there, so nobody keeps a
// stream waiting with a length that cannot be one.

#include "lib/dmsg/inbox.h"

#include "lib/base/bytes.h"

enum {
	UNIT_MIN = NOISE_UNIT_OVERHEAD + SIGN_LEN + 1,
	UNIT_MAX = NOISE_UNIT_OVERHEAD + DMSG_OBJECT_MAX,
};

void dmsg_inbox_init(struct dmsg_inbox *in)
{
	in->err = DMSG_OK;
	in->have = 0;
	in->obj = NULL;
	in->obj_len = 0;
}

static enum dmsg_step fail(struct dmsg_inbox *in, enum dmsg_err err)
{
	in->err = err;
	return DMSG_FAILED;
}

// Bytes that are missing at this point.
static size_t missing(const struct dmsg_inbox *in)
{
	if (in->have < DMSG_FRAME_HDR_LEN)
		return DMSG_FRAME_HDR_LEN - in->have;
	return DMSG_FRAME_HDR_LEN + (size_t)be16_get(in->buf) - in->have;
}

static void take(struct dmsg_inbox *in, const uint8_t *p, size_t len, size_t *used)
{
	size_t n = missing(in);

	if (n > len - *used)
		n = len - *used;
	if (n > 0)
		memcpy(in->buf + in->have, p + *used, n);
	in->have += n;
	*used += n;
}

enum dmsg_step dmsg_inbox_feed(
	struct dmsg_inbox *in, struct dmsg_session *s, const uint8_t *p, size_t len, size_t *used)
{
	size_t unit_len;

	*used = 0;
	if (in->err != DMSG_OK || in->obj != NULL)
		return DMSG_FAILED;
	if (in->have < DMSG_FRAME_HDR_LEN)
		take(in, p, len, used);
	if (in->have < DMSG_FRAME_HDR_LEN)
		return DMSG_MORE;
	unit_len = be16_get(in->buf);
	if (unit_len == 0)
		return DMSG_PING;
	if (unit_len < UNIT_MIN)
		return fail(in, DMSG_ERR_OBJECT_SHORT);
	if (unit_len > UNIT_MAX)
		return fail(in, DMSG_ERR_TOO_LONG);
	take(in, p, len, used);
	if (missing(in) > 0)
		return DMSG_MORE;
	in->err = dmsg_session_open(
		s, in->buf + DMSG_FRAME_HDR_LEN, unit_len, &in->obj, &in->obj_len);
	return in->err == DMSG_OK ? DMSG_READY : DMSG_FAILED;
}

enum dmsg_step dmsg_inbox_feed_answer(
	struct dmsg_inbox *in, struct dmsg_session *s, const uint8_t *p, size_t len, size_t *used)
{
	enum dmsg_step step = dmsg_inbox_feed(in, s, p, len, used);

	return step == DMSG_PING ? fail(in, DMSG_ERR_OBJECT_SHORT) : step;
}

enum dmsg_err dmsg_inbox_request(const struct dmsg_inbox *in, struct dmsg_request *req)
{
	if (dmsg_request_read(req, in->obj, in->obj_len) < 0)
		return DMSG_ERR_MALFORMED;
	return dmsg_request_check(req, in->obj, in->obj_len);
}
