// The LAN's dmsg server of this node and its place under hypervisors (dmsg 9), as the configuration
// has it, and what is learnt by both, written back to the file: the server's key, and servers that
// hypervisors told of. A file that can't be written stays, and LAN_FILE in the state directory
// takes the values; what is in there counts before the other. Loop's thread only.
#pragma once

#include "controlplane/cp_conf.h"

#define LAN_FILE "learnt.ini"

enum { LAN_CHANGE_MS = 1000 };

struct lan;

// Reads what was saved. NULL and errno; a line that says why was logged. Owner: the caller.
struct lan *lan_new(struct loop *l, const struct cp_conf *c, const char *conf_path);
// After the API, before the client. NULL is allowed.
void lan_free(struct lan *n);
// Saved servers, for the client that is to be made; valid until lan_start().
const struct dmsg_client_lan *lan_saved(const struct lan *n, uint32_t *count);
// Has it work for a dmsg client?
bool lan_needs_client(const struct lan *n, const struct cp_conf *c);
// 0, or -errno, and a line that says why was logged.
int lan_start(struct lan *n, const struct cp_conf *c, struct dmsg_client *client,
	const struct cp_own *own);
// A push of a hypervisor, which lan_start() has given this to: NULL: taken, else why not. A change
// within LAN_CHANGE_MS of the last one is refused: each costs a file.
const char *lan_push(void *lan, const struct visor_lan *push, const struct key_pk *from);
struct lan_server *lan_lan_server(const struct lan *n); // NULL: no such role, as the next one
struct visor_rpc *lan_visor(const struct lan *n);
