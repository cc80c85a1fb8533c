// Streams of a dmsg client over an open link: dialling by key and port, accepting, asking a server
// for our own address (dmsg 5). What comes out is a conn with Noise between the two ends. Loop's
// thread only.
#pragma once

#include "controlplane/dmsg/dmsg_link.h"
#include "lib/dmsg/dial.h"

struct dmsg_stream_dial;

// How a dial ended, once, never from within the call: the conn (its events begin after this call:
// conn_set_events() here, or conn_close()), or NULL and why: a code of dmsg, or DMSG_OK and -errno
// (-ETIMEDOUT, what ended the session).
typedef void (*dmsg_dial_fn)(void *arg, struct conn *take_conn, enum dmsg_err code, int err);

// NULL and errno: EINVAL (no such key, a port of 0), or as dmsg_link_stream(). The source port is
// reserved by the caller while the stream lives.
struct dmsg_stream_dial *dmsg_stream_dial(struct dmsg_link *k, const struct dmsg_dial_conf *conf,
	uint32_t timeout_ms, dmsg_dial_fn fn, void *arg);
// No call any more. NULL is allowed; not after the call.
void dmsg_stream_dial_cancel(struct dmsg_stream_dial *d);

// The server's answer, once: 4 or 16 bytes, or 0 of them and why.
typedef void (*dmsg_ip_fn)(void *arg, const uint8_t *ip, size_t len, enum dmsg_err code, int err);

// The same with an IP request to the link's server.
struct dmsg_stream_dial *dmsg_stream_ask_ip(
	struct dmsg_link *k, uint16_t src_port, uint32_t timeout_ms, dmsg_ip_fn fn, void *arg);

struct dmsg_stream_events {
	// Does anybody listen there? Nobody: the stream is closed without a word.
	bool (*wants)(void *arg, const struct dmsg_request *req);
	// It was accepted; events as with dmsg_dial_fn.
	void (*conn)(
		void *arg, struct conn *take_conn, const struct dmsg_addr *from, uint16_t port);
	// It was not, for a code of dmsg or -errno. For counters; may be NULL.
	void (*refused)(void *arg, enum dmsg_err code, int err);
	// So long took what was done for it: curves, most of it. Before the others, and not once
	// the link is closed; may be NULL.
	void (*spent)(void *arg, uint64_t ns);
};

// Takes a stream that the server opened, answers a ping or a request on it within timeout_ms, and
// frees itself. ev and arg must outlive the link. NULL events come no more once the link is closed.
void dmsg_stream_accept(struct dmsg_link *k, struct conn *take_stream, uint32_t timeout_ms,
	const struct dmsg_stream_events *ev, void *arg);
