// Bytes go in parts, each a request with a checksum of its own. The next part is asked for before
// the last one is answered, so the stream is never idle; and parts grow with what has gone, so that
// a slow route is not asked for more than there is time for. What is sent is one block over and
// over, of which the checksums are known: the sender's processor is for the stream.
#include "tools/ctl/route_load.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"

enum {
	PARTS = 2, // that are under way at once
	IN_LEN = 256 * 1024,
	GROWTH = 8, // a part is an eighth of what has gone: time is exceeded by no more
	HEX_LEN = 2 * HASH_BLAKE2B_LEN,
	LINE_LEN = HEX_LEN + 32,
};

struct part {
	uint64_t n, left; // bytes; those that are still to be sent, or to come
	char sum[HEX_LEN + 1]; // of what is sent
};

struct route_load {
	int fd;
	bool back;
	struct part part[PARTS]; // the oldest first
	unsigned n_parts;
	char ask[LINE_LEN]; // request that is being written
	size_t ask_ofs, ask_len;
	uint8_t in[IN_LEN];
	size_t in_ofs, in_len;
	char line[LINE_LEN]; // of an answer, as far as it came
	size_t line_len;
	struct hash hash; // of what comes
	uint64_t block_n; // whose checksum is the next one; 0: of none
	char block_sum[HEX_LEN + 1];
	uint64_t block[ROUTE_LOAD_PART_MAX / sizeof(uint64_t)]; // that is sent
};

static int fail(char why[ROUTE_LOAD_WHY_MAX], int err, const char *text)
{
	snprintf(why, ROUTE_LOAD_WHY_MAX, "%s", text);
	return err;
}

static void to_hex(const uint8_t sum[HASH_BLAKE2B_LEN], char hex[HEX_LEN + 1])
{
	for (size_t i = 0; i < HASH_BLAKE2B_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
}

// ---- out ----

static ssize_t put(const struct route_load *l, const void *p, size_t len)
{
	ssize_t n = send(l->fd, p, len, MSG_NOSIGNAL);

	return n >= 0 ? n : (errno == EAGAIN || errno == EINTR ? 0 : -errno);
}

// The part whose bytes are being sent, or NULL.
static struct part *sending(struct route_load *l)
{
	struct part *p = l->n_parts > 0 ? &l->part[l->n_parts - 1] : NULL;

	return p != NULL && !l->back && p->left > 0 ? p : NULL;
}

// False: there was room for all.
static bool write_on(struct route_load *l)
{
	struct part *p = sending(l);
	ssize_t n;

	if (l->ask_len > 0) {
		n = put(l, l->ask + l->ask_ofs, l->ask_len);
		if (n > 0) {
			l->ask_ofs += (size_t)n;
			l->ask_len -= (size_t)n;
		}
	}
	if (l->ask_len == 0 && p != NULL) {
		n = put(l, (const uint8_t *)l->block + (p->n - p->left), p->left);
		if (n > 0)
			p->left -= (uint64_t)n;
	}
	// an error is seen by who reads
	return l->ask_len > 0 || (p != NULL && p->left > 0);
}

static void ask(struct route_load *l, const char *what, uint64_t n)
{
	l->ask_ofs = 0;
	l->ask_len = (size_t)snprintf(l->ask, sizeof(l->ask), "%s %" PRIu64 "\n", what, n);
}

static void begin_part(struct route_load *l, uint64_t n)
{
	struct part *p = &l->part[l->n_parts++];
	uint8_t sum[HASH_BLAKE2B_LEN];

	*p = (struct part){.n = n, .left = n};
	ask(l, l->back ? "give" : "sum", n);
	if (l->back)
		return;
	if (l->block_n != n) {
		hash_init(&l->hash, HASH_BLAKE2B);
		hash_update(&l->hash, l->block, n);
		hash_final(&l->hash, sum);
		to_hex(sum, l->block_sum);
		l->block_n = n;
	}
	memcpy(p->sum, l->block_sum, sizeof(p->sum));
}

// ---- in ----

static int read_on(struct route_load *l, char why[ROUTE_LOAD_WHY_MAX])
{
	ssize_t n;

	if (l->in_len > 0)
		return 0;
	n = read(l->fd, l->in, sizeof(l->in));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		return fail(why, -ECONNRESET, "the stream ended");
	l->in_ofs = 0;
	l->in_len = n > 0 ? (size_t)n : 0;
	return 0;
}

static int wait_for(const struct route_load *l, bool out, int ms, char why[ROUTE_LOAD_WHY_MAX])
{
	struct pollfd p = {.fd = l->fd, .events = (short)(POLLIN | (out ? POLLOUT : 0))};
	int n;

	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : fail(why, -ETIMEDOUT, "nothing came or went for 60 s");
}

// True: the line is whole. What is too long for one is none of the service's, and differs.
static bool take_line(struct route_load *l)
{
	while (l->in_len > 0) {
		char ch = (char)l->in[l->in_ofs++];

		l->in_len--;
		if (ch == '\n') {
			l->line[l->line_len] = '\0';
			l->line_len = 0;
			return true;
		}
		l->line[l->line_len] = ch;
		l->line_len += l->line_len < sizeof(l->line) - 2;
	}
	return false;
}

static void take_bytes(struct route_load *l, struct part *p)
{
	uint64_t n = l->in_len < p->left ? l->in_len : p->left;

	hash_update(&l->hash, l->in + l->in_ofs, n);
	l->in_ofs += n;
	l->in_len -= n;
	p->left -= n;
}

static int check(struct route_load *l, struct part *p, char why[ROUTE_LOAD_WHY_MAX])
{
	char want[LINE_LEN];
	uint8_t sum[HASH_BLAKE2B_LEN];

	if (l->back) {
		hash_final(&l->hash, sum);
		to_hex(sum, p->sum);
	}
	snprintf(want, sizeof(want), "%" PRIu64 " %s", p->n, p->sum);
	return strcmp(l->line, want) == 0
		       ? 0
		       : fail(why, -EBADMSG, "a checksum differs: other bytes came than were sent");
}

// The oldest part with what came. *done: its bytes, when it is over.
static int take(struct route_load *l, uint64_t *done, char why[ROUTE_LOAD_WHY_MAX])
{
	struct part *p = &l->part[0];
	int rc;

	*done = 0;
	if (l->back && p->left == p->n)
		hash_init(&l->hash, HASH_BLAKE2B);
	if (l->back && p->left > 0)
		take_bytes(l, p);
	if ((l->back && p->left > 0) || !take_line(l))
		return 0;
	rc = check(l, p, why);
	*done = p->n;
	l->n_parts--;
	memmove(&l->part[0], &l->part[1], l->n_parts * sizeof(l->part[0]));
	return rc;
}

// ---- the load ----

// How much the next part is about; 0: no more of them.
static uint64_t next_part(
	const struct route_load_limit *limit, uint64_t asked, uint64_t done, uint64_t since_ns)
{
	uint64_t n = ROUTE_LOAD_PART_MIN;

	if (limit->bytes == 0 && clock_mono_ns() - since_ns >= limit->for_ms * CLOCK_NS_PER_MS)
		return 0;
	while (n < ROUTE_LOAD_PART_MAX && n < done / GROWTH)
		n *= 2;
	if (limit->bytes > 0 && limit->bytes - asked < n)
		n = limit->bytes - asked;
	return n;
}

int route_load_run(struct route_load *l, bool back, struct route_load_limit limit,
	struct route_load_result *out, char why[ROUTE_LOAD_WHY_MAX])
{
	uint64_t since_ns = clock_mono_ns(), asked = 0, n, done;
	bool more = true, writes;
	int rc = 0;

	l->back = back;
	*out = (struct route_load_result){0};
	while (rc == 0 && (more || l->n_parts > 0)) {
		if (more && l->n_parts < PARTS && l->ask_len == 0 && sending(l) == NULL) {
			n = next_part(&limit, asked, out->bytes, since_ns);
			more = n > 0;
			asked += n;
			if (more)
				begin_part(l, n);
		}
		writes = write_on(l);
		rc = read_on(l, why);
		done = 0;
		if (rc == 0 && l->in_len > 0 && l->n_parts > 0)
			rc = take(l, &done, why);
		else if (rc == 0 && l->n_parts > 0)
			rc = wait_for(l, writes || (more && l->n_parts < PARTS),
				ROUTE_LOAD_STALL_MS, why);
		out->bytes += rc == 0 ? done : 0;
	}
	out->seconds = (double)(clock_mono_ns() - since_ns) / (double)CLOCK_NS_PER_S;
	return rc;
}

static const char none_text[] = "it is not its bench service ([routing] bench_port there) that has "
				"this port";

// Round trip of a line, the answer to which is "0". Other bytes are not waited for until they are
// a line.
static int ask_line(struct route_load *l, uint32_t ms, char why[ROUTE_LOAD_WHY_MAX])
{
	uint64_t until_ns = clock_mono_ns() + ms * CLOCK_NS_PER_MS;
	bool whole = false;
	int rc = 0;

	ask(l, "take", 0);
	while (rc == 0 && !whole) {
		bool writes = write_on(l);

		rc = read_on(l, why);
		whole = rc == 0 && take_line(l);
		if (rc == 0 && (whole ? strcmp(l->line, "0") != 0
				      : l->line_len > 1 || (l->line_len == 1 && l->line[0] != '0')))
			return fail(
				why, -EPROTO, "something else than a bench service answers there");
		if (rc == 0 && !whole)
			rc = wait_for(l, writes, (int)clock_left_ms(until_ns), why);
	}
	return rc;
}

int route_load_latency(struct route_load *l, uint32_t first_ms, uint32_t us[ROUTE_LOAD_ASKS],
	char why[ROUTE_LOAD_WHY_MAX])
{
	for (unsigned i = 0; i < ROUTE_LOAD_ASKS; i++) {
		uint64_t since_ns = clock_mono_ns();
		int rc = ask_line(l, i == 0 ? first_ms : ROUTE_LOAD_STALL_MS, why);

		if (rc == -ETIMEDOUT && i == 0)
			snprintf(why, ROUTE_LOAD_WHY_MAX, "no answer in %.1f s: %s",
				first_ms / 1000.0, none_text);
		else if (rc == -ECONNRESET && i == 0)
			snprintf(why, ROUTE_LOAD_WHY_MAX, "the stream ended without an answer: %s",
				none_text);
		if (rc < 0)
			return rc;
		us[i] = (uint32_t)((clock_mono_ns() - since_ns) / CLOCK_NS_PER_US);
	}
	return 0;
}

struct route_load *route_load_new(int fd, const void *first, size_t first_len)
{
	struct route_load *l = calloc(1, sizeof(*l));

	if (l == NULL || first_len > sizeof(l->in)) {
		free(l);
		errno = ENOMEM;
		return NULL;
	}
	l->fd = fd;
	memcpy(l->in, first, first_len);
	l->in_len = first_len;
	for (size_t i = 0; i < sizeof(l->block) / sizeof(l->block[0]); i++)
		l->block[i] = i * 0x9e3779b97f4a7c15ull;
	return l;
}

void route_load_free(struct route_load *l)
{
	free(l);
}
