// A stream to each hypervisor, dialled again for as long as the node lives, and the calls on it.
// Each call is answered where it is read; a caller that does not read his answers loses the stream,
// so nothing is queued here.
#include "controlplane/rpc/visor_rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("rpc");

enum {
	DIAL_MS = 20000,
	ANSWER_MAX = 2048, // a head, an error and descriptors
};

struct peer {
	struct visor_rpc *v;
	struct key_pk pk;
	struct dmsg_client_dial *dial;
	struct conn *conn;
	struct loop_timer *timer; // until the next try
	struct netrpc_rx *rx; // while there is a stream
	struct netrpc_tx tx;
	enum dmsg_link_state state;
	char why[DMSG_CLIENT_WHY_LEN];
	unsigned fails;
	uint64_t since_ns, calls;
};

struct visor_rpc {
	struct visor_rpc_conf conf;
	struct peer peer[VISOR_RPC_HYPERVISORS_MAX];
	struct visor_rpc_stats stats;
};

static void set_state(struct peer *p, enum dmsg_link_state state)
{
	p->state = state;
	p->since_ns = clock_mono_ns();
}

static void close_all(struct peer *p)
{
	dmsg_client_dial_cancel(p->dial);
	p->dial = NULL;
	conn_close(p->conn);
	p->conn = NULL;
	free(p->rx);
	p->rx = NULL;
}

static void peer_over(struct peer *p, const char *why)
{
	struct visor_rpc *v = p->v;
	char key[KEY_PK_TEXT_LEN + 1];
	uint64_t up_ns = 0;

	key_pk_to_text(&p->pk, key);
	if (p->state == DMSG_LINK_OPEN) {
		v->stats.lost++;
		up_ns = clock_mono_ns() - p->since_ns;
		log_notice("hypervisor lost: key=%.8s: %s", key, why);
	} else {
		v->stats.failed++;
		log_limited(LOG_WARN, "no stream to a hypervisor: key=%.8s: %s", key, why);
	}
	close_all(p);
	snprintf(p->why, sizeof(p->why), "%s", why);
	set_state(p, DMSG_LINK_WAITS);
	p->fails = backoff_fails(p->fails, up_ns);
	loop_timer_start(p->timer, backoff_ms(p->fails, v->conf.retry_min_ms, BACKOFF_MAX_MS), 0);
}

// ---- calls ----

static void set_lan(struct peer *p, struct bytes_w *w)
{
	struct visor_rpc *v = p->v;
	const char *why = NULL;
	char key[KEY_PK_TEXT_LEN + 1];
	struct visor_lan lan;
	bool taken = false;

	if (visor_lan_read(&lan, p->rx) < 0) {
		why = "SetLANDmsgServer: an argument of another type, or none that can be used";
	} else if (lan.enabled && !key_pk_is_null(&lan.pk) &&
		   (lan.address[0] != '\0' || lan.public_address[0] != '\0')) {
		why = v->conf.set_lan(v->conf.arg, &lan, &p->pk);
		taken = why == NULL;
	}
	if (taken)
		v->stats.taken++;
	else
		v->stats.refused++;
	if (why != NULL) {
		key_pk_to_text(&p->pk, key);
		log_limited(LOG_WARN, "push of a hypervisor refused: key=%.8s: %s", key, why);
		netrpc_put_error(&p->tx, w, p->rx->method, p->rx->seq, why);
		return;
	}
	netrpc_put_response(&p->tx, w, p->rx->method, p->rx->seq);
	netrpc_put_bool(w, taken);
}

// 0, or -errno: the stream is to be ended.
static int answer(struct peer *p)
{
	uint8_t out[ANSWER_MAX];
	struct bytes_w w = bytes_w(out, sizeof(out));
	char text[NETRPC_ERROR_MAX];

	p->calls++;
	if (strcmp(p->rx->method, VISOR_SET_LAN) == 0) {
		set_lan(p, &w);
	} else {
		p->v->stats.unknown++;
		netrpc_put_error(&p->tx, &w, p->rx->method, p->rx->seq,
			netrpc_no_method(p->rx->method, VISOR_SERVICE, text, sizeof(text)));
	}
	if (w.bad)
		return -EMSGSIZE;
	return conn_write(p->conn, out, bytes_w_len(&w)) == bytes_w_done(&w) ? 0 : -ENOBUFS;
}

static size_t on_data(void *arg, uint8_t *bytes, size_t len)
{
	struct peer *p = arg;
	size_t used = 0;

	while (used < len) {
		bool ready;
		ssize_t n = netrpc_take(p->rx, bytes + used, len - used, &ready);
		int rc = n < 0 ? (int)n : 0;

		if (n < 0)
			p->v->stats.bad++;
		else
			used += (size_t)n;
		if (ready)
			rc = answer(p);
		if (rc < 0) {
			peer_over(p, rc == -EBADMSG   ? "it sent what is no call"
				     : rc == -ENOBUFS ? "it does not read its answers"
						      : strerror(-rc));
			return len;
		}
	}
	return len;
}

static void on_end(void *arg, int err)
{
	char why[DMSG_CLIENT_WHY_LEN];

	snprintf(why, sizeof(why), "the session to the server broke: %s", strerror(-err));
	peer_over(arg, err != 0 ? why : "it closed the stream");
}

static const struct conn_events stream_events = {.data = on_data, .end = on_end};

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct peer *p = arg;
	char text[DMSG_CLIENT_WHY_LEN];

	p->dial = NULL;
	if (take_conn == NULL) {
		dmsg_client_dial_text(p->v->conf.client, code, err, text, sizeof(text));
		peer_over(p, text);
		return;
	}
	p->conn = take_conn;
	conn_set_events(take_conn, &stream_events, p);
	p->rx = calloc(1, sizeof(*p->rx));
	memset(&p->tx, 0, sizeof(p->tx));
	if (p->rx == NULL) {
		peer_over(p, strerror(ENOMEM));
		return;
	}
	set_state(p, DMSG_LINK_OPEN);
	p->v->stats.opened++;
	key_pk_to_text(&p->pk, text);
	log_notice("hypervisor reached: key=%.8s", text);
}

static void peer_dial(void *arg)
{
	struct peer *p = arg;
	struct dmsg_addr to = {p->pk, VISOR_RPC_PORT};

	set_state(p, DMSG_LINK_DIALS);
	p->dial = dmsg_client_dial(p->v->conf.client, &to, DIAL_MS, on_dialled, p);
	if (p->dial == NULL)
		peer_over(p, strerror(errno));
}

// ---- the whole ----

struct visor_rpc *visor_rpc_new(const struct visor_rpc_conf *conf)
{
	struct visor_rpc *v;
	bool ok = true;

	if (conf->n_hypervisors > VISOR_RPC_HYPERVISORS_MAX)
		return errno_null(EINVAL);
	v = calloc(1, sizeof(*v));
	if (v == NULL)
		return NULL;
	v->conf = *conf;
	v->conf.hypervisors = NULL; // was borrowed
	if (v->conf.retry_min_ms == 0)
		v->conf.retry_min_ms = BACKOFF_MIN_MS;
	for (uint32_t i = 0; i < conf->n_hypervisors; i++) {
		struct peer *p = &v->peer[i];

		p->v = v;
		p->pk = conf->hypervisors[i];
		p->timer = loop_timer_new(conf->loop, peer_dial, p);
		ok = ok && p->timer != NULL;
		set_state(p, DMSG_LINK_WAITS);
	}
	if (!ok) {
		visor_rpc_free(v);
		return errno_null(ENOMEM);
	}
	for (uint32_t i = 0; i < conf->n_hypervisors; i++)
		loop_timer_start(v->peer[i].timer, 0, 0);
	return v;
}

void visor_rpc_free(struct visor_rpc *v)
{
	if (v == NULL)
		return;
	for (uint32_t i = 0; i < v->conf.n_hypervisors; i++) {
		close_all(&v->peer[i]);
		loop_timer_free(v->peer[i].timer);
	}
	free(v);
}

void visor_rpc_stats_get(const struct visor_rpc *v, struct visor_rpc_stats *out)
{
	*out = v->stats;
}

void visor_rpc_each(
	const struct visor_rpc *v, void (*fn)(void *arg, const struct visor_rpc_peer *p), void *arg)
{
	for (uint32_t i = 0; i < v->conf.n_hypervisors; i++) {
		const struct peer *p = &v->peer[i];
		struct visor_rpc_peer out = {.pk = p->pk,
			.state = p->state,
			.why = p->why,
			.since_ns = p->since_ns,
			.calls = p->calls};

		fn(arg, &out);
	}
}
