// The control plane's option table: the sample agrees with it, each kind of mistake has its
// message.
#include "controlplane/reload.h"

#include "lib/base/err.h"
#include "lib/crypto/key.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PK                                                                                         \
	"02"                                                                                       \
	"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define PK2                                                                                        \
	"02"                                                                                       \
	"c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
#define PK3                                                                                        \
	"02"                                                                                       \
	"f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"
#define TP "[transport b]\npeer = " PK "\naddress = 10.0.0.2:7780\n"

static char err[CONF_ERR_MAX];

static int parse(struct cp_conf *c, const char *text)
{
	return cp_conf_parse(c, text, strlen(text), err);
}

static void takes_every_cipher(void **state)
{
	static const struct {
		const char *line;
		uint8_t ciphers;
	} rows[] = {
		{"", TRANSPORT_CHACHA | TRANSPORT_AES},
		{"cipher = auto\n", TRANSPORT_CHACHA | TRANSPORT_AES},
		{"cipher = chacha20-poly1305\n", TRANSPORT_CHACHA},
		{"cipher = aes-256-gcm\n", TRANSPORT_AES},
		{"cipher = none\n", TRANSPORT_NONE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_conf c;
		char text[512];

		snprintf(text, sizeof(text), "%s%s", TP, rows[i].line);
		assert_int_equal(parse(&c, text), 0);
		assert_int_equal(c.transports[0].ciphers, rows[i].ciphers);
		cp_conf_free(&c);
	}
}

static void takes_a_path_mtu_for_all_and_for_one(void **state)
{
	static const struct {
		const char *text;
		uint16_t node, transport;
	} rows[] = {
		{TP, TRANSPORT_MTU_AUTO, 0},
		{"[link]\npath_mtu = 1400\n" TP, 1400, 0},
		{"[link]\npath_mtu = 1400\n" TP "path_mtu = auto\n", 1400, TRANSPORT_MTU_AUTO},
		{TP "path_mtu = 9000\n", TRANSPORT_MTU_AUTO, 9000},
		{TP "path_mtu = 65535\n", TRANSPORT_MTU_AUTO, 65535},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_conf c;

		assert_int_equal(parse(&c, rows[i].text), 0);
		assert_int_equal(cp_conf_path_mtu(c.v->path_mtu), rows[i].node);
		assert_int_equal(c.transports[0].path_mtu, rows[i].transport);
		cp_conf_free(&c);
	}
}

static void takes_congestion_control_for_all_and_for_one(void **state)
{
	struct cp_conf c;

	assert_int_equal(parse(&c, TP), 0);
	assert_int_equal(c.v->congestion, 0);
	assert_int_equal(c.transports[0].congestion, HOP_CC_DEFAULT);
	cp_conf_free(&c);
	assert_int_equal(parse(&c, "[link]\ncongestion = cubic\n" TP "congestion = bbr\n"), 0);
	assert_int_equal(c.v->congestion, 1);
	assert_int_equal(c.transports[0].congestion, HOP_CC_BBR);
	cp_conf_free(&c);
}

static void takes_transports_rules_and_edges(void **state)
{
	struct cp_conf c;

	assert_int_equal(
		parse(&c, TP "cipher = none\n"
			     "[rule out]\ntype = forward\nid = 101\nnext = 0x201\n"
			     "transport = b\nedge = e\n"
			     "[rule in]\ntype = consume\nid = 102\nin = b\nkeep_alive = 30s\n"
			     "[edge e]\ndevice = sky0\nconsume = 102\n"
			     "address = 10.9.0.1/24, fd00::1/64\n"),
		0);
	assert_int_equal(c.n_transports, 1);
	assert_int_equal(c.transports[0].ciphers, TRANSPORT_NONE);
	assert_int_equal(c.transports[0].addr.port, 7780);
	assert_true(c.transports[0].dial);
	assert_int_equal(c.n_rules, 2);
	assert_int_equal(c.rules[0].next_id, 0x201);
	assert_int_equal(c.rules[0].in, API_IN_DEFAULT);
	assert_int_equal(c.rules[1].keep_alive_ms, 30000);
	assert_int_equal(c.rules[1].in, API_IN_TRANSPORT);
	assert_string_equal(c.edges[0].name, "sky0");
	assert_int_equal(c.edges[0].mtu, 1280);
	assert_int_equal(c.edges[0].n_addrs, 2);
	assert_int_equal(c.edges[0].addrs[1].prefix, 64);
	assert_int_equal(c.attach[0].forward_id, 101);
	assert_int_equal(c.attach[0].consume_id, 102);
	cp_conf_free(&c);
}

static void takes_a_muxer_of_dmsg(void **state)
{
	struct cp_conf c;

	(void)state;
	assert_int_equal(parse(&c, ""), 0);
	assert_int_equal(c.v->dmsg.mux, DMSG_LINK_YAMUX);
	cp_conf_free(&c);
	assert_int_equal(parse(&c, "[dmsg]\ndiscovery = http://a\nmux = smux\n"), 0);
	assert_int_equal(c.v->dmsg.mux, DMSG_LINK_SMUX2);
	cp_conf_free(&c);
}

static void takes_a_setup_node(void **state)
{
	struct cp_conf c;

	(void)state;
	assert_int_equal(
		parse(&c, "[setup_node]\nenable = yes\n[server s]\nkey = " PK "\naddress = a:1\n"),
		0);
	assert_true(c.v->setup_node.enable);
	assert_string_equal(c.v->setup_node.key_file, "/var/lib/skyrail/setup-node.key");
	cp_conf_free(&c);
}

static void takes_dmsg_servers(void **state)
{
	struct cp_conf c;

	assert_int_equal(parse(&c, "[server s]\nkey = " PK "\naddress = dmsg.example.org:8081\n"
				   "[dmsg_server]\nlisten = [::]:8081\nsessions_max = 7\n"),
		0);
	assert_int_equal(c.n_servers, 1);
	assert_false(key_pk_is_null(&c.servers[0].pk));
	assert_string_equal(c.servers[0].address, "dmsg.example.org:8081");
	assert_string_equal(c.v->dmsg_server.listen, "[::]:8081");
	assert_int_equal(c.v->dmsg_server.sessions_max, 7);
	assert_int_equal(c.v->dmsg_server.streams_max, 4096);
	cp_conf_free(&c);
}

static void takes_a_discovery_by_dmsg_where_something_leads_to_it(void **state)
{
	static const char *const ways[] = {
		"[dmsg]\nmux = smux\ndiscovery = dmsg://" PK ", https://a\n",
		"[server s]\nkey = " PK "\naddress = a:1\n",
		"[dmsg]\ndiscovery = dmsg://" PK ", http://a\n",
		"[transports]\ndiscovery = dmsg://" PK "\n[server s]\nkey = " PK2
		"\naddress = a:1\n",
		"[routing]\nroute_finder = dmsg://" PK ":81\n[dmsg]\ndiscovery = https://a\n",
		"[lan_server]\nenable = yes\n",
		"[saved_lan_server 1]\nkey = " PK "\nhypervisor = " PK "\naddress = a:1\n",
	};
	struct cp_conf c;
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		snprintf(text, sizeof(text),
			"[dmsg_server]\nlisten = [::]:8081\npublic_address = a:8081\n"
			"discovery = dmsg://" PK2 "\n%s",
			ways[i]);
		assert_int_equal(parse(&c, text), 0);
		cp_conf_free(&c);
	}
}

static void takes_peer_servers(void **state)
{
	struct cp_conf c;

	assert_int_equal(parse(&c, "[dmsg_server]\nlisten = [::]:8081\nclient_streams = 9\n"
				   "[peer_server b]\nkey = " PK "\naddress = b.example.org:8081\n"
				   "[peer_server c]\nkey = " PK2 "\n"),
		0);
	assert_int_equal(c.n_peer_servers, 2);
	assert_false(key_pk_is_null(&c.peer_servers[1].pk));
	assert_string_equal(c.peer_servers[0].address, "b.example.org:8081");
	assert_string_equal(c.peer_servers[1].address, ""); // it dials us
	assert_int_equal(c.v->dmsg_server.client_streams, 9);
	cp_conf_free(&c);
}

static enum peer_access access_of(
	const struct cp_conf *c, const char *pk, char name[DPMSG_NAME_LEN])
{
	struct key_pk k;

	assert_int_equal(key_pk_from_text(&k, pk, strlen(pk)), 0);
	return peer_list_find(c->peers, &k, name);
}

static void takes_peers_from_sections_and_files(void **state)
{
	char allow[] = "/tmp/skyrail-allow-XXXXXX", deny[] = "/tmp/skyrail-deny-XXXXXX";
	char text[1024], name[DPMSG_NAME_LEN];
	struct cp_conf c;

	assert_int_equal(
		parse(&c, "[peer x]\nkey = " PK "\n[peer y]\nkey = " PK2 "\naccess = deny\n"), 0);
	assert_int_equal(access_of(&c, PK, name), PEER_ALLOWED);
	assert_string_equal(name, "x");
	assert_int_equal(access_of(&c, PK2, name), PEER_DENIED);
	cp_conf_free(&c);

	dprintf(mkstemp(allow), PK " paris\n" PK2 "\n");
	dprintf(mkstemp(deny), "# none yet\n");
	snprintf(text, sizeof(text), "[peers]\nallow_file = %s\ndeny_file = %s\n", allow, deny);
	assert_int_equal(parse(&c, text), 0);
	assert_int_equal(access_of(&c, PK, name), PEER_ALLOWED);
	assert_string_equal(name, "paris");
	assert_int_equal(access_of(&c, PK2, name), PEER_ALLOWED);
	cp_conf_free(&c);

	dprintf(open(deny, O_WRONLY | O_TRUNC), PK2 "\n");
	assert_int_equal(parse(&c, text), 0);
	assert_int_equal(access_of(&c, PK2, name), PEER_DENIED);
	cp_conf_free(&c);

	dprintf(open(deny, O_WRONLY | O_TRUNC), PK2 "\n12\n");
	assert_true(parse(&c, text) < 0);
	assert_non_null(strstr(err, deny));
	assert_non_null(strstr(err, ":2: is no public key"));
	unlink(allow);
	unlink(deny);
	assert_true(parse(&c, text) < 0);
	assert_non_null(strstr(err, allow));
	assert_null(c.file);
}

static void without_an_address_a_transport_waits(void **state)
{
	struct cp_conf c;

	assert_int_equal(parse(&c, "[transport b]\npeer = " PK "\n"), 0);
	assert_false(c.transports[0].dial);
	cp_conf_free(&c);
}

static void a_peer_may_have_a_transport_of_each_type(void **state)
{
	struct cp_conf c;

	assert_int_equal(parse(&c, TP "[transport t]\npeer = " PK "\ntype = stcp\n"
				      "address = 10.0.0.2:7777\n"
				      "[stcp]\nlisten = [::1]:7777\n"),
		0);
	assert_int_equal(c.transports[0].type, TRANSPORT_RAIL);
	assert_int_equal(c.transports[1].type, TRANSPORT_STCP);
	assert_int_equal(c.transports[1].mode, HOP_MODE_CARRIED);
	assert_true(c.transports[1].dial);
	assert_int_equal(c.stcp_listen.port, 7777);
	assert_int_equal(c.stcp_listen.ip[15], 1);
	cp_conf_free(&c);
	assert_int_equal(parse(&c, TP), 0);
	assert_int_equal(c.stcp_listen.port, 0);
	assert_int_equal(c.stcpr_listen.port, 0);
	cp_conf_free(&c);
}

static void peers_of_some_types_are_dialed_without_an_address(void **state)
{
	struct cp_conf c;

	assert_int_equal(parse(&c, "[transport a]\npeer = " PK "\ntype = stcpr\n"
				   "[transport b]\npeer = " PK "\ntype = dmsg\n"
				   "[transport c]\npeer = " PK "\ntype = stcp\n"
				   "[stcp]\nlisten = 192.0.2.2:7773\n"
				   "[stcpr]\nlisten = 198.51.100.7:7773\n"
				   "[dmsg]\ndiscovery = http://192.0.2.1\n"
				   "[transports]\naddress_resolver = http://192.0.2.1\n"),
		0);
	assert_int_equal(c.transports[0].type, TRANSPORT_STCPR);
	assert_true(c.transports[0].dial);
	assert_int_equal(c.transports[1].type, TRANSPORT_DMSG);
	assert_true(c.transports[1].dial);
	assert_false(c.transports[2].dial);
	assert_int_equal(c.stcpr_listen.port, 7773);
	assert_int_equal(c.stcpr_listen.ip[12], 198);
	cp_conf_free(&c);
}

static const struct {
	const char *text;
	const char *says;
} mistakes[] = {
	{"[node]\nnaem = x\n", "naem"},
	{"[nodes]\nname = x\n", "nodes"},
	{"[node]\nrun_dir = run\n", "absolute"},
	{"[node]\nstate_dir = x\n", "state_dir"},
	{"[transport b]\naddress = 10.0.0.2:7780\n", "peer"},
	{"[transport b]\npeer = 1234\n", "66 hex"},
	{"[transport b]\npeer = " PK "\naddress = 10.0.0.2\n", "IP:PORT"},
	{"[transport b]\npeer = " PK "\naddress = 10.0.0.2:7780x\n", "IP:PORT"},
	{"[transport b]\npeer = " PK "\naddress = 10.0.0.2:99999\n", "has a port that is not 1 to"},
	{"[transport b]\npeer = " PK "\naddress = [fd00::1]:0\n", "has a port that is not 1 to"},
	{"[transport b]\npeer = " PK "\ncipher = rot13\n", "rot13"},
	{"[link]\ncongestion = default\n", "default"},
	{"[link]\npath_mtu = 1279\n", "1280"},
	{"[transport b]\npeer = " PK "\npath_mtu = 65536\n", "65535"},
	{"[transport b]\npeer = " PK "\npath_mtu = 1500 \npath_mtu = big\n", "path_mtu"},
	{TP "[transport c]\npeer = " PK "\n", "ini:5: [transport c]: [transport b] has"},
	{TP "type = stcp\n[transport c]\npeer = " PK "\ntype = stcp\n",
		"ini:6: [transport c]: [transport b] has the same peer"},
	{TP "type = stcpr\naddress = 192.0.2.1:7777\n", "has no address"},
	{TP "type = stcpr\nmode = datagram\n", "of rail transports only"},
	{"[stcpr]\nlisten = 7777\n", "IP:PORT"},
	{"[stcpr]\nlisten = 0.0.0.0:7777\n", "[transports] address_resolver"},
	{TP "type = dmsg\nflows = 2\n",
		"ini:5: [transport b]: flows is a key of rail transports only"},
	{TP "type = dmsg\n", "ini:4: [transport b]: a dmsg transport goes by a dmsg server: add a"},
	{"[stcp]\nlisten = 0.0.0.0:7777\n[stcpr]\nlisten = 0.0.0.0:7777\n"
	 "[transports]\naddress_resolver = http://192.0.2.1\n",
		"ini:4: [stcpr]: port 7777 is that of [stcp] in line 2, too"},
	{"[stcp]\nlisten = 192.0.2.1:7777\n[dmsg_server]\nlisten = [::]:7777\n",
		"ini:4: [dmsg_server]: port 7777 is that of [stcp] in line 2, too"},
	{"[stcp]\nlisten = 192.0.2.1:7777\n[dmsg_server]\nlisten = 0.0.0.0:7777\n",
		"ini:4: [dmsg_server]: port 7777 is that of [stcp] in line 2, too"},
	{"[lan_server]\nenable = yes\nport = 7777\n[stcp]\nlisten = [2001:db8::1]:7777\n",
		"ini:3: [lan_server]: port 7777 is that of [stcp] in line 5, too"},
	{TP "type = dmsg\naddress = 192.0.2.1:45\n", "has no address"},
	{TP "type = stcp\ncipher = none\nmode = datagram\nflows = 2\n",
		"ini:6: [transport b]: mode is a key of rail transports only\n"
		"controlplane.ini:5: [transport b]: cipher is a key of rail transports only\n"
		"controlplane.ini:7: [transport b]: flows is a key of rail transports only"},
	{TP "type = stcp\nmode = datagram\n", "of rail transports only"},
	{TP "type = stcp\ncipher = none\n", "of rail transports only"},
	{TP "type = stcp\npath_mtu = 1500\n", "of rail transports only"},
	{TP "type = stcp\ninterface = eth0\n", "of rail transports only"},
	{"[stcp]\nlisten = 7777\n", "IP:PORT"},
	{"[transport b]\npeer = "
	 "020000000000000000000000000000000000000000000000000000000000000005\n",
		"ini:2: key peer: '020000000000000000000000000000000000000000000000000000000000000005' "
		"is no public key: one of its digits"},
	{"[transport b]\npeer = " PK "\naddress = 224.0.0.1:7780\n", "ini:3: "},
	{"[transport b]\npeer = " PK "\naddress = [fe80::1]:7780\n",
		"ini:3: [transport b]: a link-local address needs interface"},
	{"[peer p]\naccess = deny\n", "key"},
	{"[peer p]\nkey = 12\n", "66 hex"},
	{"[peer p]\nkey = " PK "\naccess = maybe\n", "maybe"},
	{"[peer p]\nkey = "
	 "020000000000000000000000000000000000000000000000000000000000000005\n",
		"digit"},
	{"[node]\nca_file = /nonexistent/ca\n", "ini:2: [node]: ca_file /nonexistent/ca: No such"},
	{"[peers]\nallow_file = list\n", "absolute"},
	{"[peers]\ndeny_file = /nonexistent/list\n",
		"ini:2: [peers]: deny_file /nonexistent/list: No such file"},
	{TP "[rule r]\nid = 1\n", "type"},
	{TP "[rule r]\ntype = consume\nid = 0\n", "id"},
	{TP "[rule r]\ntype = consume\nid = 4294967296\n", "id"},
	{TP "[rule r]\ntype = consume\nid = 1\nnext = 2\n", "neither"},
	{TP "[rule r]\ntype = forward\nid = 1\ntransport = b\n", "next"},
	{TP "[rule r]\ntype = forward\nid = 1\nnext = 2\n", "transport"},
	{TP "[rule r]\ntype = forward\nid = 1\nnext = 2\ntransport = x\n",
		"ini:8: [rule r]: no [transport x]"},
	{TP "[rule r]\ntype = consume\nid = 1\nin = x\n", "ini:7: [rule r]: in = any"},
	{TP "[rule r]\ntype = consume\nid = 1\nkeep_alive = 5ms\n", "100ms"},
	{TP "[rule r]\ntype = consume\nid = 1\n[rule s]\ntype = consume\nid = 1\n",
		"ini:9: [rule s]: [rule r] has id = 1 too"},
	{"[edge a_name_too_long_for_it]\n", "15"},
	{"[server s]\nkey = " PK "\n", "address"},
	{"[server s]\naddress = a:1\n", "key"},
	{"[server s]\nkey = " PK "\naddress = a\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = a:0\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = :1\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = a:65536\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = a:1x\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = ::1:80\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = [::1:80\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = []:80\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = a:000080\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = unix:80\n", "HOST:PORT"},
	{"[server s]\nkey = " PK "\naddress = a:1\n[server t]\nkey = " PK "\naddress = a:2\n",
		"ini:5: [server t]: [server s] has the same key"},
	{"[dmsg_server]\nlisten = 8081\n", "IP:PORT"},
	{"[dmsg_server]\nlisten = 0.0.0.0:8081\nkey_file = /var/lib/skyrail/node.key\n",
		"a key of its own"},
	{"[dmsg_server]\nsessions_max = 0\n", "sessions_max"},
	{"[dmsg_server]\nlisten = [::]:8081\npublic_address = a:8081\ndiscovery = dmsg://" PK "\n",
		"ini:4: [dmsg_server]: dmsg://" PK " can't be reached: add a [server NAME]"},
	{"[transports]\ndiscovery = ftp://a\n", "ini:2: [transports]: ftp://a is no URL"},
	{"[transports]\naddress_resolver = dmsg://" PK "\n",
		"ini:2: [transports]: dmsg://" PK " can't be reached: add a [server NAME]"},
	{"[routing]\nroute_finder = dmsg://12\n", "ini:2: [routing]: dmsg://12 is no dmsg://"},
	{"[routing]\nroute_finder_timeout = 99ms\n",
		"ini:2: key route_finder_timeout: '99ms' is not between"},
	{"[dmsg]\ndiscovery = dmsg://" PK ", dmsg://" PK2 "\n",
		"ini:2: [dmsg]: dmsg://" PK " can't be reached: add a [server NAME]"},
	{"[dmsg]\nmux = smux\n", "ini:2: [dmsg]: mux = smux needs discovery"},
	{"[dmsg]\nmux = smux\ndiscovery = dmsg://" PK "\n[server s]\nkey = " PK "\naddress = a:1\n",
		"ini:2: [dmsg]: mux = smux needs discovery"},
	{"[dmsg]\nmux = quic\n", "yamux, smux"},
	{"[setup_node]\nenable = yes\n", "add a [server NAME]"},
	{"[setup_node]\nenable = yes\n[lan_server]\nenable = yes\n[dmsg]\n"
	 "discovery = dmsg://" PK "\n",
		"add a [server NAME]"},
	{"[setup_node]\nenable = yes\nkey_file = /var/lib/skyrail/node.key\n[server s]\nkey = " PK
	 "\naddress = a:1\n",
		"another role's"},
	{"[setup_node]\nenable = yes\nkey_file = /var/lib/skyrail/dmsg-server.key\n"
	 "[dmsg_server]\nlisten = [::]:8081\n[dmsg]\ndiscovery = http://a\n",
		"another role's"},
	{"[dmsg_server]\nlisten = [::]:8081\nmesh_discover = yes\n",
		"ini:3: [dmsg_server]: mesh_discover needs discovery"},
	{"[peer_server p]\nkey = " PK "\n", "[peer_server p]: this node is no dmsg server"},
	{"[dmsg_server]\nlisten = [::]:8081\n[peer_server p]\nkey = " PK "\naddress = :1\n",
		"HOST:PORT"},
	{"[dmsg_server]\nlisten = [::]:8081\n[peer_server p]\nkey = " PK
	 "\n[peer_server q]\nkey = " PK "\n",
		"ini:6: [peer_server q]: [peer_server p] has the same key"},
	{"[hypervisor h]\nkey = " PK "\n[hypervisor i]\nkey = " PK "\n",
		"ini:4: [hypervisor i]: [hypervisor h] has the same key"},
	{"[server s]\nkey = " PK "\naddress = a:1\n[route_setup_node r]\nkey = " PK2
	 "\n[route_setup_node q]\nkey = " PK2 "\n",
		"ini:7: [route_setup_node q]: [route_setup_node r] has the same key"},
	{"[server s]\nkey = " PK "\naddress = a:1\n[transport_setup r]\nkey = " PK2
	 "\n[transport_setup q]\nkey = " PK2 "\n",
		"ini:7: [transport_setup q]: [transport_setup r] has the same key"},
	{"[transport_setup r]\nkey = " PK2 "\n",
		"[transport_setup r]: set-up nodes reach this node by dmsg: add a [server NAME]"},
	{"[routing]\nmin_hops = 3\nmax_hops = 2\n",
		"ini:2: [routing]: min_hops is more than max_hops"},
	{"[routing]\nrule_keep_alive = 4s\n", "rule_keep_alive: '4s' is not between"},
	{"[route_to r]\nkey = " PK2 "\nmin_hops = 51\n", "min_hops"},
	{"[route_to r]\nkey = " PK2 "\nmin_hops = 3\nmax_hops = 2\n", "[route_to r]"},
	{"[route_to r]\nkey = " PK2 "\n[route_to q]\nkey = " PK2 "\n",
		"ini:4: [route_to q]: [route_to r] has the same key"},
	{"[route_setup_node r]\nkey = " PK2 "\n",
		"[route_setup_node r]: set-up nodes reach this node by dmsg: add a [server NAME]"},
	{"[lan_server]\nenable = yes\n[visor v]\nkey = " PK2 "\n[visor w]\nkey = " PK
	 "\n[visor x]\nkey = " PK2 "\n",
		"ini:8: [visor x]: [visor v] has the same key"},
	{"[edge e]\nmtu = 100\n", "mtu"},
	{"[edge e]\naddress = 10.0.0.1\n", "PREFIX"},
	{"[edge e]\naddress = 10.0.0.1/33\n", "ini:2: [edge e]: '10.0.0.1/33' is not IP/PREFIX"},
	{"[edge e]\naddress = 10.9.0.1/24, 10.9.0.300/24\n",
		"ini:2: [edge e]: '10.9.0.300/24' is not IP/PREFIX"},
	{"[edge e]\nforward = 1\n", "together"},
	{"[edge e]\nforward = 1\nconsume = 1\n", "two rules"},
	{"[edge e]\n[edge f]\ndevice = e\n", "ini:3: [edge f]: [edge e] has the same device"},
	{"[edge e]\nforward = 5\nconsume = 6\n[rule r]\ntype = consume\nid = 1\nedge = e\n",
		"another rule"},
	{"[rule r]\ntype = consume\nid = 1\nedge = e\n", "ini:4: [rule r]: no [edge e]"},
	{"[edge e]\n" TP
	 "[rule r]\ntype = intermediary\nid = 1\nnext = 2\ntransport = b\nedge = e\n",
		"ini:10: [rule r]: edge = e is for forward"},
	{"[link]\nkeepalive = 10s\ndead = 5s\n", "ini:3: [link]: dead must be longer"},
	{"[link]\nkeepalive = 30s\n", "ini:1: [link]: dead must be longer"},
	{"[link]\nreplay_window = 5000\n", "ini:2: [link]: replay_window is a power of two"},
	{"[link]\nretransmit_limit = 2\n", "retransmit_limit"},
	{"[log]\nlevel = loud\n", "loud"},
};

static void set_up_nodes_are_taken_with_what_they_may(void **state)
{
	struct cp_conf c;
	char pk[KEY_PK_TEXT_LEN + 1];

	assert_int_equal(parse(&c, "[server s]\nkey = " PK "\naddress = a:1\n"
				   "[route_setup_node one]\nkey = " PK2 "\n"
				   "[route_setup_node two]\nkey = " PK "\n"
				   "[routing]\nno_transit = yes\n"),
		0);
	assert_int_equal(c.routing.n_nodes, 2);
	key_pk_to_text(&c.routing.nodes[0], pk);
	assert_string_equal(pk, PK2);
	key_pk_to_text(&c.routing.nodes[1], pk);
	assert_string_equal(pk, PK);
	assert_true(c.routing.no_transit);
	assert_int_equal(c.dials.n_nodes, 2);
	assert_int_equal(c.dials.hops.min, 1);
	assert_int_equal(c.dials.hops.max, 50);
	assert_int_equal(c.dials.keep_alive_s, 600);
	cp_conf_free(&c);
	assert_int_equal(parse(&c, "[routing]\nmin_hops = 2\nmax_hops = 3\nrule_keep_alive = 30s\n"
				   "[route_to far]\nkey = " PK "\nmin_hops = 4\n"),
		0);
	assert_int_equal(c.dials.hops.min, 2);
	assert_int_equal(c.dials.hops.max, 3);
	assert_int_equal(c.dials.keep_alive_s, 30);
	assert_int_equal(c.dials.n_to, 1);
	assert_int_equal(c.dials.to[0].hops.min, 4);
	key_pk_to_text(&c.dials.to[0].pk, pk);
	assert_string_equal(pk, PK);
	cp_conf_free(&c);
	assert_int_equal(parse(&c, ""), 0);
	assert_int_equal(c.routing.n_nodes, 0);
	assert_false(c.routing.no_transit);
	cp_conf_free(&c);
}

static void who_may_have_transports_made_is_taken(void **state)
{
	struct cp_conf c;
	char pk[KEY_PK_TEXT_LEN + 1];

	assert_int_equal(parse(&c, "[server s]\nkey = " PK "\naddress = a:1\n"
				   "[transport_setup one]\nkey = " PK2 "\n"
				   "[transport_setup two]\nkey = " PK "\n"),
		0);
	assert_int_equal(c.v->transport_setup.n, 2);
	key_pk_to_text(&c.transport_setup[0], pk);
	assert_string_equal(pk, PK2);
	key_pk_to_text(&c.transport_setup[1], pk);
	assert_string_equal(pk, PK);
	cp_conf_free(&c);
}

static void each_mistake_has_its_message(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		struct cp_conf c;

		err[0] = '\0';
		if (parse(&c, mistakes[i].text) == 0)
			fail_msg("taken: %s", mistakes[i].text);
		if (strstr(err, mistakes[i].says) == NULL)
			fail_msg(
				"%s: '%s' is not in '%s'", mistakes[i].text, mistakes[i].says, err);
		assert_null(c.file);
	}
}

static void absent_keys_are_not_the_same(void **state)
{
	static const char *const sections[] = {"server", "peer_server", "hypervisor", "visor"};

	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		struct cp_conf c;
		char text[256];

		snprintf(text, sizeof(text),
			"[dmsg_server]\nlisten = [::]:1\n[lan_server]\nenable = yes\n[%s a]\n[%s b]\n",
			sections[i], sections[i]);
		err[0] = '\0';
		assert_true(parse(&c, text) < 0);
		assert_non_null(strstr(err, "ini:6: key of "));
		assert_null(strstr(err, "the same"));
	}
}

static void every_mistake_is_told(void **state)
{
	static const char text[] = "[link]\ndead = 5s\nreplay_window = 1000\nsilence = 1ms\n" TP
				   "[rule r]\ntype = consume\nid = 1\nnext = 2\n"
				   "[rule s]\ntype = forward\nid = 1\nnext = 2\ntransport = rome\n"
				   "[edge e]\naddress = x\n[edge f]\ndevice = e\nforward = 1\n";
	static const char *const want[] = {"key silence: ", "dead must", "replay_window is",
		"[rule r]: a consume", "no [transport rome]", "has id = 1 too",
		"[edge e]: 'x' is not IP/PREFIX", "same device"};
	struct cp_conf c;
	size_t lines = 1;

	assert_true(parse(&c, text) < 0);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		if (strstr(err, want[i]) == NULL)
			fail_msg("no '%s' in: %s", want[i], err);
	for (const char *p = err; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, ARRAY_LEN(want));
}

static void own_keys_are_no_servers_and_no_hypervisors(void **state)
{
	static const struct {
		const char *text,
			*says; // PK is the node's, PK2 its server's, PK3 its set-up node's
	} rows[] = {
		{"[server s]\nkey = " PK2 "\naddress = a:1\n", NULL}, // a client of one's own
		{"[server s]\nkey = " PK "\naddress = a:1\n", "ini:2: [server s]: "},
		{"[dmsg_server]\nlisten = [::]:1\n[peer_server p]\nkey = " PK "\n",
			"ini:4: [peer_server p]: "},
		{"[dmsg_server]\nlisten = [::]:1\n[peer_server p]\nkey = " PK2 "\n",
			"ini:4: [peer_server p]: "},
		{"[hypervisor h]\nkey = " PK "\n", "ini:2: [hypervisor h]: "},
		{"[hypervisor h]\nkey = " PK2 "\n", "ini:2: [hypervisor h]: "},
		{"[lan_server]\nenable = yes\n[visor v]\nkey = " PK "\n", "ini:4: [visor v]: "},
		{"[server s]\nkey = " PK3 "\naddress = a:1\n", "ini:2: [server s]: "},
		{"[hypervisor h]\nkey = " PK3 "\n", "ini:2: [hypervisor h]: "},
		{"[peer p]\nkey = " PK "\n", NULL},
	};
	struct key_pk node, server, setup;
	const struct cp_own own = {&node, &server, &setup};

	key_pk_from_text(&node, PK, strlen(PK));
	key_pk_from_text(&server, PK2, strlen(PK2));
	key_pk_from_text(&setup, PK3, strlen(PK3));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cp_conf c;

		assert_int_equal(parse(&c, rows[i].text), 0);
		err[0] = '\0';
		assert_int_equal(
			cp_conf_check_own(&c, &own, err), rows[i].says != NULL ? -EINVAL : 0);
		if (rows[i].says != NULL)
			assert_non_null(strstr(err, rows[i].says));
		else
			assert_string_equal(err, "");
		cp_conf_free(&c);
	}
}

// The sample with every comment sign of a key or section removed must name each key of the table,
// with the default of the table.
static char *sample_uncommented(void)
{
	FILE *f = fopen("config/controlplane.ini", "r");
	char *text = calloc(1, 32768), line[512];

	assert_non_null(f);
	assert_non_null(text);
	while (fgets(line, sizeof(line), f) != NULL)
		strcat(text, line[0] == ';' && line[1] != ' ' ? line + 1 : line);
	fclose(f);
	return text;
}

static void on_change(void *arg, const struct api_change *c)
{
	*(bool *)arg = true;
}

static bool differs(const struct cp_conf *a, const struct cp_conf *b)
{
	struct in_force *f = in_force_new(a);
	bool any = false;

	assert_int_equal(reload_diff(NULL, a, b, f, on_change, &any), 0);
	in_force_free(f);
	return any;
}

static void the_sample_is_good_and_says_the_defaults(void **state)
{
	struct cp_conf c, defaults;
	FILE *f = fopen("config/controlplane.ini", "r");

	assert_non_null(f);
	fclose(f);
	assert_int_equal(cp_conf_load(&c, "config/controlplane.ini", err), 0);
	assert_int_equal(parse(&defaults, ""), 0);
	assert_false(differs(&defaults, &c));
	assert_int_equal(c.v->log_level, defaults.v->log_level);
	assert_int_equal(c.v->allow, defaults.v->allow);
	cp_conf_free(&defaults);
	cp_conf_free(&c);
}

static void the_sample_names_every_key(void **state)
{
	const struct conf_schema *s = cp_conf_schema();
	char *text = sample_uncommented(), want[64];

	for (size_t i = 0; i < s->n_items; i++) {
		snprintf(want, sizeof(want), "\n%s =", s->items[i].key);
		if (strstr(text, want) == NULL)
			fail_msg("the sample lacks [%s] %s", s->items[i].section, s->items[i].key);
		assert_non_null(s->items[i].help);
	}
	free(text);
}

static void paths_are_bounded(void **state)
{
	struct cp_conf c;
	char out[20];

	assert_int_equal(parse(&c, "[node]\nrun_dir = /run/x\nstate_dir = /var/x\n"), 0);
	assert_int_equal(cp_conf_run_path(&c, "a", out, sizeof(out)), 0);
	assert_string_equal(out, "/run/x/a");
	assert_int_equal(cp_conf_state_path(&c, "a", out, sizeof(out)), 0);
	assert_string_equal(out, "/var/x/a");
	assert_int_equal(
		cp_conf_run_path(&c, "much too long a name", out, sizeof(out)), -ENAMETOOLONG);
	cp_conf_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_cipher),
		cmocka_unit_test(takes_congestion_control_for_all_and_for_one),
		cmocka_unit_test(takes_a_path_mtu_for_all_and_for_one),
		cmocka_unit_test(takes_transports_rules_and_edges),
		cmocka_unit_test(takes_a_muxer_of_dmsg),
		cmocka_unit_test(takes_a_setup_node),
		cmocka_unit_test(takes_dmsg_servers),
		cmocka_unit_test(takes_a_discovery_by_dmsg_where_something_leads_to_it),
		cmocka_unit_test(takes_peer_servers),
		cmocka_unit_test(takes_peers_from_sections_and_files),
		cmocka_unit_test(without_an_address_a_transport_waits),
		cmocka_unit_test(a_peer_may_have_a_transport_of_each_type),
		cmocka_unit_test(peers_of_some_types_are_dialed_without_an_address),
		cmocka_unit_test(who_may_have_transports_made_is_taken),
		cmocka_unit_test(each_mistake_has_its_message),
		cmocka_unit_test(set_up_nodes_are_taken_with_what_they_may),
		cmocka_unit_test(absent_keys_are_not_the_same),
		cmocka_unit_test(own_keys_are_no_servers_and_no_hypervisors),
		cmocka_unit_test(every_mistake_is_told),
		cmocka_unit_test(the_sample_is_good_and_says_the_defaults),
		cmocka_unit_test(the_sample_names_every_key),
		cmocka_unit_test(paths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
