// One Noise connection over a byte stream (dmsg 2.4). Phases: shaking -> open, or dead from either.
// Time limits are the caller's: this file has no clock.

#include "lib/crypto/noise_rec.h"

#include "lib/base/bytes.h"
#include "lib/crypto/key.h"

enum {
	PHASE_NONE = 0, // zeroed memory
	PHASE_SHAKE,
	PHASE_OPEN,
	PHASE_DEAD,
};

static ssize_t die(struct noise_rec *r, ssize_t rc)
{
	key_wipe(r, sizeof(*r));
	r->phase = PHASE_DEAD;
	return rc;
}

int noise_rec_init(struct noise_rec *r, const struct noise_conf *conf)
{
	int rc;

	memset(r, 0, sizeof(*r));
	rc = noise_init(&r->hs, conf);
	if (rc == 0)
		r->phase = PHASE_SHAKE;
	return rc;
}

int noise_rec_adopt(struct noise_rec *r, const struct noise *done)
{
	int rc;

	memset(r, 0, sizeof(*r));
	rc = noise_unit_keys(done, &r->tx, &r->rx);
	if (rc < 0)
		return rc;
	r->hs = *done;
	r->phase = PHASE_OPEN;
	return 0;
}

void noise_rec_fini(struct noise_rec *r)
{
	key_wipe(r, sizeof(*r));
}

void noise_rec_engine(struct noise_rec *r, const struct aead_engine *by)
{
	r->by = r->tx.by = r->rx.by = by;
}

bool noise_rec_is_shaking(const struct noise_rec *r)
{
	return r->phase == PHASE_SHAKE;
}

bool noise_rec_is_open(const struct noise_rec *r)
{
	return r->phase == PHASE_OPEN;
}

const uint8_t *noise_rec_remote_static(const struct noise_rec *r)
{
	return noise_remote_static(&r->hs);
}

ssize_t noise_rec_frame_len(const uint8_t *p, size_t len)
{
	if (len < NOISE_REC_HDR_LEN)
		return -EAGAIN;
	if (be16_get(p) > NOISE_REC_BODY_MAX)
		return -EBADMSG;
	return NOISE_REC_HDR_LEN + be16_get(p);
}

// After each message: is the handshake done?
static int go_on(struct noise_rec *r)
{
	int rc;

	if (!noise_is_done(&r->hs))
		return 0;
	rc = noise_unit_keys(&r->hs, &r->tx, &r->rx);
	noise_rec_engine(r, r->by);
	if (rc == 0)
		r->phase = PHASE_OPEN;
	return rc;
}

ssize_t noise_rec_shake(struct noise_rec *r, uint8_t *out, size_t cap)
{
	ssize_t n;
	int rc;

	if (r->phase == PHASE_OPEN)
		return 0;
	if (r->phase != PHASE_SHAKE)
		return -EPIPE;
	if (!noise_is_writer(&r->hs))
		return 0;
	if (cap < NOISE_REC_HDR_LEN)
		return -ENOSPC;
	n = noise_write(&r->hs, NULL, 0, out + NOISE_REC_HDR_LEN, cap - NOISE_REC_HDR_LEN);
	if (n == -ENOSPC)
		return n;
	if (n < 0)
		return die(r, n);
	be16_put(out, (uint16_t)n);
	rc = go_on(r);
	return rc < 0 ? die(r, rc) : n + NOISE_REC_HDR_LEN;
}

ssize_t noise_rec_take_shake(struct noise_rec *r, const uint8_t *in, size_t len)
{
	uint8_t ignored[NOISE_REC_BODY_MAX];
	ssize_t n, rc;

	if (r->phase == PHASE_OPEN)
		return -EALREADY;
	if (r->phase != PHASE_SHAKE)
		return -EPIPE;
	if (noise_is_writer(&r->hs))
		return -EALREADY;
	n = noise_rec_frame_len(in, len);
	if (n == -EAGAIN || (n >= 0 && (size_t)n > len))
		return -EAGAIN;
	if (n < 0)
		return die(r, n);
	rc = noise_read(&r->hs, in + NOISE_REC_HDR_LEN, (size_t)n - NOISE_REC_HDR_LEN, ignored,
		sizeof(ignored));
	if (rc >= 0)
		rc = go_on(r);
	return rc < 0 ? die(r, rc) : n;
}

ssize_t noise_rec_seal(struct noise_rec *r, const void *in, size_t len, uint8_t *out, size_t cap)
{
	if (r->phase != PHASE_OPEN)
		return r->phase == PHASE_SHAKE ? -EAGAIN : -EPIPE;
	if (len > NOISE_REC_DATA_MAX)
		return -EMSGSIZE;
	return noise_unit_seal_frame(&r->tx, in, len, out, cap);
}

ssize_t noise_rec_open(
	struct noise_rec *r, uint8_t *in, size_t len, const uint8_t **data, size_t *data_len)
{
	uint8_t *unit = in + NOISE_REC_HDR_LEN;
	ssize_t n, rc;

	*data = NULL;
	*data_len = 0;
	if (r->phase != PHASE_OPEN)
		return r->phase == PHASE_SHAKE ? -EAGAIN : -EPIPE;
	n = noise_rec_frame_len(in, len);
	if (n == -EAGAIN || (n >= 0 && (size_t)n > len))
		return -EAGAIN;
	if (n < 0)
		return die(r, n);
	rc = noise_unit_open(
		&r->rx, unit, (size_t)n - NOISE_REC_HDR_LEN, unit + NOISE_UNIT_COUNTER_LEN);
	if (rc < 0)
		return die(r, rc);
	*data = unit + NOISE_UNIT_COUNTER_LEN;
	*data_len = (size_t)rc;
	return n;
}
