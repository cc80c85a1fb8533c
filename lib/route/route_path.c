// Built from keys alone: a transport's id follows from its ends and its type (skywire-routing 6.1).
#include "lib/route/route_path.h"

#include "lib/wire/entry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int route_path_via(struct setup_path *path, const struct key_pk *node, uint32_t n,
	const uint8_t first[RULE_TP_ID_LEN], const char *type)
{
	path->n = 0;
	if (n < 2)
		return -EINVAL;
	if (n - 1 > SETUP_HOPS_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i + 1 < n; i++) {
		struct setup_hop *hop = &path->hop[i];

		if (key_pk_cmp(&node[i], &node[i + 1]) == 0)
			return -EINVAL;
		hop->from = node[i];
		hop->to = node[i + 1];
		if (i == 0)
			memcpy(hop->tp_id, first, RULE_TP_ID_LEN);
		else if (entry_transport_id(hop->tp_id, hop->from.b, hop->to.b, type) < 0)
			return -EINVAL;
	}
	path->n = n - 1;
	return 0;
}

void route_path_invert(struct setup_path *out, const struct setup_path *path)
{
	out->n = path->n;
	for (uint32_t i = 0; i < path->n; i++) {
		const struct setup_hop *hop = &path->hop[path->n - 1 - i];

		memcpy(out->hop[i].tp_id, hop->tp_id, RULE_TP_ID_LEN);
		out->hop[i].from = hop->to;
		out->hop[i].to = hop->from;
	}
}

static uint32_t limit_max(struct route_path_limits l)
{
	return l.max > 0 && l.max < SETUP_HOPS_MAX ? l.max : SETUP_HOPS_MAX;
}

static void tell_lengths(const struct setup_path *paths, uint32_t n,
	struct route_path_limits limits, char why[ROUTE_PATH_WHY_MAX])
{
	const uint32_t min = limits.min > 0 ? limits.min : 1;
	bool has[SETUP_HOPS_MAX + 1] = {false};
	const char *before = "";
	int len;

	for (uint32_t i = 0; i < n; i++)
		if (paths[i].n <= SETUP_HOPS_MAX)
			has[paths[i].n] = true;
	if (min == limit_max(limits))
		len = snprintf(
			why, ROUTE_PATH_WHY_MAX, "no path of %u hop%s", min, min == 1 ? "" : "s");
	else
		len = snprintf(why, ROUTE_PATH_WHY_MAX, "no path of %u to %u hops", min,
			limit_max(limits));
	for (uint32_t hops = 1; hops <= SETUP_HOPS_MAX && len < ROUTE_PATH_WHY_MAX; hops++) {
		if (!has[hops])
			continue;
		len += snprintf(why + len, (size_t)(ROUTE_PATH_WHY_MAX - len), "%s%u",
			before[0] != '\0' ? before : ": there are paths of ", hops);
		before = ", ";
	}
}

int route_path_choose(const struct setup_path *paths, uint32_t n, struct route_path_limits limits,
	char why[ROUTE_PATH_WHY_MAX])
{
	for (uint32_t i = 0; i < n; i++)
		if (paths[i].n > 0 && paths[i].n >= limits.min && paths[i].n <= limit_max(limits))
			return (int)i;
	tell_lengths(paths, n, limits, why);
	return -ERANGE;
}
