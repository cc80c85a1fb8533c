// Messages of the address resolver (skywire-routing 6.5). Addresses stay text, as people see them
// in lists; those that are none are refused here.
#include "lib/wire/resolver_msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/json_text.h"

static int family_of(const char *text)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, text, ip) == 1    ? AF_INET
	       : inet_pton(AF_INET6, text, ip) == 1 ? AF_INET6
						    : AF_UNSPEC;
}

ssize_t resolver_bind_write(
	uint16_t port, const char *const *addrs, size_t n, char *out, size_t cap)
{
	struct json_text t = json_text(out, cap);

	if (n > RESOLVER_ADDRS_MAX)
		return -EINVAL;
	json_text_put(&t, "{\"port\":\"%u\",\"addresses\":[", port);
	for (size_t i = 0; i < n; i++) {
		if (family_of(addrs[i]) == AF_UNSPEC)
			return -EINVAL;
		json_text_put(&t, "%s\"%s\"", i == 0 ? "" : ",", addrs[i]);
	}
	json_text_put(&t, "]}\n");
	return json_text_done(&t);
}

// ---- where a visor is ----

// 0: no port in decimal.
static uint16_t port_of(const char *text)
{
	size_t len = strspn(text, "0123456789");
	unsigned long n = len >= 1 && len <= 5 && text[len] == '\0' ? strtoul(text, NULL, 10) : 0;

	return n <= UINT16_MAX ? (uint16_t)n : 0;
}

// Splits IP, IP:PORT, [IP] or [IP]:PORT; *port 0: it has none.
static bool split(const char *text, char ip[RESOLVER_IP_LEN], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	size_t len = strlen(text);

	*port = 0;
	if (colon != NULL && (text[0] == '[' ? colon[-1] == ']' : strchr(text, ':') == colon)) {
		*port = port_of(colon + 1);
		if (*port == 0)
			return false;
		len = (size_t)(colon - text);
	}
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= RESOLVER_IP_LEN)
		return false;
	memcpy(ip, text, len);
	ip[len] = '\0';
	return family_of(ip) != AF_UNSPEC;
}

// Absent, empty and "0" are none.
static bool take_port(uint16_t *port, const json_t *v)
{
	char text[8] = "0";

	if (!json_text_take(text, sizeof(text), v))
		return false;
	*port = port_of(text);
	return *port != 0 || text[0] == '\0' || strcmp(text, "0") == 0;
}

static void take_local(struct resolver_visor *v, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list) && v->n < RESOLVER_ADDRS_MAX; i++) {
		const json_t *addr = json_array_get(list, i);

		if (json_is_string(addr) && json_text_take(v->local[v->n], RESOLVER_IP_LEN, addr) &&
			family_of(v->local[v->n]) != AF_UNSPEC)
			v->n++;
	}
}

int resolver_visor_read(struct resolver_visor *v, const char *json, size_t len)
{
	json_t *root = len <= RESOLVER_JSON_MAX ? json_loadb(json, len, 0, NULL) : NULL;
	char ip[RESOLVER_IP_LEN];
	uint16_t port;
	bool good;

	memset(v, 0, sizeof(*v));
	good = json_text_take(v->remote, sizeof(v->remote), json_text_find(root, "remote_addr")) &&
	       json_text_take_bool(&v->is_local, json_text_find(root, "is_local")) &&
	       take_port(&v->port, json_text_find(root, "port")) && split(v->remote, ip, &port);
	take_local(v, json_text_find(root, "addresses"));
	json_decref(root);
	return good ? 0 : -EBADMSG;
}

bool resolver_ip_is_public(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const struct {
		uint32_t net;
		uint8_t bits;
	} others[] = {// RFC 6890; networks for documentation are left, for tests
		{0x00000000, 8}, {0x0a000000, 8}, {0x64400000, 10}, {0x7f000000, 8},
		{0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0a80000, 16},
		{0xc6120000, 15}, {0xe0000000, 3}};
	uint32_t v4 = be32_get(ip + 12);

	// global unicast (RFC 4291) without 6to4, whose addresses hold any IPv4 one
	if (memcmp(ip, mapped, sizeof(mapped)) != 0)
		return (ip[0] & 0xe0) == 0x20 && !(ip[0] == 0x20 && ip[1] == 0x02);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if ((v4 ^ others[i].net) >> (32 - others[i].bits) == 0)
			return false;
	return true;
}

static bool put_addr(char out[RESOLVER_ADDR_LEN], const char *ip, uint16_t port)
{
	struct json_text t = json_text(out, RESOLVER_ADDR_LEN);

	json_text_put(&t, family_of(ip) == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, port);
	return port != 0 && !t.bad;
}

bool resolver_visor_addr(const struct resolver_visor *v, unsigned i, char out[RESOLVER_ADDR_LEN])
{
	unsigned n_local = v->is_local && v->port != 0 ? v->n : 0;
	char ip[RESOLVER_IP_LEN];
	uint16_t port;

	if (i < n_local)
		return put_addr(out, v->local[i], v->port);
	return i == n_local && split(v->remote, ip, &port) &&
	       put_addr(out, ip, port != 0 ? port : v->port);
}

// ---- who is there ----

ssize_t resolver_list_read(
	struct key_pk *pk, size_t max, const char *type, const char *json, size_t len)
{
	json_t *root = json_loadb(json, len, JSON_DECODE_ANY, NULL);
	json_t *list = json_text_find(root, type);
	bool good = (json_is_object(root) || json_is_null(root)) &&
		    (list == NULL || json_is_null(list) || json_is_array(list));
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list) && n < max; i++)
		if (json_text_take_pk(&pk[n], json_array_get(list, i)))
			n++;
	json_decref(root);
	return good ? (ssize_t)n : -EBADMSG;
}
