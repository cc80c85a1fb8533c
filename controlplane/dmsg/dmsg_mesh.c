// A link to each peer that has an address: dialled, and dialled again for as long as the server
// lives. A link is the same session that a client makes, under the server's key; that we are a peer
// over there is said by the configuration there, by nothing on the wire.
#include "controlplane/dmsg/dmsg_mesh.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("dmsg");

struct peer {
	struct dmsg_mesh *m;
	struct dmsg_server_at conf;
	struct dmsg_link *link;
	struct loop_timer *timer; // until the next try
	enum dmsg_mesh_state state;
	int err;
	unsigned fails;
	uint64_t since_ns, opened;
};

struct dmsg_mesh {
	struct dmsg_mesh_conf conf;
	const struct dmsg_mesh_events *ev;
	void *arg;
	struct peer_mem *mem;
	struct peer peer[DMSG_MESH_PEERS_MAX];
};

static unsigned number_of(const struct peer *p)
{
	return (unsigned)(p - p->m->peer);
}

static void set_state(struct peer *p, enum dmsg_mesh_state state)
{
	p->state = state;
	p->since_ns = clock_mono_ns();
}

// The link, or the try to have one, is over: again after a while.
static void link_over(struct peer *p, int err)
{
	uint64_t up_ns = 0;

	if (p->state == DMSG_MESH_OPEN) {
		up_ns = clock_mono_ns() - p->since_ns;
		log_notice("peer lost: server=%s: %s", p->conf.address, dmsg_link_error(err));
		p->m->ev->over(p->m->arg, number_of(p));
	} else {
		log_limited(
			LOG_WARN, "no peer: server=%s: %s", p->conf.address, dmsg_link_error(err));
	}
	dmsg_link_close(p->link);
	p->link = NULL;
	p->err = err;
	set_state(p, DMSG_MESH_WAITS);
	p->fails = backoff_fails(p->fails, up_ns);
	loop_timer_start(
		p->timer, backoff_ms(p->fails, p->m->conf.retry_min_ms, BACKOFF_MAX_MS), 0);
}

static void on_link_open(void *arg)
{
	struct peer *p = arg;

	set_state(p, DMSG_MESH_OPEN);
	p->opened++;
	log_notice("peer open: server=%s", p->conf.address);
	(void)dmsg_link_ping(p->link); // for the list
	p->m->ev->open(p->m->arg, number_of(p), p->link);
}

static void on_link_accept(void *arg, struct conn *take_stream)
{
	struct peer *p = arg;

	p->m->ev->accept(p->m->arg, number_of(p), take_stream);
}

static void on_link_end(void *arg, int err)
{
	link_over(arg, err);
}

static const struct dmsg_link_events link_events = {
	.open = on_link_open,
	.accept = on_link_accept,
	.end = on_link_end,
};

static void peer_dial(void *arg)
{
	struct peer *p = arg;
	struct dmsg_link_conf c = {
		.sk = identity_sk(p->m->conf.id),
		.pk = identity_pk(p->m->conf.id),
		.server = &p->conf.pk,
		.mux = DMSG_LINK_YAMUX, // between servers it always is (dmsg 3.3)
		.streams_max = p->m->conf.session_streams,
	};

	set_state(p, DMSG_MESH_DIALS);
	p->link = dmsg_link_dial(p->m->conf.loop, p->conf.address, &c, &link_events, p);
	if (p->link == NULL)
		link_over(p, -errno);
}

// ---- whom to ask ----

int dmsg_mesh_find(const struct dmsg_mesh *m, const struct key_pk *pk)
{
	for (uint32_t i = 0; i < m->conf.n_peers; i++)
		if (key_pk_cmp(&m->peer[i].conf.pk, pk) == 0)
			return (int)i;
	return -1;
}

bool dmsg_mesh_dials(const struct dmsg_mesh *m, unsigned peer)
{
	return m->peer[peer].conf.address[0] != '\0';
}

int dmsg_mesh_next(const struct dmsg_mesh *m, const struct key_pk *pk, uint64_t peers)
{
	return peer_mem_next(m->mem, pk, peers, clock_mono_ns());
}

void dmsg_mesh_said(struct dmsg_mesh *m, const struct key_pk *pk, unsigned peer, bool there)
{
	(there ? peer_mem_there : peer_mem_not_there)(m->mem, pk, peer, clock_mono_ns());
}

// ---- the whole ----

static bool peers_are_good(const struct dmsg_mesh_conf *conf)
{
	if (conf->n_peers > DMSG_MESH_PEERS_MAX)
		return false;
	for (uint32_t i = 0; i < conf->n_peers; i++) {
		if (key_pk_cmp(&conf->peers[i].pk, identity_pk(conf->id)) == 0)
			return false;
		for (uint32_t k = 0; k < i; k++)
			if (key_pk_cmp(&conf->peers[i].pk, &conf->peers[k].pk) == 0)
				return false;
	}
	return true;
}

struct dmsg_mesh *dmsg_mesh_new(
	const struct dmsg_mesh_conf *conf, const struct dmsg_mesh_events *ev, void *arg)
{
	uint8_t secret[PEER_MEM_SECRET_LEN];
	struct dmsg_mesh *m;
	bool ok;

	if (!peers_are_good(conf))
		return errno_null(EINVAL);
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->conf = *conf;
	m->conf.peers = NULL; // was borrowed
	if (m->conf.retry_min_ms == 0)
		m->conf.retry_min_ms = BACKOFF_MIN_MS;
	m->ev = ev;
	m->arg = arg;
	randombytes_buf(secret, sizeof(secret));
	m->mem = peer_mem_new(DMSG_MESH_KEYS, secret);
	ok = m->mem != NULL;
	for (uint32_t i = 0; i < conf->n_peers; i++) {
		m->peer[i] = (struct peer){.m = m, .conf = conf->peers[i]};
		m->peer[i].timer = loop_timer_new(conf->loop, peer_dial, &m->peer[i]);
		ok = ok && m->peer[i].timer != NULL;
	}
	if (!ok) {
		dmsg_mesh_free(m);
		return errno_null(ENOMEM);
	}
	for (uint32_t i = 0; i < conf->n_peers; i++) {
		set_state(&m->peer[i], DMSG_MESH_WAITS);
		if (dmsg_mesh_dials(m, i))
			loop_timer_start(m->peer[i].timer, 0, 0);
	}
	return m;
}

void dmsg_mesh_free(struct dmsg_mesh *m)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; i < m->conf.n_peers; i++) {
		dmsg_link_close(m->peer[i].link);
		loop_timer_free(m->peer[i].timer);
	}
	peer_mem_free(m->mem);
	free(m);
}

uint32_t dmsg_mesh_len(const struct dmsg_mesh *m)
{
	return m != NULL ? m->conf.n_peers : 0;
}

void dmsg_mesh_get(const struct dmsg_mesh *m, unsigned peer, struct dmsg_mesh_peer *out)
{
	const struct peer *p = &m->peer[peer];
	const struct mux_stats *st = p->link != NULL ? dmsg_link_stats(p->link) : NULL;

	*out = (struct dmsg_mesh_peer){.pk = p->conf.pk,
		.address = p->conf.address,
		.state = p->state,
		.err = p->err,
		.since_ns = p->since_ns,
		.opened = p->opened};
	if (st == NULL)
		return;
	out->rtt_ns = st->rtt_ns;
	out->rx_bytes = st->rx_bytes;
	out->tx_bytes = st->tx_bytes;
	out->streams = st->n_streams;
}
