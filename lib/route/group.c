// The states of a route group and the packets that are due in each. Packets that are due are bits,
// so a peer that asks for the same thing a thousand times gets one answer, and nothing is queued
// here. Mux, per-frame noise and what else 2026 peers negotiate (skywire-routing 4.6) is not here:
// we offer none of it.
#include "lib/route/group.h"

#include "lib/base/clock.h"
#include "lib/crypto/key.h"

#include <stdio.h>
#include <string.h>

enum { DUE_SHAKE = 1, DUE_KEYS = 2, DUE_ERROR = 4, DUE_CLOSE = 8, DUE_PONG = 16, DUE_PING = 32 };

static uint64_t after(uint64_t now_ns, uint64_t ms)
{
	return now_ns + ms * CLOCK_NS_PER_MS;
}

int group_init(struct group_end *g, const struct group_conf *conf, uint64_t now_ns)
{
	struct noise_conf noise = {.pattern = NOISE_KK,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = conf->initiator,
		.s = conf->s,
		.s_pk = conf->s_pk,
		.rs = conf->rs,
		.test_e = conf->test_e};
	int rc;

	memset(g, 0, sizeof(*g));
	g->conf = *conf;
	g->conf.s = g->conf.s_pk = g->conf.rs = g->conf.test_e = NULL;
	rc = group_set_payload(g, conf->payload_max);
	if (rc == 0)
		rc = noise_rec_init(&g->rec, &noise);
	if (rc < 0)
		return rc;
	noise_rec_engine(&g->rec, conf->by);
	g->start_ns = g->sent_ns = g->shake_ns = now_ns;
	g->keys_ns = conf->initiator ? after(now_ns, GROUP_UNHEARD_MS) : UINT64_MAX;
	g->limit_ns = after(now_ns, conf->initiator ? GROUP_DIAL_MS : GROUP_ACCEPT_MS);
	return 0;
}

int group_set_payload(struct group_end *g, uint16_t payload_max)
{
	uint16_t max = payload_max != 0 ? payload_max : GROUP_PAYLOAD_MAX;

	if (max < GROUP_PAYLOAD_MIN || max > GROUP_PAYLOAD_MAX)
		return -EINVAL;
	g->conf.payload_max = max;
	return 0;
}

void group_fini(struct group_end *g)
{
	key_wipe(g, sizeof(*g));
}

enum group_state group_state(const struct group_end *g)
{
	return g->state;
}

int group_err(const struct group_end *g)
{
	return g->err;
}

const char *group_why(const struct group_end *g)
{
	return g->why;
}

bool group_is_closed(const struct group_end *g)
{
	return g->peer_closed || g->state == GROUP_OVER;
}

const struct group_stats *group_stats_of(const struct group_end *g)
{
	return &g->stats;
}

// ---- the end ----

static void begin_close(struct group_end *g, uint64_t now_ns, uint8_t due)
{
	g->state = GROUP_CLOSING;
	g->due = DUE_CLOSE | due;
	g->limit_ns = after(now_ns, GROUP_CLOSE_MS);
}

void group_fail(struct group_end *g, uint64_t now_ns, int err, const char *why)
{
	if (g->state >= GROUP_CLOSING)
		return;
	g->err = err;
	snprintf(g->why, sizeof(g->why), "%s", why);
	begin_close(g, now_ns, DUE_ERROR);
}

void group_close(struct group_end *g, uint64_t now_ns, const char *text)
{
	if (g->state >= GROUP_CLOSING || g->leaving)
		return;
	if (text != NULL && text[0] != '\0')
		snprintf(g->why, sizeof(g->why), "%s", text);
	if (g->state < GROUP_OPEN && g->sent_shake)
		g->leaving = true;
	else
		begin_close(g, now_ns, text != NULL && text[0] != '\0' ? DUE_ERROR : 0);
}

static void on_close(struct group_end *g, uint64_t now_ns, const uint8_t *p, size_t len)
{
	uint8_t code;

	if (route_close_decode(p, len, &code) < 0) {
		g->stats.rx_bad++;
		return;
	}
	g->peer_closed = true;
	if (g->state == GROUP_CLOSING) {
		if (!(g->due & DUE_CLOSE)) // else that is the answer, and it still has to go
			g->state = GROUP_OVER;
		return;
	}
	if (g->peer_error)
		g->err = -ECONNRESET;
	if (g->state < GROUP_OPEN) {
		g->err = -ECONNREFUSED;
		if (!g->peer_error)
			snprintf(g->why, sizeof(g->why),
				"the far end closed the route before the group was open");
	}
	g->close_code = code;
	begin_close(g, now_ns, 0);
}

// What people read may be anything.
static void on_error(struct group_end *g, const uint8_t *p, size_t len)
{
	int n;

	if (g->state >= GROUP_CLOSING || len == 0 || len > GROUP_ERROR_MAX) {
		g->stats.rx_bad++;
		return;
	}
	n = snprintf(g->why, sizeof(g->why), "the far end says: %.*s", (int)len, (const char *)p);
	for (int i = 0; i < n && g->why[i] != '\0'; i++)
		if ((unsigned char)g->why[i] < ' ' || (unsigned char)g->why[i] > '~')
			g->why[i] = '?';
	g->peer_error = true;
}

// ---- handshake ----

static void become_open(struct group_end *g, uint64_t now_ns)
{
	g->state = GROUP_OPEN;
	g->ping_ns = after(now_ns, GROUP_PING_MS);
	g->asked_ns = 0;
	if (g->leaving)
		begin_close(g, now_ns, g->why[0] != '\0' ? DUE_ERROR : 0);
}

static void become_plain(struct group_end *g, uint64_t now_ns)
{
	if (!g->conf.allow_plain || g->sent_keys) { // a noise message would be in its stream
		group_fail(g, now_ns, -EPROTONOSUPPORT,
			"the far end does not seal the route, and plaintext is not allowed here");
		return;
	}
	g->plain = true;
	become_open(g, now_ns);
}

static void on_shake(struct group_end *g, uint64_t now_ns, const uint8_t *p, size_t len)
{
	if (len == 0) {
		g->stats.rx_bad++;
		return;
	}
	if (g->state != GROUP_SHAKES) {
		g->stats.rx_again++;
		if (!g->conf.initiator && g->state < GROUP_CLOSING)
			g->due |= DUE_SHAKE; // ours was lost, or is late
		return;
	}
	if (!g->conf.initiator || !g->sent_shake)
		g->due |= DUE_SHAKE;
	if (p[0] == 0) {
		become_plain(g, now_ns);
		return;
	}
	g->state = GROUP_KEYS;
	g->limit_ns = after(now_ns, GROUP_KEYS_MS);
	g->keys_ns = g->sent_keys ? after(now_ns, GROUP_KEYS_AGAIN_MS) : UINT64_MAX;
	if (g->conf.initiator && !g->sent_keys)
		g->due |= DUE_KEYS;
}

// ---- frames ----

// The next whole frame of what came, where it lies or gathered: its length, 0: not whole yet,
// -EBADMSG.
static ssize_t next_frame(struct group_end *g, uint8_t **frame)
{
	size_t want, part;
	ssize_t n = noise_rec_frame_len(g->in, g->in_len);

	if (g->frame_len == 0 && n >= 0 && (size_t)n <= g->in_len) {
		*frame = g->in;
		g->in += n;
		g->in_len -= (size_t)n;
		return n;
	}
	for (;;) {
		n = noise_rec_frame_len(g->frame, g->frame_len);
		if (n == -EBADMSG)
			return n;
		want = n == -EAGAIN ? NOISE_REC_HDR_LEN : (size_t)n;
		if (want == g->frame_len)
			break;
		part = want - g->frame_len < g->in_len ? want - g->frame_len : g->in_len;
		if (part == 0)
			return 0;
		memcpy(g->frame + g->frame_len, g->in, part);
		g->frame_len += part;
		g->in += part;
		g->in_len -= part;
	}
	g->frame_len = 0;
	*frame = g->frame;
	return n;
}

static void take_keys(struct group_end *g, uint64_t now_ns)
{
	uint8_t *frame;
	ssize_t n = next_frame(g, &frame);

	if (n > 0)
		n = noise_rec_take_shake(&g->rec, frame, (size_t)n);
	// nobody can seal a record before our message
	if (n < 0 || (n > 0 && !g->conf.initiator && g->in_len > 0))
		group_fail(g, now_ns, -EBADMSG,
			"the far end's noise message is not authentic: is it whom we mean?");
	else if (n > 0 && !g->conf.initiator)
		g->due |= DUE_KEYS;
	else if (n > 0)
		become_open(g, now_ns);
}

static void on_data(struct group_end *g, uint64_t now_ns, uint8_t *p, size_t len)
{
	g->stats.rx_packets++;
	if (len == 0 || g->state >= GROUP_CLOSING)
		return;
	g->in = p;
	g->in_len = len;
	if (g->state == GROUP_SHAKES) {
		g->stats.rx_bad++;
		become_plain(g, now_ns);
	} else if (g->state == GROUP_KEYS) {
		take_keys(g, now_ns);
	}
}

size_t group_read(struct group_end *g, uint64_t now_ns, uint8_t **data)
{
	const uint8_t *opened = g->in;
	size_t len = g->in_len;
	uint8_t *frame;
	ssize_t n;

	if (g->state != GROUP_OPEN || len == 0)
		return 0;
	if (g->plain) {
		g->in_len = 0;
	} else {
		do {
			n = next_frame(g, &frame);
			if (n > 0)
				n = noise_rec_open(&g->rec, frame, (size_t)n, &opened, &len);
		} while (n > 0 && len == 0);
		if (n < 0)
			group_fail(g, now_ns, -EBADMSG, "a record that came is not authentic");
		if (n <= 0)
			return 0;
	}
	g->stats.rx_bytes += len;
	*data = (uint8_t *)(uintptr_t)opened;
	return len;
}

// ---- packets that came ----

static void on_pong(struct group_end *g, uint64_t now_ns, const uint8_t *p, size_t len)
{
	int64_t time_ms;

	if (route_pong_decode(p, len, &time_ms) < 0 || g->asked_ns == 0 || time_ms != g->asked_ms) {
		g->stats.rx_bad++;
		return;
	}
	g->stats.rtt_us = (uint32_t)((now_ns - g->asked_ns) / CLOCK_NS_PER_US);
	g->stats.rtt_us += g->stats.rtt_us == 0; // 0: not known
	g->asked_ns = 0;
}

static void on_ping(struct group_end *g, const uint8_t *p, size_t len)
{
	struct route_ping ping;

	if (route_ping_decode(p, len, &ping) < 0) {
		g->stats.rx_bad++;
		return;
	}
	g->stats.peer_Bps = ping.throughput_Bps > 0 ? (uint64_t)ping.throughput_Bps : 0;
	g->pong_ms = ping.time_ms;
	if (g->state < GROUP_CLOSING)
		g->due |= DUE_PONG;
}

void group_take(struct group_end *g, uint64_t now_ns, uint8_t *packet, size_t len)
{
	uint8_t *p = packet + ROUTE_HDR_LEN;

	g->in_len = 0;
	if (g->state == GROUP_OVER)
		return;
	if (!route_hdr_is_whole(packet, len)) {
		g->stats.rx_bad++;
		return;
	}
	len -= ROUTE_HDR_LEN;
	switch (route_hdr_type(packet)) {
	case ROUTE_DATA:
		on_data(g, now_ns, p, len);
		break;
	case ROUTE_CLOSE:
		on_close(g, now_ns, p, len);
		break;
	case ROUTE_KEEP_ALIVE:
		break;
	case ROUTE_HANDSHAKE:
		on_shake(g, now_ns, p, len);
		break;
	case ROUTE_PING:
		on_ping(g, p, len);
		break;
	case ROUTE_PONG:
		on_pong(g, now_ns, p, len);
		break;
	case ROUTE_ERROR:
		on_error(g, p, len);
		break;
	default:
		g->stats.rx_bad++;
	}
}

// ---- time ----

static uint64_t keep_ns(const struct group_end *g)
{
	return g->conf.keep_alive_ms != 0 ? after(g->sent_ns, g->conf.keep_alive_ms / 3)
					  : UINT64_MAX;
}

static void turn(struct group_end *g, uint64_t now_ns)
{
	if (g->state <= GROUP_KEYS && now_ns >= g->keys_ns) {
		g->sent_keys = true;
		g->keys_ns = UINT64_MAX;
		g->due |= DUE_KEYS;
	}
	switch (g->state) {
	case GROUP_SHAKES:
		if (now_ns >= g->limit_ns) {
			group_fail(g, now_ns, -ETIMEDOUT, "no handshake came from the far end");
		} else if (g->conf.initiator && now_ns >= g->shake_ns) {
			g->due |= DUE_SHAKE;
			g->shake_ns = after(now_ns, GROUP_REPEAT_MS);
		}
		break;
	case GROUP_KEYS:
		if (now_ns >= g->limit_ns)
			group_fail(g, now_ns, -ETIMEDOUT,
				"the far end did not finish the noise handshake");
		break;
	case GROUP_OPEN:
		if (now_ns >= g->ping_ns)
			g->due |= DUE_PING;
		break;
	case GROUP_CLOSING:
		if (now_ns >= g->limit_ns)
			g->state = GROUP_OVER;
		break;
	default:
		break;
	}
}

uint64_t group_next_ns(const struct group_end *g)
{
	uint64_t next = g->limit_ns;

	if (g->state == GROUP_OVER)
		return UINT64_MAX;
	if (g->due != 0)
		return 0;
	if (g->state == GROUP_SHAKES && g->conf.initiator && g->shake_ns < next)
		next = g->shake_ns;
	if (g->state <= GROUP_KEYS && g->keys_ns < next)
		next = g->keys_ns;
	if (g->state == GROUP_OPEN)
		next = g->ping_ns < keep_ns(g) ? g->ping_ns : keep_ns(g);
	return next;
}

// ---- packets that go ----

static size_t put_ping(struct group_end *g, uint64_t now_ns, uint8_t *out, size_t cap)
{
	uint64_t since_ns = now_ns - g->ping_ns + GROUP_PING_MS * CLOCK_NS_PER_MS;
	uint64_t ms = since_ns / CLOCK_NS_PER_MS;
	struct route_ping ping = {
		.time_ms = g->conf.wall_ms + (int64_t)((now_ns - g->start_ns) / CLOCK_NS_PER_MS),
		.throughput_Bps = (int64_t)((g->stats.rx_bytes - g->rx_asked) * 1000 / ms)};

	g->rx_asked = g->stats.rx_bytes;
	g->asked_ms = ping.time_ms;
	g->asked_ns = now_ns;
	g->ping_ns = after(now_ns, GROUP_PING_MS);
	return (size_t)route_ping_encode(out, cap, g->conf.forward_id, &ping);
}

static size_t put_text(const struct group_end *g, uint8_t *out, size_t cap)
{
	size_t len = strlen(g->why);

	route_hdr_put(out, ROUTE_ERROR, g->conf.forward_id, (uint16_t)len);
	memcpy(out + ROUTE_HDR_LEN, g->why, len);
	return ROUTE_HDR_LEN + len;
}

static size_t put_close(struct group_end *g, uint64_t now_ns, uint8_t *out, size_t cap)
{
	g->limit_ns = after(now_ns, GROUP_CLOSE_MS);
	if (g->peer_closed)
		g->state = GROUP_OVER;
	return (size_t)route_close_encode(out, cap, g->conf.forward_id, g->close_code);
}

static size_t put_keys(struct group_end *g, uint64_t now_ns, uint8_t *out)
{
	ssize_t n = g->keys_len;

	if (n == 0)
		n = noise_rec_shake(&g->rec, g->keys, sizeof(g->keys));
	if (n <= 0) {
		group_fail(g, now_ns, -EIO, "no noise message could be made");
		return 0;
	}
	g->keys_len = (uint8_t)n;
	route_hdr_put(out, ROUTE_DATA, g->conf.forward_id, (uint16_t)n);
	memcpy(out + ROUTE_HDR_LEN, g->keys, (size_t)n);
	if (!g->conf.initiator)
		become_open(g, now_ns);
	return ROUTE_HDR_LEN + (size_t)n;
}

static size_t put(struct group_end *g, uint8_t due, uint64_t now_ns, uint8_t *out, size_t cap)
{
	switch (due) {
	case DUE_SHAKE:
		g->sent_shake = true;
		route_hdr_put(out, ROUTE_HANDSHAKE, g->conf.forward_id, 1);
		out[ROUTE_HDR_LEN] = !g->plain;
		return ROUTE_HDR_LEN + 1;
	case DUE_KEYS:
		return put_keys(g, now_ns, out);
	case DUE_ERROR:
		return put_text(g, out, cap);
	case DUE_CLOSE:
		return put_close(g, now_ns, out, cap);
	case DUE_PONG:
		return (size_t)route_pong_encode(out, cap, g->conf.forward_id, g->pong_ms);
	default:
		return put_ping(g, now_ns, out, cap);
	}
}

size_t group_pull(struct group_end *g, uint64_t now_ns, uint8_t *out, size_t cap)
{
	size_t n = 0;

	turn(g, now_ns);
	while (g->due != 0 && n == 0 && g->state != GROUP_OVER) {
		uint8_t due = g->due & (uint8_t)-g->due; // they are in the order of their bits

		g->due &= (uint8_t)~due;
		n = put(g, due, now_ns, out, cap);
	}
	if (n == 0 && g->state == GROUP_OPEN && now_ns >= keep_ns(g))
		n = (size_t)route_keep_alive_encode(out, cap, g->conf.forward_id);
	if (n > 0)
		g->sent_ns = now_ns;
	return n;
}

ssize_t group_write(struct group_end *g, uint64_t now_ns, const void *p, size_t len, uint8_t *out,
	size_t cap, size_t *packet_len)
{
	size_t part = g->conf.payload_max - (g->plain ? 0 : NOISE_REC_OVERHEAD);
	ssize_t n;

	*packet_len = 0;
	if (g->state >= GROUP_CLOSING || g->leaving)
		return -EPIPE;
	if (g->state != GROUP_OPEN)
		return -EAGAIN;
	if (len == 0 || (g->due & (DUE_SHAKE | DUE_KEYS)) != 0)
		return 0; // an empty DATA is the end of the stream to Go's readers
	part = len < part ? len : part;
	n = (ssize_t)part;
	if (g->plain)
		memcpy(out + ROUTE_HDR_LEN, p, part);
	else
		n = noise_rec_seal(&g->rec, p, part, out + ROUTE_HDR_LEN, cap - ROUTE_HDR_LEN);
	if (n < 0) {
		group_fail(g, now_ns, (int)n, "a record could not be sealed");
		return -EPIPE;
	}
	route_hdr_put(out, ROUTE_DATA, g->conf.forward_id, (uint16_t)n);
	*packet_len = ROUTE_HDR_LEN + (size_t)n;
	g->sent_ns = now_ns;
	g->stats.tx_packets++;
	g->stats.tx_bytes += part;
	return (ssize_t)part;
}
