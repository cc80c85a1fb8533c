// A dmsg server as a client sees it, and the two ends of a stream. The input is what comes over the
// wire; its first byte says where. Handshake bytes are fed as they are; objects are sealed with the
// right keys first, so that the checks behind the seal are reached.

#include "lib/dmsg/accept.h"
#include "lib/dmsg/dial.h"
#include "lib/dmsg/relay.h"

#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

static const uint8_t e[4][32] = {{[31] = 5}, {[31] = 6}, {[31] = 7}, {[31] = 8}};
static const struct key_sk client_sk = {{[31] = 11}}, server_sk = {{[31] = 12}};

static void join(struct dmsg_session *c, struct dmsg_session *s)
{
	uint8_t frame[NOISE_REC_FRAME_MAX];
	struct key_pk pk;

	fuzz_check(key_pk_from_sk(&pk, &server_sk) == 0);
	struct dmsg_session_conf conf = {.sk = &client_sk, .server = &pk, .test_e = e[0]};
	fuzz_check(dmsg_session_init(c, &conf, 1) == 0);
	conf = (struct dmsg_session_conf){.sk = &server_sk, .test_e = e[1]};
	fuzz_check(dmsg_session_init(s, &conf, 1) == 0);
	for (unsigned m = 0; m < 3; m++) {
		struct dmsg_session *from = m == 1 ? s : c, *to = m == 1 ? c : s;
		ssize_t n = dmsg_session_output(from, frame, sizeof(frame), 1);

		fuzz_check(n > 0 && dmsg_session_input(to, frame, (size_t)n, 1) == n);
	}
}

static void shake(const uint8_t *p, size_t len)
{
	struct dmsg_session_conf conf = {.sk = &server_sk, .test_e = e[1]};
	uint8_t out[NOISE_REC_FRAME_MAX];
	struct dmsg_session s;

	fuzz_check(dmsg_session_init(&s, &conf, 1) == 0);
	while (s.phase == DMSG_PHASE_SHAKE) {
		ssize_t n = dmsg_session_input(&s, p, len, 2);

		if (n < 0) {
			fuzz_check(n == -EAGAIN ? s.phase == DMSG_PHASE_SHAKE
						: n == -EBADMSG && s.phase == DMSG_PHASE_DEAD);
			return;
		}
		fuzz_check((size_t)n <= len);
		p += n;
		len -= (size_t)n;
		fuzz_check(dmsg_session_output(&s, out, sizeof(out), 2) >= 0);
	}
}

// The bytes as an object that the peer sealed; or, when they are too many, as they are.
static size_t wrap(struct dmsg_session *from, const uint8_t *p, size_t len, bool sealed,
	uint8_t frame[DMSG_FRAME_MAX])
{
	if (sealed && len <= DMSG_OBJECT_MAX)
		return (size_t)dmsg_session_seal(from, p, len, frame, DMSG_FRAME_MAX);
	len = len < DMSG_FRAME_MAX ? len : DMSG_FRAME_MAX;
	if (len > 0)
		memcpy(frame, p, len);
	return len;
}

static void at_server(const uint8_t *p, size_t len, bool sealed)
{
	static uint8_t frame[DMSG_FRAME_MAX];
	static struct dmsg_session c, s;
	static struct dmsg_relay r;
	static struct dmsg_accept a;
	struct noise_rec rec;
	size_t used, n;

	join(&c, &s);
	n = wrap(&c, p, len, sealed, frame);
	dmsg_relay_init(&r);
	if (dmsg_relay_feed(&r, &s, true, frame, n, &used) == DMSG_READY) {
		fuzz_check(r.err == DMSG_OK && !key_pk_is_null(&r.req.src.pk));
		if (dmsg_relay_where(&r, &s) == RELAY_ONWARD)
			fuzz_check(dmsg_noise_is_safe(r.req.noise));
		fuzz_check(dmsg_relay_onward(&r, &s, frame, sizeof(frame)) > 0);
	}
	fuzz_check(used <= n);
	n = wrap(&c, p, len, sealed, frame);
	dmsg_accept_init(&a);
	if (dmsg_accept_feed(&a, &s, frame, n, &used) == DMSG_READY)
		(void)dmsg_accept_answer(&a, &s, e[2], &rec, frame, sizeof(frame));
	fuzz_check(used <= n);
}

static void at_dialler(const uint8_t *p, size_t len, bool sealed)
{
	static uint8_t frame[DMSG_FRAME_MAX];
	static struct dmsg_session c, s;
	static struct dmsg_dial d;
	struct noise_rec rec;
	size_t used, n;

	join(&c, &s);
	struct dmsg_dial_conf conf = {
		.dst = {s.pk, 1}, .src_port = 2, .wall_ns = 3, .test_e = e[3]};
	fuzz_check(dmsg_dial_start(&d, &c, &conf, frame, sizeof(frame)) > 0);
	n = wrap(&s, p, len, sealed, frame);
	if (dmsg_dial_feed(&d, &c, frame, n, &used) == DMSG_READY)
		fuzz_check(dmsg_dial_keys(&d, &rec) == 0);
	else
		fuzz_check(dmsg_dial_keys(&d, &rec) < 0);
	fuzz_check(used <= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 5) {
	case 0:
		shake(data + 1, size - 1);
		break;
	case 1:
	case 2:
		at_server(data + 1, size - 1, data[0] % 5 == 1);
		break;
	default:
		at_dialler(data + 1, size - 1, data[0] % 5 == 3);
	}
	return 0;
}
