// The argument of SetLANDmsgServer. A key is a value that encodes itself (BinaryMarshaler): 33
// bytes.

#include "lib/wire/visor_msg.h"

#include "lib/base/err.h"

struct lan_in {
	bool enabled;
	struct gob_span pk, address, public_address, discovery_url;
};

static const struct gob_field lan_fields[] = {
	{"Enabled", GOB_BOOL, offsetof(struct lan_in, enabled), 0, NULL},
	{"PK", GOB_OPAQUE, offsetof(struct lan_in, pk), 0, NULL},
	{"Address", GOB_STRING, offsetof(struct lan_in, address), 0, NULL},
	{"PublicAddress", GOB_STRING, offsetof(struct lan_in, public_address), 0, NULL},
	{"DiscoveryURL", GOB_STRING, offsetof(struct lan_in, discovery_url), 0, NULL},
};
static const struct gob_struct lan_struct = {lan_fields, ARRAY_LEN(lan_fields)};

// 66 SetLANDmsgServerIn, 67 PubKey.
enum { ID_LAN = 66 };
static const uint8_t lan_types[] =
	"\x63\xff\x83\x03\x01\x01\x12SetLANDmsgServerIn\x01\xff\x84\x00\x01\x05"
	"\x01\x07"
	"Enabled\x01\x02\x00"
	"\x01\x02PK\x01\xff\x86\x00"
	"\x01\x07"
	"Address\x01\x0c\x00"
	"\x01\x0dPublicAddress\x01\x0c\x00"
	"\x01\x0c"
	"DiscoveryURL\x01\x0c\x00\x00\x00"
	"\x12\xff\x85\x06\x01\x01\x06PubKey\x01\xff\x86\x00\x00\x00";

static bool take_text(char text[VISOR_TEXT_MAX], struct gob_span s)
{
	if (s.len >= VISOR_TEXT_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	if (s.len > 0)
		memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	return true;
}

int visor_lan_read(struct visor_lan *lan, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &lan_struct};
	struct lan_in in = {.enabled = false};

	memset(lan, 0, sizeof(*lan));
	if (netrpc_body(rx, &as, &in) < 0)
		return -EBADMSG;
	lan->enabled = in.enabled;
	if (in.pk.len != 0) {
		if (in.pk.len != KEY_PK_LEN)
			return -EBADMSG;
		memcpy(lan->pk.b, in.pk.p, KEY_PK_LEN);
		if (!key_pk_is_null(&lan->pk) && !key_pk_is_valid(&lan->pk))
			return -EBADMSG;
	}
	if (!take_text(lan->address, in.address) ||
		!take_text(lan->public_address, in.public_address) ||
		!take_text(lan->discovery_url, in.discovery_url))
		return -EBADMSG;
	return 0;
}

static void put_text(struct bytes_w *w, unsigned *last, unsigned number, const char *text)
{
	gob_put_bytes_field(w, last, number, text, strlen(text));
}

void visor_lan_put(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct visor_lan *lan)
{
	uint8_t msg[3 * VISOR_TEXT_MAX + 64];
	struct bytes_w m = bytes_w(msg, sizeof(msg));
	unsigned last = 0;

	netrpc_put_request(tx, w, VISOR_SET_LAN, seq);
	netrpc_put_types(w, &tx->sent_lan, lan_types, sizeof(lan_types) - 1);
	gob_put_int(&m, ID_LAN);
	if (lan->enabled) {
		gob_put_field(&m, &last, 1);
		gob_put_uint(&m, 1);
	}
	if (!key_pk_is_null(&lan->pk))
		gob_put_bytes_field(&m, &last, 2, lan->pk.b, KEY_PK_LEN);
	put_text(&m, &last, 3, lan->address);
	put_text(&m, &last, 4, lan->public_address);
	put_text(&m, &last, 5, lan->discovery_url);
	gob_put_uint(&m, 0);
	gob_put_message(w, &m);
}
