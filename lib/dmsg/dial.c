// The dialling end of a stream (dmsg 5.1, 4.3). Which session to use, which port is free and how
// long to wait is decided above.

#include "lib/dmsg/dial.h"

static ssize_t make_request(struct dmsg_dial *d, struct dmsg_session *s,
	const struct dmsg_dial_conf *conf, uint8_t *out, size_t cap)
{
	uint8_t msg[DMSG_NOISE_MIN_LEN], obj[DMSG_OBJECT_MAX];
	struct dmsg_request req = {
		.timestamp_ns = conf->wall_ns,
		.src = d->src,
		.dst = d->dst,
		.ip_info = conf->ip_request,
	};
	ssize_t n;

	if (!conf->ip_request) {
		n = dmsg_session_kk(s, &conf->dst.pk, true, conf->test_e, &d->kk);
		if (n == 0)
			n = noise_write(&d->kk, NULL, 0, msg, sizeof(msg));
		if (n < 0)
			return n == -EIO ? n : -EINVAL;
		req.noise = (struct gob_span){msg, (size_t)n};
	}
	n = dmsg_request_make(&req, s->sk, obj, sizeof(obj));
	if (n < 0)
		return n;
	dmsg_object_hash(d->req_hash, obj, (size_t)n);
	return dmsg_session_seal(s, obj, (size_t)n, out, cap);
}

ssize_t dmsg_dial_start(struct dmsg_dial *d, struct dmsg_session *s,
	const struct dmsg_dial_conf *conf, uint8_t *out, size_t cap)
{
	ssize_t n;

	memset(d, 0, offsetof(struct dmsg_dial, in));
	dmsg_inbox_init(&d->in);
	if (s->phase != DMSG_PHASE_OPEN)
		return -EPIPE;
	d->src = (struct dmsg_addr){s->pk, conf->src_port};
	d->dst = conf->dst;
	if (conf->ip_request && d->dst.port == 0)
		d->dst.port = DMSG_PORT_IP_REQUEST;
	d->ip_request = conf->ip_request;
	if (d->src.port == 0 || d->dst.port == 0 || !key_pk_is_valid(&d->dst.pk))
		return -EINVAL;
	n = make_request(d, s, conf, out, cap);
	if (n < 0)
		dmsg_dial_fini(d);
	return n;
}

// Skywire's server says IPv4 addresses in 16 bytes.
static void take_ip(struct dmsg_dial *d, const struct dmsg_response *resp)
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, 0xff};
	size_t skip = 0;

	if (resp->ip_len == 16 && memcmp(resp->ip, v4_mapped, sizeof(v4_mapped)) == 0)
		skip = sizeof(v4_mapped);
	d->ip_len = (uint8_t)(resp->ip_len - skip);
	memcpy(d->ip, resp->ip + skip, d->ip_len);
}

static enum dmsg_err take_answer(struct dmsg_dial *d)
{
	struct dmsg_response resp;
	uint8_t ignored[DMSG_NOISE_MAX_LEN];
	enum dmsg_err err;

	if (dmsg_response_read(&resp, d->in.obj, d->in.obj_len) < 0)
		return DMSG_ERR_MALFORMED;
	err = dmsg_response_check(&resp, d->in.obj, d->in.obj_len, d->req_hash, &d->dst.pk);
	if (err != DMSG_OK)
		return err;
	if (d->ip_request) {
		take_ip(d, &resp);
		return resp.ip_len > 0 ? DMSG_OK : DMSG_ERR_RESP_REFUSED;
	}
	if (resp.noise.len > sizeof(ignored) ||
		noise_read(&d->kk, resp.noise.p, resp.noise.len, ignored, sizeof(ignored)) < 0)
		return DMSG_ERR_NOISE;
	return DMSG_OK;
}

enum dmsg_step dmsg_dial_feed(
	struct dmsg_dial *d, struct dmsg_session *s, const uint8_t *p, size_t len, size_t *used)
{
	enum dmsg_step step = dmsg_inbox_feed_answer(&d->in, s, p, len, used);

	if (step == DMSG_MORE)
		return step;
	d->err = step == DMSG_READY ? take_answer(d) : d->in.err;
	return step == DMSG_READY && d->err == DMSG_OK ? DMSG_READY : DMSG_FAILED;
}

int dmsg_dial_keys(const struct dmsg_dial *d, struct noise_rec *rec)
{
	if (d->ip_request || d->err != DMSG_OK)
		return -EAGAIN;
	return noise_rec_adopt(rec, &d->kk);
}

void dmsg_dial_fini(struct dmsg_dial *d)
{
	noise_fini(&d->kk);
	dmsg_inbox_init(&d->in);
}
