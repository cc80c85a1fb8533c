// Reading a visor's configuration, and what became of it.
#pragma once

#include "tools/ctl/import_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ONE "0000000000000000000000000000000000000000000000000000000000000001"
#define PK1 "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define TWO "0000000000000000000000000000000000000000000000000000000000000002"
#define PK2 "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
#define PK3 "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"
#define PK4 "02e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13"
#define KEY_FILE "/var/lib/skyrail/node.key"
#define HEAD                                                                                       \
	"; Made from the configuration of a Skywire visor by `skyrail import-config`.\n\n[node]\n" \
	"state_dir = /var/lib/skyrail\nkey_file = " KEY_FILE "\n"

static char import_err[CONF_ERR_MAX];

static inline struct import *read_text(const char *json)
{
	return import_read(json, strlen(json), KEY_FILE, import_err);
}

static inline void assert_text(const struct import *im, const char *want)
{
	size_t len;
	const char *text = import_text(im, &len);

	assert_string_equal(text, want);
	assert_int_equal(len, strlen(want));
}
