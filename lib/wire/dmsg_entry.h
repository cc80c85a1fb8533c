// Discovery entries of dmsg (dmsg 8.1): where a client can be reached (its servers), or a server
// (its address). JSON, signed over its own compact text without the signature; so writing has one
// form only, member for member as Skywire's discovery writes it again to verify. Reading takes any
// JSON with these members. Pure but for jansson's own memory.
#pragma once

#include "lib/crypto/key.h"
#include "lib/crypto/sign.h"

#include <sys/types.h>

enum {
	DMSG_ENTRY_SERVERS_MAX = 64, // delegated servers of a client; upstream lists a handful
	DMSG_ENTRY_ADDR_LEN = 128, // texts, with the final NUL
	DMSG_ENTRY_WORD_LEN = 32,
	DMSG_ENTRY_TEXT_MAX = 8192, // of the longest entry that can be written
	DMSG_ENTRY_JSON_MAX = 16384, // longest text that is read
};

#define DMSG_ENTRY_VERSION "0.0.1"

// Empty texts are members that are absent. What is marked 2026 must be left empty for a discovery
// of 2024: it drops the member, and the signature fails.
struct dmsg_entry {
	char version[DMSG_ENTRY_WORD_LEN];
	uint64_t sequence;
	int64_t timestamp_ns; // since 1970
	struct key_pk pk;
	bool is_client, is_server; // has that part; Skywire allows both
	bool servers_nil; // client: the list is null instead of empty
	uint32_t n_servers;
	struct key_pk servers[DMSG_ENTRY_SERVERS_MAX];
	char client_type[DMSG_ENTRY_WORD_LEN];
	char address[DMSG_ENTRY_ADDR_LEN]; // server: host:port
	char address_v6[DMSG_ENTRY_ADDR_LEN]; // 2026, and the next four
	char address_udp[DMSG_ENTRY_ADDR_LEN];
	char address_udp_v6[DMSG_ENTRY_ADDR_LEN];
	char address_ws[DMSG_ENTRY_ADDR_LEN];
	bool dht_bootstrap;
	int64_t available_sessions;
	char server_type[DMSG_ENTRY_WORD_LEN];
	char protocol[DMSG_ENTRY_WORD_LEN]; // 2026: "smux", or the session is yamux
	bool has_signature;
	struct sign_sig signature;
};

// The text with (`with_signature` and has_signature) or without the signature; NUL-terminated, its
// length. -ENOSPC: cap is too small; -EINVAL: n_servers is too large.
ssize_t dmsg_entry_write(const struct dmsg_entry *e, bool with_signature, char *out, size_t cap);
// Also an entry that is part of a larger answer. -EBADMSG: not JSON, a member of another type, a
// key that is none, a text that is too long or holds what JSON must escape otherwise than \" \\ .
int dmsg_entry_read(struct dmsg_entry *e, const char *json, size_t len);
// An array of entries, as the discovery answers. Those that cannot be read are left out and
// counted in *n_bad (may be NULL). Number of entries that were put into `e`, at most max (the rest
// is ignored); -EBADMSG: no array.
ssize_t dmsg_entry_read_list(
	struct dmsg_entry *e, size_t max, const char *json, size_t len, size_t *n_bad);

// Sign what stands in the other members. -EINVAL: bad key, or it is not pk's.
int dmsg_entry_sign(struct dmsg_entry *e, const struct key_sk *sk);
// 0 or -EBADMSG. Only a discovery does this: entries that it hands out may have been changed by it
// (server_type) after they were signed.
int dmsg_entry_verify(const struct dmsg_entry *e);
