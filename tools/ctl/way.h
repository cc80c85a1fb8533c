// The way of a route in arguments, as commands that lay one take it; and nodes by name.
#pragma once

#include "lib/api/api_route.h"
#include "tools/ctl/cli.h"

struct way_words {
	const char *via;
	const char *type; // NULL: not said
	uint32_t hops, min_hops, max_hops;
};

// For the table of arguments: m is the struct api_route_ask, w the struct way_words.
#define WAY_ARGS(m, w)                                                                             \
	{"via", ARG_TEXT, &(w).via, 0, NULL, false, false},                                        \
		{"type", ARG_TEXT, &(w).type, 0, NULL, false, false},                              \
		{"hops", ARG_COUNT, &(w).hops, API_ROUTE_HOPS_MAX, NULL, false, false},            \
		{"min-hops", ARG_COUNT, &(w).min_hops, API_ROUTE_HOPS_MAX, NULL, false, false},    \
		{"max-hops", ARG_COUNT, &(w).max_hops, API_ROUTE_HOPS_MAX, NULL, false, false},    \
	{                                                                                          \
		"timeout", ARG_MS, &(m).timeout_ms, 0, NULL, false, false                          \
	}

// CLI_OK, or it was said. Names are looked up at the node.
int way_take(struct cli *c, struct api_route_ask *m, const struct way_words *w);
// After the node's refusal was said: what the words of the way have to do with it. CLI_FAIL.
int way_refused(const struct cli *c, const struct api_route_ask *m);
// Hops, 0: not said. CLI_OK, or it was said.
int way_limits(uint32_t min, uint32_t max);

// A public key, or the name of a [transport], a [peer] or a [route_to] of the running node.
int way_node(struct cli *c, uint8_t pk[API_PK_LEN], const char *text, size_t len);
// Of such names only, for text that may be something else, too. n: how many different keys have
// it; pk is one of them. CLI_OK, or it was said.
int way_name(struct cli *c, uint8_t pk[API_PK_LEN], const char *text, size_t len, unsigned *n);
// NODE:PORT
int way_to(struct cli *c, uint8_t pk[API_PK_LEN], uint16_t *port, const char *text);
