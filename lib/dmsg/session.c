// XK handshake of a dmsg session and its keys (dmsg 3.1, 3.7). The muxer, its frames and its
// keep-alives are not here: the session hands over the byte stream and keeps the keys.

#include "lib/dmsg/session.h"

#include "lib/base/bytes.h"
#include "lib/base/clock.h"

int dmsg_session_init(struct dmsg_session *s, const struct dmsg_session_conf *conf, uint64_t now_ns)
{
	struct noise_conf c = {
		.pattern = NOISE_XK,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = conf->server != NULL,
		.s = conf->sk->b,
		.rs = conf->server != NULL ? conf->server->b : NULL,
		.test_e = conf->test_e,
	};
	int rc;

	memset(s, 0, sizeof(*s));
	if (conf->pk != NULL) {
		s->pk = *conf->pk;
		rc = 0;
	} else {
		rc = key_pk_from_sk(&s->pk, conf->sk);
	}
	c.s_pk = s->pk.b;
	if (rc == 0)
		rc = noise_rec_init(&s->shake, &c);
	if (rc < 0)
		return rc;
	if (conf->server != NULL)
		s->peer = *conf->server;
	s->sk = conf->sk;
	s->ss = conf->ss;
	s->is_dialler = c.initiator;
	s->deadline_ns = now_ns + DMSG_SHAKE_TIMEOUT_MS * CLOCK_NS_PER_MS;
	s->phase = DMSG_PHASE_SHAKE;
	return 0;
}

void dmsg_session_fini(struct dmsg_session *s)
{
	key_wipe(s, sizeof(*s));
}

static void die(struct dmsg_session *s)
{
	noise_rec_fini(&s->shake);
	key_wipe(&s->tx, sizeof(s->tx));
	key_wipe(&s->rx, sizeof(s->rx));
	s->phase = DMSG_PHASE_DEAD;
}

// After a message: are both done?
static void go_on(struct dmsg_session *s, uint64_t now_ns)
{
	const uint8_t *peer = noise_rec_remote_static(&s->shake);

	if (peer != NULL)
		memcpy(s->peer.b, peer, KEY_PK_LEN);
	if (noise_rec_is_shaking(&s->shake))
		return;
	s->tx = s->shake.tx;
	noise_rx_any_init(&s->rx, &s->shake.rx);
	s->phase = DMSG_PHASE_OPEN;
	s->mux_from_ns = now_ns;
	if (s->is_dialler)
		s->mux_from_ns += DMSG_QUIET_MS * CLOCK_NS_PER_MS + (now_ns - s->asked_ns);
	noise_rec_fini(&s->shake);
}

ssize_t dmsg_session_output(struct dmsg_session *s, uint8_t *out, size_t cap, uint64_t now_ns)
{
	ssize_t n;

	if (s->phase != DMSG_PHASE_SHAKE)
		return s->phase == DMSG_PHASE_OPEN ? 0 : -EPIPE;
	n = noise_rec_shake(&s->shake, out, cap);
	if (n == -ENOSPC || n == 0)
		return n;
	if (n < 0) {
		die(s);
		return n;
	}
	if (s->asked_ns == 0)
		s->asked_ns = now_ns;
	go_on(s, now_ns);
	return n;
}

ssize_t dmsg_session_input(struct dmsg_session *s, const uint8_t *in, size_t len, uint64_t now_ns)
{
	ssize_t n;

	if (s->phase != DMSG_PHASE_SHAKE)
		return s->phase == DMSG_PHASE_OPEN ? -EALREADY : -EPIPE;
	n = noise_rec_take_shake(&s->shake, in, len);
	if (n == -EAGAIN || n == -EALREADY)
		return n;
	if (n < 0) {
		die(s);
		return n;
	}
	go_on(s, now_ns);
	return n;
}

bool dmsg_session_is_late(struct dmsg_session *s, uint64_t now_ns)
{
	if (s->phase != DMSG_PHASE_SHAKE || now_ns < s->deadline_ns)
		return false;
	die(s);
	return true;
}

bool dmsg_session_may_mux(const struct dmsg_session *s, uint64_t now_ns)
{
	return s->phase == DMSG_PHASE_OPEN && now_ns >= s->mux_from_ns;
}

ssize_t dmsg_session_seal(
	struct dmsg_session *s, const uint8_t *obj, size_t len, uint8_t *out, size_t cap)
{
	if (s->phase != DMSG_PHASE_OPEN)
		return -EPIPE;
	if (len > DMSG_OBJECT_MAX)
		return -EMSGSIZE;
	return noise_unit_seal_frame(&s->tx, obj, len, out, cap);
}

enum dmsg_err dmsg_session_open(
	struct dmsg_session *s, uint8_t *unit, size_t len, const uint8_t **obj, size_t *obj_len)
{
	ssize_t n;

	*obj = NULL;
	*obj_len = 0;
	if (s->phase != DMSG_PHASE_OPEN)
		return DMSG_ERR_SESSION_CLOSED;
	n = noise_unit_open_any(&s->rx, unit, len, unit + NOISE_UNIT_COUNTER_LEN);
	if (n < 0)
		return n == -EALREADY ? DMSG_ERR_REPLAYED : DMSG_ERR_NOT_AUTHENTIC;
	*obj = unit + NOISE_UNIT_COUNTER_LEN;
	*obj_len = (size_t)n;
	return DMSG_OK;
}

int dmsg_session_kk(const struct dmsg_session *s, const struct key_pk *peer, bool initiator,
	const uint8_t *test_e, struct noise *kk)
{
	const struct noise_conf c = {
		.pattern = NOISE_KK,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = initiator,
		.s = s->sk->b,
		.s_pk = s->pk.b,
		.rs = peer->b,
		.ss = s->ss != NULL ? ss_mem_get(s->ss, peer) : NULL,
		.test_e = test_e,
	};

	return noise_init(kk, &c);
}
