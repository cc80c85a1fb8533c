// Ways of a route: lists of hops, as a set-up node is given them. Pure.
#pragma once

#include "lib/wire/setup_msg.h"

enum { ROUTE_PATH_WHY_MAX = 128 };

// From node[0] to node[n - 1], n >= 2: over `first` at first, and then over the transports of that
// type which each pair of neighbours has. -EINVAL: the type's name, or a node twice in a row;
// -E2BIG: more hops than SETUP_HOPS_MAX.
int route_path_via(struct setup_path *path, const struct key_pk *node, uint32_t n,
	const uint8_t first[RULE_TP_ID_LEN], const char *type);
// The same hops back.
void route_path_invert(struct setup_path *out, const struct setup_path *path);

// Which hops a route may have. max 0: SETUP_HOPS_MAX.
struct route_path_limits {
	uint8_t min, max;
};
// The index of the first path that has so many, or -ERANGE: none; why then names the lengths that
// there are.
int route_path_choose(const struct setup_path *paths, uint32_t n, struct route_path_limits limits,
	char why[ROUTE_PATH_WHY_MAX]);
