// One question at a time: bind, wait, bind again. What the host's addresses are is looked at before
// each, so an address that comes later is told within 5 minutes, and none is no mistake: then the
// binding is taken back, if there was one.
#include "controlplane/directory/resolver_keep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "lib/base/log.h"

LOG_MODULE("resolver");

struct resolver_keep {
	struct resolver_keep_conf conf;
	struct loop_timer *timer; // the next bind; the end of leaving
	struct resolver_ask *ask;
	bool bound; // as told last
	bool told; // it may have been taken, and was not taken back since
	bool silent; // that there is no address was said
	unsigned fails;
	loop_fn left; // NULL: not leaving, or it was called
	void *left_arg;
};

static void failed(struct resolver_keep *k)
{
	k->fails++;
	loop_timer_start(
		k->timer, backoff_ms(k->fails, k->conf.retry_ms, RESOLVER_KEEP_RETRY_MAX_MS), 0);
}

static void succeeded(struct resolver_keep *k)
{
	k->fails = 0;
	loop_timer_start(k->timer, k->conf.every_ms, 0);
}

static void on_bound(void *arg, const struct resolver_result *r)
{
	struct resolver_keep *k = arg;

	k->ask = NULL;
	if (r->taken && !k->bound)
		log_notice("peers find this node by the address resolver: port=%u", k->conf.port);
	if (!r->taken && k->fails == 1) // not of the first: at the start dmsg may not be up
		log_warn("the address resolver does not take this node's addresses: %s", r->text);
	k->bound = r->taken;
	// Without an answer of its own the resolver may have taken it: that, or a gateway's, was
	// lost.
	k->told |= r->taken || r->err < 0 || r->status / 100 == 5;
	if (r->taken)
		succeeded(k);
	else
		failed(k);
}

static void on_taken_back(void *arg, const struct resolver_result *r)
{
	struct resolver_keep *k = arg;
	bool gone = r->taken || (r->err == 0 && r->status == 404); // or it never was there

	k->ask = NULL;
	k->told = !gone;
	if (gone)
		succeeded(k);
	else
		failed(k);
}

static void bind_now(struct resolver_keep *k)
{
	char addrs[RESOLVER_ADDRS_MAX][RESOLVER_IP_LEN];
	const char *list[RESOLVER_ADDRS_MAX];
	size_t n = k->conf.addrs(k->conf.arg, addrs, RESOLVER_ADDRS_MAX);

	for (size_t i = 0; i < n; i++)
		list[i] = addrs[i];
	if (n == 0 && !k->silent)
		log_warn("no interface has a public address: stcpr transports come to nobody");
	k->silent = n == 0;
	if (n == 0 && !k->told) {
		succeeded(k);
		return;
	}
	k->bound = k->bound && n > 0;
	k->ask = n > 0 ? resolver_bind(k->conf.service, k->conf.port, list, n, on_bound, k)
		       : resolver_unbind(k->conf.service, on_taken_back, k);
	if (k->ask == NULL)
		failed(k);
}

static void left(struct resolver_keep *k)
{
	loop_fn fn = k->left;

	k->left = NULL;
	loop_timer_stop(k->timer);
	if (fn != NULL)
		fn(k->left_arg); // may free k
}

static void on_unbound(void *arg, const struct resolver_result *r)
{
	struct resolver_keep *k = arg;

	(void)r;
	k->ask = NULL;
	left(k);
}

static void on_timer(void *arg)
{
	struct resolver_keep *k = arg;

	if (k->left != NULL)
		left(k);
	else
		bind_now(k);
}

void resolver_keep_leave(struct resolver_keep *k, loop_fn done, void *arg)
{
	// One that is under way may have got there.
	bool told = k->told || k->ask != NULL;

	resolver_cancel(k->ask);
	k->ask = told ? resolver_unbind(k->conf.service, on_unbound, k) : NULL;
	k->left = done;
	k->left_arg = arg;
	loop_timer_start(k->timer, k->ask != NULL ? RESOLVER_KEEP_LEAVE_MS : 0, 0);
}

struct resolver_keep *resolver_keep_new(const struct resolver_keep_conf *conf)
{
	struct resolver_keep *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->conf = *conf;
	k->conf.every_ms = conf->every_ms != 0 ? conf->every_ms : RESOLVER_KEEP_MS;
	k->conf.retry_ms = conf->retry_ms != 0 ? conf->retry_ms : RESOLVER_KEEP_RETRY_MS;
	k->timer = loop_timer_new(conf->loop, on_timer, k);
	if (k->timer == NULL) {
		free(k);
		errno = ENOMEM;
		return NULL;
	}
	loop_timer_start(k->timer, 0, 0);
	return k;
}

void resolver_keep_free(struct resolver_keep *k)
{
	if (k == NULL)
		return;
	resolver_cancel(k->ask);
	loop_timer_free(k->timer);
	free(k);
}

// ---- the host's addresses ----

static bool put(const uint8_t ip[16], char out[RESOLVER_IP_LEN])
{
	bool v4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)ip);

	return resolver_ip_is_public(ip) &&
	       inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip + 12 : ip, out, RESOLVER_IP_LEN) != NULL;
}

static bool put_interface(const struct ifaddrs *i, char out[RESOLVER_IP_LEN])
{
	uint8_t ip[16] = {[10] = 0xff, [11] = 0xff};
	const void *a = i->ifa_addr;

	if (a == NULL || (i->ifa_flags & IFF_UP) == 0)
		return false;
	if (i->ifa_addr->sa_family == AF_INET)
		memcpy(ip + 12, &((const struct sockaddr_in *)a)->sin_addr, 4);
	else if (i->ifa_addr->sa_family == AF_INET6)
		memcpy(ip, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
	else
		return false;
	return put(ip, out);
}

size_t resolver_keep_addrs(void *arg, char (*out)[RESOLVER_IP_LEN], size_t max)
{
	static const uint8_t any[16], any4[16] = {[10] = 0xff, [11] = 0xff};
	const uint8_t *at = arg;
	struct ifaddrs *all = NULL;
	size_t n = 0;

	if (memcmp(at, any, sizeof(any)) != 0 && memcmp(at, any4, sizeof(any4)) != 0)
		return put(at, out[0]) ? 1 : 0;
	if (getifaddrs(&all) != 0)
		return 0;
	for (const struct ifaddrs *i = all; i != NULL && n < max; i = i->ifa_next)
		n += put_interface(i, out[n]);
	freeifaddrs(all);
	return n;
}
