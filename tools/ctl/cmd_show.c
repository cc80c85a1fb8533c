// `skyrail show ...`: lists as they come, and the two that are computed here: drops (summed over
// workers, with the books of each stage) and the non-zero counters.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/way.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	TABLE_RULES = 10000, // rules in a table, without -a
	NAMES_MAX = 64,
};

struct show {
	struct cli *c;
	struct print *p;
	const struct api_record *kind;
	bool (*wanted)(const void *rec);
	unsigned n_keys; // fields, from the first one on, that a NAME may stand for
	uint64_t found; // which of the NAMEs
};

// An id may be written in hex, too; a class of sections stands for all of them.
static bool is_same(const struct show *s, const char *name, const char *text)
{
	char id[12];
	size_t len = strlen(name);
	uint32_t v;

	if (s->kind->type == API_CONFIG && strncmp(name, text, len) == 0 && text[len] == ' ')
		return true;
	if ((s->kind->type != API_RULES && s->kind->type != API_ROUTES) || args_u32(name, &v) < 0)
		return strcmp(name, text) == 0;
	snprintf(id, sizeof(id), "%u", v);
	return strcmp(id, text) == 0;
}

// Is it one of the NAMEs that were asked for?
static bool is_named(struct show *s, const void *rec)
{
	char text[128];
	bool hit = s->c->argc == 0;

	for (unsigned k = 0; k < s->n_keys; k++) {
		api_field_text(&s->kind->fields[k], rec, text, sizeof(text));
		for (int i = 0; i < s->c->argc; i++) {
			if (!is_same(s, s->c->argv[i], text))
				continue;
			s->found |= 1ull << i;
			hit = true;
		}
	}
	return hit;
}

static int on_record(void *ctx, int more, const void *payload, size_t len)
{
	struct show *s = ctx;
	uint64_t rec[512]; // aligned; the longest record is far shorter

	if (!more)
		return 0;
	if (len < s->kind->size || s->kind->size > sizeof(rec))
		return -EPROTO;
	memcpy(rec, payload, s->kind->size);
	if (!is_named(s, rec) || (s->wanted != NULL && !s->wanted(rec)))
		return 0;
	return print_add(s->p, rec);
}

static int not_there(const struct api_record *kind, const char *name)
{
	size_t len = strlen(kind->name);

	if (kind->type == API_FLOWS)
		return cli_error(
			CLI_FAIL, "no transport '%s': see `skyrail show transports`", name);
	if (kind->type == API_CONFIG)
		return cli_error(CLI_FAIL, "no section '%s': see `skyrail config show`", name);
	if (kind->name[len - 1] != 's')
		return cli_error(
			CLI_FAIL, "no '%s' there: see `skyrail show %s`", name, kind->name);
	return cli_error(CLI_FAIL, "no %.*s '%s': see `skyrail show %s`", (int)len - 1, kind->name,
		name, kind->name);
}

// What was asked for by name and is not there.
static int all_found(const struct show *s)
{
	int rc = CLI_OK;

	for (int i = 0; i < s->c->argc; i++)
		if ((s->found >> i & 1) == 0)
			rc = not_there(s->kind, s->c->argv[i]);
	return rc;
}

// print_end(), but a table of nothing is not printed when the reason is told otherwise.
static int finish(struct show *s)
{
	int end;

	if (s->c->argc > 0 && print_count(s->p) == 0 && !s->c->json) {
		print_drop(s->p);
		return all_found(s);
	}
	end = print_end(s->p);
	return end != CLI_OK ? end : all_found(s);
}

static int start(struct cli *c, struct show *s, uint16_t type)
{
	char see[CLI_SEE_MAX];

	if (c->argc > NAMES_MAX)
		return cli_error(CLI_USAGE, "%d names at most", NAMES_MAX);
	for (int i = 0; i < c->argc; i++)
		if (c->argv[i][0] == '-')
			return cli_error(
				CLI_USAGE, "unknown option '%s'%s", c->argv[i], cli_see(c, see));
	s->c = c;
	s->kind = api_record_find(type);
	s->p = print_new(s->kind, c->json, c->all);
	return s->p != NULL ? CLI_OK : cli_error(CLI_FAIL, "out of memory");
}

static int list(struct show *s, const void *ask, size_t ask_len, size_t *n)
{
	int rc = cli_call(s->c, s->kind->type, ask, ask_len, on_record, s);

	*n = print_count(s->p);
	if (rc < 0 && *n == 0) {
		print_drop(s->p);
		return cli_failed(s->c);
	}
	if (rc == 0)
		return finish(s);
	print_end(s->p);
	return cli_failed(s->c);
}

static int no_args(struct cli *c)
{
	char see[CLI_SEE_MAX];

	if (c->argc > 0)
		return cli_error(CLI_USAGE, "unknown argument '%s'%s", c->argv[0], cli_see(c, see));
	return CLI_OK;
}

// n_keys: see struct show.
static int show(struct cli *c, uint16_t type, unsigned n_keys)
{
	struct show s = {.n_keys = n_keys};
	int rc = n_keys > 0 ? CLI_OK : no_args(c);
	size_t n;

	if (rc == CLI_OK)
		rc = start(c, &s, type);
	return rc != CLI_OK ? rc : list(&s, NULL, 0, &n);
}

int cmd_show_node(struct cli *c)
{
	return show(c, API_NODE, 0);
}

int cmd_show_ports(struct cli *c)
{
	return show(c, API_PORTS, 1);
}

int cmd_show_workers(struct cli *c)
{
	return show(c, API_WORKERS, 1);
}

int cmd_show_transports(struct cli *c)
{
	return show(c, API_TRANSPORTS, 1);
}

int cmd_show_flows(struct cli *c)
{
	return show(c, API_FLOWS, 1);
}

int cmd_show_rings(struct cli *c)
{
	return show(c, API_RINGS, 1);
}

int cmd_show_memory(struct cli *c)
{
	return show(c, API_MEMORY, 1);
}

int cmd_show_edges(struct cli *c)
{
	return show(c, API_EDGES, 1);
}

int cmd_show_neighbours(struct cli *c)
{
	return show(c, API_NEIGHBOURS, 1);
}

int cmd_show_dmsg(struct cli *c)
{
	return show(c, API_DMSG, 0);
}

int cmd_show_servers(struct cli *c)
{
	struct show s = {.n_keys = 2}; // name and address
	size_t n = 1;
	int rc = start(c, &s, API_DMSG_SERVERS);

	if (rc == CLI_OK)
		rc = list(&s, NULL, 0, &n);
	if (rc == CLI_OK && n == 0 && !c->json)
		puts("what discoveries said is in `skyrail show discoveries`");
	return rc;
}

int cmd_show_sessions(struct cli *c)
{
	return show(c, API_DMSG_SESSIONS, 0);
}

int cmd_show_streams(struct cli *c)
{
	return show(c, API_DMSG_STREAMS, 0);
}

int cmd_show_discoveries(struct cli *c)
{
	return show(c, API_DMSG_DISCOVERIES, 0);
}

int cmd_show_hypervisors(struct cli *c)
{
	return show(c, API_DMSG_HYPERVISORS, 0);
}

int cmd_show_routes(struct cli *c)
{
	return show(c, API_ROUTES, 1);
}

int cmd_show_groups(struct cli *c)
{
	return show(c, API_GROUPS, 0);
}

int cmd_show_setups(struct cli *c)
{
	return show(c, API_SETUPS, 0);
}

int cmd_show_services(struct cli *c)
{
	return show(c, API_SERVICES, 0);
}

int cli_list(struct cli *c, uint16_t type, const void *ask, size_t ask_len)
{
	struct show s = {0};
	size_t n;
	int rc;

	c->argc = 0; // nothing else is to be found in the answer
	rc = start(c, &s, type);
	return rc != CLI_OK ? rc : list(&s, ask, ask_len, &n);
}

int cmd_route_find(struct cli *c)
{
	struct api_paths_ask ask = {0};
	uint32_t min = 1, max = API_ROUTE_HOPS_MAX;
	const char *to, *from = NULL;
	struct arg args[] = {{"from", ARG_TEXT, &from, 0, NULL, false, false},
		{"min-hops", ARG_COUNT, &min, API_ROUTE_HOPS_MAX, NULL, false, false},
		{"max-hops", ARG_COUNT, &max, API_ROUTE_HOPS_MAX, NULL, false, false}};
	int rc = cli_args(c, &to, 1, args, ARRAY_LEN(args));

	ask.min_hops = (uint16_t)min;
	ask.max_hops = (uint16_t)max;
	if (rc == CLI_OK)
		rc = way_limits(min, max);
	if (rc == CLI_OK && from != NULL)
		rc = way_node(c, ask.src, from, strlen(from));
	if (rc == CLI_OK)
		rc = way_node(c, ask.dst, to, strlen(to));
	return rc != CLI_OK ? rc : cli_list(c, API_PATHS, &ask, sizeof(ask));
}

int cmd_config_show(struct cli *c)
{
	for (int i = 0; i < c->argc; i++)
		if (c->argv[i][0] == '-')
			return cli_config_of_file(c);
	return show(c, API_CONFIG, 1);
}

// By id: the low bits of an id are its place in the table, so one record is asked for.
static int rules_by_id(struct show *s)
{
	struct api_rules_ask ask = {.max = 1};
	struct cli *c = s->c;
	struct api_node node;
	int rc = cli_node(c, &node);

	for (int i = 0; i < c->argc && rc >= 0; i++) {
		uint32_t id = 0;

		args_u32(c->argv[i], &id);
		ask.first_index = node.rule_slots > 0 ? id & (uint32_t)(node.rule_slots - 1) : id;
		if ((s->found >> i & 1) == 0)
			rc = cli_call(c, API_RULES, &ask, sizeof(ask), on_record, s);
	}
	if (rc >= 0)
		return finish(s);
	print_drop(s->p);
	return cli_failed(c);
}

int cmd_show_rules(struct cli *c)
{
	struct api_rules_ask ask = {.max = c->json || c->all ? 0 : TABLE_RULES};
	struct show s = {.n_keys = 1};
	uint32_t id;
	size_t n;
	int rc;

	for (int i = 0; i < c->argc; i++)
		if (args_u32(c->argv[i], &id) < 0)
			return cli_error(CLI_USAGE, "'%s' is no id of a rule", c->argv[i]);
	rc = start(c, &s, API_RULES);
	if (rc != CLI_OK)
		return rc;
	if (c->argc > 0)
		return rules_by_id(&s);
	rc = list(&s, &ask, sizeof(ask), &n);
	if (rc == CLI_OK && ask.max != 0 && n >= ask.max)
		fprintf(stderr, "skyrail: the first %zu rules; -a shows all\n", n);
	return rc;
}

static bool is_not_zero(const void *rec)
{
	return ((const struct api_counter *)rec)->value != 0;
}

int cmd_show_counters(struct cli *c)
{
	struct show s = {
		.n_keys = 2, .wanted = c->json || c->all || c->argc > 0 ? NULL : is_not_zero};
	int rc = start(c, &s, API_COUNTERS);
	size_t n;

	return rc != CLI_OK ? rc : list(&s, NULL, 0, &n);
}

// ---- drops ----

struct drops {
	struct api_counter *v; // one a counter name, summed over workers; and of the control plane
	size_t n, cap;
};

static int on_counter(void *ctx, int more, const void *payload, size_t len)
{
	struct drops *d = ctx;
	struct api_counter rec;
	int rc = api_record_take(&rec, sizeof(rec), more, payload, len);

	if (rc <= 0)
		return rc;
	for (size_t i = 0; i < d->n; i++)
		if (strncmp(d->v[i].name, rec.name, sizeof(rec.name)) == 0) {
			d->v[i].value += rec.value;
			return 0;
		}
	if (d->n == d->cap) {
		size_t cap = d->cap == 0 ? 64 : 2 * d->cap;
		void *v = realloc(d->v, cap * sizeof(*d->v));

		if (v == NULL)
			return -ENOMEM;
		d->v = v;
		d->cap = cap;
	}
	memset(rec.of, 0, sizeof(rec.of));
	memcpy(rec.of, "workers", sizeof("workers"));
	d->v[d->n++] = rec;
	return 0;
}

struct stage {
	char name[8];
	uint64_t sum[4]; // by enum api_role
};

static size_t stages_of(const struct drops *d, struct stage *st, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		size_t k = 0;

		if (d->v[i].role > API_ROLE_DROP || d->v[i].stage[0] == '\0')
			continue;
		while (k < n && strncmp(st[k].name, d->v[i].stage, sizeof(st[k].name)) != 0)
			k++;
		if (k == cap)
			continue;
		if (k == n) {
			memset(&st[n], 0, sizeof(st[n]));
			memcpy(st[n++].name, d->v[i].stage, sizeof(st[k].name) - 1);
		}
		st[k].sum[d->v[i].role] += d->v[i].value;
	}
	return n;
}

static int64_t open_of(const struct stage *s)
{
	return (int64_t)(s->sum[API_ROLE_IN] - s->sum[API_ROLE_OUT] - s->sum[API_ROLE_DROP]);
}

static void drops_json(const struct drops *d, uint64_t edges, const struct stage *st, size_t n_st)
{
	char help[512];
	bool first = true;

	printf("{\"drops\":[");
	for (size_t i = 0; i < d->n; i++) {
		const struct api_counter *c = &d->v[i];

		if (c->role != API_ROLE_DROP)
			continue;
		if (api_json_string(c->help, sizeof(c->help), help, sizeof(help)) < 0)
			strcpy(help, "\"\"");
		printf("%s\n{\"name\":\"%.32s\",\"value\":%" PRIu64
		       ",\"unit\":\"%.16s\",\"stage\":\"%.8s\",\"help\":%s}",
			first ? "" : ",", c->name, c->value, c->unit, c->stage, help);
		first = false;
	}
	printf("],\n\"edges\":%" PRIu64 ",\n\"stages\":[", edges);
	for (size_t i = 0; i < n_st; i++)
		printf("%s\n{\"stage\":\"%s\",\"in\":%" PRIu64 ",\"out\":%" PRIu64
		       ",\"dropped\":%" PRIu64 ",\"open\":%" PRId64 "}",
			i > 0 ? "," : "", st[i].name, st[i].sum[0], st[i].sum[1], st[i].sum[2],
			open_of(&st[i]));
	printf("]}\n");
}

static void drop_line(uint64_t n, const char *name, const char *help)
{
	int col = printf("%12" PRIu64 "  %-22.32s ", n, name);
	char text[sizeof(((struct api_counter *)0)->help) + 1];

	snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, help);
	if (isatty(STDOUT_FILENO))
		block_sentence(stdout, text, col, 14 + 22 + 1);
	else
		fputs(text, stdout); // one line each, for grep
	putchar('\n');
}

static void drops_text(const struct cli *c, const struct drops *d, uint64_t edges,
	const struct stage *st, size_t n_st)
{
	size_t shown = 0;

	for (size_t i = 0; i < d->n; i++) {
		const struct api_counter *r = &d->v[i];

		if (r->role != API_ROLE_DROP || (r->value == 0 && !c->all))
			continue;
		drop_line(r->value, r->name, r->help);
		shown++;
	}
	if (edges > 0)
		drop_line(
			edges, "edges", "packets that edges dropped: see `skyrail show edges -a`");
	else if (shown == 0)
		printf("nothing was dropped\n");
	printf("\n%-8s %14s %14s %12s %8s\n", "STAGE", "IN", "OUT", "DROPPED", "OPEN");
	for (size_t i = 0; i < n_st; i++)
		printf("%-8s %14" PRIu64 " %14" PRIu64 " %12" PRIu64 " %8" PRId64 "\n", st[i].name,
			st[i].sum[0], st[i].sum[1], st[i].sum[2],
			open_of(&st[i]) > 0 ? open_of(&st[i]) : 0); // read one after another
	puts("OPEN: came in, and neither went on nor was dropped yet");
}

// Edges count for themselves: what they lost is not in the stages of the data plane.
static int on_edge(void *ctx, int more, const void *payload, size_t len)
{
	struct api_edge e;
	int rc = api_record_take(&e, sizeof(e), more, payload, len);

	if (rc <= 0)
		return rc;
	*(uint64_t *)ctx +=
		e.drop_detached + e.drop_in_full + e.drop_in_bad + e.out_bad + e.in_refused;
	return 0;
}

int cmd_show_drops(struct cli *c)
{
	struct api_counters_ask ask = {
		.scopes = API_SCOPE_WORKER | API_SCOPE_CONTROL | API_SCOPE_PORT};
	struct stage st[8];
	struct drops d = {0};
	uint64_t edges = 0;
	size_t n_st;
	int rc = no_args(c);

	if (rc != CLI_OK)
		return rc;
	if (cli_call(c, API_COUNTERS, &ask, sizeof(ask), on_counter, &d) < 0 ||
		cli_call(c, API_EDGES, NULL, 0, on_edge, &edges) < 0) {
		free(d.v);
		return cli_failed(c);
	}
	n_st = stages_of(&d, st, ARRAY_LEN(st));
	if (c->json)
		drops_json(&d, edges, st, n_st);
	else
		drops_text(c, &d, edges, st, n_st);
	free(d.v);
	return CLI_OK;
}
