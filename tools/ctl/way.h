// The way of a route in arguments, as commands that lay one take it; and nodes by name.
#pragma once

#include "lib/api/api_route.h"
#include "tools/ctl/cli.h"

// Of transports, NULL behind the last; the names are Skywire's, and rail is ours.
const char *const *way_types(void);

struct way_words {
	const char *via;
	uint8_t type; // place in way_types()
	uint32_t hops, min_hops, max_hops;
};

// For the table of arguments: m is the struct api_route_ask, w the struct way_words.
#define WAY_ARGS(m, w)                                                                             \
	{"via", ARG_TEXT, &(w).via, 0, NULL, false, false},                                        \
		{"type", ARG_WORD, &(w).type, 0, way_types(), false, false},                       \
		{"hops", ARG_U32, &(w).hops, 0, NULL, false, false},                               \
		{"min-hops", ARG_U32, &(w).min_hops, 0, NULL, false, false},                       \
		{"max-hops", ARG_U32, &(w).max_hops, 0, NULL, false, false},                       \
	{                                                                                          \
		"timeout", ARG_MS, &(m).timeout_ms, 0, NULL, false, false                          \
	}

// CLI_OK, or it was said. Names are looked up at the node.
int way_take(struct cli *c, struct api_route_ask *m, const struct way_words *w);

// A public key, or the name of a [transport], a [peer] or a [route_to] of the running node.
int way_node(struct cli *c, uint8_t pk[API_PK_LEN], const char *text, size_t len);
// NODE:PORT
int way_to(struct cli *c, uint8_t pk[API_PK_LEN], uint16_t *port, const char *text);
