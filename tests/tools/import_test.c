// A visor's configuration into ours: every row of the table, and what is wrong with each field.
#include "tests/tools/import_fixture.h"

#include "lib/base/err.h"

#include <stdio.h>

// The members, and a secret key.
static struct import *read_members(const char *members)
{
	char json[8192];

	snprintf(json, sizeof(json), "{\"sk\":\"" ONE "\"%s%s}", members[0] != '\0' ? "," : "",
		members);
	return read_text(json);
}

static const struct import_note *only_note(const struct import *im)
{
	size_t n;
	unsigned more;
	const struct import_note *notes = import_notes(im, &n, &more);

	assert_int_equal(n, 1);
	assert_int_equal(more, 0);
	return notes;
}

#define SERVER(key, address)                                                                       \
	"{\"version\":\"\",\"sequence\":0,\"timestamp\":0,\"static\":\"" key                       \
	"\",\"server\":{\"address\":\"" address "\",\"availableSessions\":0}}"
#define DMSG(members) "\"dmsg\":{\"sessions_count\":3," members "}"
#define LAN_SERVER(members) "\"hypervisor\":{\"lan_dmsg_server\":{" members "}}"

#define PEERS "\n[peers]\nallow = any\n"

static const struct {
	const char *row; // that is tried
	const char *members;
	const char *adds; // to HEAD
	const char *note; // "KIND path: why", the only one; NULL: none
} taken[] = {
	{"sk", "", "", NULL},
	{"pk", "\"pk\":\"" PK1 "\"", "", NULL},
	{"pk", "\"pk\":\"\"", "", NULL},
	{"dmsg", "\"dmsg\":{\"discovery\":\"http://d\"}",
		"\n[dmsg]\ndiscovery = http://d\nsessions = 0\n" PEERS, NULL},
	{"dmsg", "\"dmsg\":null", "", NULL},
	{"dmsg", "\"dmsg\":{}", "", NULL},
	{"dmsg", "\"dmsg\":[{\"discovery\":\"http://d\"},{\"discovery\":\"http://e\"}]",
		"\n[dmsg]\ndiscovery = http://d, http://e\nsessions = 0\n" PEERS, NULL},
	{"dmsg.discovery", DMSG("\"discovery\":\"dmsg://" PK2 ":80\""), "",
		"3 dmsg.discovery: is reached over a [server NAME], and there is none"},
	{"dmsg.discovery_dmsg", DMSG("\"discovery_dmsg\":\"dmsg://" PK2 "\""), "",
		"3 dmsg.discovery_dmsg: is reached over a [server NAME], and there is none"},
	{"dmsg.discovery_dmsg",
		DMSG("\"discovery\":\"http://d\",\"discovery_dmsg\":\"dmsg://" PK2 "\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n" PEERS,
		"3 dmsg.discovery_dmsg: the other way to the discovery that is taken"},
	{"dmsg.sessions_count", "\"dmsg\":{\"discovery\":\"http://d\",\"sessions_count\":16}",
		"\n[dmsg]\ndiscovery = http://d\nsessions = 16\n" PEERS, NULL},
	{"dmsg.sessions_count", "\"dmsg\":{\"discovery\":\"http://d\",\"sessions_count\":17}",
		"\n[dmsg]\ndiscovery = http://d\nsessions = 16\n" PEERS,
		"3 dmsg.sessions_count: 16 sessions are the most"},
	{"dmsg.sessions_count",
		"\"dmsg\":[{\"discovery\":\"http://d\",\"sessions_count\":1},{\"sessions_count\":9}]",
		"\n[dmsg]\ndiscovery = http://d\nsessions = 1\n" PEERS, NULL},
	{"dmsg.sessions_count",
		"\"dmsg\":{\"sessions_count\":1,\"servers\":[" SERVER(PK2, "a:1") "," SERVER(
			PK3, "b:2") "]}",
		"\n[dmsg]\nsessions = 1\n\n[server 1]\nkey = " PK2
		"\naddress = a:1\n\n[server 2]\nkey = " PK3 "\naddress = b:2\n" PEERS,
		"3 dmsg.sessions_count: less than servers: each gets a session"},
	{"dmsg.servers_type", DMSG("\"servers_type\":\"all\",\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n" PEERS, NULL},
	{"dmsg.servers_type", DMSG("\"servers_type\":\"official\",\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n" PEERS,
		"0 dmsg.servers_type: of a discovery's servers, any type is taken"},
	{"dmsg.protocol", DMSG("\"protocol\":\"yamux\",\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n" PEERS, NULL},
	{"dmsg.protocol", DMSG("\"protocol\":\"smux\",\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nmux = smux\nsessions = 3\n" PEERS, NULL},
	{"dmsg.discovery",
		DMSG("\"discovery\":\"dmsg://" PK2 "\",\"servers\":[" SERVER(PK2, "a:1") "]"),
		"\n[dmsg]\ndiscovery = dmsg://" PK2 "\nsessions = 3\n\n[server 1]\nkey = " PK2
		"\naddress = a:1\n" PEERS,
		NULL},
	{"dmsg.protocol",
		DMSG("\"protocol\":\"smux\",\"discovery\":\"dmsg://" PK2
		     "\",\"servers\":[" SERVER(PK2, "a:1") "]"),
		"\n[dmsg]\ndiscovery = dmsg://" PK2 "\nsessions = 3\n\n[server 1]\nkey = " PK2
		"\naddress = a:1\n" PEERS,
		"3 dmsg.protocol: smux needs a discovery that is reached by http or https"},
	{"dmsg.carriers", DMSG("\"carriers\":[\"tcp\",\"ws\"],\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n" PEERS,
		"0 dmsg.carriers[1]: sessions to servers are over TCP"},
	{"dmsg.direct_only",
		DMSG("\"direct_only\":true,\"discovery\":\"http://d\",\"servers\":[" SERVER(
			PK2, "a:1") "]"),
		"\n[dmsg]\nsessions = 3\n\n[server 1]\nkey = " PK2 "\naddress = a:1\n" PEERS, NULL},
	{"dmsg.servers", DMSG("\"servers\":[null," SERVER(PK2, "a:1") "," SERVER(PK2, "a:1") "]"),
		"\n[dmsg]\nsessions = 3\n\n[server 1]\nkey = " PK2 "\naddress = a:1\n" PEERS, NULL},
	{"dmsg.servers", DMSG("\"servers\":[" SERVER(PK2, "a:1") "," SERVER(PK2, "b:1") "]"),
		"\n[dmsg]\nsessions = 3\n\n[server 1]\nkey = " PK2 "\naddress = a:1\n" PEERS,
		"3 dmsg.servers[1]: another one has the same key and counts"},
	{"dmsg.servers.static", DMSG("\"servers\":[" SERVER(PK3, "a:1") "]"),
		"\n[dmsg]\nsessions = 3\n\n[server 1]\nkey = " PK3 "\naddress = a:1\n" PEERS, NULL},
	{"dmsg.servers.server.address", DMSG("\"servers\":[" SERVER(PK2, "[2001:db8::1]:8081") "]"),
		"\n[dmsg]\nsessions = 3\n\n[server 1]\nkey = " PK2
		"\naddress = [2001:db8::1]:8081\n" PEERS,
		NULL},
	{"dmsg.servers.server.serverType",
		"\"dmsg\":[{\"servers\":[{\"static\":\"" PK2
		"\",\"server\":{\"address\":\"a:1\",\"serverType\":\"community\"}},"
		"{\"static\":\"" PK3
		"\",\"server\":{\"address\":\"b:1\",\"serverType\":\"official\"}}]}]",
		"\n[dmsg]\nsessions = 0\n\n[server 1]\nkey = " PK2
		"\naddress = a:1\n\n[server 2]\nkey = " PK3 "\naddress = b:1\n" PEERS,
		NULL},
	{"hypervisors", "\"hypervisors\":[\"" PK2 "\",null,\"" PK3 "\"]",
		"\n[hypervisor 1]\nkey = " PK2 "\n\n[hypervisor 2]\nkey = " PK3 "\n", NULL},
	{"dmsg.lan_servers",
		"\"hypervisors\":[\"" PK4
		"\"],\"dmsg\":{\"lan_servers\":[" SERVER(PK2, "a:1") "," SERVER(PK3, "b:1") "]}",
		"\n[hypervisor 1]\nkey = " PK4 "\n\n[saved_lan_server 1]\nkey = " PK2
		"\naddress = a:1\nhypervisor = " PK4 "\n\n[saved_lan_server 2]\nkey = " PK3
		"\naddress = b:1\nhypervisor = " PK4 "\n" PEERS,
		NULL},
	{"dmsg.lan_servers", "\"dmsg\":{\"lan_servers\":[" SERVER(PK2, "a:1") "]}", "",
		"3 dmsg.lan_servers[0]: no hypervisor tells of it any more"},
	{"dmsg.lan_servers",
		"\"hypervisors\":[\"" PK4
		"\"],\"dmsg\":[{},{\"lan_servers\":[" SERVER(PK2, "a:1") "]}]",
		"\n[hypervisor 1]\nkey = " PK4 "\n", NULL},
	{"dmsg.lan_servers.static",
		"\"dmsg\":{\"lan_servers\":[" SERVER(PK3, "a:1") "]},\"hypervisors\":[\"" PK4 "\"]",
		"\n[hypervisor 1]\nkey = " PK4 "\n\n[saved_lan_server 1]\nkey = " PK3
		"\naddress = a:1\nhypervisor = " PK4 "\n" PEERS,
		NULL},
	{"dmsg.lan_servers.server.address",
		"\"dmsg\":{\"lan_servers\":[" SERVER(PK2, "z:9") "]},\"hypervisors\":[\"" PK4 "\"]",
		"\n[hypervisor 1]\nkey = " PK4 "\n\n[saved_lan_server 1]\nkey = " PK2
		"\naddress = z:9\nhypervisor = " PK4 "\n" PEERS,
		NULL},
	{"dmsg.lan_servers.server.serverType",
		"\"dmsg\":{\"lan_servers\":[{\"static\":\"" PK2
		"\",\"server\":{\"address\":\"z:9\",\"serverType\":\"x\"}}]},\"hypervisors\":[\"" PK4
		"\"]",
		"\n[hypervisor 1]\nkey = " PK4 "\n\n[saved_lan_server 1]\nkey = " PK2
		"\naddress = z:9\nhypervisor = " PK4 "\n" PEERS,
		NULL},
	{"hypervisor.lan_dmsg_server.enable", LAN_SERVER("\"enable\":true"),
		"\n[lan_server]\nenable = yes\n" PEERS,
		"3 hypervisor.lan_dmsg_server.enable: name those that are told of it in [visor NAME]"},
	{"hypervisor.lan_dmsg_server.enable", LAN_SERVER("\"enable\":false"), "", NULL},
	// its own server is a way to a discovery behind dmsg
	{"hypervisor.lan_dmsg_server.enable",
		DMSG("\"discovery\":\"dmsg://" PK2 "\"") "," LAN_SERVER("\"enable\":true"),
		"\n[lan_server]\nenable = yes\n\n[dmsg]\ndiscovery = dmsg://" PK2
		"\nsessions = 3\n" PEERS,
		"3 hypervisor.lan_dmsg_server.enable: name those that are told of it in [visor NAME]"},
	{"hypervisor.lan_dmsg_server.port", LAN_SERVER("\"port\":8085"),
		"\n[lan_server]\nport = 8085\n", NULL},
	{"hypervisor.lan_dmsg_server.port", LAN_SERVER("\"port\":0"), "", NULL},
	{"hypervisor.lan_dmsg_server.public_address", LAN_SERVER("\"public_address\":\"h:1\""),
		"\n[lan_server]\npublic_address = h:1\n", NULL},
	{"hypervisor.lan_dmsg_server.max_sessions", LAN_SERVER("\"max_sessions\":7"),
		"\n[lan_server]\nsessions_max = 7\n", NULL},
	{"hypervisor.lan_dmsg_server.pk", LAN_SERVER("\"pk\":\"" PK2 "\""), "", NULL},
	{"hypervisor.lan_dmsg_server.sk", LAN_SERVER("\"sk\":\"" TWO "\",\"pk\":\"" PK2 "\""),
		"\n[lan_server]\nsecret_key = " TWO "\n", NULL},
	{"routing.route_setup_sk", "\"routing\":{\"route_setup_sk\":\"" TWO "\"}",
		"\n[setup_node]\nenable = yes\nkey_file = /var/lib/skyrail/setup-node.key\n", NULL},
	{"routing.route_setup_sk", "\"routing\":{\"route_setup_sk\":null}", "", NULL},
	{"routing.route_setup_nodes",
		"\"routing\":{\"route_setup_nodes\":[\"" PK2 "\",null,\"" PK3 "\",\"" PK2
		"\"]}," DMSG("\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n\n[route_setup_node 1]\nkey = " PK2
		"\n\n[route_setup_node 2]\nkey = " PK3 "\n" PEERS,
		NULL},
	{"routing.user_route_setup_nodes",
		"\"routing\":{\"route_setup_nodes\":[\"" PK2
		"\"],\"user_route_setup_nodes\":[\"" PK3 "\"]}," DMSG("\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n\n[route_setup_node 1]\nkey = " PK2
		"\n\n[route_setup_node 2]\nkey = " PK3 "\n" PEERS,
		NULL},
	{"routing.setup_nodes",
		"\"routing\":{\"setup_nodes\":[\"" PK2 "\"]}," DMSG("\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n\n[route_setup_node 1]\nkey = " PK2
		"\n" PEERS,
		NULL},
	{"routing.route_setup_nodes", "\"routing\":{\"route_setup_nodes\":[\"" PK2 "\"]}", "",
		"3 routing.route_setup_nodes[0]: set-up nodes reach a node by dmsg, and there is no way "
		"to it"},
	{"transport.transport_setup",
		"\"transport\":{\"transport_setup\":[\"" PK2 "\",\"" PK3 "\",\"" PK2
		"\"]}," DMSG("\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n\n[transport_setup 1]\nkey = " PK2
		"\n\n[transport_setup 2]\nkey = " PK3 "\n" PEERS,
		NULL},
	{"transport.user_transport_setup",
		"\"transport\":{\"transport_setup\":[\"" PK2 "\"],\"user_transport_setup\":[\"" PK3
		"\"]}," DMSG("\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n\n[transport_setup 1]\nkey = " PK2
		"\n\n[transport_setup 2]\nkey = " PK3 "\n" PEERS,
		NULL},
	{"transport.transport_setup_nodes",
		"\"transport\":{\"transport_setup_nodes\":[\"" PK2
		"\"]}," DMSG("\"discovery\":\"http://d\""),
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n\n[transport_setup 1]\nkey = " PK2
		"\n" PEERS,
		NULL},
	{"transport.transport_setup", "\"transport\":{\"transport_setup\":[\"" PK2 "\"]}", "",
		"3 transport.transport_setup[0]: set-up nodes reach a node by dmsg, and there is no way "
		"to it"},
	{"skywire-tcp.pk_table",
		"\"skywire-tcp\":{\"pk_table\":{\"" PK2 "\":\"192.0.2.1:7777\",\"" PK3
		"\":\"[2001:db8::1]:7777\",\"" PK4 "\":null}}",
		"\n[transport stcp-1]\npeer = " PK2
		"\ntype = stcp\naddress = 192.0.2.1:7777\n\n[transport stcp-2]\npeer = " PK3
		"\ntype = stcp\naddress = [2001:db8::1]:7777\n",
		NULL},
	{"skywire-tcp.listening_address", "\"skywire-tcp\":{\"listening_address\":\":7777\"}",
		"\n[stcp]\nlisten = [::]:7777\n" PEERS, NULL},
	{"skywire-tcp.listening_address",
		"\"skywire-tcp\":{\"listening_address\":\"192.0.2.9:7000\"}",
		"\n[stcp]\nlisten = 192.0.2.9:7000\n" PEERS, NULL},
	{"transport.discovery", "\"transport\":{\"discovery\":\"http://tpd\"}",
		"\n[transports]\ndiscovery = http://tpd\n", NULL},
	{"transport.discovery", "\"transport\":{\"discovery\":\"dmsg://" PK2 ":80\"}", "",
		"3 transport.discovery: is reached over a [server NAME], and there is none"},
	{"transport.discovery_dmsg",
		"\"transport\":{\"discovery\":\"\",\"discovery_dmsg\":\"dmsg://" PK2
		":80\"},\"dmsg\":{\"discovery\":\"http://d\"}",
		"\n[dmsg]\ndiscovery = http://d\nsessions = 0\n\n[transports]\ndiscovery = dmsg://" PK2
		":80\n" PEERS,
		NULL},
	{"transport.discovery_dmsg",
		"\"transport\":{\"discovery\":\"http://tpd\",\"discovery_dmsg\":\"dmsg://" PK2
		":80\"}",
		"\n[transports]\ndiscovery = http://tpd\n",
		"3 transport.discovery_dmsg: the other way to the service that is taken"},
	{"transport.address_resolver", "\"transport\":{\"address_resolver\":\"http://ar\"}",
		"\n[transports]\naddress_resolver = http://ar\n",
		"3 transport.stcpr_port: 0: nobody may call by stcpr; set [stcpr] listen"},
	{"transport.address_resolver_dmsg",
		"\"transport\":{\"address_resolver_dmsg\":\"http://ar\"}",
		"\n[transports]\naddress_resolver = http://ar\n",
		"3 transport.stcpr_port: 0: nobody may call by stcpr; set [stcpr] listen"},
	{"transport.stcpr_port",
		"\"transport\":{\"address_resolver\":\"http://ar\",\"stcpr_port\":7773}",
		"\n[transports]\naddress_resolver = http://ar\n\n[stcpr]\nlisten = [::]:7773\n" PEERS,
		NULL},
	{"transport.stcpr_port", "\"transport\":{\"stcpr_port\":7773}", "",
		"3 transport.stcpr_port: nobody finds it without an address resolver"},
	{"persistent_transports",
		DMSG("\"discovery\":\"http://d\"") ",\"persistent_transports\":[{\"pk\":\"" PK2
						   "\",\"type\":\"stcpr\"},{\"pk\":\"" PK2
						   "\",\"type\":\"dmsg\"},{\"pk\":\"" PK2
						   "\",\"type\":\"dmsg\"}]",
		"\n[dmsg]\ndiscovery = http://d\nsessions = 3\n\n[transport kept-1]\npeer = " PK2
		"\ntype = stcpr\n\n[transport kept-2]\npeer = " PK2 "\ntype = dmsg\n" PEERS,
		NULL},
	{"persistent_transports",
		"\"persistent_transports\":[{\"pk\":\"" PK2 "\",\"type\":\"stcpr\"},{\"pk\":\"" PK2
		"\",\"type\":\"dmsg\"}]",
		"\n[transport kept-1]\npeer = " PK2 "\ntype = stcpr\n",
		"3 persistent_transports[1]: goes over dmsg, and there is no way to it"},
	{"persistent_transports.pk",
		"\"persistent_transports\":[{\"pk\":\"" PK1 "\",\"type\":\"dmsg\"}]", "",
		"3 persistent_transports[0]: is the node's own key"},
	{"persistent_transports.type",
		"\"persistent_transports\":[{\"pk\":\"" PK2 "\",\"type\":\"sudph\"}]", "",
		"0 persistent_transports[0]: of stcpr and dmsg transports only"},
	{"persistent_transports.type",
		"\"skywire-tcp\":{\"pk_table\":{\"" PK2 "\":\"192.0.2.1:7777\"}},"
		"\"persistent_transports\":[{\"pk\":\"" PK2 "\",\"type\":\"stcp\"}]",
		"\n[transport stcp-1]\npeer = " PK2 "\ntype = stcp\naddress = 192.0.2.1:7777\n",
		NULL},
	{"routing.route_finder",
		"\"routing\":{\"route_finder\":\"http://rf\",\"route_finder_timeout\":\"9s\"}",
		"\n[routing]\nroute_finder_timeout = 9s\nroute_finder = http://rf\n", NULL},
	{"routing.route_finder_dmsg", "\"routing\":{\"route_finder_dmsg\":\"http://rf\"}",
		"\n[routing]\nroute_finder = http://rf\n", NULL},
	{"routing.route_finder_timeout", "\"routing\":{\"route_finder_timeout\":\"500ms\"}",
		"\n[routing]\nroute_finder_timeout = 500ms\n", NULL},
	{"routing.route_finder_timeout", "\"routing\":{\"route_finder_timeout\":\"1m30s\"}", "",
		"3 routing.route_finder_timeout: a time is written in one unit: 90s"},
	{"routing.min_hops", "\"routing\":{\"min_hops\":2}", "\n[routing]\nmin_hops = 2\n", NULL},
	{"routing.min_hops", "\"routing\":{\"min_hops\":0}", "", NULL},
	{"log_level", "\"log_level\":\"trace\"", "\n[log]\nlevel = debug\n", NULL},
	{"log_level", "\"log_level\":\"warning\"", "\n[log]\nlevel = warn\n", NULL},
	{"log_level", "\"log_level\":\"Fatal\"", "\n[log]\nlevel = err\n", NULL},
	{"log_level", "\"log_level\":\"\"", "", NULL},
};

static void fields_with_a_counterpart_are_taken(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		struct import *im = read_members(taken[i].members);
		char want[2048], note[300];
		size_t n;
		unsigned more;

		if (im == NULL)
			fail_msg("%s: %s: %s", taken[i].row, taken[i].members, import_err);
		snprintf(want, sizeof(want), HEAD "%s", taken[i].adds);
		assert_text(im, want);
		if (taken[i].note != NULL) {
			snprintf(note, sizeof(note), "%d %s: %s", (int)only_note(im)->kind,
				only_note(im)->path, only_note(im)->why);
			assert_string_equal(note, taken[i].note);
		} else {
			(void)import_notes(im, &n, &more);
			assert_int_equal(n, 0);
		}
		import_free(im);
	}
}

static void each_row_that_takes_is_tried_above(void **state)
{
	size_t n;
	const struct import_row *rows = import_rows(&n);

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(taken) && strcmp(taken[k].row, rows[i].name) != 0)
			k++;
		if (rows[i].take != NULL && k == ARRAY_LEN(taken))
			fail_msg("%s is in no case", rows[i].name);
	}
}

// `"a":{"b":VALUE}` of "a.b".
static void nest(const char *name, const char *value, char *out, size_t cap)
{
	char upper[IMPORT_PATH_MAX], inner[300];
	const char *dot = strrchr(name, '.');

	if (dot == NULL) {
		snprintf(out, cap, "\"%s\":%s", name, value);
		return;
	}
	snprintf(upper, sizeof(upper), "%.*s", (int)(dot - name), name);
	snprintf(inner, sizeof(inner), "{\"%s\":%s}", dot + 1, value);
	nest(upper, inner, out, cap);
}

// As nest(), for what is in the entry of a server: one that is whole but for that.
static void nest_in_entry(const char *name, const char *value, char *out, size_t cap)
{
	const char *list = name + strlen("dmsg."), *end = strchr(list, '.');

	snprintf(out, cap,
		"\"hypervisors\":[\"" PK4 "\"],\"dmsg\":{\"%.*s\":[{\"static\":\"" PK2
		"\",\"server\":{\"address\":\"a:1\",\"%s\":%s}}]}",
		(int)(end - list), list, strrchr(name, '.') + 1, value);
}

static bool notes_it(const struct import_row *row, const char *value)
{
	bool in_entry = strstr(row->name, "servers.server.") != NULL;
	char members[1024];
	struct import *im;
	unsigned more;
	size_t n;

	(in_entry ? nest_in_entry : nest)(row->name, value, members, sizeof(members));
	im = read_members(members);
	if (im == NULL)
		fail_msg("%s: %s", members, import_err);
	(void)import_notes(im, &n, &more);
	if (n > 0) {
		assert_int_equal(only_note(im)->kind, row->kind);
		assert_string_equal(only_note(im)->why, row->why);
	}
	import_free(im);
	return n > 0;
}

static void fields_without_one_are_named_unless_they_say_nothing(void **state)
{
	static const char *const nothing[] = {
		"null", "false", "0", "0.0", "\"\"", "[]", "{}", "{\"a\":[{\"b\":0},\"\"]}"};
	static const char *const something[] = {
		"true", "-1", "0.5", "\"x\"", "[true]", "{\"a\":[{\"b\":1}]}"};
	size_t n, tried = 0;
	const struct import_row *rows = import_rows(&n);

	for (size_t i = 0; i < n; i++) {
		if (rows[i].why == NULL)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(nothing); k++)
			if (notes_it(&rows[i], nothing[k]))
				fail_msg("%s = %s is named", rows[i].name, nothing[k]);
		for (size_t k = 0; k < ARRAY_LEN(something); k++)
			if (!notes_it(&rows[i], something[k]))
				fail_msg("%s = %s is not named", rows[i].name, something[k]);
		tried++;
	}
	assert_true(tried > 80);
}

static void no_row_stands_twice_or_without_the_one_above(void **state)
{
	size_t n;
	const struct import_row *rows = import_rows(&n);

	for (size_t i = 0; i < n; i++) {
		const char *dot = strrchr(rows[i].name, '.');
		bool above = dot == NULL;

		for (size_t k = 0; k < n; k++) {
			assert_true(k == i || strcmp(rows[k].name, rows[i].name) != 0);
			above = above || (strlen(rows[k].name) == (size_t)(dot - rows[i].name) &&
						 strncmp(rows[k].name, rows[i].name,
							 (size_t)(dot - rows[i].name)) == 0 &&
						 rows[k].why == NULL);
		}
		if (!above)
			fail_msg("%s has nothing above it", rows[i].name);
	}
}

static const struct {
	const char *json, *says;
} mistakes[] = {
	{"", "line 1, column 0: no JSON: '[' or '{' expected"},
	{"{\"sk\" \"" ONE "\"}", "line 1, column 72: no JSON: ':' expected"},
	{"{\n\"sk\":\"" ONE "\"\n\"pk\":1}", "line 3, column 4: no JSON: '}' expected"},
	{"{\"sk\":\"" ONE "\",\n\"sk\":\"" TWO "\"}",
		"line 2, column 4: this name is there already"},
	{"{\"sk\":" ONE "}", "line 1, column 7: no JSON: invalid token"},
	{"[]", "no configuration of a visor: a list where an object belongs"},
	{"{}", "sk: is missing: is this the configuration of a visor?"},
	{"{\"sk\":null}", "sk: is missing: is this the configuration of a visor?"},
	{"{\"sk\":\"\"}", "sk: is missing: is this the configuration of a visor?"},
	{"{\"sk\":1}", "sk: must be a text, not a number"},
	{"{\"sk\":\"" PK1 "\"}", "sk: is no secret key: 64 hex digits"},
	{"{\"sk\":\"00" ONE "\"}", "sk: is no secret key: 64 hex digits"},
	{"{\"sk\":\"" ONE "\",\"pk\":\"" ONE "\"}",
		"pk: is no public key: 66 hex digits as `skyrail key show` prints them"},
	{"{\"sk\":\"" ONE "\",\"pk\":\"" PK2 "\"}",
		"pk: is not the public key of sk, which is " PK1},
	{"{\"sk\":\"" ONE "\",\"pk\":\"00\"}",
		"pk: is no public key: 66 hex digits as `skyrail key show` prints them"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":7}",
		"dmsg: must be an object, or a list of them, not a number"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":[7]}", "dmsg[0]: must be an object, not a number"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"servers\":{}}}",
		"dmsg.servers: must be a list of objects, not an object"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"servers\":[null,\"a\"]}}",
		"dmsg.servers[1]: must be an object, not a text"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":[{},{\"servers\":[" SERVER(
		 PK2, "a:1") ",{\"static\":"
			     "false,\"server\":{\"address\":\"b:1\"}}]}]}",
		"dmsg[1].servers[1].static: must be a text, not false"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"servers\":[" SERVER("02", "a:1") "]}}",
		"dmsg.servers[0].static: is no public key: 66 hex digits as `skyrail key show` prints them"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"servers\":[{\"static\":\"" PK2 "\"}]}}",
		"dmsg.servers[0]: has no address (server.address)"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"servers\":[{\"static\":\"" PK2
	 "\",\"server\":{\"address\":8081}}]}}",
		"dmsg.servers[0].server.address: must be a text, not a number"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"servers\":[" SERVER("", "a:1") "]}}",
		"dmsg.servers[0]: has no key (static)"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"servers\":[" SERVER(PK2, "a:1\\n[node]\\nname = x") "]"
											      "}}",
		"dmsg.servers[0].server.address: does not fit into a line of ours: printable "
		"ASCII without ';', 190 bytes with the key"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"servers\":[" SERVER(PK2, "a:1 ; x") "]}}",
		"dmsg.servers[0].server.address: does not fit into a line of ours: printable "
		"ASCII without ';', 190 bytes with the key"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"sessions_count\":-1}}",
		"dmsg.sessions_count: must be 0 (as many as there are) or more"},
	{"{\"sk\":\"" ONE "\",\"dmsg\":{\"sessions_count\":1.5}}",
		"dmsg.sessions_count: must be a whole number, not a number with a fraction"},
	{"{\"sk\":\"" ONE "\",\"hypervisors\":[\"" PK2 "\",\"x\"]}",
		"hypervisors[1]: is no public key: 66 hex digits as `skyrail key show` prints them"},
	{"{\"sk\":\"" ONE "\",\"skywire-tcp\":{\"pk_table\":{\"" PK2 "\":7}}}",
		"skywire-tcp.pk_table.02c6047f...: must be a text, not a number"},
	{"{\"sk\":\"" ONE "\",\"skywire-tcp\":{\"pk_table\":{\"a.b\":\"h:1\"}}}",
		"skywire-tcp.pk_table.a.b: is no public key: 66 hex digits as `skyrail key show` prints them"},
	{"{\"sk\":\"" ONE "\",\"skywire-tcp\":{\"pk_table\":[]}}",
		"skywire-tcp.pk_table: must be an object, not a list"},
	{"{\"sk\":\"" ONE "\",\"persistent_transports\":[{\"pk\":\"x\",\"type\":\"dmsg\"}]}",
		"persistent_transports[0].pk: is no public key: 66 hex digits as `skyrail key show` "
		"prints them"},
	{"{\"sk\":\"" ONE "\",\"persistent_transports\":[{\"pk\":\"" PK2 "\"}]}",
		"persistent_transports[0]: needs pk and type"},
	{"{\"sk\":\"" ONE "\",\"persistent_transports\":[{\"pk\":null,\"type\":\"dmsg\"}]}",
		"persistent_transports[0]: needs pk and type"},
	{"{\"sk\":\"" ONE "\",\"hypervisors\":\"" PK2 "\"}",
		"hypervisors: must be a list of texts, not a text"},
	{"{\"sk\":\"" ONE "\",\"log_level\":\"loud\"}",
		"log_level: is no log level: trace, debug, info, warn, error, fatal or panic"},
	{"{\"sk\":\"" ONE "\"," LAN_SERVER("\"enable\":\"yes\"") "}",
		"hypervisor.lan_dmsg_server.enable: must be true or false, not a text"},
	{"{\"sk\":\"" ONE "\"," LAN_SERVER("\"sk\":\"" ONE "\"") "}",
		"hypervisor.lan_dmsg_server.sk: is the key of another role, too"},
	{"{\"sk\":\"" ONE "\",\"routing\":{\"route_setup_sk\":\"" ONE "\"}}",
		"routing.route_setup_sk: is the key of another role, too"},
	{"{\"sk\":\"" ONE "\",\"routing\":{\"route_setup_sk\":\"" TWO
	 "\"}," LAN_SERVER("\"sk\":\"" TWO "\"") "}",
		"routing.route_setup_sk: is the key of another role, too"},
	{"{\"sk\":\"" ONE "\",\"routing\":{\"route_setup_sk\":\"" PK1 "\"}}",
		"routing.route_setup_sk: is no secret key: 64 hex digits"},
	{"{\"sk\":\"" ONE "\"," LAN_SERVER("\"sk\":\"" TWO "\",\"pk\":\"" PK3 "\"") "}",
		"hypervisor.lan_dmsg_server.pk: is not the public key of the sk beside it"},
	{"{\"sk\":\"" ONE "\",\"pk\":5,\"dmsg\":{\"servers\":[7]},\"hypervisors\":[8]}",
		"pk: must be a text, not a number\n"
		"dmsg.servers[0]: must be an object, not a number\n"
		"hypervisors[0]: must be a text, not a number"},
};

static void mistakes_are_told_with_the_field(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		assert_null(read_text(mistakes[i].json));
		assert_string_equal(import_err, mistakes[i].says);
	}
}

// Whatever piece of the file a mistake is in.
static void no_mistake_shows_a_secret(void **state)
{
	static const char json[] =
		"{\"version\":\"v1\",\"sk\":\"" TWO "\",\"pk\":\"" PK2
		"\",\"dmsg\":{\"servers\":[]},\"hypervisor\":{\"lan_dmsg_server\":"
		"{\"sk\":\"" ONE "\"}}}";
	char changed[sizeof(json)];

	for (size_t cut = 0; cut < sizeof(json); cut++)
		for (int how = 0; how < 3; how++) {
			struct import *im;
			size_t n = sizeof(json) - 1;

			memcpy(changed, json, sizeof(json));
			if (how == 0)
				n = cut; // ends here
			else
				changed[cut < n ? cut : 0] = how == 1 ? ' ' : '"';
			im = import_read(changed, n, NULL, import_err);
			assert_null(strstr(import_err, "00000000"));
			if (im != NULL) {
				size_t len;
				unsigned more;
				const struct import_note *notes = import_notes(im, &len, &more);

				for (size_t i = 0; i < len; i++)
					assert_null(strstr(notes[i].path, "000000000"));
				assert_null(strstr(import_text(im, &len), "00000000"));
			}
			import_free(im);
		}
}

static void each_role_has_a_key_file(void **state)
{
	struct import *im = read_members("\"routing\":{\"route_setup_sk\":\"" TWO "\"}");
	const struct import_key *keys;
	char sk[KEY_SK_TEXT_LEN + 1];
	size_t n;

	assert_non_null(im);
	keys = import_keys(im, &n);
	assert_int_equal(n, 2);
	assert_string_equal(keys[0].file, KEY_FILE);
	assert_string_equal(keys[1].file, "/var/lib/skyrail/setup-node.key");
	key_sk_to_text(&keys[1].sk, sk);
	assert_string_equal(sk, TWO);
	import_free(im);
}

static void what_is_only_shown_has_no_key(void **state)
{
	static const char json[] =
		"{\"sk\":\"" ONE "\"," LAN_SERVER("\"port\":1,\"sk\":\"" TWO "\"") "}";
	struct import *im = import_read(json, sizeof(json) - 1, NULL, import_err);

	assert_non_null(im);
	assert_text(im, "; Made from the configuration of a Skywire visor by `skyrail "
			"import-config`.\n\n[lan_server]\nport = 1\n");
	assert_false(import_has_secret(im));
	import_free(im);
	im = import_read(json, sizeof(json) - 1, KEY_FILE, import_err);
	assert_non_null(im);
	assert_true(import_has_secret(im));
	import_free(im);
}

static bool heap_holds(const char *text)
{
	char line[300], name[100];
	unsigned long from, to;
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %99s", &from, &to, name) == 3 &&
			strcmp(name, "[heap]") == 0)
			found = found ||
				memmem((const void *)from, to - from, text, strlen(text)) != NULL;
	fclose(f);
	return found;
}

static void no_secret_stays_in_memory(void **state)
{
	static const char *const ends[] = {"}", "", ",\"sk\":\"", "]", ",\"pk\":1}"};
	struct key_sk sk;
	char json[300], text[KEY_SK_TEXT_LEN + 1];

	assert_int_equal(key_sk_generate(&sk), 0);
	key_sk_to_text(&sk, text);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(json, sizeof(json), "{\"sk\":\"%s\"," LAN_SERVER("\"sk\":\"%s\"") "%s",
			text, text, ends[i]);
		import_free(read_text(json));
		snprintf(json, sizeof(json),
			"{\"sk\":\"" ONE "\"," LAN_SERVER("\"sk\":\"%s\"") "%s", text, ends[i]);
		import_free(read_text(json));
		assert_false(heap_holds(text + 16)); // what is free has other things at its head
	}
}

static void unknown_fields_are_named(void **state)
{
	struct import *im =
		read_members("\"Dmsg\":1,\"dmsg\":{\"colour\":\"red\"},\"dmsg.servers\":[1],"
			     "\"\\u001b[2J\":1,\"" TWO "\":1,\"empty\":{}");
	static const char *const want[] = {
		"Dmsg", "dmsg.colour", "dmsg.servers", "?[2J", "00000000..."};
	size_t n;
	unsigned more;
	const struct import_note *notes;

	assert_non_null(im);
	notes = import_notes(im, &n, &more);
	assert_int_equal(n, ARRAY_LEN(want));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(notes[i].path, want[i]);
		assert_int_equal(notes[i].kind, IMPORT_UNKNOWN);
	}
	import_free(im);
}

static void many_of_one_list_are_named_once(void **state)
{
	struct import *im = read_members(
		"\"dmsg\":{\"servers\":[{\"static\":\"" PK2
		"\",\"server\":{\"address\":\"a:1\",\"address_v6\":\"b\"}},{\"static\":\"" PK3
		"\",\"server\":{\"address\":\"a:1\",\"address_v6\":\"c\"}},{\"static\":\"" PK4
		"\",\"server\":{\"address\":\"a:1\",\"address_v6\":\"c\"}}]}");

	assert_non_null(im);
	assert_string_equal(only_note(im)->path, "dmsg.servers[0].server.address_v6");
	assert_int_equal(only_note(im)->more, 2);
	import_free(im);
}

static void notes_have_a_limit(void **state)
{
	char members[8192] = "\"a\":0";
	struct import *im;
	size_t len, n;
	unsigned more;

	for (int i = 0; i < IMPORT_NOTES_MAX + 3; i++) {
		len = strlen(members);
		snprintf(members + len, sizeof(members) - len, ",\"a%d\":1", i);
	}
	im = read_members(members);
	assert_non_null(im);
	(void)import_notes(im, &n, &more);
	assert_int_equal(n, IMPORT_NOTES_MAX);
	assert_int_equal(more, 3);
	import_free(im);
}

// A list with one of more than we take.
static struct import *read_many(const char *before, const char *each, int n, const char *after)
{
	char members[8192], key[KEY_PK_TEXT_LEN + 1];
	size_t len = (size_t)snprintf(members, sizeof(members), "%s", before);

	for (int i = 0; i < n; i++) {
		struct key_sk sk = {.b = {[31] = (uint8_t)(i + 10)}};
		struct key_pk pk;

		assert_int_equal(key_pk_from_sk(&pk, &sk), 0);
		key_pk_to_text(&pk, key);
		len += (size_t)snprintf(
			members + len, sizeof(members) - len, "%s", i > 0 ? "," : "");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		len += (size_t)snprintf(members + len, sizeof(members) - len, each, key);
#pragma GCC diagnostic pop
	}
	snprintf(members + len, sizeof(members) - len, "%s", after);
	return read_members(members);
}

static void more_than_the_node_takes_is_left_out(void **state)
{
	struct import *im = read_many("\"hypervisors\":[", "\"%s\"", 18, "]");

	assert_non_null(im);
	assert_int_equal(import_count(im, "hypervisor"), 16);
	assert_string_equal(only_note(im)->path, "hypervisors[16]");
	assert_int_equal(only_note(im)->more, 1);
	import_free(im);
	im = read_many("\"dmsg\":{\"servers\":[",
		"{\"static\":\"%s\",\"server\":{\"address\":\"a:1\"}}", 17, "]}");
	assert_non_null(im);
	assert_int_equal(import_count(im, "server"), 16);
	assert_string_equal(only_note(im)->path, "dmsg.servers[16]");
	import_free(im);
	im = read_many("\"hypervisors\":[\"" PK2 "\"],\"dmsg\":{\"lan_servers\":[",
		"{\"static\":\"%s\",\"server\":{\"address\":\"a:1\"}}", 5, "]}");
	assert_non_null(im);
	assert_int_equal(import_count(im, "saved_lan_server"), 4);
	assert_string_equal(only_note(im)->path, "dmsg.lan_servers[4]");
	import_free(im);
	im = read_many("\"dmsg\":[", "{\"discovery\":\"http://%s:80\"}", 3, "]");
	assert_non_null(im);
	assert_int_equal(import_count(im, "discovery"), 2);
	assert_string_equal(only_note(im)->path, "dmsg[2].discovery");
	import_free(im);
}

static void lines_know_their_fields(void **state)
{
	struct import *im =
		read_members("\"log_level\":\"info\",\"dmsg\":{\"discovery\":\"http://d\","
			     "\"servers\":[null," SERVER(PK2, "a:1") "," SERVER(PK3, "b:1") "]}");
	static const char *const want[] = {NULL, NULL, "[node] state_dir", "[node] state_dir",
		"[node] key_file", NULL, "log_level", "log_level", NULL, "dmsg.discovery",
		"dmsg.discovery", "dmsg.sessions_count", NULL, "dmsg.servers[1].static",
		"dmsg.servers[1].static", "dmsg.servers[1].server.address", NULL,
		"dmsg.servers[2].static", "dmsg.servers[2].static",
		"dmsg.servers[2].server.address", NULL};

	assert_non_null(im);
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		const char *is = import_field_of(im, i + 1);

		assert_int_equal(is == NULL, want[i] == NULL);
		if (is != NULL)
			assert_string_equal(is, want[i]);
	}
	assert_null(import_field_of(im, 0));
	assert_null(import_field_of(im, 9999));
	import_free(im);
}

static void a_key_may_be_in_the_root(void **state)
{
	static const char json[] =
		"{\"sk\":\"" ONE "\",\"routing\":{\"route_setup_sk\":\"" TWO "\"}}";
	struct import *im = import_read(json, strlen(json), "/node.key", import_err);
	const struct import_key *keys;
	size_t len, n;

	(void)state;
	assert_non_null(im);
	assert_non_null(strstr(import_text(im, &len), "\nstate_dir = /\n"));
	keys = import_keys(im, &n);
	assert_int_equal(n, 2);
	assert_string_equal(keys[1].file, "/setup-node.key");
	import_free(im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_may_be_in_the_root),
		cmocka_unit_test(fields_with_a_counterpart_are_taken),
		cmocka_unit_test(each_row_that_takes_is_tried_above),
		cmocka_unit_test(fields_without_one_are_named_unless_they_say_nothing),
		cmocka_unit_test(no_row_stands_twice_or_without_the_one_above),
		cmocka_unit_test(mistakes_are_told_with_the_field),
		cmocka_unit_test(no_mistake_shows_a_secret),
		cmocka_unit_test(each_role_has_a_key_file),
		cmocka_unit_test(what_is_only_shown_has_no_key),
		cmocka_unit_test(no_secret_stays_in_memory),
		cmocka_unit_test(unknown_fields_are_named),
		cmocka_unit_test(many_of_one_list_are_named_once),
		cmocka_unit_test(notes_have_a_limit),
		cmocka_unit_test(more_than_the_node_takes_is_left_out),
		cmocka_unit_test(lines_know_their_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
