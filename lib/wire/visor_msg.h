// What a hypervisor calls on its visors by net/rpc (dmsg 9); the one method that we serve.
#pragma once

#include "lib/crypto/key.h"
#include "lib/wire/netrpc.h"

#define VISOR_SERVICE "app-visor"
#define VISOR_SET_LAN VISOR_SERVICE ".SetLANDmsgServer"

enum { VISOR_TEXT_MAX = 256 }; // with the NUL: of each text

// Argument of SetLANDmsgServer; the reply is a bool.
struct visor_lan {
	bool enabled;
	struct key_pk pk; // null when absent
	char address[VISOR_TEXT_MAX]; // host:port in the LAN
	char public_address[VISOR_TEXT_MAX]; // host:port, or ""
	char discovery_url[VISOR_TEXT_MAX]; // or ""
};

// Body of a call that netrpc_take() gave. -EBADMSG: another type, a key that is none, a text that
// is too long or has control characters.
int visor_lan_read(struct visor_lan *lan, const struct netrpc_rx *rx);
// The whole call.
void visor_lan_put(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct visor_lan *lan);
