// A link to each peer that has an address: dialled, and dialled again for as long as it is a peer.
// A link is the same session that a client makes, under the server's key; that we are a peer
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
	struct dmsg_server_at at;
	bool used;
	bool found; // not configured, and ...
	bool listed; // ... in the last list
	struct dmsg_link *link;
	struct loop_timer *timer; // until the next try
	enum dmsg_link_state state;
	int err;
	unsigned fails;
	uint64_t since_ns, opened, took, took_not;
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

static void set_state(struct peer *p, enum dmsg_link_state state)
{
	p->state = state;
	p->since_ns = clock_mono_ns();
}

static void close_link(struct peer *p)
{
	if (p->state == DMSG_LINK_OPEN)
		p->m->ev->over(p->m->arg, number_of(p));
	p->state = DMSG_LINK_WAITS;
	dmsg_link_close(p->link);
	p->link = NULL;
}

static void peer_free(struct peer *p)
{
	close_link(p);
	p->m->ev->gone(p->m->arg, number_of(p));
	peer_mem_forget(p->m->mem, number_of(p));
	loop_timer_free(p->timer);
	p->timer = NULL;
	p->used = false;
}

// The link, or the try to have one, is over: again after a while.
static void link_over(struct peer *p, int err)
{
	uint64_t up_ns = 0;

	if (p->state == DMSG_LINK_OPEN) {
		up_ns = clock_mono_ns() - p->since_ns;
		log_notice("peer lost: server=%s: %s", p->at.address, dmsg_link_error(err));
	} else {
		log_limited(
			LOG_WARN, "no peer: server=%s: %s", p->at.address, dmsg_link_error(err));
	}
	close_link(p);
	if (p->found && !p->listed) {
		peer_free(p);
		return;
	}
	p->err = err;
	set_state(p, DMSG_LINK_WAITS);
	p->fails = backoff_fails(p->fails, up_ns);
	loop_timer_start(
		p->timer, backoff_ms(p->fails, p->m->conf.retry_min_ms, BACKOFF_MAX_MS), 0);
}

static void on_link_open(void *arg)
{
	struct peer *p = arg;

	set_state(p, DMSG_LINK_OPEN);
	p->opened++;
	log_notice("peer open: server=%s", p->at.address);
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
		.server = &p->at.pk,
		.mux = DMSG_LINK_YAMUX, // between servers it always is (dmsg 3.3)
		.streams_max = p->m->conf.session_streams,
	};

	set_state(p, DMSG_LINK_DIALS);
	p->link = dmsg_link_dial(p->m->conf.loop, p->at.address, &c, &link_events, p);
	if (p->link == NULL)
		link_over(p, -errno);
}

// ---- who is one ----

static struct peer *peer_of(struct dmsg_mesh *m, const struct key_pk *pk)
{
	int i = dmsg_mesh_find(m, pk);

	return i >= 0 ? &m->peer[i] : NULL;
}

// NULL: no place, or no memory.
static struct peer *peer_new(struct dmsg_mesh *m, const struct dmsg_server_at *at, bool found)
{
	struct peer *p = NULL;

	for (unsigned i = 0; i < DMSG_MESH_PEERS_MAX && p == NULL; i++)
		if (!m->peer[i].used)
			p = &m->peer[i];
	if (p == NULL)
		return NULL;
	*p = (struct peer){.m = m, .at = *at, .found = found, .listed = found};
	p->timer = loop_timer_new(m->conf.loop, peer_dial, p);
	if (p->timer == NULL)
		return NULL;
	p->used = true;
	set_state(p, DMSG_LINK_WAITS);
	if (at->address[0] != '\0')
		loop_timer_start(p->timer, 0, 0);
	m->ev->named(m->arg, number_of(p));
	return p;
}

static bool peers_are_good(
	const struct dmsg_mesh *m, const struct dmsg_server_at *peers, uint32_t n)
{
	if (n > DMSG_MESH_PEERS_MAX)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (key_pk_cmp(&peers[i].pk, identity_pk(m->conf.id)) == 0)
			return false;
		for (uint32_t k = 0; k < i; k++)
			if (key_pk_cmp(&peers[i].pk, &peers[k].pk) == 0)
				return false;
	}
	return true;
}

static bool is_of(const struct peer *p, const struct dmsg_server_at *peers, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (key_pk_cmp(&p->at.pk, &peers[i].pk) == 0)
			return strcmp(p->at.address, peers[i].address) == 0;
	return false;
}

// One that was found goes for one that is configured, if there are no places: rather one without a
// link.
static void make_room(struct dmsg_mesh *m)
{
	struct peer *out = NULL;

	for (unsigned i = 0; i < DMSG_MESH_PEERS_MAX; i++) {
		struct peer *p = &m->peer[i];

		if (!p->used)
			return;
		if (p->found && (out == NULL || p->state != DMSG_LINK_OPEN))
			out = p;
	}
	if (out != NULL)
		peer_free(out);
}

int dmsg_mesh_configure(struct dmsg_mesh *m, const struct dmsg_server_at *peers, uint32_t n)
{
	int rc = 0;

	if (!peers_are_good(m, peers, n))
		return -EINVAL;
	for (unsigned i = 0; i < DMSG_MESH_PEERS_MAX; i++)
		if (m->peer[i].used && !m->peer[i].found && !is_of(&m->peer[i], peers, n))
			peer_free(&m->peer[i]);
	for (uint32_t i = 0; i < n; i++) {
		struct peer *p = peer_of(m, &peers[i].pk);

		if (p != NULL && strcmp(p->at.address, peers[i].address) != 0) {
			peer_free(p);
			p = NULL;
		}
		if (p == NULL) {
			make_room(m);
			p = peer_new(m, &peers[i], false);
		}
		if (p != NULL)
			p->found = false;
		else
			rc = -ENOMEM;
	}
	return rc;
}

void dmsg_mesh_listed(struct dmsg_mesh *m, const struct dmsg_entry *e, size_t n, uint64_t *n_new,
	uint64_t *n_full)
{
	struct dmsg_server_at at;

	for (unsigned i = 0; i < DMSG_MESH_PEERS_MAX; i++)
		m->peer[i].listed = false;
	for (size_t i = 0; i < n; i++) {
		struct peer *p;

		if (!dmsg_link_server_of(&e[i], &at) ||
			key_pk_cmp(&at.pk, identity_pk(m->conf.id)) == 0)
			continue;
		p = peer_of(m, &at.pk);
		if (p == NULL) {
			p = peer_new(m, &at, true);
			*(p != NULL ? n_new : n_full) += 1;
		} else if (p->found) {
			p->listed = true;
			p->at = at; // of the next dial
		}
	}
	for (unsigned i = 0; i < DMSG_MESH_PEERS_MAX; i++) {
		struct peer *p = &m->peer[i];

		if (p->used && p->found && !p->listed && p->state != DMSG_LINK_OPEN)
			peer_free(p);
	}
}

// ---- whom to ask ----

int dmsg_mesh_find(const struct dmsg_mesh *m, const struct key_pk *pk)
{
	for (int i = 0; i < DMSG_MESH_PEERS_MAX; i++)
		if (m->peer[i].used && key_pk_cmp(&m->peer[i].at.pk, pk) == 0)
			return i;
	return -1;
}

bool dmsg_mesh_dials(const struct dmsg_mesh *m, unsigned peer)
{
	return m->peer[peer].at.address[0] != '\0';
}

int dmsg_mesh_next(const struct dmsg_mesh *m, const struct key_pk *pk, uint64_t peers)
{
	return peer_mem_next(m->mem, pk, peers, clock_mono_ns());
}

void dmsg_mesh_said(struct dmsg_mesh *m, const struct key_pk *pk, unsigned peer, bool there)
{
	(there ? peer_mem_there : peer_mem_not_there)(m->mem, pk, peer, clock_mono_ns());
	*(there ? &m->peer[peer].took : &m->peer[peer].took_not) += 1;
}

// ---- the whole ----

struct dmsg_mesh *dmsg_mesh_new(
	const struct dmsg_mesh_conf *conf, const struct dmsg_mesh_events *ev, void *arg)
{
	uint8_t secret[PEER_MEM_SECRET_LEN];
	struct dmsg_mesh *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->conf = *conf;
	if (m->conf.retry_min_ms == 0)
		m->conf.retry_min_ms = BACKOFF_MIN_MS;
	m->ev = ev;
	m->arg = arg;
	randombytes_buf(secret, sizeof(secret));
	m->mem = peer_mem_new(DMSG_MESH_KEYS, secret);
	if (m->mem == NULL) {
		free(m);
		return NULL;
	}
	return m;
}

void dmsg_mesh_free(struct dmsg_mesh *m)
{
	if (m == NULL)
		return;
	for (unsigned i = 0; i < DMSG_MESH_PEERS_MAX; i++) {
		dmsg_link_close(m->peer[i].link);
		loop_timer_free(m->peer[i].timer);
	}
	peer_mem_free(m->mem);
	free(m);
}

const struct key_pk *dmsg_mesh_pk(const struct dmsg_mesh *m, unsigned peer)
{
	return &m->peer[peer].at.pk;
}

bool dmsg_mesh_get(const struct dmsg_mesh *m, unsigned peer, struct dmsg_mesh_peer *out)
{
	const struct peer *p = &m->peer[peer];

	*out = (struct dmsg_mesh_peer){.pk = p->at.pk,
		.address = p->at.address,
		.found = p->found,
		.state = p->state,
		.err = p->err,
		.since_ns = p->since_ns,
		.opened = p->opened,
		.took = p->took,
		.took_not = p->took_not,
		.io = dmsg_link_io(p->link)};
	return p->used;
}
