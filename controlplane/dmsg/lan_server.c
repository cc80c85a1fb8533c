// The server is an ordinary one (dmsg_server.h). What is added here is its address in the LAN,
// asked of the interfaces once, and a stream to each node under us: one a key, the newest counts.
// Pushes are sent once a stream; a node that comes back is pushed again.
#include "controlplane/dmsg/lan_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("lan");

enum { HYPERVISOR_PORT = 46, ADDRS_MAX = 256 };

struct visor {
	struct lan_server *s;
	struct key_pk pk;
	struct conn *conn;
	struct loop_timer *timer; // until the answer
	struct netrpc_rx rx;
	bool answered;
	TAILQ_ENTRY(visor) all;
};

struct lan_server {
	struct lan_server_conf conf;
	struct dmsg_server *server;
	struct dmsg_client_listener *li;
	struct key_pk visor_pk[LAN_SERVER_VISORS_MAX];
	TAILQ_HEAD(, visor) visors;
	struct visor_lan push;
	struct lan_server_stats stats;
};

// ---- our address ----

static bool is_private(struct in_addr a)
{
	uint32_t ip = ntohl(a.s_addr);

	return ip >> 24 == 10 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8;
}

struct in_addr lan_server_choose(const struct in_addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_private(addrs[i]))
			return addrs[i];
	for (size_t i = 0; i < n; i++)
		if (ntohl(addrs[i].s_addr) >> 24 != IN_LOOPBACKNET)
			return addrs[i];
	return (struct in_addr){htonl(INADDR_LOOPBACK)};
}

static struct in_addr our_address(void)
{
	struct in_addr addrs[ADDRS_MAX];
	struct ifaddrs *all = NULL;
	size_t n = 0;

	if (getifaddrs(&all) != 0)
		all = NULL;
	for (struct ifaddrs *i = all; i != NULL && n < ARRAY_LEN(addrs); i = i->ifa_next)
		if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET &&
			(i->ifa_flags & IFF_UP) != 0)
			addrs[n++] =
				((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
	freeifaddrs(all);
	return lan_server_choose(addrs, n);
}

// ---- nodes under us ----

static void visor_free(struct visor *v)
{
	if (!v->answered)
		v->s->stats.push_failed++;
	TAILQ_REMOVE(&v->s->visors, v, all);
	v->s->stats.visors--;
	loop_timer_free(v->timer);
	conn_close(v->conn);
	free(v);
}

static void on_answer(struct visor *v)
{
	static const struct gob_field as = {NULL, GOB_BOOL, 0, 0, NULL};
	char key[KEY_PK_TEXT_LEN + 1];
	bool taken = false;

	if (v->answered)
		return; // to nothing that we asked
	v->answered = true;
	loop_timer_stop(v->timer);
	if (v->rx.error[0] == '\0' && netrpc_body(&v->rx, &as, &taken) == 0 && taken) {
		v->s->stats.pushed++;
		return;
	}
	v->s->stats.push_failed++;
	for (char *p = v->rx.error; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	key_pk_to_text(&v->pk, key);
	log_limited(LOG_WARN, "a node did not take the LAN server: key=%.8s: %.200s", key,
		v->rx.error[0] != '\0' ? v->rx.error : "no reason given");
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct visor *v = arg;
	size_t used = 0;

	while (used < len) {
		bool ready;
		ssize_t n = netrpc_take(&v->rx, p + used, len - used, &ready);

		if (n < 0) {
			visor_free(v);
			return len;
		}
		used += (size_t)n;
		if (ready)
			on_answer(v);
	}
	return len;
}

static void on_end(void *arg, int err)
{
	(void)err;
	visor_free(arg);
}

static void on_late(void *arg)
{
	visor_free(arg);
}

static const struct conn_events visor_events = {.data = on_data, .end = on_end};

static bool is_allowed(const struct lan_server *s, const struct key_pk *pk)
{
	for (uint32_t i = 0; i < s->conf.n_visors; i++)
		if (key_pk_cmp(&s->visor_pk[i], pk) == 0)
			return true;
	return false;
}

static void drop_older(struct lan_server *s, const struct key_pk *pk)
{
	struct visor *v;

	TAILQ_FOREACH (v, &s->visors, all)
		if (key_pk_cmp(&v->pk, pk) == 0)
			break;
	if (v != NULL)
		visor_free(v);
}

static int push(struct visor *v)
{
	uint8_t out[2048];
	struct bytes_w w = bytes_w(out, sizeof(out));
	struct netrpc_tx tx = {.sent_request = false};

	visor_lan_put(&tx, &w, 0, &v->s->push);
	if (w.bad)
		return -EMSGSIZE;
	return conn_write(v->conn, out, bytes_w_len(&w)) == bytes_w_done(&w) ? 0 : -ENOBUFS;
}

static void on_visor(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct lan_server *s = arg;
	struct visor *v = NULL;
	char key[KEY_PK_TEXT_LEN + 1];

	if (is_allowed(s, &from->pk)) {
		drop_older(s, &from->pk);
		v = calloc(1, sizeof(*v));
	} else {
		s->stats.strangers++;
		key_pk_to_text(&from->pk, key);
		log_limited(LOG_WARN,
			"no [visor NAME] names a node that asks for its hypervisor: key=%.8s", key);
	}
	if (v == NULL) {
		conn_close(take_conn);
		return;
	}
	v->s = s;
	v->pk = from->pk;
	v->conn = take_conn;
	TAILQ_INSERT_TAIL(&s->visors, v, all);
	s->stats.visors++;
	v->timer = loop_timer_new(s->conf.loop, on_late, v);
	conn_set_events(take_conn, &visor_events, v);
	if (v->timer == NULL || push(v) < 0) {
		visor_free(v);
		return;
	}
	loop_timer_start(v->timer, LAN_SERVER_PUSH_MS, 0);
}

// ---- the whole ----

static int start_server(struct lan_server *s)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(s->conf.port)};
	struct dmsg_server_conf c = {.loop = s->conf.loop,
		.id = s->conf.id,
		.listen = (const struct sockaddr *)&any,
		.sessions_max = s->conf.sessions_max,
		.session_streams = s->conf.session_streams,
		.streams_max = s->conf.streams_max};
	struct in_addr addr = our_address();
	char text[INET_ADDRSTRLEN];

	s->server = dmsg_server_new(&c);
	if (s->server == NULL)
		return -errno;
	inet_ntop(AF_INET, &addr, text, sizeof(text));
	s->push.enabled = true;
	s->push.pk = *identity_pk(s->conf.id);
	snprintf(s->push.address, sizeof(s->push.address), "%s:%u", text,
		dmsg_server_port(s->server));
	snprintf(s->push.public_address, sizeof(s->push.public_address), "%s",
		s->conf.public_address);
	s->conf.public_address = s->push.public_address;
	return 0;
}

// Our own client, by the loopback.
static int join(struct lan_server *s)
{
	struct dmsg_client_lan lan = {.pk = s->push.pk};

	snprintf(lan.address, sizeof(lan.address), "127.0.0.1:%u", dmsg_server_port(s->server));
	return dmsg_client_set_lan(s->conf.client, &lan);
}

struct lan_server *lan_server_new(const struct lan_server_conf *conf)
{
	struct lan_server *s;
	int rc;

	if (conf->n_visors > LAN_SERVER_VISORS_MAX)
		return errno_null(EINVAL);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->conf = *conf;
	s->conf.visors = NULL; // was borrowed
	TAILQ_INIT(&s->visors);
	for (uint32_t i = 0; i < conf->n_visors; i++)
		s->visor_pk[i] = conf->visors[i];
	rc = start_server(s);
	if (rc == 0) {
		s->li = dmsg_client_listen(conf->client, HYPERVISOR_PORT, on_visor, s);
		rc = s->li != NULL ? join(s) : -errno;
	}
	if (rc < 0) {
		lan_server_free(s);
		return errno_null(rc);
	}
	log_notice("LAN server: address=%s", s->push.address);
	return s;
}

void lan_server_free(struct lan_server *s)
{
	struct visor *v;

	if (s == NULL)
		return;
	dmsg_client_unlisten(s->li);
	while ((v = TAILQ_FIRST(&s->visors)) != NULL)
		visor_free(v);
	dmsg_server_free(s->server);
	free(s);
}

const char *lan_server_address(const struct lan_server *s)
{
	return s->push.address;
}

struct dmsg_server *lan_server_server(const struct lan_server *s)
{
	return s->server;
}

void lan_server_stats_get(const struct lan_server *s, struct lan_server_stats *out)
{
	*out = s->stats;
}
