// Requests that end in a stream between a client of the API and a conn of ours
// (lib/api/api_dmsg.h): dmsg and route, dial and listen. A task lives from the request until its
// stream is over: first it is cancelled with its request, then, once the client's connection has
// become the stream, it is the join of both. Between the two the stream is held: nothing of it is
// read. Between the files of the API only.
#pragma once

#include "controlplane/core/conn_join.h"
#include "controlplane/rpc/api_priv.h"

// First member of a kind's own struct, calloc'ed.
struct api_task {
	struct api *a;
	struct api_req *r; // NULL: it was answered
	struct api_req *asked; // how the stream ends, NULL: nobody did
	void (*stop)(struct api_task *t); // ends what the kind has under way
	uint32_t id; // of the stream
	enum conn_join_mode mode;
	struct conn_hold held;
	struct conn_join *join;
	TAILQ_ENTRY(api_task) all;
};

// len bytes, zeroed but for the first member. NULL: the request was refused.
struct api_task *api_task_new(
	struct api *a, struct api_req *r, size_t len, void (*stop)(struct api_task *t));
void api_task_free(struct api_task *t);
// What was to be started is under way: the task ends if the client goes away.
void api_task_pend(struct api_task *t);
// The conn is there: it and the client's connection become the stream, with whoever is at (pk,
// port). half: the conn knows the end of one direction.
void api_task_stream(struct api_task *t, struct conn *take_conn, bool half, const struct key_pk *pk,
	uint16_t port);
