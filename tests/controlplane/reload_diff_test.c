// What is told of a new configuration: what it changes, and what of it waits for a restart.
#include "controlplane/reload.h"

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PK "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define PK2 "03c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
#define SK "000000000000000000000000000000000000000000000000000000000000000" // and a digit
#define SERVER "key = " PK "\naddress = a:1\n"

static const char *const words[] = {"?", "", " new", " gone", " read"};

// A line each: "[section] key change", with "waits " before what does.
static void collect(void *arg, const struct api_change *c)
{
	size_t n = strlen(arg);

	snprintf((char *)arg + n, 2000 - n, "%s[%s]%s%s%s; ", c->waits ? "waits " : "", c->section,
		c->key[0] != '\0' ? " " : "", c->key, words[c->change]);
}

static void parse(struct cp_conf *c, const char *text)
{
	char err[CONF_ERR_MAX] = "";

	if (cp_conf_parse(c, text, strlen(text), err) < 0)
		fail_msg("%s", err);
}

// The configuration at the start and then those of reloads.
static void tell_last(const char *const *texts, char *out)
{
	struct cp_conf now, next;
	struct in_force *f;

	parse(&now, texts[0]);
	f = in_force_new(&now);
	for (int i = 1; texts[i] != NULL; i++) {
		parse(&next, texts[i]);
		assert_int_equal(in_force_ready(f, &next), 0);
		in_force_take(f, &next);
		out[0] = '\0';
		assert_int_equal(reload_diff(NULL, &now, &next, f, collect, out), 0);
		cp_conf_free(&now);
		now = next;
	}
	cp_conf_free(&now);
	in_force_free(f);
}

static void what_changed_and_what_waits_is_told(void **state)
{
	static const struct {
		const char *texts[5];
		const char *want;
	} t[] = {
		{{"", ""}, ""},
		{{"[log]\nlevel = debug\n", ""}, "[log]; "},
		{{"", "[transport b]\npeer = " PK "\n"}, "[transport b] new; "},
		{{"[edge a]\n[edge b]\n", "[edge b]\n[edge a]\n"}, ""},
		{{"[peers]\nallow_file = /dev/null\n", "[peers]\nallow_file = /dev/null\n"},
			"[peers] allow_file read; "},
		// each key that waits, not only the first one; what waits has changed nothing yet
		{{"[node]\nname = a\n", "[node]\nname = b\nflows = 2\n[link]\ndead = 20s\n"},
			"waits [node] name; waits [node] flows; "
			"waits [link] dead; "},
		{{"", "[server s]\n" SERVER "[hypervisor h]\nkey = " PK "\n"},
			"waits [server s] new; "
			"waits [hypervisor h] new; "},
		{{"[server s]\n" SERVER "[hypervisor v]\nkey = " PK "\n", ""},
			"waits [server s] gone; "
			"waits [hypervisor v] gone; "},
		{{"[server s]\n" SERVER, "[server s]\nkey = " PK2 "\naddress = a:1\n"},
			"waits [server s] key; "},
		{{"", "[peers]\nallow = any\naccepted_max = 7\n"},
			"[peers]; waits [peers] accepted_max; "},
		// what waits is told as long as it does, and no longer
		{{"", "[dmsg]\nsessions = 3\n", "[dmsg]\nsessions = 3\n"},
			"waits [dmsg] sessions; "},
		{{"", "[dmsg]\nsessions = 3\n", ""}, "[dmsg]; "},
		{{"", "[server s]\n" SERVER, "[server s]\n" SERVER}, "waits [server s] new; "},
		// what the node wrote itself, and sections that a reload makes
		{{"", "[saved_lan_server 1]\n" SERVER "hypervisor = " PK "\n"},
			"[saved_lan_server 1] new; "},
		// a secret is compared, though it is never shown
		{{"[lan_server]\nsecret_key = " SK "1\n", "[lan_server]\nsecret_key = " SK "2\n"},
			"[lan_server]; "},
		{{"[lan_server]\nsecret_key = " SK "1\n", "[lan_server]\nsecret_key = " SK "1\n"},
			""},
		{{"[edge a]\n[edge b]\n", "[edge b]\nmtu = 1400\n[edge c]\nmtu = 1300\n"},
			"[edge c] new; [edge a] gone; waits [edge b] mtu; "},
		{{"[edge a]\n", "", "[edge a]\nmtu = 1400\n"}, "[edge a] new; "},
		{{"[dmsg_server]\nlisten = [::]:1\n",
			 "[dmsg_server]\nlisten = [::]:1\n[peer_server p]\nkey = " PK "\n",
			 "[dmsg_server]\nlisten = [::]:1\n[peer_server q]\nkey = " PK2 "\n"},
			"[peer_server q] new; [peer_server p] gone; "},
		{{"[server s]\n" SERVER, "[server s]\n" SERVER "[routing]\nno_transit = yes\n"
					 "[route_setup_node r]\nkey = " PK "\n"},
			"[routing]; [route_setup_node r] new; "},
		{{"[server s]\n" SERVER,
			 "[server s]\n" SERVER "[transport_setup r]\nkey = " PK "\n"},
			"[transport_setup r] new; "},
		{{"[edge a]\n", "", "[edge a]\nmtu = 1400\n", "[edge a]\n"},
			"waits [edge a] mtu; "},
	};
	char text[2000];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		tell_last(t[i].texts, text);
		assert_string_equal(text, t[i].want);
	}
}

static void on_gone(void *arg, const struct in_force_key *k)
{
	size_t n = strlen(arg);

	snprintf((char *)arg + n, 1000 - n, "%s %s %s=%s; ", k->item->section, k->instance,
		k->item->key, k->value);
}

static void on_entry(void *arg, const struct conf_entry *e)
{
	struct in_force_key k;
	char **v = arg; // in force, text

	if (!in_force_waits((void *)v[0], e, &k))
		return;
	sprintf(v[1] + strlen(v[1]), "%s=%s not %s; ", e->item->key,
		k.value != NULL ? k.value : "none", e->value);
}

static void values_in_force_are_known(void **state)
{
	struct cp_conf start, next;
	struct in_force *f;
	char gone[1000] = "", other[1000] = "";
	char *v[2];

	parse(&start, "[node]\nname = a\n[server s]\n" SERVER);
	parse(&next, "[node]\nname = b\n[hypervisor h]\nkey = " PK "\n");
	f = in_force_new(&start);
	assert_int_equal(in_force_ready(f, &next), 0);
	in_force_take(f, &next);
	cp_conf_free(&start); // its values are copied
	v[0] = (void *)f;
	v[1] = other;
	conf_walk(next.file, on_entry, v);
	assert_string_equal(other, "name=a not b; key=none not " PK "; ");
	in_force_each_gone(f, next.file, on_gone, gone);
	assert_string_equal(gone, "server s key=" PK "; server s address=a:1; ");
	in_force_free(f);
	cp_conf_free(&next);
}

static void what_was_made_ready_but_not_taken_changes_nothing(void **state)
{
	struct cp_conf start, refused, next;
	struct in_force *f;
	char other[1000] = "";
	char *v[2];

	parse(&start, "[edge a]\nmtu = 1300\n");
	parse(&refused, "[edge b]\nmtu = 1400\n");
	parse(&next, "[edge a]\nmtu = 1300\n[edge b]\nmtu = 1400\n");
	f = in_force_new(&start);
	assert_int_equal(in_force_ready(f, &refused), 0);
	v[0] = (void *)f;
	v[1] = other;
	conf_walk(next.file, on_entry, v);
	assert_non_null(strstr(other, "mtu=none not 1400; "));
	assert_int_equal(in_force_ready(f, &next), 0);
	in_force_take(f, &next);
	other[0] = '\0';
	conf_walk(next.file, on_entry, v);
	assert_string_equal(other, "");
	in_force_free(f);
	cp_conf_free(&start);
	cp_conf_free(&refused);
	cp_conf_free(&next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changed_and_what_waits_is_told),
		cmocka_unit_test(values_in_force_are_known),
		cmocka_unit_test(what_was_made_ready_but_not_taken_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
