// Whole configurations of 2024 and 2026 as skywire-cli writes them (keys and addresses are others).
#include "tests/support/vectors.h"
#include "tests/tools/import_fixture.h"

static struct import *read_vector(const char *name)
{
	json_t *root = vectors_load(name);
	char *json = json_dumps(root, JSON_INDENT(2));
	struct import *im;

	assert_non_null(json);
	im = read_text(json);
	free(json);
	json_decref(root);
	return im;
}

// kinds of notes, in the order of enum import_kind
static void assert_notes(const struct import *im, const unsigned want[IMPORT_KINDS])
{
	unsigned is[IMPORT_KINDS] = {0}, more;
	size_t n;
	const struct import_note *notes = import_notes(im, &n, &more);

	for (size_t i = 0; i < n; i++)
		is[notes[i].kind]++;
	assert_memory_equal(is, want, sizeof(is));
}

static void a_configuration_of_2024(void **state)
{
	struct import *im = read_vector("skywire-config-2024.json");
	char pk[KEY_PK_TEXT_LEN + 1], sk[KEY_SK_TEXT_LEN + 1];
	size_t n;

	assert_non_null(im);
	key_pk_to_text(import_pk(im), pk);
	key_sk_to_text(&import_keys(im, &n)->sk, sk);
	assert_int_equal(n, 1);
	assert_string_equal(import_keys(im, &n)->file, KEY_FILE);
	assert_string_equal(pk, PK1);
	assert_string_equal(sk, ONE);
	assert_text(im, HEAD
		"\n[stcp]\nlisten = [::]:7777\n\n[routing]\nroute_finder_timeout = 10s\nroute_finder = "
		"dmsg://"
		"03d01115d548e7561b15c38f004d734633687cf4419620095bc5b0f47070afe85a:80\n\n"
		"[log]\nlevel = warn\n\n[dmsg]\ndiscovery = dmsg://" PK2
		":80\nsessions = 2\n\n[server 1]\nkey = " PK3
		"\naddress = 192.0.2.3:8081\n\n[server 2]\nkey = " PK4
		"\naddress = 192.0.2.4:8081\n\n[server 3]\nkey = "
		"022f8bde4d1a07209355b4a7250a5c5128e88b84bddc619ab7cba8d569b240efe4\n"
		"address = 192.0.2.5:8081\n\n[route_setup_node 1]\nkey = "
		"03774ae7f858a9411e5ef4246b70c65aac5649980be5c17891bbec17895da008cb\n\n"
		"[transport_setup 1]\nkey = "
		"03acd484e2f0c7f65309ad178a9f559abde09796974c57e714c35f110dfc27ccbe\n\n"
		"[transport_setup 2]\nkey = "
		"03a0434d9e47f3c86235477c7b1ae6ae5d3442d49b1943c2b752a68e2a47e247c7\n\n"
		"[transports]\ndiscovery = "
		"dmsg://"
		"025cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc:80\n"
		"address_resolver = "
		"dmsg://"
		"022f01e5e15cca351daff3843fb70f3c2f0a1bdd05e5af888a67784ef3e10a2a01:80\n\n"
		"[hypervisor 1]\nkey = "
		"03e60fce93b59e9ec53011aabc21c23e97b2a31369b87a5ae9c44ee89e2a6dec0a\n\n"
		"[hypervisor 2]\nkey = "
		"03defdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34\n\n"
		"[transport stcp-1]\npeer = "
		"03fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556\n"
		"type = stcp\naddress = 198.51.100.6:7777\n\n[transport kept-1]\npeer = "
		"025601570cb47f238d2b0286db4a990fa0f3ba28d1a319f5e7cf55c2a2444da7cc\n"
		"type = stcpr\n\n[peers]\nallow = any\n");
	assert_notes(im, (unsigned[]){12, 8, 0, 2});
	import_free(im);
}

static void a_configuration_of_2026(void **state)
{
	struct import *im = read_vector("skywire-config-2026.json");

	assert_non_null(im);
	assert_text(im, HEAD
		"\n[stcp]\nlisten = [::]:7777\n\n[routing]\nroute_finder_timeout = 10s\nmin_hops = 1\nroute_finder = http://rf.example.org\n\n"
		"[setup_node]\nenable = yes\nkey_file = /var/lib/skyrail/setup-node.key\n\n[log]\nlevel = info\n\n[lan_server]\nenable = yes\nport = 8085\n"
		"public_address = 203.0.113.5:8085\nsessions_max = 50\nsecret_key = "
		"0000000000000000000000000000000000000000000000000000000000000013\n\n"
		"[dmsg]\ndiscovery = http://dmsgd.example.org, dmsg://"
		"03fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556:80\n"
		"mux = smux\nsessions = 2\n\n[server 1]\nkey = " PK3
		"\naddress = 192.0.2.3:8081\n\n[server 2]\nkey = "
		"025cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc\n"
		"address = 192.0.2.7:8081\n\n[route_setup_node 1]\nkey = "
		"03d01115d548e7561b15c38f004d734633687cf4419620095bc5b0f47070afe85a\n\n"
		"[route_setup_node 2]\nkey = "
		"03f28773c2d975288bc7d1d205c3748651b075fbc6610e58cddeeddf8f19405aa8\n\n"
		"[transport_setup 1]\nkey = "
		"03a0434d9e47f3c86235477c7b1ae6ae5d3442d49b1943c2b752a68e2a47e247c7\n\n"
		"[transport_setup 2]\nkey = "
		"03774ae7f858a9411e5ef4246b70c65aac5649980be5c17891bbec17895da008cb\n\n"
		"[transports]\ndiscovery = http://tpd.example.org\n"
		"address_resolver = http://ar.example.org\n\n[hypervisor 1]\nkey = "
		"025601570cb47f238d2b0286db4a990fa0f3ba28d1a319f5e7cf55c2a2444da7cc\n\n"
		"[saved_lan_server 1]\nkey = "
		"022f8bde4d1a07209355b4a7250a5c5128e88b84bddc619ab7cba8d569b240efe4\n"
		"address = 192.168.1.2:8085\nhypervisor = "
		"025601570cb47f238d2b0286db4a990fa0f3ba28d1a319f5e7cf55c2a2444da7cc\n\n"
		"[stcpr]\nlisten = [::]:7773\n\n[peers]\nallow = any\n");
	assert_notes(im, (unsigned[]){24, 12, 1, 6});
	import_free(im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_of_2024),
		cmocka_unit_test(a_configuration_of_2026),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
