// Conns over TCP and unix sockets: dial by name or address within a deadline, listen, or adopt a
// connected socket. Loop's thread only.
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/core/loop.h"

#include <stdbool.h>
#include <sys/socket.h>

enum {
	CONN_TCP_OUT_MAX = 256 * 1024, // unsent bytes that a conn holds
	// Of one read, so also what an unwilling reader leaves here: the first, until it took all
	// of a whole one; then the second, until it leaves something.
	CONN_TCP_READ_MIN = 64 * 1024,
	CONN_TCP_READ_MAX = LOOP_BUF_LEN,
	CONN_TCP_LINGER_MS = 1000, // for what was written before conn_close()
	CONN_TCP_BACKLOG = 512,
};

struct conn_tcp_opts {
	uint32_t keepalive_s; // SO_KEEPALIVE after that much silence; 0: off
	uint32_t user_timeout_ms; // TCP_USER_TIMEOUT; 0: the kernel's
	// Unix sockets: who has closed, and not only writes no more, is broken (-EPIPE).
	bool whole_end;
};

// "host:port", "a.b.c.d:port", "[v6]:port", or "unix:/path". The names' addresses are tried one
// after the other; `open` or `end` (-ETIMEDOUT, -ENOENT: no such name, or what connect said) comes
// within timeout_ms. NULL and errno: EINVAL: no such form; ENOMEM. opts may be NULL. TCP_NODELAY is
// always on.
struct conn *conn_tcp_dial(struct loop *l, const char *where, uint32_t timeout_ms,
	const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg);

// From an address and a port of ours. Where the port is in use, `end` says -EADDRINUSE.
struct conn *conn_tcp_dial_from(struct loop *l, const struct sockaddr *from,
	const struct sockaddr *to, uint32_t timeout_ms, const struct conn_tcp_opts *opts,
	const struct conn_events *ev, void *arg);

// Is it one of the first three forms? No look-up is made.
bool conn_tcp_is_host_port(const char *where);

// Takes a connected stream socket, and closes it also when it fails (NULL and errno). Open at once.
struct conn *conn_tcp_adopt(struct loop *l, int take_fd, const struct conn_tcp_opts *opts,
	const struct conn_events *ev, void *arg);

// "192.0.2.1:80", "[2001:db8::1]:80": of AF_INET or AF_INET6.
void conn_tcp_address_text(const struct sockaddr_storage *ss, char *out, size_t cap);

// Of a conn that this file made; for a dialled one after `open`. 0 or -errno.
int conn_tcp_remote(const struct conn *c, struct sockaddr_storage *addr);
int conn_tcp_local(const struct conn *c, struct sockaddr_storage *addr);

// Takes the socket out of a conn, for conn_tcp_adopt() on another loop: a descriptor, and in *bytes
// (the caller's, NULL: none) what was read and not taken. Only conn_close() may follow. -EBUSY: it
// has unsent bytes or an error to tell; else -errno; then nothing has changed.
int conn_tcp_release(struct conn *c, uint8_t **bytes, size_t *len);

// ---- listening ----

struct conn_listener;

// A new conn, open; its events begin after this call: conn_set_events() here, or conn_close().
// `from` has family AF_UNIX for unix sockets.
typedef void (*conn_accept_fn)(
	void *arg, struct conn *take_conn, const struct sockaddr_storage *from);

// An address with its port (0: the system chooses) or a sockaddr_un, whose file must not be there.
// NULL and errno.
struct conn_listener *conn_listen(struct loop *l, const struct sockaddr *addr,
	const struct conn_tcp_opts *opts, conn_accept_fn fn, void *arg);
// The port that is listened on; 0 for a unix socket.
uint16_t conn_listener_port(const struct conn_listener *cl);
void conn_listener_close(struct conn_listener *cl); // NULL is allowed
