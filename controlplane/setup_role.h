// This node as a set-up node (route/setup_node.h): a dmsg client of the role's key, with the
// servers and discoveries of [dmsg]. Loop's thread only.
#pragma once

#include "controlplane/cp_conf.h"
#include "controlplane/route/setup_node.h"

struct setup_role;

// As [setup_node] says, with a key of its own, which is borrowed. NULL and errno: a line that says
// why was logged. Owner: the caller.
struct setup_role *setup_role_new(
	struct loop *l, const struct cp_conf *c, const struct identity *id);
void setup_role_free(struct setup_role *r); // NULL is allowed
// As dmsg_client_leave().
void setup_role_leave(struct setup_role *r, loop_fn done, void *arg);
// Borrowed, for those who show them.
const struct key_pk *setup_role_pk(const struct setup_role *r);
const struct setup_node *setup_role_node(const struct setup_role *r);
struct dmsg_client *setup_role_client(const struct setup_role *r);
struct dir_client *setup_role_dir(const struct setup_role *r); // NULL: no discovery, here ...
struct http_client *setup_role_http(const struct setup_role *r); // ... and here
