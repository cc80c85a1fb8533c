// Sets a running node up for a bench through its public API, and clears up behind it: a transport
// for each of our links, a rule for each route. Blocking; [main].
#pragma once

#include "lib/crypto/key.h"
#include "tools/bench/args.h"
#include "tools/bench/drops.h"
#include "tools/bench/traffic.h"

enum { NODE_API_ERR_MAX = 320, NODE_API_LAG_MS = 300 };

struct node_api;

// Connects and asks the node's key. NULL with a line in err.
struct node_api *node_api_open(const char *path, struct key_pk *node, char err[NODE_API_ERR_MAX]);
// Closes the connection; transports and rules that were made are removed.
void node_api_close(struct node_api *n);
// Transports for the public keys of our links, which call the node; those of benches that were
// killed are removed. 0 or -errno, a line in err.
int node_api_transports(struct node_api *n, const struct args *a, const struct key_pk *pk,
	char err[NODE_API_ERR_MAX]);
// Are they all up for the node too, so that it takes rules over them? 1, 0 when one is not yet (err
// names it), -errno. ctx: the node_api.
int node_api_ready(void *ctx, char err[NODE_API_ERR_MAX]);
// Rules, by the routes' links; the node chooses the ids that it takes, t gets them.
int node_api_rules(
	struct node_api *n, const struct args *a, struct traffic *t, char err[NODE_API_ERR_MAX]);
// What the node has dropped; what its devices did is up to NODE_API_LAG_MS old. 0 or -errno. ctx:
// the node_api.
int node_api_drops(void *ctx, struct drops *out);
