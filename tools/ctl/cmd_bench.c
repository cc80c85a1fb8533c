// `skyrail bench route`: how fast a stream over a route is, and how late.
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/route_load.h"
#include "tools/ctl/stream.h"
#include "tools/ctl/way.h"

enum way { WAY_BOTH, WAY_THERE, WAY_BACK }; // as in the words below

struct figures {
	uint32_t us[ROUTE_LOAD_ASKS]; // sorted
	struct {
		bool done;
		struct route_load_result r;
	} way[WAY_BACK + 1];
};

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double gbps(const struct route_load_result *r)
{
	return r->seconds > 0 ? (double)r->bytes * 8 / r->seconds / 1e9 : 0;
}

static int measure(struct route_load *l, enum way way, struct route_load_limit limit,
	struct figures *f, char why[ROUTE_LOAD_WHY_MAX])
{
	int rc = route_load_latency(l, ROUTE_LOAD_FIRST_MS, f->us, why);

	qsort(f->us, ARRAY_LEN(f->us), sizeof(f->us[0]), by_size);
	for (enum way w = WAY_THERE; w <= WAY_BACK && rc == 0; w++) {
		if (way != WAY_BOTH && way != w)
			continue;
		rc = route_load_run(l, w == WAY_BACK, limit, &f->way[w].r, why);
		f->way[w].done = rc == 0;
	}
	return rc;
}

static const char *const way_names[] = {[WAY_THERE] = "there", [WAY_BACK] = "back"};

static void print_json(const struct figures *f)
{
	printf("{\"latency_us\":{\"min\":%u,\"median\":%u,\"max\":%u}", f->us[0],
		f->us[ROUTE_LOAD_ASKS / 2], f->us[ROUTE_LOAD_ASKS - 1]);
	for (enum way w = WAY_THERE; w <= WAY_BACK; w++)
		if (f->way[w].done)
			printf(",\"%s\":{\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"gbps\":%.6f}",
				way_names[w], f->way[w].r.bytes, f->way[w].r.seconds,
				gbps(&f->way[w].r));
	printf("}\n");
}

static void print_text(const struct figures *f)
{
	printf("%-6s %15s %9s %8s  %s\n", "WAY", "BYTES", "SECONDS", "GBIT/S", "CHECKSUMS");
	for (enum way w = WAY_THERE; w <= WAY_BACK; w++)
		if (f->way[w].done)
			printf("%-6s %15" PRIu64 " %9.2f %8.3f  %s\n", way_names[w],
				f->way[w].r.bytes, f->way[w].r.seconds, gbps(&f->way[w].r),
				"right");
	printf("round trip on the idle stream: median %.3f ms, %.3f to %.3f ms, %d measured\n",
		f->us[ROUTE_LOAD_ASKS / 2] / 1000.0, f->us[0] / 1000.0,
		f->us[ROUTE_LOAD_ASKS - 1] / 1000.0, ROUTE_LOAD_ASKS);
}

// What is wrong is known best by who cut the stream, if it was cut.
static int failed(struct cli *c, uint32_t id, int err, const char *why)
{
	if (err == -ECONNRESET && stream_ended(c, true, id) != CLI_OK)
		return CLI_FAIL;
	return cli_error(CLI_FAIL, "bench: %s", why);
}

static int run(struct cli *c, uint32_t id, enum way way, struct route_load_limit limit)
{
	const uint8_t *first;
	size_t first_len;
	int fd = api_client_take_fd(c->client, &first, &first_len), rc;
	struct route_load *l = route_load_new(fd, first, first_len);
	char why[ROUTE_LOAD_WHY_MAX] = "out of memory";
	struct figures f = {0};

	rc = l != NULL ? measure(l, way, limit, &f, why) : -ENOMEM;
	route_load_free(l);
	close(fd);
	if (rc == 0 && c->json)
		print_json(&f);
	else if (rc == 0)
		print_text(&f);
	return rc == 0 ? CLI_OK : failed(c, id, rc, why);
}

// "512k", "100M", "2G": bytes, by powers of 1000.
static int take_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kMGT";
	uint64_t factor = 1;
	uint32_t n;
	char digits[11];
	size_t len = strspn(text, "0123456789");
	const char *unit = text[len] != '\0' ? strchr(units, text[len]) : NULL;

	if (len == 0 || len >= sizeof(digits) || (text[len] != '\0' && unit == NULL) ||
		(unit != NULL && text[len + 1] != '\0'))
		return -EINVAL;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (args_u32(digits, &n) < 0 || n == 0)
		return -EINVAL;
	for (const char *u = units; unit != NULL && u <= unit; u++)
		factor *= 1000;
	if (n > UINT64_MAX / factor)
		return -EINVAL;
	*bytes = n * factor;
	return 0;
}

int cmd_bench_route(struct cli *c)
{
	static const char *const ways[] = {"both", "there", "back", NULL}; // enum way
	struct api_route_ask m = {.timeout_ms = 60000};
	struct route_load_limit limit = {0};
	struct way_words words = {0};
	const char *to, *size = NULL;
	uint8_t way = WAY_BOTH;
	struct arg args[] = {
		WAY_ARGS(m, words),
		{"for", ARG_MS, &limit.for_ms, 0, NULL, false, false},
		{"size", ARG_TEXT, &size, 0, NULL, false, false},
		{"way", ARG_WORD, &way, 0, ways, false, false},
	};
	int rc = cli_args(c, &to, 1, args, ARRAY_LEN(args));
	uint32_t id;

	if (rc == CLI_OK && size != NULL && limit.for_ms != 0)
		return cli_error(CLI_USAGE, "for= and size= are two limits: give one of them");
	if (limit.for_ms == 0)
		limit.for_ms = 5000;
	if (rc == CLI_OK && size != NULL && take_size(size, &limit.bytes) < 0)
		return cli_error(CLI_USAGE, "size: bytes of each way: 500k, 100M, 2G");
	if (rc == CLI_OK)
		rc = way_take(c, &m, &words);
	if (rc == CLI_OK)
		rc = way_to(c, m.pk, &m.port, to);
	if (rc != CLI_OK)
		return rc;
	if (stream_open(c, API_ROUTE_DIAL, &m, sizeof(m), (int)m.timeout_ms + STREAM_SLACK_MS,
		    &id) == 0)
		return run(c, id, way, limit);
	cli_failed(c);
	if (strstr(cli_why(c), "no listener on port") != NULL)
		cli_error(CLI_FAIL,
			"that node has no bench service there: it takes [routing] bench_port = %u "
			"in its configuration",
			m.port);
	return way_refused(c, &m);
}
