// Between conn_tcp.c and conn_listen.c: a libuv handle that a conn or a listener owns.
#pragma once

#include "controlplane/core/conn_tcp.h"

#include <stdbool.h>

struct conn_handle {
	union {
		uv_handle_t h;
		uv_stream_t s;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv; // its data is this struct
	uv_connect_t connect;
	void *owner; // NULL: closing
	bool is_unix;
};

// NULL and errno.
struct conn_handle *conn_handle_new(struct loop *l, bool is_unix);
// Frees it in its close callback. NULL is allowed.
void conn_handle_close(struct conn_handle *h);
int conn_handle_remote(const struct conn_handle *h, struct sockaddr_storage *addr);
// A conn on a connected handle; NULL and errno: then the handle is closed.
struct conn *conn_tcp_from_handle(struct loop *l, struct conn_handle *take_h,
	const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg);
// Cuts "host:port" and "[v6]:port". False: no such form.
bool conn_tcp_split(const char *where, char host[256], char port[6]);
