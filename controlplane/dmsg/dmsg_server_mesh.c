// Which sessions are peer servers': those to peers that we dialled, and those that a peer's key
// made. Who is a peer may change while they are open (a configuration that is read again, a
// discovery's list), and then they stay, as peers' or as clients'.
#include "controlplane/dmsg/dmsg_server_priv.h"

#include <errno.h>

#include "lib/base/clock.h"
#include "lib/base/htab.h"

int dmsg_server_peer_of(const struct dmsg_server *s, const struct key_pk *pk)
{
	return s->mesh != NULL ? dmsg_mesh_find(s->mesh, pk) : -1;
}

// A peer is asked by the session that we dialled, or else, if it is the one to dial, by its newest.
void dmsg_server_peer_came(struct session *se, int peer)
{
	struct dmsg_server *s = se->srv;

	se->peer = peer;
	if (peer >= 0 && dmsg_mesh_dials(s->mesh, (unsigned)peer) == se->dialled)
		s->peer_session[peer] = se;
}

void dmsg_server_peer_left(struct session *se)
{
	struct dmsg_server *s = se->srv;

	if (se->peer >= 0 && s->peer_session[se->peer] == se)
		s->peer_session[se->peer] =
			se->client != NULL ? dmsg_server_session_of(s, &se->client->pk, se) : NULL;
}

// ---- who is a peer ----

static void on_named(void *arg, unsigned peer)
{
	struct dmsg_server *s = arg;
	struct client *cl = htab_find(s->clients, dmsg_mesh_pk(s->mesh, peer)->b);
	struct session *se;

	if (cl == NULL)
		return;
	TAILQ_FOREACH_REVERSE (se, &cl->sessions, session_list, of_client) // the newest last
		dmsg_server_peer_came(se, (int)peer);
}

static void on_gone(void *arg, unsigned peer)
{
	struct dmsg_server *s = arg;
	struct session *se;

	s->peer_session[peer] = NULL;
	TAILQ_FOREACH (se, &s->sessions, all)
		if (se->peer == (int)peer)
			se->peer = -1;
}

// ---- peers that we dialled ----

static void on_open(void *arg, unsigned peer, struct dmsg_link *k)
{
	struct dmsg_server *s = arg;
	struct session *se = dmsg_server_session_new(s);

	if (se == NULL)
		return; // it is of no use until it is dialled again
	se->link = k;
	se->dialled = se->open = true;
	se->since_ns = clock_mono_ns();
	dmsg_server_peer_came(se, (int)peer);
}

static void on_accept(void *arg, unsigned peer, struct conn *take_stream)
{
	struct dmsg_server *s = arg;

	if (s->peer_session[peer] != NULL)
		dmsg_server_relay_new(s->peer_session[peer], take_stream);
	else
		conn_close(take_stream);
}

static void on_over(void *arg, unsigned peer)
{
	struct dmsg_server *s = arg;

	if (s->peer_session[peer] != NULL)
		dmsg_server_session_free(s->peer_session[peer]);
}

static const struct dmsg_mesh_events mesh_events = {
	.named = on_named,
	.gone = on_gone,
	.open = on_open,
	.accept = on_accept,
	.over = on_over,
};

// ---- the whole ----

static int need_mesh(struct dmsg_server *s)
{
	struct dmsg_mesh_conf c = {
		.loop = s->conf.loop,
		.id = s->conf.id,
		.session_streams = s->conf.session_streams,
		.retry_min_ms = s->conf.retry_min_ms,
	};

	if (s->mesh == NULL)
		s->mesh = dmsg_mesh_new(&c, &mesh_events, s);
	return s->mesh != NULL ? 0 : -errno;
}

int dmsg_server_set_peers(struct dmsg_server *s, const struct dmsg_server_at *peers, uint32_t n)
{
	int rc;

	if (s->closed)
		return -ESHUTDOWN;
	if (n == 0 && s->mesh == NULL)
		return 0;
	rc = need_mesh(s);
	return rc < 0 ? rc : dmsg_mesh_configure(s->mesh, peers, n);
}

static void on_list(void *arg, const struct dmsg_entry *e, size_t n)
{
	struct dmsg_server *s = arg;

	dmsg_mesh_listed(s->mesh, e, n, &s->c.dmsg_mesh_found, &s->c.drop_dmsg_peers);
}

int dmsg_server_mesh_start(struct dmsg_server *s)
{
	struct dmsg_mesh_find_conf c = {.loop = s->conf.loop,
		.dir = s->conf.dir,
		.first_ms = s->conf.find_first_ms,
		.every_ms = s->conf.find_every_ms,
		.list = on_list,
		.arg = s};
	int rc = dmsg_server_set_peers(s, s->conf.peers, s->conf.n_peers);

	s->conf.peers = NULL; // was borrowed
	if (rc < 0 || !s->conf.mesh_discover)
		return rc;
	if (s->conf.dir == NULL)
		return -EINVAL;
	rc = need_mesh(s);
	if (rc == 0)
		s->mesh_find = dmsg_mesh_find_new(&c);
	return rc == 0 && s->mesh_find == NULL ? -errno : rc;
}

void dmsg_server_mesh_stop(struct dmsg_server *s)
{
	dmsg_mesh_find_free(s->mesh_find);
	s->mesh_find = NULL;
	dmsg_mesh_free(s->mesh);
	s->mesh = NULL;
}

void dmsg_server_each_peer(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_mesh_peer *p), void *arg)
{
	struct dmsg_mesh_peer p;

	for (unsigned i = 0; s->mesh != NULL && i < DMSG_MESH_PEERS_MAX; i++) {
		const struct session *se = s->peer_session[i];

		if (!dmsg_mesh_get(s->mesh, i, &p))
			continue;
		if (se != NULL && !se->dialled) { // it dialled us
			p.state = DMSG_LINK_OPEN;
			p.since_ns = se->since_ns;
			p.io = dmsg_link_io(se->link);
		}
		fn(arg, &p);
	}
}
