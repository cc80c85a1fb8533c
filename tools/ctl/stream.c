// A stream as a pipe: the control plane's connection turns into the stream (lib/api/api_stream.h),
// and bytes go between it and standard input and output until the far end has finished. Its end is
// the end of both: neither dmsg nor routes carry a half that is closed. So an input that is empty
// from the beginning (/dev/null) closes nothing. Whether the end came in order or the stream was
// cut, and whether it took all of our input, is asked afterwards.
#include "tools/ctl/stream.h"

#include "lib/api/api_rec.h"
#include "lib/crypto/key.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPE_LEN = 64 * 1024 };

// One way of the pipe.
struct way {
	int from, to;
	uint8_t buf[PIPE_LEN];
	size_t ofs, len;
	bool eof; // no more comes
	bool over; // and all of it was written
	bool moved; // something was
};

// 0, or -errno of reading (-EPIPE: of writing).
static int move(struct way *w)
{
	ssize_t n;

	if (w->len == 0 && !w->eof) {
		n = read(w->from, w->buf, sizeof(w->buf));
		if (n < 0 && errno == ECONNRESET)
			n = 0; // it left bytes of ours; how the stream ended is asked
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		w->eof = n == 0;
		w->ofs = 0;
		w->len = (size_t)n;
	}
	if (w->len > 0) {
		n = write(w->to, w->buf + w->ofs, w->len);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
		w->moved = true;
		w->ofs += (size_t)n;
		w->len -= (size_t)n;
	}
	return 0;
}

// What this way waits for: to read, or to write what it has. fd -1: nothing.
static struct pollfd wants(const struct way *w)
{
	struct pollfd p = {
		.fd = w->len > 0 ? w->to : w->from, .events = w->len > 0 ? POLLOUT : POLLIN};

	if (w->over)
		p.fd = -1;
	return p;
}

// The bytes that came with the answer; standard output may be slow.
static int put_first(const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EAGAIN)
			poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -EPIPE;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int pipe_all(int stream, struct way *out, struct way *in)
{
	*out = (struct way){.from = STDIN_FILENO, .to = stream};
	*in = (struct way){.from = stream, .to = STDOUT_FILENO};
	while (!in->over) {
		struct pollfd p[2] = {wants(out), wants(in)};
		int rc;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		rc = p[1].revents != 0 ? move(in) : 0;
		if (rc < 0)
			return rc;
		in->over = in->eof && in->len == 0;
		rc = p[0].revents != 0 ? move(out) : 0;
		if (rc == -EPIPE)
			out->over = true; // what came before that is still to be read
		else if (rc < 0)
			return rc;
		if (!out->over && out->eof && out->len == 0) {
			if (out->moved) // else we only listen: the end would be that of both
				shutdown(stream, SHUT_WR);
			out->over = true;
		}
	}
	return 0;
}

// What of our input the far end can't have got, since it had finished before.
static int input_left(struct way *out)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	if (out->len == 0 && !out->eof && poll(&p, 1, 0) > 0)
		out->eof = (p.revents & POLLIN) == 0;
	if (out->len == 0 && !out->eof && p.revents != 0) {
		ssize_t n = read(STDIN_FILENO, out->buf, sizeof(out->buf));

		out->len = n > 0 ? (size_t)n : 0;
		out->eof = n == 0;
	}
	if (out->len > 0)
		return cli_error(
			CLI_FAIL, "stream: the far end had finished before all input was sent");
	if (!out->eof && !isatty(STDIN_FILENO))
		fputs("skyrail: the far end has finished; input that is yet to come is not sent\n",
			stderr);
	return CLI_OK;
}

const char *stream_cut_text(bool of_route, int err)
{
	switch (err) {
	case -ECONNRESET:
		if (of_route)
			return "closed by the far end: `skyrail show groups` says why";
		return strerror(-err);
	case -EBADMSG:
		return "in the middle of what was sent";
	case -ENETDOWN: // of routes alone: a rule of it is gone
		return "the route has ended: `skyrail show groups` says why";
	case -ECONNABORTED:
		return "closed by `skyrail route close`";
	default:
		return strerror(-err);
	}
}

int stream_ended(struct cli *c, bool of_route, uint32_t id)
{
	struct api_stream_ended_ask ask = {id};
	struct api_stream_ended how;

	api_client_free(c->client);
	c->client = NULL;
	if (cli_get(c, API_STREAM_ENDED, &ask, sizeof(ask), &how, sizeof(how)) < 0)
		return cli_error(CLI_FAIL, "stream: how it ended is not known: %s", cli_why(c));
	if (how.err == -ENOENT)
		return cli_error(CLI_FAIL,
			"stream: how it ended is not known: the control plane has forgotten it, "
			"or is another one");
	if (how.err == -EPIPE)
		return cli_error(CLI_FAIL,
			"stream: the far end had finished before the last of the input came");
	if (how.err != 0)
		return cli_error(CLI_FAIL, "stream: cut: %s", stream_cut_text(of_route, how.err));
	return CLI_OK;
}

static int become_pipe(struct cli *c, bool of_route, uint32_t id)
{
	struct way *ways = malloc(2 * sizeof(*ways));
	const uint8_t *first;
	size_t first_len;
	int stream = api_client_take_fd(c->client, &first, &first_len), rc;

	signal(SIGPIPE, SIG_IGN);
	rc = ways != NULL ? put_first(first, first_len) : -ENOMEM;
	if (rc == 0)
		rc = pipe_all(stream, &ways[0], &ways[1]);
	close(stream);
	if (rc < 0)
		rc = cli_error(CLI_FAIL, "stream: %s", strerror(-rc));
	else
		rc = stream_ended(c, of_route, id);
	if (rc == CLI_OK)
		rc = input_left(&ways[0]);
	free(ways);
	return rc;
}

int stream_port(uint16_t *port, const char *text)
{
	uint32_t v;

	if (args_u32(text, &v) < 0 || v == 0 || v > UINT16_MAX)
		return cli_error(CLI_USAGE, "'%s': a port is 1 to 65535", text);
	*port = (uint16_t)v;
	return CLI_OK;
}

int stream_key(uint8_t *out, const char *text, size_t len)
{
	const char *wrong = key_pk_wrong(text, len);
	struct key_pk pk;

	if (wrong != NULL)
		return cli_error(CLI_USAGE, "'%.*s' %s", (int)len, text, wrong);
	key_pk_from_text(&pk, text, len);
	memcpy(out, pk.b, API_PK_LEN);
	return CLI_OK;
}

int stream_open(
	struct cli *c, uint16_t type, const void *ask, size_t len, int timeout_ms, uint32_t *id)
{
	struct api_stream_peer peer;
	struct api_node node;
	int rc = cli_node(c, &node); // connects

	if (rc < 0)
		return rc;
	api_client_timeout(c->client, timeout_ms);
	rc = cli_get(c, type, ask, len, &peer, sizeof(peer));
	*id = rc < 0 ? 0 : peer.id;
	return rc;
}

int stream_call(struct cli *c, uint16_t type, const void *ask, size_t len, int timeout_ms)
{
	uint32_t id;

	if (stream_open(c, type, ask, len, timeout_ms, &id) < 0)
		return cli_failed(c);
	return become_pipe(c, type == API_ROUTE_DIAL || type == API_ROUTE_LISTEN, id);
}
