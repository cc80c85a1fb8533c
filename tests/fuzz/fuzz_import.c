// A visor's configuration of any text. What is made of it has the form that the control plane
// reads, so each of its mistakes is of a value, whose field is known; and nothing that is told or
// shown holds the digits of a secret key.
#include "tests/fuzz/fuzz.h"
#include "tools/ctl/import.h"

#include "controlplane/cp_conf.h"
#include "controlplane/directory/dir_client.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert((int)IMPORT_SERVERS_MAX == (int)DMSG_CLIENT_SERVERS_MAX, "as the control plane");
static_assert((int)IMPORT_LAN_MAX == (int)DMSG_CLIENT_LAN_MAX, "as the control plane");
static_assert(
	(int)IMPORT_HYPERVISORS_MAX == (int)VISOR_RPC_HYPERVISORS_MAX, "as the control plane");
static_assert((int)IMPORT_URLS_MAX == (int)DIR_CLIENT_URLS_MAX, "as the control plane");

static const char key_file[] = "/var/lib/skyrail/node.key";

// Public keys are longer than secret ones.
static bool shows_secret(const char *text)
{
	while (*text != '\0') {
		size_t n = strspn(text, "0123456789abcdefABCDEF");

		if (n == KEY_SK_TEXT_LEN)
			return true;
		text += n > 0 ? n : 1;
	}
	return false;
}

static void check_mistakes(const struct import *im, const char *err)
{
	for (const char *p = err; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		unsigned line;

		if (sscanf(p, "controlplane.ini:%u: ", &line) == 1)
			fuzz_check(import_field_of(im, line) != NULL);
		else
			fuzz_check(strstr(p, "more mistakes follow") != NULL);
	}
}

static void check_text(const struct import *im)
{
	char err[CONF_ERR_MAX];
	struct cp_conf c;
	size_t len;
	const char *text = import_text(im, &len);

	fuzz_check(strlen(text) == len);
	if (cp_conf_parse(&c, text, len, err) < 0) {
		check_mistakes(im, err);
		return;
	}
	fuzz_check(strcmp(c.v->key_file, key_file) == 0);
	fuzz_check(c.v->servers.n == import_count(im, "server"));
	fuzz_check(c.v->hypervisors.n == import_count(im, "hypervisor"));
	cp_conf_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[CONF_ERR_MAX];
	const struct import_note *notes;
	struct import *im;
	struct key_pk pk;
	unsigned more;
	size_t n;

	im = import_read((const char *)data, size, NULL, err);
	fuzz_check((im == NULL) == (err[0] != '\0'));
	if (im == NULL) {
		fuzz_check(!shows_secret(err));
		return 0;
	}
	fuzz_check(key_pk_from_sk(&pk, &import_keys(im, &n)->sk) == 0 && n > 0);
	fuzz_check(key_pk_cmp(&pk, import_pk(im)) == 0);
	fuzz_check(
		!import_has_secret(im) && strstr(import_text(im, &n), "\nsecret_key = ") == NULL);
	notes = import_notes(im, &n, &more);
	for (size_t i = 0; i < n; i++)
		fuzz_check(!shows_secret(notes[i].path));
	import_free(im);
	im = import_read((const char *)data, size, key_file, err);
	if (im != NULL)
		check_text(im);
	import_free(im);
	return 0;
}
