// What went wrong with a rule, in words that name the fix. Declared in rule_mgr.h; knows nothing of
// the manager's state.
#include "controlplane/route/rule_mgr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *rule_gone_text(uint8_t reason)
{
	static const char *const words[RULE_GONE_COUNT] = {
		[RULE_GONE_DEL] = "removed",
		[RULE_GONE_EXPIRED] = "expired",
		[RULE_GONE_CLOSE] = "closed",
		[RULE_GONE_RESET] = "a transport of it lost its state",
		[RULE_GONE_HELD] = "it held too much when there was little room",
		[RULE_GONE_STALLED] = "it was held up for too long",
		[RULE_GONE_HOP_DOWN] = "a transport of it is down",
		[RULE_GONE_PEER] = "another node ended it",
	};

	return reason < RULE_GONE_COUNT && words[reason] != NULL ? words[reason] : "?";
}

void rule_error_text(
	int status, uint32_t id, const char *transport, const char *in, char *buf, size_t cap)
{
	switch (status) {
	case -ENODEV:
		snprintf(buf, cap, "no transport '%s': see `skyrail show transports`", transport);
		break;
	case -ENXIO:
		snprintf(buf, cap, "no transport '%s' for in=: see `skyrail show transports`", in);
		break;
	case -ENETDOWN:
		snprintf(buf, cap,
			"transport '%s' is not up: wait for it, or add the rule as static",
			transport[0] != '\0' ? transport : in);
		break;
	case -EEXIST:
		snprintf(buf, cap, "rule %u exists already: remove it first, or use id=auto", id);
		break;
	case -EADDRINUSE:
		snprintf(buf, cap, "rule %u: another rule has its place in the table: use id=auto",
			id);
		break;
	case -ENOENT:
		snprintf(buf, cap, "no rule %u: see `skyrail show rules`", id);
		break;
	case -ENOSPC:
		snprintf(buf, cap, "the rule table is full: raise [tables] rules in dataplane.ini");
		break;
	case -ERANGE:
		snprintf(buf, cap, "keep-alive is shorter than %d ms; --static never expires",
			RULE_KEEP_ALIVE_MIN_MS);
		break;
	case -EDESTADDRREQ:
		snprintf(buf, cap, "this rule type needs next=ID and transport=NAME");
		break;
	case -ENOTCONN:
	case -ECONNRESET:
		snprintf(buf, cap, "the data plane is not running: start skyrail-dataplane");
		break;
	default:
		snprintf(buf, cap, "rule %u: %s", id, strerror(-status));
	}
}
