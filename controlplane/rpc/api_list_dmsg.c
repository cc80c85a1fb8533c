// Lists of dmsg: totals, the client's servers, sessions and streams of all roles. They are short
// enough to be given in one piece.
#include "controlplane/rpc/api_priv.h"

#include <string.h>

#include "controlplane/core/conn_tcp.h"
#include "controlplane/dmsg/dmsg_link.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

static uint64_t age_ms(uint64_t since_ns)
{
	return (clock_mono_ns() - since_ns) / CLOCK_NS_PER_MS;
}

static void fill_client(const struct dmsg_client_stats *s, struct api_dmsg *d)
{
	d->sessions = s->sessions;
	d->streams = s->streams;
	d->listeners = s->listeners;
	d->sessions_opened = s->sessions_opened;
	d->sessions_lost = s->sessions_lost;
	d->sessions_failed = s->sessions_failed;
	d->dialled = s->dialled;
	d->dials_failed = s->dials_failed;
	d->accepted = s->accepted;
	d->refused = s->refused;
}

static void fill_server(const struct dmsg_server_stats *s, struct api_dmsg *d)
{
	d->clients = s->sessions;
	d->relays = s->streams;
	d->peers = s->peers;
	d->clients_opened = s->c.dmsg_sessions_opened;
	d->shakes_failed = s->c.drop_dmsg_shakes;
	d->clients_refused = s->c.drop_dmsg_sessions;
	d->clients_replaced = s->c.dmsg_sessions_replaced;
	d->relayed = s->c.dmsg_relayed;
	d->relayed_bytes = s->c.dmsg_relayed_bytes;
	d->mesh_out = s->c.dmsg_mesh_out;
	d->mesh_in = s->c.dmsg_mesh_in;
	d->mesh_refused = s->c.dmsg_mesh_refused;
	d->ip_answered = s->c.dmsg_ip_answered;
	d->pings = s->c.dmsg_pings;
	d->bad_requests = s->c.drop_dmsg_bad_requests;
	d->no_destination = s->c.drop_dmsg_no_destination;
	d->not_accepted = s->c.drop_dmsg_not_accepted;
	d->no_capacity = s->c.drop_dmsg_no_capacity + s->c.drop_dmsg_client +
			 s->c.drop_dmsg_mesh_rate + s->c.drop_dmsg_load;
}

struct dir_client_stats api_dir_stats(const struct api *a)
{
	struct dir_client_stats s = {0};

	dir_client_stats_add(a->d.dir, &s);
	dir_client_stats_add(a->d.server_dir, &s);
	dir_client_stats_add(a->d.setup_dir, &s);
	return s;
}

static void fill_dir(const struct api *a, struct api_dmsg *d)
{
	struct dir_client_stats s = api_dir_stats(a);

	d->dir_asked = s.asked;
	d->dir_cached = s.cached;
	d->dir_failed = s.failed;
	d->dir_refused = s.refused;
}

static void count_hypervisor(void *arg, const struct visor_rpc_peer *p)
{
	struct api_dmsg *d = arg;

	d->hypervisors++;
	d->hypervisors_open += p->state == DMSG_LINK_OPEN;
}

static void fill_visor(const struct visor_rpc *v, struct api_dmsg *d)
{
	struct visor_rpc_stats s;

	visor_rpc_stats_get(v, &s);
	visor_rpc_each(v, count_hypervisor, d);
	d->pushes_taken = s.taken;
	d->pushes_refused = s.refused;
	d->calls_unknown = s.unknown;
}

static void fill_lan(const struct lan_server *l, struct api_dmsg *d)
{
	struct lan_server_stats s;
	struct dmsg_server_stats ss;

	lan_server_stats_get(l, &s);
	dmsg_server_stats_get(lan_server_server(l), &ss);
	memcpy(d->lan_pk, dmsg_server_pk(lan_server_server(l))->b, API_PK_LEN);
	API_COPY(d->lan_address, lan_server_address(l));
	d->lan_clients = ss.sessions;
	d->lan_relays = ss.streams;
	d->visors = s.visors;
	d->pushed = s.pushed;
	d->push_failed = s.push_failed;
	d->strangers = s.strangers;
}

static void fill_setup(const struct api *a, struct api_dmsg *d)
{
	struct setup_node_stats s;
	struct dmsg_client_stats cs;

	setup_node_stats_get(a->d.setup, &s);
	dmsg_client_stats_get(a->d.setup_client, &cs);
	d->setup_node = 1;
	memcpy(d->setup_pk, a->d.setup_pk->b, API_PK_LEN);
	d->setup_sessions = cs.sessions;
	d->setups = s.running;
	d->setups_done = s.done;
	d->setups_failed = s.failed;
	d->setups_refused = s.refused;
}

static void count_server(void *arg, const struct dmsg_client_server *se)
{
	(void)se;
	++*(uint64_t *)arg;
}

// Numbers of a role that this node has not.
#define UNKNOWN(d, first, last)                                                                    \
	memset(&(d)->first, 0xff,                                                                  \
		offsetof(struct api_dmsg, last) + sizeof((d)->last) -                              \
			offsetof(struct api_dmsg, first))

static void fill_roles(const struct api *a, struct api_dmsg *d)
{
	struct dmsg_client_stats cs;
	struct dmsg_server_stats ss;

	if (a->d.dmsg != NULL) {
		dmsg_client_stats_get(a->d.dmsg, &cs);
		fill_client(&cs, d);
		dmsg_client_each_server(a->d.dmsg, count_server, &d->servers);
	} else {
		UNKNOWN(d, servers, refused);
	}
	if (a->d.dmsg_server != NULL) {
		memcpy(d->server_pk, dmsg_server_pk(a->d.dmsg_server)->b, API_PK_LEN);
		d->server_port = dmsg_server_port(a->d.dmsg_server);
		dmsg_server_stats_get(a->d.dmsg_server, &ss);
		fill_server(&ss, d);
	} else {
		UNKNOWN(d, clients, pings);
	}
}

void api_list_dmsg(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_dmsg d = {.client = a->d.dmsg != NULL,
		.server = a->d.dmsg_server != NULL,
		.lan_server = a->d.lan_server != NULL};

	(void)payload, (void)len;
	fill_roles(a, &d);
	if (a->d.dir != NULL || a->d.server_dir != NULL || a->d.setup_dir != NULL)
		fill_dir(a, &d);
	else
		UNKNOWN(&d, dir_asked, dir_refused);
	if (a->d.visor != NULL)
		fill_visor(a->d.visor, &d);
	else
		UNKNOWN(&d, hypervisors, calls_unknown);
	if (a->d.lan_server != NULL)
		fill_lan(a->d.lan_server, &d);
	else
		UNKNOWN(&d, lan_clients, strangers);
	if (a->d.setup != NULL)
		fill_setup(a, &d);
	else
		UNKNOWN(&d, setup_sessions, setups_refused);
	api_req_record(r, &d, sizeof(d));
	api_req_end(r, NULL, 0);
}

static uint8_t kind_of(const struct dmsg_client_server *se)
{
	return se->lan                         ? API_DMSG_LAN
	       : se->kind == DMSG_CLIENT_FOUND ? API_DMSG_FOUND
	       : se->kind == DMSG_CLIENT_MADE  ? API_DMSG_MADE
					       : API_DMSG_PLAIN;
}

struct section {
	const char *section;
	const struct key_pk *pk;
	char *name;
};

static void look_at_key(void *arg, const struct conf_entry *e)
{
	const struct section *s = arg;
	struct key_pk pk;

	if (strcmp(e->item->section, s->section) == 0 && strcmp(e->item->key, "key") == 0 &&
		key_pk_from_text(&pk, e->value, strlen(e->value)) == 0 &&
		key_pk_cmp(&pk, s->pk) == 0)
		snprintf(s->name, API_NAME_LEN, "%s", e->instance);
}

void api_server_section(
	const struct api *a, const char *section, const struct key_pk *pk, char name[API_NAME_LEN])
{
	struct section s = {section, pk, name};

	name[0] = '\0';
	conf_walk(a->d.conf(a->d.conf_arg), look_at_key, &s);
}

struct servers {
	const struct api *a;
	struct api_req *r;
};

static void server_record(void *arg, const struct dmsg_client_server *se)
{
	const struct servers *s = arg;
	struct api_dmsg_server rec = {.state = (uint8_t)se->state,
		.kind = kind_of(se),
		.streams = se->io.streams,
		.age_ms = age_ms(se->since_ns),
		.rtt_us = se->io.rtt_ns / CLOCK_NS_PER_US,
		.opened = se->opened,
		.rx_bytes = se->io.rx_bytes,
		.tx_bytes = se->io.tx_bytes};

	API_COPY(rec.name, se->address);
	api_server_section(s->a, "server", &se->pk, rec.section);
	memcpy(rec.pk, se->pk.b, API_PK_LEN);
	memcpy(rec.by, se->by.b, API_PK_LEN);
	if (se->err != 0)
		API_COPY(rec.error, dmsg_link_error(se->err));
	if (se->state != DMSG_LINK_OPEN) {
		API_COPY(rec.note, rec.error);
		rec.rx_bytes = rec.tx_bytes = UINT64_MAX;
	}
	api_req_record(s->r, &rec, sizeof(rec));
}

static void peer_record(void *arg, const struct dmsg_mesh_peer *p)
{
	const struct servers *s = arg;
	struct api_dmsg_server rec = {.state = (uint8_t)p->state,
		.kind = p->found ? API_DMSG_MESH_FOUND : API_DMSG_MESH,
		.streams = p->io.streams,
		.age_ms = age_ms(p->since_ns),
		.rtt_us = p->io.rtt_ns / CLOCK_NS_PER_US,
		.opened = p->opened,
		.rx_bytes = p->io.rx_bytes,
		.tx_bytes = p->io.tx_bytes};

	API_COPY(rec.name, p->address[0] != '\0' ? p->address : "(dials us)");
	api_server_section(s->a, "peer_server", &p->pk, rec.section);
	memcpy(rec.pk, p->pk.b, API_PK_LEN);
	if (p->err != 0)
		API_COPY(rec.error, dmsg_link_error(p->err));
	if (p->state != DMSG_LINK_OPEN) {
		API_COPY(rec.note, rec.error);
		rec.rx_bytes = rec.tx_bytes = UINT64_MAX;
	} else if (p->took == 0 && p->took_not > 0) {
		API_COPY(rec.note,
			"took no stream yet: it has none of those clients, or does not name "
			"this server as its peer");
	}
	api_req_record(s->r, &rec, sizeof(rec));
}

void api_list_dmsg_servers(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct servers s = {a, r};

	(void)payload, (void)len;
	if (a->d.dmsg != NULL)
		dmsg_client_each_server(a->d.dmsg, server_record, &s);
	if (a->d.dmsg_server != NULL)
		dmsg_server_each_peer(a->d.dmsg_server, peer_record, &s);
	api_req_end(r, NULL, 0);
}

struct sites {
	struct api_req *r;
	uint8_t role;
	bool sessions; // there are some, by which dmsg:// is reached
};

static const char *why_not_listed(const struct sites *sites, const struct dmsg_publish_site *s)
{
	if (!sites->sessions && http_client_is_dmsg(s->url))
		return "waits for a session: see `skyrail show servers`";
	return s->err;
}

static_assert((int)API_DMSG_URL_LEN == (int)HTTP_CLIENT_URL_MAX, "no URL is cut");

static void site_record(void *arg, const struct dmsg_publish_site *s)
{
	const struct sites *sites = arg;
	uint64_t now_ns = clock_mono_ns();
	struct api_dmsg_discovery rec = {.role = sites->role,
		.listed = s->listed,
		.sequence = s->sequence,
		.age_ms = s->since_ns != 0 ? age_ms(s->since_ns) + 1 : 0,
		.next_ms = s->next_ns > now_ns ? (s->next_ns - now_ns) / CLOCK_NS_PER_MS : 0,
		.published = s->published,
		.failed = s->failed};

	API_COPY(rec.name, s->url);
	API_COPY(rec.error, s->err);
	if (!s->listed)
		API_COPY(rec.note, why_not_listed(sites, s));
	else if (s->err[0] != '\0')
		snprintf(rec.note, sizeof(rec.note), "not renewed: %s", s->err);
	api_req_record(sites->r, &rec, sizeof(rec));
}

// Whether there are sessions of that client.
static bool client_sites(struct api_req *r, const struct dmsg_client *c, enum api_dmsg_role role)
{
	struct sites sites = {.r = r, .role = (uint8_t)role};
	struct dmsg_client_stats cs;

	if (c == NULL)
		return false;
	dmsg_client_stats_get(c, &cs);
	sites.sessions = cs.sessions > 0;
	dmsg_client_each_site(c, site_record, &sites);
	return sites.sessions;
}

void api_list_dmsg_discoveries(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct sites server = {.r = r, .role = API_DMSG_SERVER};

	(void)payload, (void)len;
	server.sessions = client_sites(r, a->d.dmsg, API_DMSG_CLIENT);
	if (a->d.dmsg_server != NULL)
		dmsg_server_each_site(a->d.dmsg_server, site_record, &server);
	client_sites(r, a->d.setup_client, API_DMSG_SETUP_NODE);
	api_req_end(r, NULL, 0);
}

struct sessions {
	struct api_req *r;
	uint8_t role;
};

static void our_session(void *arg, const struct dmsg_client_server *se)
{
	const struct sessions *s = arg;
	struct api_dmsg_session rec = {.role = s->role,
		.kind = kind_of(se),
		.streams = se->io.streams,
		.age_ms = age_ms(se->since_ns),
		.rtt_us = se->io.rtt_ns / CLOCK_NS_PER_US,
		.rx_bytes = se->io.rx_bytes,
		.tx_bytes = se->io.tx_bytes};

	if (se->state != DMSG_LINK_OPEN)
		return;
	memcpy(rec.pk, se->pk.b, API_PK_LEN);
	API_COPY(rec.address, se->address);
	api_req_record(s->r, &rec, sizeof(rec));
}

static void put_session(
	struct api_req *r, const struct dmsg_server_session *se, enum api_dmsg_kind kind)
{
	struct api_dmsg_session rec = {.role = se->dialled ? API_DMSG_CLIENT : API_DMSG_SERVER,
		.kind = (uint8_t)kind,
		.streams = se->io.streams,
		.age_ms = age_ms(se->since_ns),
		.rtt_us = se->io.rtt_ns / CLOCK_NS_PER_US,
		.rx_bytes = se->io.rx_bytes,
		.tx_bytes = se->io.tx_bytes};

	memcpy(rec.pk, se->pk.b, API_PK_LEN);
	if (se->dialled)
		API_COPY(rec.address, se->address);
	else
		conn_tcp_address_text(&se->from, rec.address, sizeof(rec.address));
	api_req_record(r, &rec, sizeof(rec));
}

static void their_session(void *arg, const struct dmsg_server_session *se)
{
	put_session(arg, se, se->mesh ? API_DMSG_MESH : API_DMSG_PLAIN);
}

static void lan_session(void *arg, const struct dmsg_server_session *se)
{
	put_session(arg, se, API_DMSG_LAN);
}

void api_list_dmsg_sessions(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct sessions client = {r, API_DMSG_CLIENT}, setup = {r, API_DMSG_SETUP_NODE};

	(void)payload, (void)len;
	if (a->d.dmsg != NULL)
		dmsg_client_each_server(a->d.dmsg, our_session, &client);
	if (a->d.dmsg_server != NULL)
		dmsg_server_each_session(a->d.dmsg_server, their_session, r);
	if (a->d.lan_server != NULL)
		dmsg_server_each_session(lan_server_server(a->d.lan_server), lan_session, r);
	if (a->d.setup_client != NULL)
		dmsg_client_each_server(a->d.setup_client, our_session, &setup);
	api_req_end(r, NULL, 0);
}

static void hypervisor_record(void *arg, const struct visor_rpc_peer *p)
{
	struct api_dmsg_hypervisor rec = {
		.state = (uint8_t)p->state, .age_ms = age_ms(p->since_ns), .calls = p->calls};

	memcpy(rec.pk, p->pk.b, API_PK_LEN);
	API_COPY(rec.error, p->why);
	if (p->state != DMSG_LINK_OPEN)
		API_COPY(rec.note, rec.error);
	api_req_record(arg, &rec, sizeof(rec));
}

void api_list_dmsg_hypervisors(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;

	(void)payload, (void)len;
	if (a->d.visor != NULL)
		visor_rpc_each(a->d.visor, hypervisor_record, r);
	api_req_end(r, NULL, 0);
}

struct streams {
	struct api *a;
	struct api_req *r;
};

static void our_stream(void *arg, const struct dmsg_conn_info *info)
{
	const struct streams *s = arg;
	const struct key_pk *us = identity_pk(s->a->d.identity);
	struct api_dmsg_stream rec = {.kind = info->dialled ? 0 : 1,
		.src_port = info->dialled ? info->port : info->peer_port,
		.dst_port = info->dialled ? info->peer_port : info->port,
		.age_ms = age_ms(info->since_ns),
		.rx_bytes = info->rx_bytes,
		.tx_bytes = info->tx_bytes};

	memcpy(rec.src, info->dialled ? us->b : info->peer.b, API_PK_LEN);
	memcpy(rec.dst, info->dialled ? info->peer.b : us->b, API_PK_LEN);
	api_req_record(s->r, &rec, sizeof(rec));
}

static void relayed_stream(void *arg, const struct dmsg_server_stream *st)
{
	const struct streams *s = arg;
	struct api_dmsg_stream rec = {.kind = 2,
		.src_port = st->src_port,
		.dst_port = st->dst_port,
		.age_ms = age_ms(st->since_ns),
		.rx_bytes = st->back,
		.tx_bytes = st->forth};

	memcpy(rec.src, st->src.b, API_PK_LEN);
	memcpy(rec.dst, st->dst.b, API_PK_LEN);
	api_req_record(s->r, &rec, sizeof(rec));
}

void api_list_dmsg_streams(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct streams s = {a, r};

	(void)payload, (void)len;
	if (a->d.dmsg != NULL)
		dmsg_client_each_stream(a->d.dmsg, our_stream, &s);
	if (a->d.dmsg_server != NULL)
		dmsg_server_each_stream(a->d.dmsg_server, relayed_stream, &s);
	if (a->d.lan_server != NULL)
		dmsg_server_each_stream(lan_server_server(a->d.lan_server), relayed_stream, &s);
	api_req_end(r, NULL, 0);
}

static void setup_record(void *arg, const struct setup_info *info)
{
	static const uint8_t states[] = {
		[SETUP_RESERVES] = API_SETUP_RESERVES,
		[SETUP_INSTALLS] = API_SETUP_INSTALLS,
		[SETUP_ENDS] = API_SETUP_ENDS,
		[SETUP_DONE] = API_SETUP_DONE,
		[SETUP_UNDOES] = API_SETUP_UNDOES,
	};
	struct api_setup rec = {.src_port = info->desc.src_port,
		.dst_port = info->desc.dst_port,
		.state = !info->over ? states[info->step]
			 : info->ok  ? API_SETUP_DONE
				     : API_SETUP_FAILED,
		.hops = info->n_forward,
		.reverse_hops = info->n_reverse,
		.kind = info->loop,
		.age_ms = age_ms(info->begun_ns),
		.took_us = info->took_ns / CLOCK_NS_PER_US};

	memcpy(rec.src, info->desc.src_pk, API_PK_LEN);
	memcpy(rec.dst, info->desc.dst_pk, API_PK_LEN);
	API_COPY(rec.error, info->why);
	api_req_record(arg, &rec, sizeof(rec));
}

void api_list_setups(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;

	(void)payload, (void)len;
	if (a->d.setup != NULL)
		setup_node_each(a->d.setup, setup_record, r);
	api_req_end(r, NULL, 0);
}
