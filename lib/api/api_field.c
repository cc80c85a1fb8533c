// How each kind of field reads, for people and as JSON, and the small checks that both ends of the
// API share. The tables themselves are in api_rec.c. No I/O, no allocation.
#include "lib/api/api_field.h"

#include "lib/base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static uint64_t get_uint(const void *p, size_t size)
{
	uint64_t v = 0;

	// host order, little or big: read by width
	switch (size) {
	case 1:
		return *(const uint8_t *)p;
	case 2: {
		uint16_t x;
		memcpy(&x, p, 2);
		return x;
	}
	case 4: {
		uint32_t x;
		memcpy(&x, p, 4);
		return x;
	}
	default:
		memcpy(&v, p, 8);
		return v;
	}
}

static int64_t get_int(const void *p, size_t size)
{
	uint64_t v = get_uint(p, size);
	unsigned shift = 64 - 8 * (unsigned)size;

	return (int64_t)(v << shift) >> shift;
}

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		if (b[i] != 0)
			return false;
	return true;
}

static void hex(const uint8_t *p, size_t n, char *buf, size_t cap)
{
	size_t o = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n && o + 3 <= cap; i++, o += 2)
		snprintf(buf + o, 3, "%02x", p[i]);
}

char *api_duration_text(uint64_t ms, char *buf, size_t cap)
{
	uint64_t s = ms / 1000;

	if (ms < 1000)
		snprintf(buf, cap, "%" PRIu64 "ms", ms);
	else if (ms < 60000)
		snprintf(buf, cap, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
	else if (s < 3600)
		snprintf(buf, cap, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, cap, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, cap, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s % 86400 / 3600);
	return buf;
}

char *api_addr_text(const struct api_addr *a, char *buf, size_t cap)
{
	char ip[INET6_ADDRSTRLEN];

	if (all_zero(a, sizeof(*a))) {
		buf[0] = '\0';
		return buf;
	}
	if (memcmp(a->ip, v4_mapped, sizeof(v4_mapped)) == 0) {
		inet_ntop(AF_INET, a->ip + 12, ip, sizeof(ip));
		snprintf(buf, cap, a->port ? "%s:%u" : "%s", ip, a->port);
	} else {
		inet_ntop(AF_INET6, a->ip, ip, sizeof(ip));
		snprintf(buf, cap, a->port ? "[%s]:%u" : "%s", ip, a->port);
	}
	return buf;
}

// IPv4 or IPv6 of len characters.
static int ip_parse(const char *text, size_t len, uint8_t out[16])
{
	char ip[INET6_ADDRSTRLEN];

	if (len >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, len);
	ip[len] = '\0';
	memset(out, 0, 16);
	if (inet_pton(AF_INET, ip, out + 12) == 1)
		memcpy(out, v4_mapped, sizeof(v4_mapped));
	else if (inet_pton(AF_INET6, ip, out) != 1)
		return -EINVAL;
	return 0;
}

int api_addr_parse(const char *text, struct api_addr *out)
{
	struct api_addr a = {0};
	const char *colon = strrchr(text, ':');
	char *end;
	unsigned long port;
	size_t len;

	if (colon == NULL || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port == 0 || port > 65535)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL) {
		return -EINVAL; // IPv6 needs its brackets, or the port is anyone's guess
	}
	if (ip_parse(text, len, a.ip) < 0)
		return -EINVAL;
	a.port = (uint16_t)port;
	*out = a;
	return 0;
}

int api_nets_parse(const char *text, struct api_edge_add *e)
{
	while (*(text += strspn(text, ",")) != '\0') {
		size_t len = strcspn(text, "/,"), i = e->n_addrs;
		unsigned long prefix;
		char *end;

		if (i == API_EDGE_ADDRS || text[len] != '/' || text[len + 1] < '0' ||
			text[len + 1] > '9' || ip_parse(text, len, e->addrs[i].ip) < 0)
			return -EINVAL;
		prefix = strtoul(text + len + 1, &end, 10);
		if ((*end != ',' && *end != '\0') ||
			prefix > (memcmp(e->addrs[i].ip, v4_mapped, sizeof(v4_mapped)) ? 128 : 32))
			return -EINVAL;
		e->addrs[i].prefix = (uint8_t)prefix;
		e->n_addrs++;
		text = end;
	}
	return e->n_addrs > 0 ? 0 : -EINVAL;
}

static void text_str(const char *s, size_t size, char *buf, size_t cap)
{
	size_t n = strnlen(s, size);

	if (n >= cap)
		n = cap - 1;
	for (size_t i = 0; i < n; i++)
		buf[i] = ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) ? '?' : s[i];
	buf[n] = '\0';
}

static void text_bytes(uint64_t v, char *buf, size_t cap)
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P"};
	double d = (double)v;
	size_t u = 0;

	for (; d >= 10000 && u + 1 < ARRAY_LEN(units); u++)
		d /= 1024;
	snprintf(buf, cap, u == 0 ? "%.0f%s" : "%.1f%s", d, units[u]);
}

static void text_rate(uint64_t bytes_per_s, char *buf, size_t cap)
{
	static const char *const units[] = {"", "k", "M", "G", "T"};
	double d = (double)bytes_per_s * 8;
	size_t u = 0;

	for (; d >= 1000 && u + 1 < ARRAY_LEN(units); u++)
		d /= 1000;
	snprintf(buf, cap, u == 0 ? "%.0f %sbit/s" : "%.1f %sbit/s", d, units[u]);
}

static void text_us(uint64_t us, char *buf, size_t cap)
{
	if (us < 1000)
		snprintf(buf, cap, "%" PRIu64 "us", us);
	else
		snprintf(buf, cap, "%.2fms", (double)us / 1000);
}

static void text_time(uint64_t ns, char *buf, size_t cap)
{
	time_t t = (time_t)(ns / 1000000000u);
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(buf, cap, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(buf, cap, "?");
}

static void text_uuid(const uint8_t *p, char *buf, size_t cap)
{
	char h[33];

	hex(p, 16, h, sizeof(h));
	snprintf(buf, cap, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
}

static void text_mac(const uint8_t *p, char *buf, size_t cap)
{
	snprintf(buf, cap, "%02x:%02x:%02x:%02x:%02x:%02x", p[0], p[1], p[2], p[3], p[4], p[5]);
}

static const char *word(const struct api_field *f, const void *p)
{
	uint64_t v = get_uint(p, f->size);

	return v < f->n_words ? f->words[v] : "?";
}

static bool is_unknown(const struct api_field *f, const uint8_t *p)
{
	uint64_t ones = f->size >= 8 ? UINT64_MAX : (1ull << 8 * f->size) - 1;

	if (f->kind == API_K_STR)
		return (f->flags & API_F_NULL) != 0 && p[0] == 0;
	return ((f->flags & API_F_NULL) != 0 && get_uint(p, f->size) == 0) ||
	       ((f->flags & API_F_ONES) != 0 && get_uint(p, f->size) == ones);
}

char *api_field_text(const struct api_field *f, const void *rec, char *buf, size_t cap)
{
	const uint8_t *p = (const uint8_t *)rec + f->offset;

	if (((f->flags & API_F_DASH) &&
		    (f->kind == API_K_STR ? p[0] == 0 : all_zero(p, f->size))) ||
		((f->flags & API_F_ONES) && is_unknown(f, p))) {
		snprintf(buf, cap, "-");
		return buf;
	}
	switch ((enum api_kind)f->kind) {
	case API_K_STR:
		text_str((const char *)p, f->size, buf, cap);
		break;
	case API_K_UINT:
		snprintf(buf, cap, "%" PRIu64, get_uint(p, f->size));
		break;
	case API_K_INT:
		snprintf(buf, cap, "%" PRId64, get_int(p, f->size));
		break;
	case API_K_BOOL:
		snprintf(buf, cap, "%s", get_uint(p, f->size) ? "yes" : "no");
		break;
	case API_K_WORD:
		snprintf(buf, cap, "%s", word(f, p));
		break;
	case API_K_PK:
		hex(p, f->size, buf, cap);
		break;
	case API_K_UUID:
		text_uuid(p, buf, cap);
		break;
	case API_K_ADDR:
		api_addr_text((const void *)p, buf, cap);
		break;
	case API_K_MAC:
		text_mac(p, buf, cap);
		break;
	case API_K_MS:
		api_duration_text(get_uint(p, f->size), buf, cap);
		break;
	case API_K_US:
		text_us(get_uint(p, f->size), buf, cap);
		break;
	case API_K_BYTES:
		text_bytes(get_uint(p, f->size), buf, cap);
		break;
	case API_K_SIZE:
		text_bytes(get_uint(p, f->size), buf, cap);
		strncat(buf, "B", cap - 1 - strlen(buf));
		break;
	case API_K_RATE:
		text_rate(get_uint(p, f->size), buf, cap);
		break;
	case API_K_PPM:
		snprintf(buf, cap, "%.1f%%", (double)get_uint(p, f->size) / 10000);
		break;
	case API_K_TIME:
		text_time(get_uint(p, f->size), buf, cap);
		break;
	}
	return buf;
}

const char *api_group_name(unsigned group)
{
	static const char *const names[API_N_GROUPS] = {[API_G_NONE] = "",
		[API_G_LINK] = "link",
		[API_G_PATH] = "path",
		[API_G_LOSSES] = "losses",
		[API_G_QUEUE] = "queue",
		[API_G_HANDSHAKE] = "handshake",
		[API_G_TRAFFIC] = "traffic",
		[API_G_PLACE] = "place",
		[API_G_LOAD] = "load",
		[API_G_ROUTE] = "route",
		[API_G_TIME] = "time"};

	return group < API_N_GROUPS ? names[group] : "";
}

bool api_field_right(const struct api_field *f)
{
	switch ((enum api_kind)f->kind) {
	case API_K_UINT:
	case API_K_INT:
	case API_K_MS:
	case API_K_US:
	case API_K_BYTES:
	case API_K_SIZE:
	case API_K_RATE:
	case API_K_PPM:
		return true;
	default:
		return false;
	}
}

// ---- JSON ----

struct out {
	char *buf;
	size_t cap;
	size_t len;
	bool bad;
};

static void put(struct out *o, const char *s, size_t n)
{
	if (o->bad || o->cap - o->len <= n) {
		o->bad = true;
		return;
	}
	memcpy(o->buf + o->len, s, n);
	o->len += n;
	o->buf[o->len] = '\0';
}

static void puts_(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

// Length of the UTF-8 character at s, 0 when it is none (overlong forms and surrogates included).
static size_t utf8_len(const unsigned char *s, size_t left)
{
	uint32_t c;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2, c = s[0] & 0x1f;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3, c = s[0] & 0x0f;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4, c = s[0] & 0x07;
	else
		return 0;
	if (left < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) ||
		(n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return n;
}

static void put_string(struct out *o, const char *text, size_t max_len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len = strnlen(text, max_len), n;
	char esc[8];

	puts_(o, "\"");
	for (size_t i = 0; i < len; i += n) {
		n = utf8_len(s + i, len - i);
		if (n == 0) {
			puts_(o, "\\ufffd");
			n = 1;
		} else if (s[i] == '"' || s[i] == '\\') {
			snprintf(esc, sizeof(esc), "\\%c", s[i]);
			puts_(o, esc);
		} else if (s[i] < 0x20 || s[i] == 0x7f) {
			snprintf(esc, sizeof(esc), "\\u%04x", s[i]);
			puts_(o, esc);
		} else {
			put(o, (const char *)s + i, n);
		}
	}
	puts_(o, "\"");
}

int api_json_string(const char *s, size_t max_len, char *buf, size_t cap)
{
	struct out o = {.buf = buf, .cap = cap};

	put_string(&o, s, max_len);
	return o.bad ? -ENOSPC : (int)o.len;
}

static void put_value(struct out *o, const struct api_field *f, const uint8_t *p)
{
	struct api_field plain = *f;
	char text[192];

	if (is_unknown(f, p)) {
		puts_(o, "null");
		return;
	}
	switch ((enum api_kind)f->kind) {
	case API_K_STR:
		put_string(o, (const char *)p, f->size);
		return;
	case API_K_BOOL:
		puts_(o, get_uint(p, f->size) ? "true" : "false");
		return;
	case API_K_INT:
		snprintf(text, sizeof(text), "%" PRId64, get_int(p, f->size));
		puts_(o, text);
		return;
	case API_K_UINT:
	case API_K_MS:
	case API_K_US:
	case API_K_BYTES:
	case API_K_SIZE:
	case API_K_RATE:
	case API_K_PPM:
	case API_K_TIME:
		snprintf(text, sizeof(text), "%" PRIu64, get_uint(p, f->size));
		puts_(o, text);
		return;
	default:
		plain.flags = 0;
		plain.offset = 0;
		api_field_text(&plain, p, text, sizeof(text));
		put_string(o, text, sizeof(text));
	}
}

int api_record_json(const struct api_record *r, const void *rec, char *buf, size_t cap)
{
	struct out o = {.buf = buf, .cap = cap};

	for (size_t i = 0; i < r->n_fields; i++) {
		const struct api_field *f = &r->fields[i];

		puts_(&o, i == 0 ? "{\"" : ",\"");
		puts_(&o, f->name);
		puts_(&o, "\":");
		put_value(&o, f, (const uint8_t *)rec + f->offset);
	}
	puts_(&o, "}");
	return o.bad ? -ENOSPC : (int)o.len;
}

// ---- checks ----

int api_frame_check(const struct api_frame *f)
{
	if (f->len < sizeof(*f) || f->len > API_FRAME_MAX)
		return -EBADMSG;
	return 0;
}

int api_name_check(const char *name, size_t cap)
{
	size_t n = strnlen(name, cap);

	if (n == 0 || n == cap)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= 0x20 || name[i] >= 0x7f || name[i] == '/')
			return -EINVAL;
	return 0;
}

int api_record_take(void *rec, size_t size, int more, const void *payload, size_t len)
{
	if (!more)
		return 0;
	if (len < size)
		return -EPROTO;
	memcpy(rec, payload, size);
	return 1;
}
