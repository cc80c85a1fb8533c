// Lists of keys: what a line may be, which line is wrong, and that a denial beats everything.
#include "controlplane/transport/peer_list.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/base/err.h"

#define K1                                                                                         \
	"02"                                                                                       \
	"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define K2                                                                                         \
	"02"                                                                                       \
	"c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
#define K3                                                                                         \
	"02"                                                                                       \
	"f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"

static char err[PEER_LIST_ERR_MAX], name[DPMSG_NAME_LEN];

static struct key_pk key(const char *text)
{
	struct key_pk pk;

	assert_int_equal(key_pk_from_text(&pk, text, strlen(text)), 0);
	return pk;
}

static int parse(struct peer_list *l, const char *text, enum peer_access access)
{
	return peer_list_parse(l, "keys", text, strlen(text), access, err);
}

static enum peer_access find(const struct peer_list *l, const char *text)
{
	struct key_pk pk = key(text);

	return peer_list_find(l, &pk, name);
}

static void takes_keys_names_and_comments(void **state)
{
	struct peer_list *l = peer_list_new();

	(void)state;
	assert_int_equal(parse(l,
				 "# friends\n\n  " K1 "\tparis  # since May\r\n; none\n" K2
				 ";no name\n" K3 " last",
				 PEER_ALLOWED),
		0);
	peer_list_done(l);
	assert_int_equal(peer_list_count(l), 3);
	assert_int_equal(find(l, K1), PEER_ALLOWED);
	assert_string_equal(name, "paris");
	assert_int_equal(find(l, K2), PEER_ALLOWED);
	assert_string_equal(name, "");
	assert_int_equal(find(l, K3), PEER_ALLOWED);
	assert_string_equal(name, "last");
	peer_list_free(l);
}

static void a_denial_beats_everything(void **state)
{
	struct peer_list *l = peer_list_new();
	struct key_pk pk = key(K3);

	(void)state;
	assert_int_equal(parse(l, K1 " bad\n" K2 "\n", PEER_DENIED), 0);
	assert_int_equal(parse(l, K1 " good\n" K3 "\n" K3 "\n", PEER_ALLOWED), 0);
	assert_int_equal(peer_list_add(l, &pk, PEER_ALLOWED, "named"), 0);
	peer_list_done(l);
	assert_int_equal(peer_list_count(l), 3);
	assert_int_equal(find(l, K1), PEER_DENIED);
	assert_string_equal(name, "bad");
	assert_int_equal(find(l, K2), PEER_DENIED);
	assert_int_equal(find(l, K3), PEER_ALLOWED);
	assert_string_equal(name, "named");
	peer_list_free(l);
}

static void nobody_is_on_an_empty_list(void **state)
{
	struct peer_list *l = peer_list_new();

	(void)state;
	assert_int_equal(parse(l, "", PEER_ALLOWED), 0);
	peer_list_done(l);
	assert_int_equal(find(l, K1), PEER_UNKNOWN);
	assert_int_equal(find(NULL, K1), PEER_UNKNOWN);
	assert_string_equal(name, "");
	peer_list_free(l);
}

static void a_wrong_line_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"\n\n1234\n", "keys:3: is no public key"},
		{K1 K2 "\n", "keys:1: is no public key"},
		{"02" // not on the curve
		 "0000000000000000000000000000000000000000000000000000000000000005\n",
			"keys:1: is no public key"},
		{K1 "\n" K2 " two words\n", "keys:2: a line is"},
		{K1 " a/b\n", "'/'"},
		{K1 " \x01\n", "unprintable"},
		{K1 " a_name_that_is_much_longer_than_it_may_be\n", "31"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer_list *l = peer_list_new();

		err[0] = '\0';
		assert_int_equal(parse(l, rows[i].text, PEER_ALLOWED), -EINVAL);
		if (strstr(err, rows[i].says) == NULL)
			fail_msg("'%s' is not in '%s'", rows[i].says, err);
		peer_list_free(l);
	}
}

static void files_of_any_size_are_read_and_missing_ones_named(void **state)
{
	char path[] = "/tmp/skyrail-peers-XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	struct peer_list *l = peer_list_new();

	(void)state;
	assert_non_null(f);
	for (unsigned i = 0; i < 3000; i++)
		fprintf(f, "%s # %u\n", (i & 1) != 0 ? K1 : K2, i);
	fclose(f);
	assert_int_equal(peer_list_read(l, path, PEER_ALLOWED, err), 0);
	peer_list_done(l);
	assert_int_equal(peer_list_count(l), 2);
	unlink(path);
	assert_int_equal(peer_list_read(l, path, PEER_ALLOWED, err), -ENOENT);
	assert_non_null(strstr(err, path));
	assert_int_equal(peer_list_read(l, "/", PEER_ALLOWED, err), -EIO);
	peer_list_free(l);
}

static void the_number_of_keys_is_bounded(void **state)
{
	struct peer_list *l = peer_list_new();
	struct key_pk pk = key(K1);

	(void)state;
	for (unsigned i = 0; i < PEER_LIST_MAX; i++)
		assert_int_equal(peer_list_add(l, &pk, PEER_ALLOWED, ""), 0);
	assert_int_equal(peer_list_add(l, &pk, PEER_ALLOWED, ""), -ENOSPC);
	assert_int_equal(parse(l, K1, PEER_ALLOWED), -ENOSPC);
	assert_non_null(strstr(err, "keys:1: too many"));
	peer_list_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_keys_names_and_comments),
		cmocka_unit_test(a_denial_beats_everything),
		cmocka_unit_test(nobody_is_on_an_empty_list),
		cmocka_unit_test(a_wrong_line_is_named),
		cmocka_unit_test(files_of_any_size_are_read_and_missing_ones_named),
		cmocka_unit_test(the_number_of_keys_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
