// Taking another configuration while everything runs: whole, or not at all. What people made with
// the tool stays theirs. Thread: the loop's.
#pragma once

#include "controlplane/app/edge.h"
#include "controlplane/cp_conf.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "controlplane/in_force.h"
#include "controlplane/transport/tp_gateway.h"
#include "controlplane/transport/transport_mgr.h"

struct reload {
	struct transport_mgr *transports;
	struct rule_mgr *rules;
	struct edge_mgr *edges;
	struct dmsg_server *dmsg_server; // NULL: this node is none
	struct route_peer *route_peer; // NULL: it is no dmsg client, as the next one
	struct route_dialler *dialler;
	struct tp_gateway *tp_gateway; // ditto
};

// Could reload_apply() take it? 0, or -errno and a sentence that says what is in the way. Changes
// nothing.
int reload_check(const struct reload *r, const struct cp_conf *now, const struct cp_conf *next,
	char *err, size_t err_len);
// What differs ends, begins or changes; what stays the same notices nothing. A transport or edge
// that the tool made and the file names just so becomes the file's; others of the tool stay.
void reload_apply(const struct reload *r, const struct cp_conf *now, const struct cp_conf *next);

// Was what this section makes removed by hand, so that reload_apply() makes it again? hint: 0, and
// the same for all that are asked for in the file's order.
bool reload_is_missing(const struct reload *r, const struct cp_conf *next, const char *section,
	const char *instance, size_t *hint);

// What reload_apply() takes: each section that differs; those that do not, but are missing (r NULL:
// none is); lists of peers, which may differ without it; and, with `waits`, each key or section
// that is not in force before a restart, of earlier reloads, too. f: in_force_take() was called
// with next. 0 or -ENOMEM.
typedef void (*reload_change_fn)(void *arg, const struct api_change *c);
int reload_diff(const struct reload *r, const struct cp_conf *now, const struct cp_conf *next,
	struct in_force *f, reload_change_fn fn, void *arg);

// At the start as well: a mistake is logged, the others go on.
void reload_add_transport(struct transport_mgr *m, const struct transport_conf *t);
// Of stcp. The part of a reload that only the system can check, so it comes before reload_apply().
// 0, also where callers are taken there already; or -errno and what is wrong: as
// transport_mgr_listen() has it.
int reload_listen(struct transport_mgr *m, const struct cp_conf *c, char *err, size_t err_len);
void reload_add_edge(struct edge_mgr *m, const struct api_edge_add *e);
void reload_attach_edges(struct edge_mgr *m, const struct cp_conf *c);
