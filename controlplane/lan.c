// Between the configuration, the client, the LAN's server and the hypervisors. Servers that were
// told of are kept newest first in DMSG_CLIENT_LAN_MAX numbered sections, which are written over:
// the file never grows beyond them.
#include "controlplane/lan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/core/conf_file.h"
#include "controlplane/core/conn_tcp.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("lan");

enum { KEYS_OF_SAVED = 4 };

struct lan {
	struct loop *loop;
	char conf_path[PATH_MAX], state_path[PATH_MAX];
	struct dmsg_client *client;
	struct dmsg_client_lan saved[DMSG_CLIENT_LAN_MAX]; // the newest first
	uint32_t n_saved;
	uint64_t changed_ns; // 0: never
	struct key_pk own[4]; // no server that we are told of has one of these
	uint32_t n_own;
	struct key_sk sk; // of the LAN's server
	struct identity *id;
	struct lan_server *server;
	struct visor_rpc *visor;
};

// ---- writing ----

static int write_back(const struct lan *n, const struct conf_set *sets, size_t n_sets)
{
	int rc = conf_file_set(n->conf_path, sets, n_sets), state;

	if (rc == 0 && access(n->state_path, F_OK) != 0)
		return 0;
	if (rc < 0)
		log_warn("configuration=%s can't be written (%s): values that were learnt go to %s",
			n->conf_path, strerror(-rc), n->state_path);
	state = conf_file_set(n->state_path, sets, n_sets); // an old one would count first
	if (state < 0)
		log_err("file=%s: %s: what was learnt is lost at the next start", n->state_path,
			strerror(-state));
	return state;
}

static void save_servers(const struct lan *n)
{
	char section[DMSG_CLIENT_LAN_MAX][CONF_NAME_MAX + 1];
	char key[DMSG_CLIENT_LAN_MAX][KEY_PK_TEXT_LEN + 1], by[DMSG_CLIENT_LAN_MAX][sizeof(*key)];
	struct conf_set sets[DMSG_CLIENT_LAN_MAX * KEYS_OF_SAVED];
	size_t k = 0;

	for (uint32_t i = 0; i < n->n_saved; i++) {
		snprintf(section[i], sizeof(section[i]), "saved_lan_server %u", i + 1);
		key_pk_to_text(&n->saved[i].pk, key[i]);
		key_pk_to_text(&n->saved[i].by, by[i]);
		sets[k++] = (struct conf_set){section[i], "key", key[i]};
		sets[k++] = (struct conf_set){section[i], "address", n->saved[i].address};
		sets[k++] =
			(struct conf_set){section[i], "public_address", n->saved[i].public_address};
		sets[k++] = (struct conf_set){section[i], "hypervisor", by[i]};
	}
	(void)write_back(n, sets, k);
}

static int make_key(struct lan *n)
{
	char text[KEY_SK_TEXT_LEN + 1];
	const struct conf_set set = {"lan_server", "secret_key", text};
	int rc = key_sk_generate(&n->sk);

	if (rc < 0)
		return rc;
	key_sk_to_text(&n->sk, text);
	rc = write_back(n, &set, 1);
	key_wipe(text, sizeof(text));
	if (rc == 0)
		log_notice("LAN server: new key made");
	return rc;
}

// ---- pushes ----

// Both are nothing but bytes, with zeros behind each text.
static bool is_news(const struct lan *n, const struct dmsg_client_lan *lan)
{
	for (uint32_t i = 0; i < n->n_saved; i++)
		if (memcmp(&n->saved[i], lan, sizeof(*lan)) == 0)
			return false;
	return true;
}

// To the front.
static void remember(struct lan *n, const struct dmsg_client_lan *lan)
{
	uint32_t at = 0;

	while (at < n->n_saved && key_pk_cmp(&n->saved[at].pk, &lan->pk) != 0)
		at++;
	if (at == n->n_saved && n->n_saved < DMSG_CLIENT_LAN_MAX)
		n->n_saved++;
	if (at == DMSG_CLIENT_LAN_MAX)
		at--;
	memmove(n->saved + 1, n->saved, at * sizeof(n->saved[0]));
	n->saved[0] = *lan;
}

static bool is_address(const char *text)
{
	return text[0] == '\0' || conn_tcp_is_host_port(text);
}

const char *lan_push(void *arg, const struct visor_lan *push, const struct key_pk *from)
{
	struct lan *n = arg;
	struct dmsg_client_lan lan = {.pk = push->pk, .by = *from};
	char key[KEY_PK_TEXT_LEN + 1];
	uint64_t now_ns = clock_mono_ns();
	bool news;

	for (uint32_t i = 0; i < n->n_own; i++)
		if (key_pk_cmp(&n->own[i], &push->pk) == 0)
			return "this is a key of the node itself";
	if (!is_address(push->address) || !is_address(push->public_address))
		return "an address is not HOST:PORT";
	snprintf(lan.address, sizeof(lan.address), "%s", push->address);
	snprintf(lan.public_address, sizeof(lan.public_address), "%s", push->public_address);
	news = is_news(n, &lan);
	if (news && n->changed_ns != 0 && now_ns - n->changed_ns < LAN_CHANGE_MS * CLOCK_NS_PER_MS)
		return "too many changes";
	if (dmsg_client_set_lan(n->client, &lan) < 0)
		return "out of memory";
	if (!news)
		return NULL;
	remember(n, &lan);
	n->changed_ns = now_ns;
	key_pk_to_text(from, key);
	log_notice("LAN server told by a hypervisor: key=%.8s address=%s", key,
		lan.address[0] != '\0' ? lan.address : lan.public_address);
	save_servers(n);
	return NULL;
}

// ---- start ----

// What the file says, in *n.
static void take(struct lan *n, const struct cp_conf *c)
{
	const char *sk = c->v->lan_server.secret_key;

	if (sk[0] != '\0')
		key_sk_from_text(&n->sk, sk, strlen(sk)); // the table checked it
	if (c->lan->n_saved == 0)
		return;
	n->n_saved = 0;
	for (uint32_t i = 0; i < c->lan->n_saved; i++)
		n->saved[n->n_saved++] = c->lan->saved[i];
}

struct lan *lan_new(struct loop *l, const struct cp_conf *c, const char *conf_path)
{
	struct lan *n = calloc(1, sizeof(*n));
	char err[CONF_ERR_MAX] = "";
	struct cp_conf learnt;
	int rc = -ENOMEM;

	if (n != NULL)
		rc = cp_conf_state_path(c, LAN_FILE, n->state_path, PATH_MAX);
	if (rc == 0 && strlen(conf_path) >= PATH_MAX)
		rc = -ENAMETOOLONG;
	if (rc < 0) {
		log_err("what was learnt of the LAN can't be read: %s", strerror(-rc));
		free(n);
		return errno_null(rc);
	}
	n->loop = l;
	snprintf(n->conf_path, sizeof(n->conf_path), "%s", conf_path);
	take(n, c);
	if (access(n->state_path, F_OK) != 0)
		return n;
	if (cp_conf_load(&learnt, n->state_path, err) < 0) {
		log_warn("what was learnt is not taken");
		log_lines(LOG_WARN, err);
		return n;
	}
	take(n, &learnt);
	cp_conf_free(&learnt);
	return n;
}

void lan_free(struct lan *n)
{
	if (n == NULL)
		return;
	visor_rpc_free(n->visor);
	lan_server_free(n->server);
	identity_free(n->id);
	key_wipe(&n->sk, sizeof(n->sk));
	free(n);
}

const struct dmsg_client_lan *lan_saved(const struct lan *n, uint32_t *count)
{
	*count = n->n_saved;
	return n->saved;
}

bool lan_needs_client(const struct lan *n, const struct cp_conf *c)
{
	return c->v->lan_server.enable || n->n_saved > 0;
}

static int start_server(struct lan *n, const struct cp_conf *c)
{
	const struct cp_lan_server_values *v = &c->v->lan_server;
	struct lan_server_conf s = {.loop = n->loop,
		.client = n->client,
		.port = v->port,
		.public_address = v->public_address,
		.visors = c->lan->visors,
		.n_visors = c->lan->n_visors,
		.sessions_max = v->sessions_max,
		.session_streams = v->session_streams,
		.streams_max = v->streams_max};
	int rc = key_sk_is_valid(&n->sk) ? 0 : make_key(n);

	if (rc == 0) {
		n->id = identity_from_sk(&n->sk);
		rc = n->id != NULL ? 0 : -errno;
	}
	if (rc < 0) {
		log_err("[lan_server]: no key: %s", strerror(-rc));
		return rc;
	}
	for (uint32_t i = 0; i < n->n_own; i++)
		if (key_pk_cmp(&n->own[i], identity_pk(n->id)) == 0) {
			log_err("[lan_server] secret_key is this node's, its dmsg server's or its "
				"set-up node's: empty it, to get another one");
			return -EINVAL;
		}
	n->own[n->n_own++] = *identity_pk(n->id);
	s.id = n->id;
	n->server = lan_server_new(&s);
	if (n->server != NULL)
		return 0;
	rc = -errno;
	log_err("[lan_server] port = %u: %s", v->port, strerror(-rc));
	return rc;
}

static void add_own(struct lan *n, const struct key_pk *pk)
{
	if (pk != NULL)
		n->own[n->n_own++] = *pk;
}

int lan_start(struct lan *n, const struct cp_conf *c, struct dmsg_client *client,
	const struct cp_own *own)
{
	struct visor_rpc_conf v = {.loop = n->loop,
		.client = client,
		.hypervisors = c->lan->hypervisors,
		.n_hypervisors = c->lan->n_hypervisors,
		.set_lan = lan_push,
		.arg = n};
	int rc = 0;

	n->client = client;
	add_own(n, own->node);
	add_own(n, own->server);
	add_own(n, own->setup);
	if (c->v->lan_server.enable)
		rc = start_server(n, c);
	if (rc < 0 || v.n_hypervisors == 0)
		return rc;
	if (client == NULL) {
		log_err("[hypervisor NAME] is of no use without a [server NAME]");
		return -EINVAL;
	}
	n->visor = visor_rpc_new(&v);
	if (n->visor != NULL)
		return 0;
	rc = -errno;
	log_err("[hypervisor NAME]: %s", strerror(-rc));
	return rc;
}

struct lan_server *lan_lan_server(const struct lan *n)
{
	return n->server;
}

struct visor_rpc *lan_visor(const struct lan *n)
{
	return n->visor;
}
