// Signed objects of dmsg (dmsg 4). The descriptors that go before a value are constants: gob
// matches by name, so every receiver takes them, and no encoder of types is needed.

#include "lib/wire/dmsg_msg.h"

#include "lib/base/err.h"

// Type ids 65 StreamRequest, 66 Addr, 67 PubKey.
static const uint8_t request_types[] =
	"\x5b\xff\x81\x03\x01\x01\x0dStreamRequest\x01\xff\x82\x00\x01\x05\x01\x09Timestamp\x01\x04\x00"
	"\x01\x07SrcAddr\x01\xff\x84\x00\x01\x07"
	"DstAddr\x01\xff\x84\x00\x01\x06IPinfo\x01\x02\x00"
	"\x01\x08NoiseMsg\x01\x0a\x00\x00\x00"
	"\x23\xff\x83\x03\x01\x01\x04"
	"Addr\x01\xff\x84\x00\x01\x02\x01\x02PK\x01\xff\x86\x00"
	"\x01\x04Port\x01\x06\x00\x00\x00"
	"\x12\xff\x85\x06\x01\x01\x06PubKey\x01\xff\x86\x00\x00\x00";
// 68 StreamResponse, 69 SHA256.
static const uint8_t response_types[] =
	"\x56\xff\x87\x03\x01\x01\x0eStreamResponse\x01\xff\x88\x00\x01\x05\x01\x07ReqHash\x01\xff\x8a\x00"
	"\x01\x08"
	"Accepted\x01\x02\x00\x01\x02IP\x01\x0a\x00\x01\x07"
	"ErrCode\x01\x06\x00"
	"\x01\x08NoiseMsg\x01\x0a\x00\x00\x00"
	"\x16\xff\x89\x01\x01\x01\x06SHA256\x01\xff\x8a\x00\x01\x06\x01\x40\x00\x00";
// 73 PeerAnnounce, 67 PubKey.
static const uint8_t announce_types[] =
	"\x33\xff\x91\x03\x01\x01\x0cPeerAnnounce\x01\xff\x92\x00\x01\x02\x01\x09Timestamp\x01\x04\x00"
	"\x01\x05SrcPK\x01\xff\x86\x00\x00\x00"
	"\x12\xff\x85\x06\x01\x01\x06PubKey\x01\xff\x86\x00\x00\x00";

static const struct {
	uint16_t code;
	const char *text;
} errors[] = {
	{DMSG_OK, "success"},
	{DMSG_ERR_NO_ENTRY, "no discovery entry for that key"},
	{DMSG_ERR_NOT_SERVER, "entry is not a server"},
	{DMSG_ERR_NOT_CLIENT, "entry is not a client"},
	{DMSG_ERR_NO_DELEGATED, "client entry lists no servers"},
	{DMSG_ERR_CLOSED, "already closed"},
	{DMSG_ERR_SESSION_CLOSED, "session closed"},
	{DMSG_ERR_NO_SERVER_REACHED, "could not reach any server of the destination"},
	{DMSG_ERR_SURPLUS, "surplus bytes after the handshake"},
	{DMSG_ERR_REQ_SIGNATURE, "request has a bad signature"},
	{DMSG_ERR_REQ_TIMESTAMP, "request has a bad timestamp"},
	{DMSG_ERR_REQ_SRC_PK, "request has a bad source key"},
	{DMSG_ERR_REQ_DST_PK, "request has a bad destination key"},
	{DMSG_ERR_REQ_SRC_PORT, "request has a bad source port"},
	{DMSG_ERR_REQ_DST_PORT, "request has a bad destination port"},
	{DMSG_ERR_NO_LISTENER, "nobody listens on that port"},
	{DMSG_ERR_NO_NEXT_SESSION, "no session to the destination"},
	{DMSG_ERR_NO_CAPACITY, "relay capacity used up"},
	{DMSG_ERR_RESP_SIGNATURE, "response has a bad signature"},
	{DMSG_ERR_RESP_HASH, "response is to another request"},
	{DMSG_ERR_RESP_REFUSED, "refused without a known reason"},
	{DMSG_ERR_OBJECT_SHORT, "signed object is too short"},
	{DMSG_ERR_PORT_IN_USE, "local port in use"},
	{DMSG_ERR_ACCEPT_FULL, "listener's queue is full"},
	{DMSG_ERR_MALFORMED, "malformed object"},
	{DMSG_ERR_TOO_LONG, "object is too long"},
	{DMSG_ERR_NOT_AUTHENTIC, "object is not of this session"},
	{DMSG_ERR_REPLAYED, "object was seen before"},
	{DMSG_ERR_UNSAFE_NOISE, "noise message that would crash a peer"},
	{DMSG_ERR_NOISE, "noise handshake of the stream failed"},
};

// By its number on the wire.
static bool is_known(unsigned code)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].code == code)
			return code < DMSG_ERR_LOCAL;
	return false;
}

const char *dmsg_err_text(unsigned code)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].code == code)
			return errors[i].text;
	return "unknown error";
}

// ---- writing ----

static void put_addr(struct bytes_w *w, const struct dmsg_addr *a)
{
	unsigned last = 0;

	gob_put_bytes_field(w, &last, 1, a->pk.b, KEY_PK_LEN);
	if (a->port != 0) {
		gob_put_field(w, &last, 2);
		gob_put_uint(w, a->port);
	}
	gob_put_uint(w, 0);
}

// Descriptors, then the value as a message, both behind the room for the signature; then signs.
// `types_len` is without the literal's NUL.
static ssize_t finish(uint8_t *out, size_t cap, const uint8_t *types, size_t types_len,
	const struct bytes_w *value, const struct key_sk *sk)
{
	struct bytes_w w = bytes_w(out, cap);
	struct sign_sig sig;
	int rc;

	bytes_w_span(&w, SIGN_LEN);
	bytes_w_copy(&w, types, types_len);
	gob_put_message(&w, value);
	if (w.bad)
		return -ENOSPC;
	rc = sign_payload(&sig, sk, out + SIGN_LEN, bytes_w_len(&w) - SIGN_LEN);
	if (rc < 0)
		return rc;
	memcpy(out, sig.b, SIGN_LEN);
	return bytes_w_done(&w);
}

ssize_t dmsg_request_make(
	const struct dmsg_request *req, const struct key_sk *sk, uint8_t *out, size_t cap)
{
	uint8_t value[DMSG_OBJECT_MAX];
	struct bytes_w w = bytes_w(value, sizeof(value));
	unsigned last = 0;

	gob_put_int(&w, 65);
	if (req->timestamp_ns != 0) {
		gob_put_field(&w, &last, 1);
		gob_put_int(&w, req->timestamp_ns);
	}
	gob_put_field(&w, &last, 2);
	put_addr(&w, &req->src);
	gob_put_field(&w, &last, 3);
	put_addr(&w, &req->dst);
	if (req->ip_info) {
		gob_put_field(&w, &last, 4);
		gob_put_uint(&w, 1);
	}
	gob_put_bytes_field(&w, &last, 5, req->noise.p, req->noise.len);
	gob_put_uint(&w, 0);
	return finish(out, cap, request_types, sizeof(request_types) - 1, &w, sk);
}

ssize_t dmsg_response_make(
	const struct dmsg_response *resp, const struct key_sk *sk, uint8_t *out, size_t cap)
{
	uint8_t value[DMSG_OBJECT_MAX];
	struct bytes_w w = bytes_w(value, sizeof(value));
	unsigned last = 0;

	gob_put_int(&w, 68);
	gob_put_field(&w, &last, 1);
	gob_put_octets(&w, resp->req_hash, sizeof(resp->req_hash));
	if (resp->accepted) {
		gob_put_field(&w, &last, 2);
		gob_put_uint(&w, 1);
	}
	gob_put_bytes_field(&w, &last, 3, resp->ip, resp->ip_len);
	if (resp->err != 0) {
		gob_put_field(&w, &last, 4);
		gob_put_uint(&w, resp->err);
	}
	gob_put_bytes_field(&w, &last, 5, resp->noise.p, resp->noise.len);
	gob_put_uint(&w, 0);
	return finish(out, cap, response_types, sizeof(response_types) - 1, &w, sk);
}

ssize_t dmsg_announce_make(
	const struct dmsg_announce *a, const struct key_sk *sk, uint8_t *out, size_t cap)
{
	uint8_t value[64];
	struct bytes_w w = bytes_w(value, sizeof(value));
	unsigned last = 0;

	gob_put_int(&w, 73);
	if (a->timestamp_ns != 0) {
		gob_put_field(&w, &last, 1);
		gob_put_int(&w, a->timestamp_ns);
	}
	gob_put_bytes_field(&w, &last, 2, a->src_pk.b, KEY_PK_LEN);
	gob_put_uint(&w, 0);
	return finish(out, cap, announce_types, sizeof(announce_types) - 1, &w, sk);
}

// ---- reading ----

struct addr_in {
	struct gob_span pk;
	uint64_t port;
};

struct request_in {
	int64_t timestamp_ns;
	struct addr_in src, dst;
	bool ip_info, geo_info;
	struct gob_span noise;
};

struct response_in {
	uint8_t req_hash[DMSG_HASH_LEN];
	bool accepted;
	struct gob_span ip, noise, country, region;
	double lat, lon;
	uint64_t err;
};

struct announce_in {
	int64_t timestamp_ns;
	struct gob_span src_pk;
};

#define AT(type, member) offsetof(struct type, member)

static const struct gob_field addr_fields[] = {
	{"PK", GOB_OPAQUE, AT(addr_in, pk), 0, NULL},
	{"Port", GOB_UINT, AT(addr_in, port), UINT16_MAX, NULL},
};
static const struct gob_struct addr_struct = {addr_fields, ARRAY_LEN(addr_fields)};

static const struct gob_field request_fields[] = {
	{"Timestamp", GOB_INT, AT(request_in, timestamp_ns), 0, NULL},
	{"SrcAddr", GOB_STRUCT, AT(request_in, src), 0, &addr_struct},
	{"DstAddr", GOB_STRUCT, AT(request_in, dst), 0, &addr_struct},
	{"IPinfo", GOB_BOOL, AT(request_in, ip_info), 0, NULL},
	{"GeoInfo", GOB_BOOL, AT(request_in, geo_info), 0, NULL},
	{"NoiseMsg", GOB_BYTES, AT(request_in, noise), 0, NULL},
};
static const struct gob_struct request_struct = {request_fields, ARRAY_LEN(request_fields)};

static const struct gob_field response_fields[] = {
	{"ReqHash", GOB_OCTETS, AT(response_in, req_hash), DMSG_HASH_LEN, NULL},
	{"Accepted", GOB_BOOL, AT(response_in, accepted), 0, NULL},
	{"IP", GOB_BYTES, AT(response_in, ip), 0, NULL},
	{"GeoCountry", GOB_STRING, AT(response_in, country), 0, NULL},
	{"GeoRegion", GOB_STRING, AT(response_in, region), 0, NULL},
	{"GeoLat", GOB_FLOAT, AT(response_in, lat), 0, NULL},
	{"GeoLon", GOB_FLOAT, AT(response_in, lon), 0, NULL},
	{"ErrCode", GOB_UINT, AT(response_in, err), UINT16_MAX, NULL},
	{"NoiseMsg", GOB_BYTES, AT(response_in, noise), 0, NULL},
};
static const struct gob_struct response_struct = {response_fields, ARRAY_LEN(response_fields)};

static const struct gob_field announce_fields[] = {
	{"Timestamp", GOB_INT, AT(announce_in, timestamp_ns), 0, NULL},
	{"SrcPK", GOB_OPAQUE, AT(announce_in, src_pk), 0, NULL},
};
static const struct gob_struct announce_struct = {announce_fields, ARRAY_LEN(announce_fields)};

static int read_object(const uint8_t *obj, size_t len, const struct gob_struct *as, void *in)
{
	struct gob_types types = {.n = 0};

	if (len <= SIGN_LEN)
		return -EBADMSG;
	return gob_read(&types, obj + SIGN_LEN, len - SIGN_LEN, as, in) < 0 ? -EBADMSG : 0;
}

// An absent key is the null key.
static bool take_pk(struct key_pk *pk, struct gob_span s)
{
	memset(pk, 0, sizeof(*pk));
	if (s.len != 0 && s.len != KEY_PK_LEN)
		return false;
	if (s.len != 0)
		memcpy(pk->b, s.p, KEY_PK_LEN);
	return true;
}

int dmsg_request_read(struct dmsg_request *req, const uint8_t *obj, size_t len)
{
	struct request_in in = {0};

	memset(req, 0, sizeof(*req));
	if (read_object(obj, len, &request_struct, &in) < 0)
		return -EBADMSG;
	if (!take_pk(&req->src.pk, in.src.pk) || !take_pk(&req->dst.pk, in.dst.pk))
		return -EBADMSG;
	req->timestamp_ns = in.timestamp_ns;
	req->src.port = (uint16_t)in.src.port;
	req->dst.port = (uint16_t)in.dst.port;
	req->ip_info = in.ip_info;
	req->geo_info = in.geo_info;
	req->noise = in.noise;
	return 0;
}

int dmsg_response_read(struct dmsg_response *resp, const uint8_t *obj, size_t len)
{
	struct response_in in = {0};

	memset(resp, 0, sizeof(*resp));
	if (read_object(obj, len, &response_struct, &in) < 0)
		return -EBADMSG;
	if (in.ip.len != 0 && in.ip.len != 4 && in.ip.len != DMSG_IP_MAX_LEN)
		return -EBADMSG;
	memcpy(resp->req_hash, in.req_hash, sizeof(resp->req_hash));
	resp->accepted = in.accepted;
	resp->err = (uint16_t)in.err;
	resp->ip_len = (uint8_t)in.ip.len;
	if (in.ip.len > 0)
		memcpy(resp->ip, in.ip.p, in.ip.len);
	resp->noise = in.noise;
	resp->geo_country = in.country;
	resp->geo_region = in.region;
	resp->geo_lat = in.lat;
	resp->geo_lon = in.lon;
	return 0;
}

int dmsg_announce_read(struct dmsg_announce *a, const uint8_t *obj, size_t len)
{
	struct announce_in in = {0};

	memset(a, 0, sizeof(*a));
	if (read_object(obj, len, &announce_struct, &in) < 0 || !take_pk(&a->src_pk, in.src_pk))
		return -EBADMSG;
	a->timestamp_ns = in.timestamp_ns;
	return 0;
}

// ---- checks ----

static bool is_signed_by(const struct key_pk *pk, const uint8_t *obj, size_t len)
{
	struct sign_sig sig;

	if (len <= SIGN_LEN)
		return false;
	memcpy(sig.b, obj, SIGN_LEN);
	return sign_verify(&sig, pk, obj + SIGN_LEN, len - SIGN_LEN) == 0;
}

enum dmsg_err dmsg_request_check(const struct dmsg_request *req, const uint8_t *obj, size_t len)
{
	if (len <= SIGN_LEN)
		return DMSG_ERR_OBJECT_SHORT;
	if (key_pk_is_null(&req->src.pk))
		return DMSG_ERR_REQ_SRC_PK;
	if (req->src.port == 0)
		return DMSG_ERR_REQ_SRC_PORT;
	if (key_pk_is_null(&req->dst.pk))
		return DMSG_ERR_REQ_DST_PK;
	if (req->dst.port == 0)
		return DMSG_ERR_REQ_DST_PORT;
	if (req->timestamp_ns <= 0)
		return DMSG_ERR_REQ_TIMESTAMP;
	return is_signed_by(&req->src.pk, obj, len) ? DMSG_OK : DMSG_ERR_REQ_SIGNATURE;
}

enum dmsg_err dmsg_response_check(const struct dmsg_response *resp, const uint8_t *obj, size_t len,
	const uint8_t req_hash[DMSG_HASH_LEN], const struct key_pk *signer)
{
	if (len <= SIGN_LEN)
		return DMSG_ERR_OBJECT_SHORT;
	if (memcmp(resp->req_hash, req_hash, DMSG_HASH_LEN) != 0)
		return DMSG_ERR_RESP_HASH;
	if (!is_signed_by(signer, obj, len))
		return DMSG_ERR_RESP_SIGNATURE;
	if (resp->accepted)
		return DMSG_OK;
	return resp->err != DMSG_OK && is_known(resp->err) ? (enum dmsg_err)resp->err
							   : DMSG_ERR_RESP_REFUSED;
}

bool dmsg_announce_is_from(
	const struct dmsg_announce *a, const uint8_t *obj, size_t len, const struct key_pk *pk)
{
	return !key_pk_is_null(pk) && key_pk_cmp(&a->src_pk, pk) == 0 && a->timestamp_ns > 0 &&
	       is_signed_by(pk, obj, len);
}

void dmsg_object_hash(uint8_t hash[DMSG_HASH_LEN], const uint8_t *obj, size_t len)
{
	hash_sha256(hash, obj, len);
}

bool dmsg_noise_is_safe(struct gob_span noise)
{
	struct key_pk e;

	if (noise.len < DMSG_NOISE_MIN_LEN || noise.len > DMSG_NOISE_MAX_LEN)
		return false;
	memcpy(e.b, noise.p, KEY_PK_LEN);
	return key_pk_is_valid(&e);
}
