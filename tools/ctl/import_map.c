// The fields of a visor's configuration, of 2024 and of 2026, and what becomes of each: a key of
// ours, or the reason why nothing does. Addresses and URLs are copied: whether they can be used is
// said by the control plane's own check of the text.
#include "tools/ctl/import_priv.h"

#include "lib/base/err.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static_assert(IMPORT_SERVERS_MAX == 16 && IMPORT_HYPERVISORS_MAX == 16 && IMPORT_URLS_MAX == 4 &&
		      CONF_LINE_MAX == 190,
	"they are told in words");

// ---- what takes a value ----

static void copy(struct import *im, const json_t *v, const char *path)
{
	char number[24];

	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	import_set(im, im->row->section, im->row->key,
		json_is_string(v)    ? json_string_value(v)
		: json_is_integer(v) ? number
				     : "yes",
		path);
}

bool import_read_pk(struct import *im, const char *text, struct key_pk *pk, const char *path)
{
	const char *wrong = key_pk_wrong(text, strlen(text));

	key_pk_from_text(pk, text, strlen(text));
	if (wrong != NULL)
		import_mistake(im, path, "%s", wrong);
	return wrong == NULL;
}

static void read_sk(struct import *im, const json_t *v, struct key_sk *sk, const char *path)
{
	if (key_sk_from_text(sk, json_string_value(v), json_string_length(v)) < 0)
		import_mistake(im, path, "is no secret key: 64 hex digits");
}

static void take_sk(struct import *im, const json_t *v, const char *path)
{
	read_sk(im, v, &im->sk, path);
}

static void take_pk(struct import *im, const json_t *v, const char *path)
{
	import_read_pk(im, json_string_value(v), &im->told_pk, path);
}

static void take_lan_enable(struct import *im, const json_t *v, const char *path)
{
	copy(im, v, path);
	im->lan_enabled = true;
	import_note(im, IMPORT_LEFT, path, "name those that are told of it in [visor NAME]");
}

static void take_lan_sk(struct import *im, const json_t *v, const char *path)
{
	read_sk(im, v, &im->lan_sk, path);
	if (im->key_file != NULL && key_sk_is_valid(&im->lan_sk))
		copy(im, v, path);
}

static void take_lan_pk(struct import *im, const json_t *v, const char *path)
{
	import_read_pk(im, json_string_value(v), &im->lan_pk, path);
}

static void take_setup_sk(struct import *im, const json_t *v, const char *path)
{
	char file[IMPORT_FILE_MAX];

	read_sk(im, v, &im->setup_sk, path);
	import_set(im, "setup_node", "enable", "yes", path);
	if (im->key_file == NULL)
		return;
	import_beside_key(im, "setup-node.key", file);
	import_set(im, "setup_node", "key_file", file, path);
}

static void take_log_level(struct import *im, const json_t *v, const char *path)
{
	static const char *const levels[][2] = {{"trace", "debug"}, {"debug", "debug"},
		{"info", "info"}, {"warn", "warn"}, {"warning", "warn"}, {"error", "err"},
		{"fatal", "err"}, {"panic", "err"}};

	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcasecmp(json_string_value(v), levels[i][0]) == 0) {
			import_set(im, "log", "level", levels[i][1], path);
			return;
		}
	import_mistake(
		im, path, "is no log level: trace, debug, info, warn, error, fatal or panic");
}

static void keep(struct import *im, struct import_found *u, const json_t *v, const char *path)
{
	u->text = json_string_value(v);
	snprintf(u->path, sizeof(u->path), "%s", path);
}

static void take_discovery(struct import *im, const json_t *v, const char *path)
{
	keep(im, &im->discovery, v, path);
}

static void take_discovery_dmsg(struct import *im, const json_t *v, const char *path)
{
	keep(im, &im->discovery_dmsg, v, path);
}

// What follows is said of one client, and a visor has one, too: its first deployment's counts.
static void take_sessions(struct import *im, const json_t *v, const char *path)
{
	if (im->n_deployments > 0)
		return;
	im->sessions = json_integer_value(v);
	if (im->sessions < 0)
		import_mistake(im, path, "must be 0 (as many as there are) or more");
	if (im->sessions <= IMPORT_SERVERS_MAX)
		return;
	import_note(im, IMPORT_LEFT, path, "16 sessions are the most");
	im->sessions = IMPORT_SERVERS_MAX;
}

static void take_servers_type(struct import *im, const json_t *v, const char *path)
{
	const char *type = json_string_value(v);

	if (im->n_deployments > 0 ||
		(strcmp(type, "official") != 0 && strcmp(type, "community") != 0))
		return;
	im->servers_type = type;
	import_note(im, IMPORT_LATER, path, "of a discovery's servers, any type is taken");
}

static void take_protocol(struct import *im, const json_t *v, const char *path)
{
	if (im->n_deployments == 0)
		im->smux = strcmp(json_string_value(v), "smux") == 0;
}

static void take_carrier(struct import *im, const json_t *v, const char *path)
{
	if (strcmp(json_string_value(v), "tcp") != 0)
		import_note(im, IMPORT_LATER, path, "sessions to servers are over TCP");
}

static void take_direct_only(struct import *im, const json_t *v, const char *path)
{
	im->direct_only = true;
}

static void take_static(struct import *im, const json_t *v, const char *path)
{
	struct key_pk pk;

	if (import_read_pk(im, json_string_value(v), &pk, path))
		im->server.key = json_string_value(v);
}

static void take_address(struct import *im, const json_t *v, const char *path)
{
	im->server.address = json_string_value(v);
}

static void take_server_type(struct import *im, const json_t *v, const char *path)
{
	im->server.type = json_string_value(v);
}

bool import_is_missing(const json_t *v)
{
	return v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0);
}

// The entry at hand is whole. What is of a wrong type was told.
static bool end_entry(struct import *im, const json_t *v, const char *path, struct import_server *s)
{
	const json_t *server = json_object_get(v, "server");

	*s = im->server;
	memset(&im->server, 0, sizeof(im->server));
	snprintf(s->path, sizeof(s->path), "%s", path);
	if (import_is_missing(json_object_get(v, "static")))
		import_mistake(im, path, "has no key (static)");
	if (import_is_missing(server) ||
		(json_is_object(server) && import_is_missing(json_object_get(server, "address"))))
		import_mistake(im, path, "has no address (server.address)");
	return s->key != NULL && s->address != NULL;
}

static void end_server(struct import *im, const json_t *v, const char *path)
{
	struct import_server s;

	if (!end_entry(im, v, path, &s))
		return;
	for (size_t i = 0; i < im->servers.n; i++)
		if (strcasecmp(im->servers.v[i].key, s.key) == 0) {
			if (strcmp(im->servers.v[i].address, s.address) != 0)
				import_note(im, IMPORT_LEFT, path,
					"another one has the same key and counts");
			return;
		}
	if (im->servers.n == IMPORT_SERVERS_MAX)
		import_note(im, IMPORT_LEFT, path, "16 servers are the most");
	else if (vec_push(&im->servers, s) < 0)
		import_no_memory(im);
}

static void end_lan_server(struct import *im, const json_t *v, const char *path)
{
	struct import_server s;

	if (!end_entry(im, v, path, &s) || im->n_deployments > 0)
		return;
	if (im->lan.n == IMPORT_LAN_MAX)
		import_note(im, IMPORT_LEFT, path, "4 servers are the most");
	else if (vec_push(&im->lan, s) < 0)
		import_no_memory(im);
}

static void end_deployment(struct import *im, const json_t *v, const char *path)
{
	struct import_found *u = &im->discovery;

	if (u->text == NULL)
		u = &im->discovery_dmsg;
	else if (im->discovery_dmsg.text != NULL)
		import_note(im, IMPORT_LEFT, im->discovery_dmsg.path,
			"the other way to the discovery that is taken");
	if (u->text != NULL && vec_push(&im->urls, *u) < 0)
		import_no_memory(im);
	im->discovery.text = im->discovery_dmsg.text = NULL;
	im->n_deployments++;
}

static void take_hypervisor(struct import *im, const json_t *v, const char *path)
{
	struct import_found h;
	struct key_pk pk;

	if (!import_read_pk(im, json_string_value(v), &pk, path))
		return;
	keep(im, &h, v, path);
	if (im->hypervisors.n == IMPORT_HYPERVISORS_MAX)
		import_note(im, IMPORT_LEFT, path, "16 hypervisors are the most");
	else if (vec_push(&im->hypervisors, h) < 0)
		import_no_memory(im);
}

// The list of 2026 that visors renew, its owner's, and that of before v1.1 are one here.
static void take_setup(struct import *im, struct import_setup *s, const json_t *v, const char *path)
{
	struct import_found n;
	struct key_pk pk;

	if (!import_read_pk(im, json_string_value(v), &pk, path))
		return;
	keep(im, &n, v, path);
	for (size_t i = 0; i < s->nodes.n; i++)
		if (strcasecmp(s->nodes.v[i].text, n.text) == 0)
			return;
	if (s->nodes.n == IMPORT_SETUP_MAX)
		import_note(im, IMPORT_LEFT, path, "64 set-up nodes are the most");
	else if (vec_push(&s->nodes, n) < 0)
		import_no_memory(im);
}

static void take_route_setup(struct import *im, const json_t *v, const char *path)
{
	take_setup(im, &im->route_setup, v, path);
}

static void take_transport_setup(struct import *im, const json_t *v, const char *path)
{
	take_setup(im, &im->transport_setup, v, path);
}

static const struct {
	const char *section, *key;
} services[IMPORT_SERVICES] = {
	{"transports", "discovery"},
	{"transports", "address_resolver"},
	{"routing", "route_finder"},
};

// Its key is that of the row; a name that ends in _dmsg is the other way to it.
static void take_service(struct import *im, const json_t *v, const char *path)
{
	const char *end = strrchr(im->row->name, '_');

	for (size_t i = 0; i < IMPORT_SERVICES; i++)
		if (strcmp(services[i].key, im->row->key) == 0)
			keep(im,
				end != NULL && strcmp(end, "_dmsg") == 0 ? &im->services[i].dmsg
									 : &im->services[i].url,
				v, path);
}

static void take_finder_timeout(struct import *im, const json_t *v, const char *path)
{
	const char *text = json_string_value(v), *unit = text + strspn(text, "0123456789");

	if (unit > text &&
		(strcmp(unit, "ms") == 0 || strcmp(unit, "s") == 0 || strcmp(unit, "m") == 0))
		copy(im, v, path);
	else
		import_note(im, IMPORT_LEFT, path, "a time is written in one unit: 90s");
}

// ---- the table ----

#define OBJECT(name)                                                                               \
	{                                                                                          \
		name, IMPORT_OBJECT, NULL, NULL, NULL, 0, NULL                                     \
	}
#define TAKE(name, type, fn)                                                                       \
	{                                                                                          \
		name, type, fn, NULL, NULL, 0, NULL                                                \
	}
#define COPY(name, type, section, key)                                                             \
	{                                                                                          \
		name, type, copy, section, key, 0, NULL                                            \
	}
#define SERVICE(name, key)                                                                         \
	{                                                                                          \
		name, IMPORT_TEXT, take_service, NULL, key, 0, NULL                                \
	}
#define SAID(name, type)                                                                           \
	{                                                                                          \
		name, type, NULL, NULL, NULL, 0, NULL                                              \
	}
#define LATER(name, why)                                                                           \
	{                                                                                          \
		name, IMPORT_TEXT, NULL, NULL, NULL, IMPORT_LATER, why                             \
	}
#define NONE(name, why)                                                                            \
	{                                                                                          \
		name, IMPORT_TEXT, NULL, NULL, NULL, IMPORT_NONE, why                              \
	}

// Of a discovery entry: what it says of itself needs no place in ours.
#define ENTRY(list)                                                                                \
	SAID(list ".version", IMPORT_TEXT), SAID(list ".sequence", IMPORT_INT),                    \
		SAID(list ".timestamp", IMPORT_INT), SAID(list ".signature", IMPORT_TEXT),         \
		TAKE(list ".static", IMPORT_TEXT, take_static), OBJECT(list ".server"),            \
		TAKE(list ".server.address", IMPORT_TEXT, take_address),                           \
		TAKE(list ".server.serverType", IMPORT_TEXT, take_server_type),                    \
		SAID(list ".server.availableSessions", IMPORT_INT),                                \
		SAID(list ".server.dht_bootstrap", IMPORT_BOOL),                                   \
		SAID(list ".protocol", IMPORT_TEXT),                                               \
		LATER(list ".server.address_v6", "a server has one address"),                      \
		LATER(list ".server.address_udp", "sessions to servers are over TCP"),             \
		LATER(list ".server.address_udp_v6", "sessions to servers are over TCP"),          \
		LATER(list ".server.address_ws", "sessions to servers are over TCP")

#define APPS "apps"
#define BOARD "a hypervisor's web interface"
#define REWARDS "rewards"
#define FINDING "service discovery"

static const struct import_row rows[] = {
	SAID("version", IMPORT_TEXT),
	TAKE("sk", IMPORT_TEXT, take_sk),
	TAKE("pk", IMPORT_TEXT, take_pk),
	// dmsg; the list of 2026 has one client for several discoveries
	TAKE("dmsg", IMPORT_OBJECT_OR_LIST, end_deployment),
	TAKE("dmsg.discovery", IMPORT_TEXT, take_discovery),
	TAKE("dmsg.discovery_dmsg", IMPORT_TEXT, take_discovery_dmsg),
	TAKE("dmsg.sessions_count", IMPORT_INT, take_sessions),
	TAKE("dmsg.servers_type", IMPORT_TEXT, take_servers_type),
	TAKE("dmsg.protocol", IMPORT_TEXT, take_protocol),
	TAKE("dmsg.carriers", IMPORT_TEXTS, take_carrier),
	TAKE("dmsg.direct_only", IMPORT_BOOL, take_direct_only),
	TAKE("dmsg.servers", IMPORT_OBJECTS, end_server),
	ENTRY("dmsg.servers"),
	TAKE("dmsg.lan_servers", IMPORT_OBJECTS, end_lan_server),
	ENTRY("dmsg.lan_servers"),
	LATER("dmsg.hypervisor_discovery", "a discovery in front of the other"),
	LATER("dmsg.lookup_cxo", "entries are asked for one by one"),
	LATER("dmsg.server", "a server has a key of its own here: see [dmsg_server]"),
	LATER("dmsg.local_relay", "clients of other programs"),
	LATER("dmsg.relay_max_streams", "clients of other programs"),
	// who is over this node, and this node over others
	TAKE("hypervisors", IMPORT_TEXTS, take_hypervisor),
	OBJECT("hypervisor"),
	OBJECT("hypervisor.lan_dmsg_server"),
	{"hypervisor.lan_dmsg_server.enable", IMPORT_BOOL, take_lan_enable, "lan_server", "enable",
		0, NULL},
	COPY("hypervisor.lan_dmsg_server.port", IMPORT_INT, "lan_server", "port"),
	COPY("hypervisor.lan_dmsg_server.public_address", IMPORT_TEXT, "lan_server",
		"public_address"),
	COPY("hypervisor.lan_dmsg_server.max_sessions", IMPORT_INT, "lan_server", "sessions_max"),
	TAKE("hypervisor.lan_dmsg_server.pk", IMPORT_TEXT, take_lan_pk),
	{"hypervisor.lan_dmsg_server.sk", IMPORT_TEXT, take_lan_sk, "lan_server", "secret_key", 0,
		NULL},
	LATER("hypervisor.lan_dmsg_server.key_file", "the server gets a new key"),
	LATER("hypervisor.lan_dmsg_server.public_discovery_url",
		"a discovery in front of the other"),
	LATER("hypervisor.db_path", BOARD),
	LATER("hypervisor.enable_auth", BOARD),
	LATER("hypervisor.cookies", BOARD),
	LATER("hypervisor.dmsg_port", BOARD),
	LATER("hypervisor.http_addr", BOARD),
	LATER("hypervisor.enable_tls", BOARD),
	LATER("hypervisor.tls_cert_file", BOARD),
	LATER("hypervisor.tls_key_file", BOARD),
	LATER("hypervisor.tp_viz", BOARD),
	LATER("hypervisor.cxo_subscribe_interval", BOARD),
	// transports
	OBJECT("skywire-tcp"),
	TAKE("skywire-tcp.pk_table", IMPORT_PAIRS, import_take_stcp),
	{"skywire-tcp.listening_address", IMPORT_TEXT, import_take_stcp_listen, "stcp", "listen", 0,
		NULL},
	LATER("stcp", "its table is read under the name skywire-tcp"), // before v1.1
	OBJECT("transport"),
	SERVICE("transport.discovery", "discovery"),
	SERVICE("transport.discovery_dmsg", "discovery"),
	SERVICE("transport.address_resolver", "address_resolver"),
	SERVICE("transport.address_resolver_dmsg", "address_resolver"),
	LATER("transport.ar_transport_limit",
		"transports to visors of the address resolver's list"),
	LATER("transport.public_autoconnect", "transports to public visors"),
	TAKE("transport.transport_setup", IMPORT_TEXTS, take_transport_setup),
	TAKE("transport.transport_setup_nodes", IMPORT_TEXTS, take_transport_setup), // before v1.1
	TAKE("transport.user_transport_setup", IMPORT_TEXTS, take_transport_setup),
	LATER("transport.tps_sk", "a transport set-up node in this one"),
	LATER("transport.tps_dmsg", "a transport set-up node in this one"),
	TAKE("transport.stcpr_port", IMPORT_INT, import_take_stcpr_port),
	LATER("transport.sudph_port", "sudph transports"),
	LATER("transport.sync_tpd_data", "routes that the node finds itself"),
	LATER("transport.cxo_feed_pk", "routes that the node finds itself"),
	NONE("transport.log_store", "counters are in `skyrail show transports`"),
	TAKE("persistent_transports", IMPORT_OBJECTS, import_end_persistent),
	TAKE("persistent_transports.pk", IMPORT_TEXT, import_take_persistent_pk),
	TAKE("persistent_transports.type", IMPORT_TEXT, import_take_persistent_type),
	LATER("stun_servers", "sudph transports"),
	// routes
	OBJECT("routing"),
	TAKE("routing.route_setup_nodes", IMPORT_TEXTS, take_route_setup),
	TAKE("routing.user_route_setup_nodes", IMPORT_TEXTS, take_route_setup),
	TAKE("routing.setup_nodes", IMPORT_TEXTS, take_route_setup), // before v1.1
	TAKE("routing.route_setup_sk", IMPORT_TEXT, take_setup_sk),
	SERVICE("routing.route_finder", "route_finder"),
	SERVICE("routing.route_finder_dmsg", "route_finder"),
	{"routing.route_finder_timeout", IMPORT_TEXT, take_finder_timeout, "routing",
		"route_finder_timeout", 0, NULL},
	COPY("routing.min_hops", IMPORT_INT, "routing", "min_hops"),
	LATER("routing.calculate_routes", "routes that this node dials"),
	LATER("routing.mux_routes", "routes that this node dials"),
	LATER("routing.mux_fec", "routes that this node dials"),
	LATER("routing.transport_preference", "routes that this node dials"),
	LATER("routing.policy_per_dial", "routes that this node dials"),
	LATER("routing.router_settings", "routes that this node dials"),
	// apps, and being found for them
	OBJECT("launcher"),
	LATER("launcher.apps", APPS),
	LATER("launcher.bin_path", APPS),
	LATER("launcher.server_addr", APPS),
	LATER("launcher.service_discovery", FINDING),
	LATER("launcher.service_discovery_dmsg", FINDING),
	LATER("launcher.discovery", FINDING), // before v1.1
	LATER("launcher.display_node_ip", FINDING),
	LATER("launcher.heartbeat_interval", FINDING),
	LATER("is_public", FINDING),
	LATER("public_visor", FINDING),
	LATER("app_settings", APPS),
	LATER("dmsg_web", APPS),
	LATER("skynet_web", APPS),
	LATER("resolvers", APPS),
	NONE("browse_origin", "web pages of the visor"),
	NONE("wisp", "web pages of the visor"),
	NONE("skychat", "chat"),
	NONE("skymail", "mail"),
	NONE("skymail_bridge", "mail"),
	NONE("wallet", "coins"),
	NONE("coin_nodes", "coins"),
	NONE("embedded_services", "services in the visor's process"),
	// the program itself
	TAKE("log_level", IMPORT_TEXT, take_log_level),
	NONE("local_path", "[node] state_dir is where the key is"),
	NONE("cli_addr", "the API is a socket in [node] run_dir"),
	NONE("shutdown_timeout", "an end takes 5 seconds at most"),
	NONE("restart_check_delay", "systemd starts it again"),
	NONE("memory_limit", "the Go runtime"),
	NONE("flight_recorder", "the Go runtime"),
	NONE("dmsgpty", "remote shell and files"),
	NONE("pty", "remote shell and files"),
	NONE("dmsgscp", "remote shell and files"),
	NONE("dmsghttp_server_path", "files and logs served over dmsg"),
	NONE("custom_dmsg_http_path", "files and logs served over dmsg"),
	NONE("dmsghttp_path", "[dmsg] and [server NAME] say it"),
	NONE("log_server", "files and logs served over dmsg"),
	NONE("ui_server", "web pages of the visor"),
	NONE("stats", "counters are in `skyrail show counters`"),
	NONE("geoip", "where a visor is"),
	NONE("conf_service", "nothing is fetched into a configuration"),
	NONE("conf_service_dmsg", "nothing is fetched into a configuration"),
	NONE("keyring", "further keys, made from sk"),
	NONE("uptime_tracker", "uptime tracker"),
	NONE("reward_address", REWARDS),
	NONE("reward_system", REWARDS),
	NONE("reward_system_dmsg", REWARDS),
	NONE("rewards", REWARDS),
	NONE("survey_whitelist", REWARDS),
	NONE("user_survey_whitelist", REWARDS),
	NONE("survey_client_sk", REWARDS),
};

const struct import_row *import_rows(size_t *n)
{
	*n = ARRAY_LEN(rows);
	return rows;
}

// ---- when all has been seen ----

static bool is_known(const struct key_pk *pk)
{
	return !key_pk_is_null(pk);
}

static void add_key(struct import *im, const struct key_sk *sk, const char *name)
{
	struct import_key *k = &im->keys[im->n_keys];

	if (!key_sk_is_valid(sk))
		return;
	im->n_keys++;
	k->sk = *sk;
	if (im->key_file != NULL && name != NULL)
		import_beside_key(im, name, k->file);
	else if (im->key_file != NULL)
		snprintf(k->file, sizeof(k->file), "%s", im->key_file);
}

// Each role has a key of its own: a node refuses to start otherwise.
static void check_role(struct import *im, const struct key_sk *sk, const char *path)
{
	const struct key_sk *const others[] = {&im->sk, &im->lan_sk, &im->setup_sk};

	for (size_t i = 0; i < ARRAY_LEN(others) && key_sk_is_valid(sk); i++) {
		if (others[i] == sk)
			return; // told of the later one
		if (key_equal(others[i], sk, sizeof(*sk)))
			import_mistake(im, path, "is the key of another role, too");
	}
}

static void finish_keys(struct import *im)
{
	char text[KEY_PK_TEXT_LEN + 1];
	struct key_pk lan;

	if (key_pk_from_sk(&im->pk, &im->sk) < 0) {
		if (!im->failed)
			import_mistake(
				im, "sk", "is missing: is this the configuration of a visor?");
		return;
	}
	key_pk_to_text(&im->pk, text);
	if (is_known(&im->told_pk) && key_pk_cmp(&im->told_pk, &im->pk) != 0)
		import_mistake(im, "pk", "is not the public key of sk, which is %s", text);
	if (is_known(&im->lan_pk) && key_pk_from_sk(&lan, &im->lan_sk) == 0 &&
		key_pk_cmp(&im->lan_pk, &lan) != 0)
		import_mistake(im, "hypervisor.lan_dmsg_server.pk",
			"is not the public key of the sk beside it");
	check_role(im, &im->lan_sk, "hypervisor.lan_dmsg_server.sk");
	check_role(im, &im->setup_sk, "routing.route_setup_sk");
	add_key(im, &im->sk, NULL);
	add_key(im, &im->setup_sk, "setup-node.key");
}

// Servers look for it in our entry before there is a session.
static void finish_mux(struct import *im, bool told_early)
{
	if (im->smux && told_early)
		import_set(im, "dmsg", "mux", "smux", "dmsg.protocol");
	else if (im->smux)
		import_note(im, IMPORT_LEFT, "dmsg.protocol",
			"smux needs a discovery that is reached by http or https");
}

static bool is_of_type(const struct import *im, const struct import_server *s)
{
	return im->servers_type == NULL || s->type == NULL ||
	       strcmp(s->type, im->servers_type) == 0;
}

static bool is_by_dmsg(const struct import_found *u)
{
	return strncmp(u->text, "dmsg://", strlen("dmsg://")) == 0;
}

// The node would refuse a discovery that nothing leads to; its own server is a way, too.
static bool has_way_to_dmsg(const struct import *im)
{
	bool has = im->lan_enabled || (im->lan.n > 0 && im->hypervisors.n > 0);

	for (size_t i = 0; i < im->servers.n; i++)
		has = has || is_of_type(im, &im->servers.v[i]);
	for (size_t i = 0; i < im->urls.n; i++)
		has = has || !is_by_dmsg(&im->urls.v[i]);
	return has;
}

// One line: URLs with commas between them.
static void finish_discovery(struct import *im)
{
	char list[CONF_LINE_MAX] = "", number[24];
	size_t len = 0, room = sizeof(list) - sizeof("discovery = ");
	bool told_early = false;

	for (size_t i = 0; i < im->urls.n && !im->direct_only; i++) {
		const struct import_found *u = &im->urls.v[i];
		size_t more = strlen(u->text) + (len > 0 ? 2 : 0);

		if (!has_way_to_dmsg(im)) {
			import_note(im, IMPORT_LEFT, u->path,
				"is reached over a [server NAME], and there is none");
			continue;
		}
		if (i >= IMPORT_URLS_MAX || (i > 0 && len + more > room)) {
			import_note(im, IMPORT_LEFT, u->path,
				"no place: 4 discoveries and a line of 190 bytes are the most");
			continue;
		}
		if (i == 0 && more > room) {
			import_mistake(im, u->path, "is too long: %zu bytes are the most", room);
			return;
		}
		len += (size_t)snprintf(
			list + len, sizeof(list) - len, "%s%s", len > 0 ? ", " : "", u->text);
		told_early |= !is_by_dmsg(u);
		im->n_urls++;
	}
	if (len > 0)
		import_set(im, "dmsg", "discovery", list, im->urls.v[0].path);
	finish_mux(im, told_early);
	if (len == 0 && im->servers.n == 0)
		return;
	snprintf(number, sizeof(number), "%" PRId64, im->sessions);
	import_set(im, "dmsg", "sessions", number, "dmsg.sessions_count");
}

// A key of entry s becomes one of [class n].
static void set_entry(struct import *im, const char *class, unsigned n, const char *key,
	const char *value, const struct import_server *s, const char *member)
{
	char section[CONF_NAME_MAX + 1], path[2 * IMPORT_PATH_MAX];

	snprintf(section, sizeof(section), "%s %u", class, n);
	snprintf(path, sizeof(path), "%s.%s", s->path, member);
	import_set(im, section, key, value, path);
}

static void finish_services(struct import *im)
{
	for (size_t i = 0; i < IMPORT_SERVICES; i++) {
		const struct import_service *s = &im->services[i];
		const struct import_found *u = s->url.text != NULL ? &s->url : &s->dmsg;

		if (s->url.text != NULL && s->dmsg.text != NULL)
			import_note(im, IMPORT_LEFT, s->dmsg.path,
				"the other way to the service that is taken");
		if (u->text == NULL)
			continue;
		if (is_by_dmsg(u) && !has_way_to_dmsg(im))
			import_note(im, IMPORT_LEFT, u->path,
				"is reached over a [server NAME], and there is none");
		else
			import_set(im, services[i].section, services[i].key, u->text, u->path);
	}
}

static void finish_servers(struct import *im)
{
	unsigned n = 0;

	for (size_t i = 0; i < im->servers.n; i++) {
		const struct import_server *s = &im->servers.v[i];

		if (!is_of_type(im, s)) {
			import_note(im, IMPORT_LEFT, s->path, "dmsg.servers_type is another one");
			continue;
		}
		set_entry(im, "server", ++n, "key", s->key, s, "static");
		set_entry(im, "server", n, "address", s->address, s, "server.address");
	}
	if (im->sessions > 0 && n > im->sessions)
		import_note(im, IMPORT_LEFT, "dmsg.sessions_count",
			"less than servers: each gets a session");
}

// [class 1] and so on, a key each.
static void set_keys(
	struct import *im, const char *class, const struct import_found *keys, size_t n)
{
	char section[CONF_NAME_MAX + 1];

	for (unsigned i = 0; i < n; i++) {
		snprintf(section, sizeof(section), "%s %u", class, i + 1);
		import_set(im, section, "key", keys[i].text, keys[i].path);
	}
}

static void finish_setup(struct import *im, const char *class, const struct import_setup *s)
{
	if (im->n_urls > 0 || has_way_to_dmsg(im)) {
		set_keys(im, class, s->nodes.v, s->nodes.n);
		return;
	}
	for (size_t i = 0; i < s->nodes.n; i++)
		import_note(im, IMPORT_LEFT, s->nodes.v[i].path,
			"set-up nodes reach a node by dmsg, and there is no way to it");
}

// Who told of them is not in a visor's file; with one hypervisor it is clear.
static void finish_lan(struct import *im)
{
	const char *by = im->hypervisors.n > 0 ? im->hypervisors.v[0].text : NULL;

	for (size_t i = 0; i < im->lan.n; i++) {
		const struct import_server *s = &im->lan.v[i];
		unsigned n = (unsigned)i + 1;

		if (by == NULL) {
			import_note(im, IMPORT_LEFT, s->path, "no hypervisor tells of it any more");
			continue;
		}
		set_entry(im, "saved_lan_server", n, "key", s->key, s, "static");
		set_entry(im, "saved_lan_server", n, "address", s->address, s, "server.address");
		set_entry(im, "saved_lan_server", n, "hypervisor", by, s, "static");
	}
}

void import_finish(struct import *im)
{
	finish_keys(im);
	finish_discovery(im);
	finish_servers(im);
	finish_setup(im, "route_setup_node", &im->route_setup);
	finish_setup(im, "transport_setup", &im->transport_setup);
	finish_services(im);
	set_keys(im, "hypervisor", im->hypervisors.v, im->hypervisors.n);
	finish_lan(im);
	import_finish_transports(im);
}
