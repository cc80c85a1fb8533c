// Answers of transport discovery, resolver and route finder: the first byte says whose; what was
// read keeps its limits.

#include "lib/wire/finder_msg.h"
#include "lib/wire/http_auth.h"
#include "lib/wire/resolver_msg.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

// The keys of the corpus.
static const struct key_pk pk_a = {{0x03, 0x1b, 0x84, 0xc5, 0x56, 0x7b, 0x12, 0x64, 0x40, 0x99,
	0x5d, 0x3e, 0xd5, 0xaa, 0xba, 0x05, 0x65, 0xd7, 0x1e, 0x18, 0x34, 0x60, 0x48, 0x19, 0xff,
	0x9c, 0x17, 0xf5, 0xe9, 0xd5, 0xdd, 0x07, 0x8f}};
static const struct key_pk pk_c = {{0x02, 0x53, 0x1f, 0xe6, 0x06, 0x81, 0x34, 0x50, 0x3d, 0x27,
	0x23, 0x13, 0x32, 0x27, 0xc8, 0x67, 0xac, 0x8f, 0xa6, 0xc8, 0x3c, 0x53, 0x7e, 0x9a, 0x44,
	0xc3, 0xc5, 0xbd, 0xbd, 0xcb, 0x1f, 0xe3, 0x37}};

static void resolver(const char *json, size_t len)
{
	char addr[RESOLVER_ADDR_LEN];
	struct resolver_visor v;
	struct key_pk pk[4];
	unsigned i = 0;

	fuzz_check(resolver_list_read(pk, 4, "stcpr", json, len) <= 4);
	if (resolver_visor_read(&v, json, len) < 0)
		return;
	while (resolver_visor_addr(&v, i, addr)) {
		fuzz_check(strrchr(addr, ':') != NULL);
		i++;
	}
	fuzz_check(i <= RESOLVER_ADDRS_MAX + 1);
}

static void check_paths(
	const struct finder_paths *p, const struct key_pk *src, const struct key_pk *dst)
{
	fuzz_check(p->n <= FINDER_PATHS_MAX);
	for (uint32_t i = 0; i < p->n; i++) {
		const struct setup_path *path = &p->path[i];

		fuzz_check(path->n > 0 && path->n <= SETUP_HOPS_MAX);
		fuzz_check(key_pk_cmp(&path->hop[0].from, src) == 0);
		fuzz_check(key_pk_cmp(&path->hop[path->n - 1].to, dst) == 0);
	}
}

static void finder(const char *json, size_t len)
{
	static struct finder_answer a;
	const struct finder_ask ask = {pk_a, pk_c, 1, 50};

	if (finder_answer_read(&a, &ask, json, len) < 0)
		return;
	check_paths(&a.forward, &pk_a, &pk_c);
	check_paths(&a.reverse, &pk_c, &pk_a);
}

static void auth(const char *json, size_t len)
{
	char text[HTTP_AUTH_ERROR_LEN];
	uint64_t nonce = 0;

	http_auth_error_read(text, json, len);
	fuzz_check(strlen(text) < HTTP_AUTH_ERROR_LEN);
	(void)http_auth_nonce_read(&nonce, &pk_a, json, len);
	fuzz_check(nonce <= INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *)data + 1;

	if (size < 1)
		return 0;
	switch (data[0]) {
	case 'r':
		resolver(json, size - 1);
		break;
	case 'f':
		finder(json, size - 1);
		break;
	default:
		auth(json, size - 1);
	}
	return 0;
}
