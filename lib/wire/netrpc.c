// net/rpc over gob. Messages are gathered whole, because gob gives no length of a value that is
// cut; descriptors are copied, because they serve all later messages of their direction. What does
// not fit the limits ends the connection: no method that Skywire's programs call on a node comes
// near.

#include "lib/wire/netrpc.h"

#include "lib/base/err.h"

#include <stdio.h>

// Type ids that Go's own server and client happen to use; any would do.
enum { ID_REQUEST = 65, ID_RESPONSE = 72, ID_EMPTY = 74 };

static const uint8_t request_type[] = "\x2f\xff\x81\x03\x01\x01\x07Request\x01\xff\x82\x00\x01\x02"
				      "\x01\x0dServiceMethod\x01\x0c\x00\x01\x03Seq\x01\x06\x00"
				      "\x00\x00";
static const uint8_t response_type[] =
	"\x3a\xff\x8f\x03\x01\x01\x08Response\x01\xff\x90\x00\x01\x03"
	"\x01\x0dServiceMethod\x01\x0c\x00\x01\x03Seq\x01\x06\x00\x01\x05"
	"Error\x01\x0c\x00\x00\x00";
static const uint8_t empty_type[] = "\x0a\xff\x93\x03\x01\x02\xff\x94\x00\x00\x00";

struct head_in {
	struct gob_span method, error;
	uint64_t seq;
};

static const struct gob_field head_fields[] = {
	{"ServiceMethod", GOB_STRING, offsetof(struct head_in, method), 0, NULL},
	{"Seq", GOB_UINT, offsetof(struct head_in, seq), UINT64_MAX, NULL},
	{"Error", GOB_STRING, offsetof(struct head_in, error), 0, NULL},
};
static const struct gob_struct head_struct = {head_fields, ARRAY_LEN(head_fields)};

// ---- reading ----

static int take_type(struct netrpc_rx *rx)
{
	uint8_t *at = rx->types_buf + rx->types_len;

	if (rx->have > sizeof(rx->types_buf) - rx->types_len)
		return -EBADMSG;
	memcpy(at, rx->msg, rx->have);
	rx->types_len += rx->have;
	return gob_add_type(&rx->types, at, rx->have);
}

static int take_head(struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &head_struct};
	struct head_in in = {.seq = 0};
	size_t n;

	if (gob_read_value(&rx->types, rx->msg, rx->have, &as, &in) < 0)
		return -EBADMSG;
	// a NUL would make two names one
	if (in.method.len >= sizeof(rx->method) ||
		(in.method.len > 0 && memchr(in.method.p, 0, in.method.len) != NULL))
		return -EBADMSG;
	if (in.method.len > 0)
		memcpy(rx->method, in.method.p, in.method.len);
	rx->method[in.method.len] = '\0';
	n = in.error.len < sizeof(rx->error) ? in.error.len : sizeof(rx->error) - 1;
	if (n > 0)
		memcpy(rx->error, in.error.p, n);
	rx->error[n] = '\0';
	rx->seq = in.seq;
	return 0;
}

// The message in rx->msg is whole.
static int take_message(struct netrpc_rx *rx, bool *ready)
{
	int rc;

	if (gob_is_type(rx->msg, rx->have)) {
		rc = take_type(rx);
		rx->have = 0;
		return rc;
	}
	if (!rx->has_head) {
		rc = take_head(rx);
		rx->have = 0;
		rx->has_head = true;
		return rc;
	}
	rx->has_head = false;
	rx->has_body = true;
	*ready = true;
	return 0;
}

ssize_t netrpc_take(struct netrpc_rx *rx, const uint8_t *p, size_t len, bool *ready)
{
	size_t used = 0;

	*ready = false;
	if (rx->has_body)
		rx->have = 0;
	rx->has_body = false;
	while (used < len && !*ready) {
		size_t room = sizeof(rx->msg) - rx->have, n = len - used < room ? len - used : room;
		size_t had = rx->have;
		ssize_t whole;

		memcpy(rx->msg + had, p + used, n);
		whole = gob_message_len(rx->msg, had + n, sizeof(rx->msg) - 9);
		if (whole == -EBADMSG)
			return -EBADMSG;
		if (whole < 0) { // there is room: the limit leaves some for the count
			rx->have = had + n;
			used += n;
			continue;
		}
		used += (size_t)whole - had;
		rx->have = (size_t)whole;
		if (take_message(rx, ready) < 0)
			return -EBADMSG;
	}
	return (ssize_t)used;
}

bool netrpc_is_amid(const struct netrpc_rx *rx)
{
	return rx->has_head || (rx->have > 0 && !rx->has_body);
}

int netrpc_body(const struct netrpc_rx *rx, const struct gob_field *as, void *out)
{
	return rx->has_body ? gob_read_value(&rx->types, rx->msg, rx->have, as, out) : -EBADMSG;
}

// ---- writing ----

void netrpc_put_types(struct bytes_w *w, bool *sent, const uint8_t *types, size_t len)
{
	if (!*sent)
		bytes_w_copy(w, types, len);
	*sent = true;
}

// error: NULL in a request or when there is none.
static void put_head(
	struct bytes_w *w, int64_t id, const char *method, uint64_t seq, const char *error)
{
	uint8_t msg[NETRPC_METHOD_MAX + NETRPC_ERROR_MAX + 32];
	struct bytes_w m = bytes_w(msg, sizeof(msg));
	unsigned last = 0;

	gob_put_int(&m, id);
	gob_put_bytes_field(&m, &last, 1, method, strlen(method));
	if (seq != 0) {
		gob_put_field(&m, &last, 2);
		gob_put_uint(&m, seq);
	}
	if (error != NULL)
		gob_put_bytes_field(&m, &last, 3, error, strnlen(error, NETRPC_ERROR_MAX - 1));
	gob_put_uint(&m, 0);
	gob_put_message(w, &m);
}

void netrpc_put_request(struct netrpc_tx *tx, struct bytes_w *w, const char *method, uint64_t seq)
{
	netrpc_put_types(w, &tx->sent_request, request_type, sizeof(request_type) - 1);
	put_head(w, ID_REQUEST, method, seq, NULL);
}

void netrpc_put_response(struct netrpc_tx *tx, struct bytes_w *w, const char *method, uint64_t seq)
{
	netrpc_put_types(w, &tx->sent_response, response_type, sizeof(response_type) - 1);
	put_head(w, ID_RESPONSE, method, seq, NULL);
}

void netrpc_put_error(struct netrpc_tx *tx, struct bytes_w *w, const char *method, uint64_t seq,
	const char *error)
{
	netrpc_put_types(w, &tx->sent_response, response_type, sizeof(response_type) - 1);
	put_head(w, ID_RESPONSE, method, seq, error);
	netrpc_put_empty(tx, w);
}

void netrpc_put_empty(struct netrpc_tx *tx, struct bytes_w *w)
{
	static const uint8_t empty[] = {3, 0xff, 2 * ID_EMPTY, 0};

	netrpc_put_types(w, &tx->sent_empty, empty_type, sizeof(empty_type) - 1);
	bytes_w_copy(w, empty, sizeof(empty));
}

void netrpc_put_bool(struct bytes_w *w, bool v)
{
	const uint8_t msg[] = {3, 2, 0, v};

	bytes_w_copy(w, msg, sizeof(msg));
}

const char *netrpc_no_method(const char *method, const char *service, char *buf, size_t len)
{
	const char *dot = strrchr(method, '.');
	const char *why = "can't find method ";

	if (dot == NULL)
		why = "service/method request ill-formed: ";
	else if ((size_t)(dot - method) != strlen(service) ||
		 memcmp(method, service, strlen(service)) != 0)
		why = "can't find service ";
	snprintf(buf, len, "rpc: %s%s", why, method);
	return buf;
}
