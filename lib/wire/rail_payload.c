// TLVs of the two handshake messages (rail 2). Which ones must be there is a mask per kind; each
// value is checked for what it can be at all. Whether the peer may have it (key, mode, cipher,
// number of flows) is decided by the control plane.
#include "lib/wire/rail_payload.h"

#include "lib/base/err.h"

#define LINK                                                                                       \
	(RAIL_HAS(RAIL_TLV_INSTANCE) | RAIL_HAS(RAIL_TLV_MODE) | RAIL_HAS(RAIL_TLV_CIPHERS) |      \
		RAIL_HAS(RAIL_TLV_INDICES) | RAIL_HAS(RAIL_TLV_PORTS) |                            \
		RAIL_HAS(RAIL_TLV_PAYLOAD_MAX) | RAIL_HAS(RAIL_TLV_WINDOW))

static const uint32_t wanted[] = {
	[RAIL_PAYLOAD_INIT] = LINK | RAIL_HAS(RAIL_TLV_TIME) | RAIL_HAS(RAIL_TLV_SIGNATURE),
	[RAIL_PAYLOAD_RESPONSE] = LINK | RAIL_HAS(RAIL_TLV_SIGNATURE),
	[RAIL_PAYLOAD_REKEY_INIT] = LINK,
	[RAIL_PAYLOAD_REKEY_RESPONSE] = LINK,
};

static bool is_answer(enum rail_payload_kind kind)
{
	return kind == RAIL_PAYLOAD_RESPONSE || kind == RAIL_PAYLOAD_REKEY_RESPONSE;
}

static bool has(const struct rail_hs_payload *pl, enum rail_tlv tlv)
{
	return pl->has & RAIL_HAS(tlv);
}

static bool ciphers_are_valid(uint8_t ciphers, enum rail_payload_kind kind)
{
	if (!is_answer(kind))
		return ciphers != 0;
	return ciphers == RAIL_CIPHER_CHACHA20_POLY1305 || ciphers == RAIL_CIPHER_AES_256_GCM ||
	       ciphers == RAIL_CIPHER_NONE;
}

// Values that no kind of message may have. Refusals are judged by their place alone.
static bool is_valid(const struct rail_hs_payload *pl, enum rail_payload_kind kind)
{
	uint64_t ignored_ns;

	if (kind == RAIL_PAYLOAD_INIT && rail_time_get(pl->time, &ignored_ns) < 0)
		return false;
	if (pl->mode > RAIL_MODE_RELIABLE || !ciphers_are_valid(pl->ciphers, kind))
		return false;
	if (pl->n_flows < 1 || pl->n_flows > RAIL_FLOWS_MAX)
		return false;
	for (unsigned i = 0; i + 1 < pl->n_flows; i++) {
		if (pl->port[i] == 0)
			return false;
	}
	return pl->payload_max >= RAIL_PAYLOAD_FLOOR && pl->window_log2 >= RAIL_WINDOW_LOG2_MIN &&
	       pl->window_log2 <= RAIL_WINDOW_LOG2_MAX;
}

static bool read_indices(struct bytes_r *v, struct rail_hs_payload *out)
{
	size_t n = bytes_r_left(v) / 4;

	if (n < 1 || n > RAIL_FLOWS_MAX)
		return false;
	out->n_flows = (uint8_t)n;
	for (size_t i = 0; i < n; i++) {
		out->index[i] = bytes_r_u32(v);
		if (out->index[i] == 0) // nobody's
			return false;
	}
	return true;
}

static bool read_ports(struct bytes_r *v, uint8_t *n_ports, struct rail_hs_payload *out)
{
	size_t n = bytes_r_left(v) / 2;

	if (n > ARRAY_LEN(out->port))
		return false;
	*n_ports = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		out->port[i] = bytes_r_u16(v);
	return true;
}

static bool read_refusal(struct bytes_r *v, struct rail_hs_payload *out)
{
	out->refusal = bytes_r_u8(v);
	if (bytes_r_left(v) > RAIL_REFUSAL_TEXT_MAX)
		return false;
	out->refusal_text_len = (uint8_t)bytes_r_left(v);
	out->refusal_text = bytes_r_span(v, out->refusal_text_len);
	return true;
}

// One value of a known type; v must be read to its end, neither less nor more.
static bool read_value(
	uint8_t type, struct bytes_r *v, uint8_t *n_ports, struct rail_hs_payload *out)
{
	bool ok = true;

	switch ((enum rail_tlv)type) {
	case RAIL_TLV_TIME:
		bytes_r_copy(v, out->time, sizeof(out->time));
		break;
	case RAIL_TLV_INSTANCE:
		out->instance = bytes_r_u64(v);
		break;
	case RAIL_TLV_MODE:
		out->mode = bytes_r_u8(v);
		break;
	case RAIL_TLV_CIPHERS:
		out->ciphers = bytes_r_u8(v);
		break;
	case RAIL_TLV_INDICES:
		ok = read_indices(v, out);
		break;
	case RAIL_TLV_PORTS:
		ok = read_ports(v, n_ports, out);
		break;
	case RAIL_TLV_PAYLOAD_MAX:
		out->payload_max = bytes_r_u16(v);
		break;
	case RAIL_TLV_SIGNATURE:
		bytes_r_copy(v, out->sig, sizeof(out->sig));
		break;
	case RAIL_TLV_REFUSAL:
		ok = read_refusal(v, out);
		break;
	case RAIL_TLV_WINDOW:
		out->window_log2 = bytes_r_u8(v);
		break;
	}
	return ok && !v->bad && bytes_r_left(v) == 0;
}

int rail_payload_decode(
	const void *p, size_t len, enum rail_payload_kind kind, struct rail_hs_payload *out)
{
	struct bytes_r r = bytes_r(p, len);
	uint8_t n_ports = 0;

	*out = (struct rail_hs_payload){.has = 0};
	while (bytes_r_left(&r) > 0) {
		uint8_t type = bytes_r_u8(&r);
		size_t n = bytes_r_u16(&r);
		const uint8_t *value = bytes_r_span(&r, n);
		struct bytes_r v;

		if (value == NULL)
			return -EBADMSG;
		if (type < RAIL_TLV_TIME || type > RAIL_TLV_WINDOW)
			continue;
		v = bytes_r(value, n);
		if (has(out, type) || !read_value(type, &v, &n_ports, out))
			return -EBADMSG;
		out->has |= RAIL_HAS(type);
	}
	if (is_answer(kind) && out->has == RAIL_HAS(RAIL_TLV_REFUSAL))
		return 0;
	if (out->has != wanted[kind] || n_ports + 1 != out->n_flows)
		return -EBADMSG;
	return is_valid(out, kind) ? 0 : -EBADMSG;
}

static void begin_tlv(struct bytes_w *w, enum rail_tlv type, size_t len)
{
	bytes_w_u8(w, (uint8_t)type);
	bytes_w_u16(w, (uint16_t)len);
}

static void write_link(struct bytes_w *w, const struct rail_hs_payload *in)
{
	begin_tlv(w, RAIL_TLV_INSTANCE, 8);
	bytes_w_u64(w, in->instance);
	begin_tlv(w, RAIL_TLV_MODE, 1);
	bytes_w_u8(w, in->mode);
	begin_tlv(w, RAIL_TLV_CIPHERS, 1);
	bytes_w_u8(w, in->ciphers);
	begin_tlv(w, RAIL_TLV_INDICES, 4u * in->n_flows);
	for (unsigned i = 0; i < in->n_flows; i++)
		bytes_w_u32(w, in->index[i]);
	begin_tlv(w, RAIL_TLV_PORTS, 2u * (in->n_flows - 1u));
	for (unsigned i = 0; i + 1 < in->n_flows; i++)
		bytes_w_u16(w, in->port[i]);
	begin_tlv(w, RAIL_TLV_PAYLOAD_MAX, 2);
	bytes_w_u16(w, in->payload_max);
	begin_tlv(w, RAIL_TLV_WINDOW, 1);
	bytes_w_u8(w, in->window_log2);
}

int rail_payload_encode(
	void *p, size_t room, enum rail_payload_kind kind, const struct rail_hs_payload *in)
{
	struct bytes_w w = bytes_w(p, room);

	if (is_answer(kind) && has(in, RAIL_TLV_REFUSAL)) {
		begin_tlv(&w, RAIL_TLV_REFUSAL, 1u + in->refusal_text_len);
		bytes_w_u8(&w, in->refusal);
		bytes_w_copy(&w, in->refusal_text, in->refusal_text_len);
		return (int)bytes_w_done(&w);
	}
	if (!is_valid(in, kind))
		return -EINVAL;
	if (wanted[kind] & RAIL_HAS(RAIL_TLV_TIME)) {
		begin_tlv(&w, RAIL_TLV_TIME, sizeof(in->time));
		bytes_w_copy(&w, in->time, sizeof(in->time));
	}
	write_link(&w, in);
	if (wanted[kind] & RAIL_HAS(RAIL_TLV_SIGNATURE)) {
		begin_tlv(&w, RAIL_TLV_SIGNATURE, sizeof(in->sig));
		bytes_w_copy(&w, in->sig, sizeof(in->sig));
	}
	return (int)bytes_w_done(&w);
}

const char *rail_refusal_name(uint8_t code)
{
	static const char *const names[] = {
		[RAIL_REFUSAL_NOT_ALLOWED] = "not allowed",
		[RAIL_REFUSAL_TOO_MANY] = "too many",
		[RAIL_REFUSAL_MODE] = "mode",
		[RAIL_REFUSAL_VERSION] = "version",
		[RAIL_REFUSAL_CIPHER] = "cipher",
	};

	return code >= RAIL_REFUSAL_NOT_ALLOWED && code < ARRAY_LEN(names) ? names[code]
									   : "unknown";
}
