// Streams of the bench service. Each is in one of its modes and keeps an answer at most; what can't
// be written now is not read either, so back-pressure is the stream's own.
#include "controlplane/app/route_bench.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("bench");

enum { BLOCK_LEN = 16 * 1024, ANSWER_LEN = 2 * HASH_BLAKE2B_LEN + 32 };

enum mode { MODE_LINE, MODE_ECHO, MODE_TAKE, MODE_SUM, MODE_GIVE, MODE_OVER };

struct stream {
	struct route_bench *b; // NULL: this place is free
	struct conn *c;
	enum mode mode;
	uint64_t n, left; // bytes that were asked for, and that are to come
	struct hash sum;
	char line[ROUTE_BENCH_LINE];
	size_t n_line;
	char answer[ANSWER_LEN];
	size_t answer_ofs, answer_len;
};

struct route_bench {
	struct route_groups *groups;
	uint16_t port;
	struct stream streams[ROUTE_BENCH_CONNS];
	uint64_t block[BLOCK_LEN / sizeof(uint64_t)];
};

static void stream_end(struct stream *s)
{
	conn_close(s->c);
	s->c = NULL;
	s->b = NULL;
}

// Gives on with the answer. True: there is none left.
static bool flush(struct stream *s)
{
	ssize_t n = conn_write(s->c, s->answer + s->answer_ofs, s->answer_len);

	if (n > 0) {
		s->answer_ofs += (size_t)n;
		s->answer_len -= (size_t)n;
	}
	return s->answer_len == 0;
}

static void say(struct stream *s, const char *text)
{
	s->answer_ofs = 0;
	s->answer_len = (size_t)snprintf(s->answer, sizeof(s->answer), "%s", text);
}

static void say_sum(struct stream *s, bool sum)
{
	uint8_t h[HASH_BLAKE2B_LEN];
	char hex[2 * HASH_BLAKE2B_LEN + 1] = "", text[ANSWER_LEN];

	if (sum) {
		hash_final(&s->sum, h);
		for (size_t i = 0; i < sizeof(h); i++)
			snprintf(hex + 2 * i, 3, "%02x", h[i]);
	}
	snprintf(text, sizeof(text), "%" PRIu64 "%s%s\n", s->n, sum ? " " : "", hex);
	say(s, text);
	s->mode = MODE_LINE;
}

// What one line asks for.
static void ask(struct stream *s)
{
	static const struct {
		const char *word;
		enum mode mode;
	} words[] = {{"take", MODE_TAKE}, {"sum", MODE_SUM}, {"give", MODE_GIVE}};
	char word[ROUTE_BENCH_LINE], rest;

	s->line[s->n_line] = '\0';
	s->n_line = 0;
	if (strcmp(s->line, "echo") == 0) {
		s->mode = MODE_ECHO;
		return;
	}
	s->mode = MODE_OVER;
	if (sscanf(s->line, "%31s %" SCNu64 "%c", word, &s->n, &rest) == 2)
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			if (strcmp(word, words[i].word) == 0)
				s->mode = words[i].mode;
	s->left = s->n;
	hash_init(&s->sum, HASH_BLAKE2B);
	if (s->mode == MODE_OVER)
		say(s, "?\n");
	else if (s->mode != MODE_GIVE && s->n == 0)
		say_sum(s, s->mode == MODE_SUM);
}

static size_t take_line(struct stream *s, const uint8_t *p, size_t len)
{
	size_t i = 0;

	while (i < len && p[i] != '\n' && s->n_line < sizeof(s->line) - 1)
		s->line[s->n_line++] = (char)p[i++];
	if (i == len)
		return i;
	if (p[i] != '\n')
		s->n_line = 0; // too long: no line that is known
	ask(s);
	return i + 1;
}

static size_t take_bytes(struct stream *s, const uint8_t *p, size_t len)
{
	size_t n = len < s->left ? len : (size_t)s->left;

	if (s->mode == MODE_SUM)
		hash_update(&s->sum, p, n);
	s->left -= n;
	if (s->left == 0)
		say_sum(s, s->mode == MODE_SUM);
	return n;
}

// Numbers, so that no two blocks of 16 KiB of a stream are the same.
static void fill(struct route_bench *b, uint64_t at)
{
	for (size_t i = 0; i < ARRAY_LEN(b->block); i++)
		b->block[i] = (at + i * sizeof(b->block[0])) * 0x9e3779b97f4a7c15ull;
}

// As much as the conn takes.
static void give(struct stream *s)
{
	while (s->left > 0) {
		uint64_t done = s->n - s->left;
		size_t n = s->left < BLOCK_LEN ? (size_t)s->left : BLOCK_LEN;
		ssize_t rc;

		fill(s->b, done);
		rc = conn_write(s->c, s->b->block, n);
		if (rc <= 0)
			return;
		hash_update(&s->sum, s->b->block, (size_t)rc);
		s->left -= (uint64_t)rc;
		if ((size_t)rc < n)
			return;
	}
	say_sum(s, true);
}

// One step with what came. Bytes taken; 0: not now.
static size_t step(struct stream *s, const uint8_t *p, size_t len)
{
	ssize_t n;

	switch (s->mode) {
	case MODE_LINE:
		return take_line(s, p, len);
	case MODE_ECHO:
		n = conn_write(s->c, p, len);
		return n > 0 ? (size_t)n : 0;
	case MODE_TAKE:
	case MODE_SUM:
		return take_bytes(s, p, len);
	default:
		return 0;
	}
}

// What is ours to say, before more is taken. False: it has to wait, or it is over.
static bool speak(struct stream *s)
{
	if (s->answer_len == 0 && s->mode == MODE_GIVE)
		give(s);
	if (s->mode == MODE_GIVE || (s->answer_len > 0 && !flush(s)))
		return false;
	if (s->mode == MODE_OVER)
		stream_end(s);
	return s->b != NULL;
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct stream *s = arg;
	size_t done = 0, n;

	while (speak(s) && done < len && (n = step(s, p + done, len - done)) > 0)
		done += n;
	return done;
}

static void on_drain(void *arg)
{
	struct stream *s = arg;

	if (speak(s))
		conn_resume(s->c);
}

static void on_end(void *arg, int err)
{
	stream_end(arg);
}

static const struct conn_events events = {.data = on_data, .drain = on_drain, .end = on_end};

static void on_accept(void *arg, struct conn *take_conn, const struct key_pk *remote,
	uint16_t remote_port, uint16_t local_port)
{
	struct route_bench *b = arg;

	for (size_t i = 0; i < ARRAY_LEN(b->streams); i++) {
		struct stream *s = &b->streams[i];

		if (s->b != NULL)
			continue;
		*s = (struct stream){.b = b, .c = take_conn};
		conn_set_events(take_conn, &events, s);
		return;
	}
	log_limited(LOG_WARN, "more than %d streams", ROUTE_BENCH_CONNS);
	conn_close(take_conn);
}

struct route_bench *route_bench_new(struct route_groups *groups, uint16_t port)
{
	struct route_bench *b = calloc(1, sizeof(*b));
	int rc;

	if (b == NULL)
		return NULL;
	b->groups = groups;
	b->port = port;
	rc = route_groups_listen(groups, port, on_accept, b);
	if (rc < 0) {
		free(b);
		return errno_null(rc);
	}
	return b;
}

void route_bench_free(struct route_bench *b)
{
	if (b == NULL)
		return;
	route_groups_unlisten(b->groups, b->port);
	for (size_t i = 0; i < ARRAY_LEN(b->streams); i++)
		if (b->streams[i].b != NULL)
			stream_end(&b->streams[i]);
	free(b);
}
