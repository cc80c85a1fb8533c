// Bytes of routing rules, read and written in the order of skywire-routing 2.1 and 2.2. What a rule
// means, and whether its sender may install it, is decided by others.
#include "lib/wire/rule.h"

#include <assert.h>

#include "lib/base/err.h"

void rule_desc_read(struct bytes_r *r, struct rule_desc *out)
{
	bytes_r_copy(r, out->src_pk, sizeof(out->src_pk));
	bytes_r_copy(r, out->dst_pk, sizeof(out->dst_pk));
	out->src_port = bytes_r_u16(r);
	out->dst_port = bytes_r_u16(r);
}

void rule_desc_write(struct bytes_w *w, const struct rule_desc *desc)
{
	bytes_w_copy(w, desc->src_pk, sizeof(desc->src_pk));
	bytes_w_copy(w, desc->dst_pk, sizeof(desc->dst_pk));
	bytes_w_u16(w, desc->src_port);
	bytes_w_u16(w, desc->dst_port);
}

void rule_desc_invert(struct rule_desc *out, const struct rule_desc *desc)
{
	struct rule_desc in = *desc;

	memcpy(out->src_pk, in.dst_pk, sizeof(out->src_pk));
	memcpy(out->dst_pk, in.src_pk, sizeof(out->dst_pk));
	out->src_port = in.dst_port;
	out->dst_port = in.src_port;
}

static_assert(sizeof(struct rule_desc) == RULE_DESC_LEN, "no holes");

bool rule_desc_equal(const struct rule_desc *a, const struct rule_desc *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool is_valid(const struct rule_wire *rule)
{
	return rule->kind <= RULE_KIND_INTERMEDIARY && rule->key_id != 0 &&
	       rule->keep_alive_ns >= 0 && (rule->kind == RULE_KIND_CONSUME || rule->next_id != 0);
}

int rule_decode(const void *p, size_t len, struct rule_wire *out)
{
	struct bytes_r r = bytes_r(p, len);

	*out = (struct rule_wire){.keep_alive_ns = (int64_t)bytes_r_u64(&r)};
	out->kind = bytes_r_u8(&r);
	if (!r.bad && out->kind > RULE_KIND_INTERMEDIARY)
		return -EBADMSG;
	out->key_id = bytes_r_u32(&r);
	if (out->kind != RULE_KIND_INTERMEDIARY)
		rule_desc_read(&r, &out->desc);
	if (out->kind != RULE_KIND_CONSUME) {
		out->next_id = bytes_r_u32(&r);
		bytes_r_copy(&r, out->next_tp, sizeof(out->next_tp));
		bytes_r_span(&r, RULE_TP_FIELD_LEN - RULE_TP_ID_LEN);
	}
	if (r.bad)
		return -EAGAIN;
	return is_valid(out) ? (int)(r.p - (const uint8_t *)p) : -EBADMSG;
}

int rule_encode(void *p, size_t room, const struct rule_wire *rule)
{
	struct bytes_w w = bytes_w(p, room);

	if (!is_valid(rule))
		return -EINVAL;
	bytes_w_u64(&w, (uint64_t)rule->keep_alive_ns);
	bytes_w_u8(&w, rule->kind);
	bytes_w_u32(&w, rule->key_id);
	if (rule->kind != RULE_KIND_INTERMEDIARY)
		rule_desc_write(&w, &rule->desc);
	if (rule->kind != RULE_KIND_CONSUME) {
		bytes_w_u32(&w, rule->next_id);
		bytes_w_copy(&w, rule->next_tp, sizeof(rule->next_tp));
		bytes_w_zero(&w, RULE_TP_FIELD_LEN - RULE_TP_ID_LEN);
	}
	return (int)bytes_w_done(&w);
}

const char *rule_kind_name(uint8_t kind)
{
	static const char *const names[] = {"consume", "forward", "intermediary"};

	return kind < ARRAY_LEN(names) ? names[kind] : "unknown";
}
