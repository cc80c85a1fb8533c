// What is learnt is written to the configuration, or beside it, and read again; pushes that make no
// sense are refused, and those that change too often.
#include "controlplane/lan.h"
#include "tests/controlplane/core/conn_fixture.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

enum { RETRY_MS = 5, PATH_LEN = 128 };

static struct {
	char dir[64], conf_path[PATH_LEN], learnt_path[PATH_LEN];
	struct cp_conf conf;
	struct identity *id, *server_id, *setup_id;
	struct dmsg_client *client;
	struct lan *lan;
} w;

static void put(const char *path, const char *text, mode_t mode)
{
	FILE *f;

	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

// Text is "" when there is no such file.
static void get(const char *path, char *buf, size_t cap)
{
	FILE *f = fopen(path, "r");
	size_t n = f != NULL ? fread(buf, 1, cap - 1, f) : 0;

	buf[n] = '\0';
	if (f != NULL)
		fclose(f);
}

static bool holds(const char *path, const char *text)
{
	static char buf[65536];

	get(path, buf, sizeof(buf));
	return strstr(buf, text) != NULL;
}

static void load(void)
{
	char err[CONF_ERR_MAX] = "";

	if (cp_conf_load(&w.conf, w.conf_path, err) < 0)
		fail_msg("%s", err);
	w.lan = lan_new(l, &w.conf, w.conf_path);
	assert_non_null(w.lan);
}

// Which holds for all roles: the node has them with keys 5, 6 and 7.
static int start(void)
{
	const struct cp_own own = {
		identity_pk(w.id), identity_pk(w.server_id), identity_pk(w.setup_id)};
	struct dmsg_client_conf c = {.loop = l, .id = w.id, .retry_min_ms = RETRY_MS};

	c.lan = lan_saved(w.lan, &c.n_lan);
	w.client = dmsg_client_new(&c);
	assert_non_null(w.client);
	return lan_start(w.lan, &w.conf, w.client, &own);
}

static void stop(void)
{
	lan_free(w.lan);
	w.lan = NULL;
	dmsg_client_free(w.client);
	w.client = NULL;
	cp_conf_free(&w.conf);
}

static void write_conf(const char *more, mode_t mode)
{
	char text[4096];

	snprintf(text, sizeof(text), "; ours\n[node]\nstate_dir = %s\n%s", w.dir, more);
	put(w.conf_path, text, mode);
}

static struct identity *id_of(uint8_t n)
{
	struct key_sk sk = {{[31] = n}};
	struct identity *id = identity_from_sk(&sk);

	assert_non_null(id);
	return id;
}

static int setup(void **state)
{
	setup_loop(state);
	log_level_set("all", LOG_ERR);
	memset(&w, 0, sizeof(w));
	snprintf(w.dir, sizeof(w.dir), "/tmp/lan_test.XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	snprintf(w.conf_path, PATH_LEN, "%s/c.ini", w.dir);
	snprintf(w.learnt_path, PATH_LEN, "%s/" LAN_FILE, w.dir);
	w.id = id_of(5);
	w.server_id = id_of(6);
	w.setup_id = id_of(7);
	return 0;
}

static int teardown(void **state)
{
	stop();
	identity_free(w.id);
	identity_free(w.server_id);
	identity_free(w.setup_id);
	unlink(w.conf_path);
	unlink(w.learnt_path);
	assert_int_equal(rmdir(w.dir), 0);
	return teardown_loop(state);
}

// ---- the server's key ----

static void a_key_is_made_once_and_kept(void **state)
{
	struct key_pk pk;

	(void)state;
	write_conf("[lan_server]\nenable = yes ; so be it\n", 0644);
	load();
	assert_int_equal(start(), 0);
	pk = *dmsg_server_pk(lan_server_server(lan_lan_server(w.lan)));
	assert_true(holds(w.conf_path, "\nenable = yes ; so be it\nsecret_key = "));
	assert_true(holds(w.conf_path, "; ours\n[node]\n"));
	stop();
	load();
	assert_int_equal(start(), 0);
	assert_int_equal(
		key_pk_cmp(&pk, dmsg_server_pk(lan_server_server(lan_lan_server(w.lan)))), 0);
	assert_false(holds(w.learnt_path, "secret_key"));
}

static void a_key_that_cannot_be_written_is_kept_beside(void **state)
{
	struct key_pk pk;

	(void)state;
	write_conf("[lan_server]\nenable = yes\n", 0400);
	load();
	assert_int_equal(start(), 0);
	pk = *dmsg_server_pk(lan_server_server(lan_lan_server(w.lan)));
	assert_false(holds(w.conf_path, "secret_key"));
	assert_true(holds(w.learnt_path, "secret_key"));
	stop();
	load();
	assert_int_equal(start(), 0);
	assert_int_equal(
		key_pk_cmp(&pk, dmsg_server_pk(lan_server_server(lan_lan_server(w.lan)))), 0);
}

static void keys_of_other_roles_are_refused(void **state)
{
	const struct identity *others[] = {w.id, w.server_id, w.setup_id};
	char text[KEY_SK_TEXT_LEN + 1], more[256];

	(void)state;
	log_level_set("all", LOG_ERR);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		key_sk_to_text(identity_sk(others[i]), text);
		snprintf(more, sizeof(more), "[lan_server]\nenable = yes\nsecret_key = %s\n", text);
		write_conf(more, 0600);
		load();
		assert_int_equal(start(), -EINVAL);
		stop();
	}
}

// ---- saved servers ----

static const char *key_text(uint8_t n)
{
	static char text[4][KEY_PK_TEXT_LEN + 1];
	static unsigned at;
	struct key_sk sk = {{[31] = n}};
	struct key_pk pk;

	at = (at + 1) % 4;
	assert_int_equal(key_pk_from_sk(&pk, &sk), 0);
	key_pk_to_text(&pk, text[at]);
	return text[at];
}

static void saved_servers_are_read(void **state)
{
	char more[512];
	const struct dmsg_client_lan *saved;
	uint32_t n;

	(void)state;
	snprintf(more, sizeof(more),
		"[saved_lan_server 1]\nkey = %s\naddress = 10.0.0.1:80\nhypervisor = %s\n",
		key_text(7), key_text(8));
	write_conf(more, 0600);
	load();
	saved = lan_saved(w.lan, &n);
	assert_int_equal(n, 1);
	assert_string_equal(saved[0].address, "10.0.0.1:80");
	assert_true(lan_needs_client(w.lan, &w.conf));
}

static void what_lies_beside_counts_first(void **state)
{
	char text[512];
	const struct dmsg_client_lan *saved;
	uint32_t n;

	(void)state;
	snprintf(text, sizeof(text),
		"[saved_lan_server 1]\nkey = %s\naddress = 10.0.0.1:80\nhypervisor = %s\n",
		key_text(7), key_text(8));
	write_conf(text, 0600);
	snprintf(text, sizeof(text),
		"[saved_lan_server 1]\nkey = %s\naddress = 10.0.0.2:80\nhypervisor = %s\n",
		key_text(9), key_text(8));
	put(w.learnt_path, text, 0600);
	load();
	saved = lan_saved(w.lan, &n);
	assert_int_equal(n, 1);
	assert_string_equal(saved[0].address, "10.0.0.2:80");
}

static void a_broken_file_beside_is_passed_over(void **state)
{
	const struct dmsg_client_lan *saved;
	uint32_t n;

	(void)state;
	write_conf("", 0600);
	put(w.learnt_path, "[saved_lan_server 1]\nkey = nonsense\n", 0600);
	load();
	saved = lan_saved(w.lan, &n);
	assert_non_null(saved);
	assert_int_equal(n, 0);
	assert_false(lan_needs_client(w.lan, &w.conf));
}

// The test does not wait until a change is allowed again: a node that starts anew may at once.
static void may_change(void)
{
	stop();
	load();
	assert_int_equal(start(), 0);
}

static const char *push(uint8_t n, const char *address)
{
	struct key_sk sk = {{[31] = n}}, by = {{[31] = 200}};
	struct visor_lan lan = {.enabled = true};
	struct key_pk from;

	assert_int_equal(key_pk_from_sk(&lan.pk, &sk), 0);
	assert_int_equal(key_pk_from_sk(&from, &by), 0);
	snprintf(lan.address, sizeof(lan.address), "%s", address);
	return lan_push(w.lan, &lan, &from);
}

static void pushes_are_written_the_newest_first_and_no_more_than_four(void **state)
{
	char want[256];

	(void)state;
	write_conf("", 0600);
	load();
	assert_int_equal(start(), 0);
	for (uint8_t i = 0; i < 6; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u:80", i);
		may_change();
		assert_null(push((uint8_t)(20 + i), address));
	}
	snprintf(want, sizeof(want), "[saved_lan_server 1]\nkey = %s\naddress = 10.0.0.5:80\n",
		key_text(25));
	assert_true(holds(w.conf_path, want));
	assert_true(holds(w.conf_path, "[saved_lan_server 4]\n"));
	assert_false(holds(w.conf_path, "[saved_lan_server 5]\n"));
	assert_false(holds(w.conf_path, key_text(20)));
	// one that is known moves to the front with its new address
	may_change();
	assert_null(push(23, "10.0.9.9:80"));
	snprintf(want, sizeof(want), "[saved_lan_server 1]\nkey = %s\naddress = 10.0.9.9:80\n",
		key_text(23));
	assert_true(holds(w.conf_path, want));
	assert_false(holds(w.conf_path, "10.0.0.3:80"));
	stop();
	load();
	assert_int_equal(w.conf.lan->n_saved, DMSG_CLIENT_LAN_MAX);
}

static void pushes_that_change_too_often_or_make_no_sense_are_refused(void **state)
{
	struct stat a, b;

	(void)state;
	write_conf("", 0600);
	load();
	assert_int_equal(start(), 0);
	assert_non_null(push(5, "10.0.0.1:80")); // the node's own key
	assert_non_null(push(6, "10.0.0.1:80"));
	assert_non_null(push(7, "10.0.0.1:80"));
	assert_non_null(push(20, "10.0.0.1"));
	assert_non_null(push(20, "10.0.0.1:99999"));
	assert_false(holds(w.conf_path, "saved_lan_server"));
	assert_null(push(20, "10.0.0.1:80"));
	assert_int_equal(stat(w.conf_path, &a), 0);
	assert_non_null(push(21, "10.0.0.2:80"));
	assert_int_equal(stat(w.conf_path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_null(push(20, "10.0.0.1:80")); // nothing new
	assert_int_equal(stat(w.conf_path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
}

static void take_text(void *arg, enum log_level level, const char *module, const char *text)
{
	(void)module;
	if (level == LOG_ERR)
		snprintf(arg, 256, "%s", text);
}

static void why_nothing_is_read_is_told(void **state)
{
	static char path[PATH_MAX + 1];
	char text[256] = "", err[CONF_ERR_MAX] = "";

	(void)state;
	memset(path, 'x', PATH_MAX);
	write_conf("", 0600);
	assert_int_equal(cp_conf_load(&w.conf, w.conf_path, err), 0);
	log_sink_set(take_text, text);
	assert_null(lan_new(l, &w.conf, path));
	assert_int_equal(errno, ENAMETOOLONG);
	log_sink_set(NULL, NULL);
	assert_non_null(strstr(text, "File name too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_is_made_once_and_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_key_that_cannot_be_written_is_kept_beside, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_of_other_roles_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(saved_servers_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(what_lies_beside_counts_first, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_broken_file_beside_is_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(
			pushes_are_written_the_newest_first_and_no_more_than_four, setup, teardown),
		cmocka_unit_test_setup_teardown(
			pushes_that_change_too_often_or_make_no_sense_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(why_nothing_is_read_is_told, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
