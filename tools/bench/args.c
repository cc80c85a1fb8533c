// Words into numbers: one table of options, one function for each kind of value, one look at the
// whole in the end.

#include "tools/bench/args.h"

#include "lib/base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char help_text[] =
	"usage: skyrail-bench [OPTIONS]\n"
	"\n"
	"What is measured (default: a node in this process, on rings):\n"
	"  -l, --loopback          nothing: generator and sink themselves\n"
	"  -p, --port DEVICE       a running node, by this DPDK device; more than once\n"
	"      --address IP        ... our address there\n"
	"      --node IP[:PORT]    ... and the node's\n"
	"      --api SOCKET        install transports and rules through the node's API\n"
	"      --node-key KEY      public key of the node (without --api)\n"
	"      --key FILE          our secret key; made if missing (default: a new one)\n"
	"      --show-key          print the public keys of our transports and exit\n"
	"      --in-id ID          first route id that the node takes (default 1048576)\n"
	"      --out-id ID         first route id that comes back (default 2097152)\n"
	"      --udp-port PORT     ours (7780); more transports take the next ones\n"
	"      --no-dial           wait for the node's handshakes\n"
	"      --rekey TIME        change keys of links that we dialled (120s)\n"
	"  -w, --workers N         in memory: workers of the node (default 1)\n"
	"      --rules N           in memory: rules in its table (default: one per route)\n"
	"      --queue N           in memory: frames that its ports' queues hold (1024)\n"
	"\n"
	"Traffic:\n"
	"  -t, --transports N      links to the node (default: one per port or worker)\n"
	"  -r, --routes N          routes in use (default 1)\n"
	"  -m, --mode MODE         of the links: datagram (default) or reliable\n"
	"      --same              routes leave by the transport by which they came\n"
	"  -c, --cipher NAME       chacha20-poly1305, aes-256-gcm or none (default: none\n"
	"                          in memory, chacha20-poly1305 on a port)\n"
	"  -s, --size LIST         bytes of payload, 28 to 9000, with weights\n"
	"                          (64:7,576:4,1400:1), or imix (default 64)\n"
	"      --prepare           seal all packets of a trial before it begins\n"
	"      --count             the sink only counts: no latency, no order\n"
	"      --seed N            of the order of routes (default 1)\n"
	"\n"
	"Rates (100k, 1.5Mpps, 2Gbit of frames; times in us, ms, s, m, h; ratios in %):\n"
	"  -R, --rate RATE         one run of this rate, or `max`; else NDR and PDR are\n"
	"                          searched\n"
	"      --search KIND       mlr (default), rfc2544, none\n"
	"      --min-rate RATE, --max-rate RATE    bounds of the search (1k, 20M)\n"
	"      --width RATIO       precision of the search (0.5%)\n"
	"      --pdr-loss RATIO    loss that PDR admits (0.5%)\n"
	"  -d, --duration TIME     of a full trial (1s; rfc2544: 60s)\n"
	"      --initial TIME      of the first trials (a tenth of it)\n"
	"      --trials N          full trials that decide about a rate (3)\n"
	"      --warm-up TIME      before the first one (500ms)\n"
	"      --drain TIME        wait for stragglers (200ms)\n"
	"      --latency LIST      percent of NDR at which it is measured (10,50,90)\n"
	"\n"
	"Report:\n"
	"  -j, --json FILE, --csv FILE     - is standard output\n"
	"  -q, --quiet             no progress, no table; only what is missed\n"
	"      --min-ndr RATE, --min-pdr RATE, --max-loss RATIO, --max-p99 TIME\n"
	"                          thresholds: exit status 1 when one is missed\n"
	"\n"
	"Machine:\n"
	"      --cores LIST        lcores as EAL's --lcores, the generator's first\n"
	"      --hugepages auto|yes|no\n"
	"      --eal ARGUMENTS     more EAL arguments\n"
	"  -V, --version, -h, --help\n"
	"\n"
	"Exit status: 0 done, 1 failed or a threshold missed, 2 wrong usage,\n"
	"3 interrupted, and none missed until then.\n"
	"See skyrail-bench(1).\n";

const char *args_help(void)
{
	return help_text;
}

// ---- values ----

int args_rate(const char *text, struct args_rate *out)
{
	static const struct {
		const char *unit;
		double factor;
	} units[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}};
	char *end;
	double v = strtod(text, &end), factor = 0;
	bool bits;

	if (text[0] < '0' || text[0] > '9' || !(v > 0))
		return -EINVAL;
	for (size_t i = ARRAY_LEN(units); i-- > 0 && factor == 0;) {
		size_t len = strlen(units[i].unit);

		if (strncmp(end, units[i].unit, len) == 0) {
			factor = units[i].factor;
			end += len;
		}
	}
	bits = strcmp(end, "bit") == 0 || strcmp(end, "bps") == 0;
	if (!bits && *end != '\0' && strcmp(end, "pps") != 0)
		return -EINVAL;
	v *= factor;
	if (v > 1e12)
		return -EINVAL;
	*out = (struct args_rate){.pps = bits ? 0 : v, .bps = bits ? v : 0, .given = true};
	return 0;
}

int args_ratio(const char *text, double *out)
{
	char *end;
	double v = strtod(text, &end) / 100;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	if (strcmp(end, "%") != 0 && !(*end == '\0' && v == 0))
		return -EINVAL;
	if (!(v >= 0 && v <= 1))
		return -EINVAL;
	*out = v;
	return 0;
}

int args_time(const char *text, double *seconds)
{
	static const struct {
		const char *unit;
		double s;
	} units[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};
	char *end;
	double v = strtod(text, &end);

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	if (*end == '\0' && v == 0) {
		*seconds = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		*seconds = v * units[i].s;
		return *seconds <= 86400 ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static int parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long long v;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 0);
	if (*end != '\0' || errno != 0 || v < min || v > max)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

int args_sizes(const char *text, struct args_size *out, unsigned *n)
{
	char copy[200], *save = NULL;

	*n = 0;
	if (strcmp(text, "imix") == 0)
		text = "64:7,576:4,1400:1";
	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	for (char *w = strtok_r(copy, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save)) {
		char *colon = strchr(w, ':');
		struct args_size s = {.weight = 1};

		if (colon != NULL)
			*colon = '\0';
		if (*n == ARGS_SIZES_MAX ||
			parse_u32(w, ARGS_SIZE_MIN, ARGS_SIZE_MAX, &s.len) < 0 ||
			(colon != NULL && parse_u32(colon + 1, 1, 1000, &s.weight) < 0))
			return -EINVAL;
		out[(*n)++] = s;
	}
	return *n > 0 ? 0 : -EINVAL;
}

int args_addr(const char *text, struct dpmsg_addr *out)
{
	char ip[INET6_ADDRSTRLEN];
	const char *port = NULL;
	size_t len = strlen(text);
	uint32_t v = 0;

	memset(out, 0, sizeof(*out));
	if (text[0] == '[') {
		const char *close = strchr(++text, ']');

		if (close == NULL || (close[1] != '\0' && close[1] != ':'))
			return -EINVAL;
		len = (size_t)(close - text);
		port = close[1] == ':' ? close + 2 : NULL;
	} else if (strchr(text, ':') != NULL && strchr(text, ':') == strrchr(text, ':')) {
		len = (size_t)(strchr(text, ':') - text);
		port = text + len + 1;
	}
	if (len >= sizeof(ip) || (port != NULL && parse_u32(port, 1, 65535, &v) < 0))
		return -EINVAL;
	memcpy(ip, text, len);
	ip[len] = '\0';
	out->port = (uint16_t)v;
	if (inet_pton(AF_INET, ip, out->ip + 12) == 1) {
		memset(out->ip + 10, 0xff, 2);
		return 0;
	}
	return inet_pton(AF_INET6, ip, out->ip) == 1 ? 0 : -EINVAL;
}

static int shares(const char *text, struct args *a)
{
	char copy[64], *save = NULL;

	a->n_shares = 0;
	if (strcmp(text, "none") == 0)
		return 0;
	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	for (char *w = strtok_r(copy, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save))
		if (a->n_shares == ARGS_SHARES_MAX ||
			parse_u32(w, 1, 100, &a->share[a->n_shares++]) < 0)
			return -EINVAL;
	return a->n_shares > 0 ? 0 : -EINVAL;
}

static int word_of(const char *text, const char *const *words, int *out)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

// ---- options ----

enum option_id {
	OPT_ADDRESS = 256,
	OPT_NODE,
	OPT_API,
	OPT_NODE_KEY,
	OPT_KEY,
	OPT_SHOW_KEY,
	OPT_IN_ID,
	OPT_OUT_ID,
	OPT_UDP_PORT,
	OPT_NO_DIAL,
	OPT_REKEY,
	OPT_RULES,
	OPT_QUEUE,
	OPT_SAME,
	OPT_PREPARE,
	OPT_COUNT,
	OPT_SEED,
	OPT_SEARCH,
	OPT_MIN_RATE,
	OPT_MAX_RATE,
	OPT_WIDTH,
	OPT_PDR_LOSS,
	OPT_INITIAL,
	OPT_TRIALS,
	OPT_WARM_UP,
	OPT_DRAIN,
	OPT_LATENCY,
	OPT_CSV,
	OPT_MIN_NDR,
	OPT_MIN_PDR,
	OPT_MAX_LOSS,
	OPT_MAX_P99,
	OPT_CORES,
	OPT_HUGEPAGES,
	OPT_EAL,
};

static const struct option options[] = {
	{"loopback", no_argument, NULL, 'l'},
	{"port", required_argument, NULL, 'p'},
	{"address", required_argument, NULL, OPT_ADDRESS},
	{"node", required_argument, NULL, OPT_NODE},
	{"api", required_argument, NULL, OPT_API},
	{"node-key", required_argument, NULL, OPT_NODE_KEY},
	{"key", required_argument, NULL, OPT_KEY},
	{"show-key", no_argument, NULL, OPT_SHOW_KEY},
	{"in-id", required_argument, NULL, OPT_IN_ID},
	{"out-id", required_argument, NULL, OPT_OUT_ID},
	{"udp-port", required_argument, NULL, OPT_UDP_PORT},
	{"no-dial", no_argument, NULL, OPT_NO_DIAL},
	{"rekey", required_argument, NULL, OPT_REKEY},
	{"workers", required_argument, NULL, 'w'},
	{"rules", required_argument, NULL, OPT_RULES},
	{"queue", required_argument, NULL, OPT_QUEUE},
	{"transports", required_argument, NULL, 't'},
	{"routes", required_argument, NULL, 'r'},
	{"same", no_argument, NULL, OPT_SAME},
	{"mode", required_argument, NULL, 'm'},
	{"cipher", required_argument, NULL, 'c'},
	{"size", required_argument, NULL, 's'},
	{"prepare", no_argument, NULL, OPT_PREPARE},
	{"count", no_argument, NULL, OPT_COUNT},
	{"seed", required_argument, NULL, OPT_SEED},
	{"rate", required_argument, NULL, 'R'},
	{"search", required_argument, NULL, OPT_SEARCH},
	{"min-rate", required_argument, NULL, OPT_MIN_RATE},
	{"max-rate", required_argument, NULL, OPT_MAX_RATE},
	{"width", required_argument, NULL, OPT_WIDTH},
	{"pdr-loss", required_argument, NULL, OPT_PDR_LOSS},
	{"duration", required_argument, NULL, 'd'},
	{"initial", required_argument, NULL, OPT_INITIAL},
	{"trials", required_argument, NULL, OPT_TRIALS},
	{"warm-up", required_argument, NULL, OPT_WARM_UP},
	{"drain", required_argument, NULL, OPT_DRAIN},
	{"latency", required_argument, NULL, OPT_LATENCY},
	{"json", required_argument, NULL, 'j'},
	{"csv", required_argument, NULL, OPT_CSV},
	{"quiet", no_argument, NULL, 'q'},
	{"min-ndr", required_argument, NULL, OPT_MIN_NDR},
	{"min-pdr", required_argument, NULL, OPT_MIN_PDR},
	{"max-loss", required_argument, NULL, OPT_MAX_LOSS},
	{"max-p99", required_argument, NULL, OPT_MAX_P99},
	{"cores", required_argument, NULL, OPT_CORES},
	{"hugepages", required_argument, NULL, OPT_HUGEPAGES},
	{"eal", required_argument, NULL, OPT_EAL},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

// What each takes, where a value can be wrong.
static const struct {
	int opt;
	const char *takes;
} takes[] = {
	{'p', "a device of DPDK, at most 8 of them"},
	{OPT_ADDRESS, "an IP address without port, after its --port"},
	{OPT_NODE, "IP or IP:PORT, after its --port"},
	{OPT_NODE_KEY, "66 hex digits, as `skyrail key show` prints them"},
	{OPT_IN_ID, "1 to 4294967295"},
	{OPT_OUT_ID, "1 to 4294967295"},
	{OPT_UDP_PORT, "1 to 65535"},
	{OPT_REKEY, "a time of 100ms to 24h, with its unit"},
	{'w', "1 to 15"},
	{OPT_RULES, "1 to 4194304"},
	{OPT_QUEUE, "a power of two, 64 to 65536"},
	{'t', "1 to 1024"},
	{'r', "1 to 1048576"},
	{'m', "datagram or reliable"},
	{'c', "chacha20-poly1305, aes-256-gcm or none"},
	{'s', "28 to 9000 bytes, with weights of 1 to 1000 (64:7,1400:1), or imix"},
	{OPT_SEED, "0 to 4294967295"},
	{'R', "a rate (100k, 1.5Mpps, 2Gbit), or max"},
	{OPT_SEARCH, "mlr, rfc2544 or none"},
	{OPT_MIN_RATE, "a rate (100k, 1.5Mpps, 2Gbit)"},
	{OPT_MAX_RATE, "a rate (100k, 1.5Mpps, 2Gbit)"},
	{OPT_WIDTH, "a ratio of 0.001% to 100%, with its %"},
	{OPT_PDR_LOSS, "a ratio below 100%, with its % (0.5%)"},
	{'d', "a time of 10ms to 24h, with its unit"},
	{OPT_INITIAL, "a time of 10ms to 24h, with its unit"},
	{OPT_TRIALS, "1 to 1000"},
	{OPT_WARM_UP, "a time up to 24h, with its unit (500ms)"},
	{OPT_DRAIN, "a time up to 24h, with its unit (200ms)"},
	{OPT_LATENCY, "percents of 1 to 100 (10,50,90), or none"},
	{OPT_MIN_NDR, "a rate (100k, 1.5Mpps, 2Gbit)"},
	{OPT_MIN_PDR, "a rate (100k, 1.5Mpps, 2Gbit)"},
	{OPT_MAX_LOSS, "a ratio of 0% to 100%, with its % (0.1%)"},
	{OPT_MAX_P99, "a time up to 24h, with its unit (1ms)"},
	{OPT_HUGEPAGES, "auto, yes or no"},
};
static_assert(ARGS_PORTS_MAX == 8 && ARGS_WORKERS_MAX == 15 && ARGS_TRANSPORTS_MAX == 1024 &&
		      ARGS_ROUTES_MAX == 1048576 && ARGS_SIZE_MIN == 28 && ARGS_SIZE_MAX == 9000,
	"the texts above");

// name: of a long option, NULL if the letter was typed.
static int bad_value(int opt, const char *name, const char *value, char err[ARGS_ERR_MAX])
{
	const char *range = "not a value for this option";

	for (size_t i = 0; i < ARRAY_LEN(takes); i++)
		if (takes[i].opt == opt)
			range = takes[i].takes;
	if (name == NULL)
		snprintf(err, ARGS_ERR_MAX, "-%c %.80s: %s", opt, value, range);
	else
		snprintf(err, ARGS_ERR_MAX, "--%s %.80s: %s", name, value, range);
	return -EINVAL;
}

static int take_port(struct args *a, int opt, const char *v)
{
	struct args_port *last = a->n_ports > 0 ? &a->port[a->n_ports - 1] : NULL;

	if (opt == 'p') {
		if (a->n_ports == ARGS_PORTS_MAX)
			return -EINVAL;
		a->port[a->n_ports++].device = v;
		return 0;
	}
	if (last == NULL)
		return -EINVAL;
	if (opt == OPT_NODE)
		return args_addr(v, &last->node);
	return args_addr(v, &last->self) == 0 && last->self.port == 0 ? 0 : -EINVAL;
}

static int take_node(struct args *a, int opt, const char *v)
{
	uint32_t u;

	switch (opt) {
	case OPT_API:
		a->api = v;
		return 0;
	case OPT_KEY:
		a->key_file = v;
		return 0;
	case OPT_NODE_KEY:
		a->has_node_pk = true;
		return key_pk_from_text(&a->node_pk, v, strlen(v)) == 0 &&
				       !key_pk_is_null(&a->node_pk)
			       ? 0
			       : -EINVAL;
	case OPT_IN_ID:
		return parse_u32(v, 1, UINT32_MAX, &a->in_id);
	case OPT_OUT_ID:
		return parse_u32(v, 1, UINT32_MAX, &a->out_id);
	case OPT_REKEY:
		return args_time(v, &a->rekey_s) == 0 && a->rekey_s >= 0.1 ? 0 : -EINVAL;
	case OPT_UDP_PORT:
		if (parse_u32(v, 1, 65535, &u) < 0)
			return -EINVAL;
		a->udp_port = (uint16_t)u;
		return 0;
	case 'w':
		return parse_u32(v, 1, ARGS_WORKERS_MAX, &a->n_workers);
	case OPT_RULES:
		return parse_u32(v, 1, 1 << 22, &a->n_rules);
	case OPT_QUEUE:
		return parse_u32(v, 64, 1 << 16, &a->queue_len) == 0 &&
				       (a->queue_len & (a->queue_len - 1)) == 0
			       ? 0
			       : -EINVAL;
	case 't':
		return parse_u32(v, 1, ARGS_TRANSPORTS_MAX, &a->n_transports);
	case 'r':
		return parse_u32(v, 1, ARGS_ROUTES_MAX, &a->n_routes);
	default:
		return -ENOENT;
	}
}

static int take_cipher(struct args *a, const char *v)
{
	for (int c = 0; c < AEAD_N_CIPHERS; c++) {
		if (strcmp(aead_cipher_name((enum aead_cipher)c), v) == 0) {
			a->cipher = (enum aead_cipher)c;
			return 0;
		}
	}
	return -EINVAL;
}

static int take_traffic(struct args *a, int opt, const char *v)
{
	static const char *const kinds[] = {"mlr", "rfc2544", "none", NULL};
	static const char *const modes[] = {"datagram", "reliable", NULL};
	int word;

	switch (opt) {
	case 'c':
		return take_cipher(a, v);
	case 'm':
		if (word_of(v, modes, &word) < 0)
			return -EINVAL;
		a->reliable = word == 1;
		return 0;
	case 's':
		return args_sizes(v, a->size, &a->n_sizes);
	case OPT_SEED:
		return parse_u32(v, 0, UINT32_MAX, &a->seed);
	case 'R':
		a->rate_is_max = strcmp(v, "max") == 0;
		a->rate.given = true;
		return a->rate_is_max ? 0 : args_rate(v, &a->rate);
	case OPT_SEARCH:
		if (word_of(v, kinds, &word) < 0)
			return -EINVAL;
		a->search = (enum args_search)word;
		return 0;
	case OPT_MIN_RATE:
		return args_rate(v, &a->min_rate);
	case OPT_MAX_RATE:
		return args_rate(v, &a->max_rate);
	case OPT_WIDTH:
		return args_ratio(v, &a->width) == 0 && a->width >= 1e-5 ? 0 : -EINVAL;
	case OPT_PDR_LOSS:
		return args_ratio(v, &a->pdr_loss) == 0 && a->pdr_loss < 1 ? 0 : -EINVAL;
	case 'd':
		return args_time(v, &a->duration_s) == 0 && a->duration_s >= 0.01 ? 0 : -EINVAL;
	case OPT_INITIAL:
		return args_time(v, &a->initial_s) == 0 && a->initial_s >= 0.01 ? 0 : -EINVAL;
	case OPT_TRIALS:
		return parse_u32(v, 1, 1000, &a->n_trials);
	case OPT_WARM_UP:
		return args_time(v, &a->warm_up_s);
	case OPT_DRAIN:
		return args_time(v, &a->drain_s);
	case OPT_LATENCY:
		return shares(v, a);
	default:
		return -ENOENT;
	}
}

static int take_report(struct args *a, int opt, const char *v)
{
	static const char *const huge[] = {"auto", "yes", "no", NULL};
	double s;

	switch (opt) {
	case 'j':
		a->json = v;
		return 0;
	case OPT_CSV:
		a->csv = v;
		return 0;
	case OPT_MIN_NDR:
		return args_rate(v, &a->min_ndr);
	case OPT_MIN_PDR:
		return args_rate(v, &a->min_pdr);
	case OPT_MAX_LOSS:
		return args_ratio(v, &a->max_loss);
	case OPT_MAX_P99:
		if (args_time(v, &s) < 0 || !(s > 0))
			return -EINVAL;
		a->max_p99_us = s * 1e6;
		return 0;
	case OPT_CORES:
		a->cores = v;
		return 0;
	case OPT_EAL:
		a->eal = v;
		return 0;
	case OPT_HUGEPAGES:
		return word_of(v, huge, &a->hugepages);
	default:
		return -ENOENT;
	}
}

static bool take_flag(struct args *a, int opt)
{
	switch (opt) {
	case 'l':
		a->mode = ARGS_LOOPBACK;
		return true;
	case OPT_NO_DIAL:
		return a->no_dial = true;
	case OPT_SAME:
		return a->same_transport = true;
	case OPT_PREPARE:
		return a->prepare = true;
	case OPT_COUNT:
		return a->count_only = true;
	case OPT_SHOW_KEY:
		return a->show_key = true;
	case 'q':
		return a->quiet = true;
	case 'V':
		return a->show_version = true;
	case 'h':
		return a->show_help = true;
	default:
		return false;
	}
}

static int take(struct args *a, int opt, const char *v)
{
	int rc;

	if (take_flag(a, opt))
		return 0;
	if (opt == 'p' || opt == OPT_ADDRESS || opt == OPT_NODE)
		return take_port(a, opt, v);
	rc = take_node(a, opt, v);
	if (rc == -ENOENT)
		rc = take_traffic(a, opt, v);
	return rc == -ENOENT ? take_report(a, opt, v) : rc;
}

// ---- the whole ----

static bool is_zero(const struct dpmsg_addr *a)
{
	static const uint8_t none[16];

	return memcmp(a->ip, none, 16) == 0;
}

static bool is_v4(const struct dpmsg_addr *a)
{
	return is_zero(a) || (a->ip[10] == 0xff && a->ip[11] == 0xff && a->ip[0] == 0);
}

static const char *check_wire(struct args *a)
{
	for (unsigned i = 0; i < a->n_ports; i++) {
		struct args_port *p = &a->port[i];

		if (is_zero(&p->self) || is_zero(&p->node))
			return "each --port wants --address and --node after it";
		if (is_v4(&p->self) != is_v4(&p->node))
			return "--address and --node are of different families";
		if (p->node.port == 0)
			p->node.port = 7780;
	}
	if (a->api == NULL && !a->has_node_pk && !a->show_key)
		return "without --api, --node-key must say whom we talk to";
	if (a->api == NULL && a->key_file == NULL)
		return "without --api, --key must be one that the node knows";
	if (a->mode == ARGS_LOOPBACK)
		return "--loopback takes no --port";
	if (a->n_transports != 0 && a->n_transports < a->n_ports)
		return "fewer transports than ports";
	return NULL;
}

static const char *check_rates(struct args *a)
{
	if (a->search == ARGS_NONE && !a->rate.given)
		return "--search none wants a --rate";
	if (a->rate.given)
		a->search = ARGS_NONE;
	if (a->search == ARGS_NONE && (a->min_ndr.given || a->min_pdr.given))
		return "--min-ndr and --min-pdr are of a search";
	if (a->count_only && a->max_p99_us > 0)
		return "--count measures no latency";
	if (a->prepare && a->rate_is_max)
		return "--prepare wants a rate";
	// what a reliable link sends depends on what was acked, and acks are sealed
	if (a->reliable && (a->prepare || a->count_only))
		return "--prepare and --count are for links in datagram mode";
	if (a->initial_s > a->duration_s)
		return "--initial is longer than --duration";
	return NULL;
}

// What was left open.
static void defaults(struct args *a)
{
	bool rfc = a->search == ARGS_RFC2544;

	if (a->duration_s == 0)
		a->duration_s = rfc ? 60 : 1;
	if (a->initial_s == 0)
		a->initial_s = rfc ? a->duration_s : a->duration_s / 10;
	if (a->initial_s < 0.05 && a->duration_s > 0.05)
		a->initial_s = 0.05;
	if (a->n_trials == 0)
		a->n_trials = rfc ? 1 : 3;
	if (a->n_sizes == 0)
		a->size[a->n_sizes++] = (struct args_size){64, 1};
	if (!a->min_rate.given)
		a->min_rate = (struct args_rate){.pps = 1000, .given = true};
	if (!a->max_rate.given)
		a->max_rate = (struct args_rate){.pps = 20e6, .given = true};
	if (a->n_transports == 0)
		a->n_transports = a->mode == ARGS_WIRE ? a->n_ports : a->n_workers;
	if (a->n_routes < a->n_transports)
		a->n_routes = a->n_transports;
	if (a->n_rules < a->n_routes)
		a->n_rules = a->n_routes;
	if ((int)a->cipher < 0)
		a->cipher = a->mode == ARGS_WIRE ? AEAD_CHACHA20_POLY1305 : AEAD_NONE;
}

static const char *check(struct args *a)
{
	const char *why = NULL;

	if (a->n_ports > 0)
		why = check_wire(a);
	else if (a->api != NULL || a->has_node_pk)
		why = "--api and --node-key are for a node behind a --port";
	else if (a->show_key)
		why = "--show-key wants a --port: without one no transport has a key";
	if (why == NULL && a->show_key && a->key_file == NULL)
		why = "--show-key wants --key: without it keys are new each time";
	if (why == NULL && a->json != NULL && a->csv != NULL && strcmp(a->json, a->csv) == 0)
		why = "--json and --csv cannot go to the same file";
	if (why == NULL)
		why = check_rates(a);
	if (a->n_ports > 0 && a->mode == ARGS_MEMORY)
		a->mode = ARGS_WIRE;
	if (why == NULL)
		defaults(a);
	if (why == NULL && a->initial_s > a->duration_s)
		why = "--initial is longer than --duration";
	return why;
}

int args_parse(struct args *a, int argc, char **argv, char err[ARGS_ERR_MAX])
{
	const char *why;
	int opt, at = -1;

	*a = (struct args){
		.udp_port = 7780,
		.in_id = 1 << 20,
		.out_id = 2 << 20,
		.n_workers = 1,
		.rekey_s = 120,
		.queue_len = 1024,
		.n_routes = 1,
		.cipher = (enum aead_cipher) - 1,
		.width = 0.005,
		.pdr_loss = 0.005,
		.warm_up_s = 0.5,
		.drain_s = 0.2,
		.share = {10, 50, 90},
		.n_shares = 3,
		.seed = 1,
		.max_loss = -1,
	};
	optind = 0; // begin anew, also for a second call
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":lp:w:t:r:m:c:s:R:d:j:qVh", options, &at)) != -1) {
		const char *name = optind > 0 && optind <= argc ? argv[optind - 1] : "";

		if (opt == '?' || opt == ':') {
			snprintf(err, ARGS_ERR_MAX, "%s: %s", name,
				opt == '?' ? "unknown option" : "a value is missing");
			return -EINVAL;
		}
		if (take(a, opt, optarg) < 0)
			return bad_value(opt, at >= 0 ? options[at].name : NULL,
				optarg != NULL ? optarg : "", err);
		at = -1;
	}
	if (optind < argc) {
		snprintf(err, ARGS_ERR_MAX, "%.150s: not an option", argv[optind]);
		return -EINVAL;
	}
	if (a->show_help || a->show_version)
		return 0;
	why = check(a);
	if (why != NULL)
		snprintf(err, ARGS_ERR_MAX, "%s", why);
	return why == NULL ? 0 : -EINVAL;
}
