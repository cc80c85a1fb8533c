// Texts of the connect handshake: written by hand, since every byte of the third is signed; read by
// jansson. Who may connect, and when, is lib/link/carry_hs.c's.
#include "lib/wire/connect_msg.h"

#include <errno.h>
#include <string.h>

#include "lib/wire/json_text.h"

static void put_nonce(struct json_text *t, const uint8_t nonce[CONNECT_NONCE_LEN])
{
	json_text_put(t, "\"Nonce\":[");
	for (unsigned i = 0; i < CONNECT_NONCE_LEN; i++)
		json_text_put(t, "%s%u", i == 0 ? "" : ",", nonce[i]);
	json_text_put(t, "]");
}

static void put_addr(struct json_text *t, const struct connect_addr *a)
{
	json_text_put(t, "{\"public_key\":");
	json_text_pk(t, &a->pk);
	json_text_put(t, ",\"port\":%u}", a->port);
}

ssize_t connect_nonce_write(const uint8_t nonce[CONNECT_NONCE_LEN], char *out, size_t cap)
{
	struct json_text t = json_text(out, cap);

	json_text_put(&t, "{");
	put_nonce(&t, nonce);
	json_text_put(&t, "}\n");
	return json_text_done(&t);
}

ssize_t connect_call_write(const struct connect_call *c, char *out, size_t cap)
{
	struct json_text t = json_text(out, cap);

	json_text_put(&t, "{\"SrcAddr\":");
	put_addr(&t, &c->src);
	json_text_put(&t, ",\"DstAddr\":");
	put_addr(&t, &c->dst);
	json_text_put(&t, ",");
	put_nonce(&t, c->nonce);
	json_text_put(&t, ",\"Sig\":");
	json_text_sig(&t, &c->sig);
	json_text_put(&t, "}\n");
	return json_text_done(&t);
}

ssize_t connect_answer_write(const struct connect_answer *a, char *out, size_t cap)
{
	struct json_text t = json_text(out, cap);

	json_text_put(&t, "{\"OK\":%s,\"ErrMsg\":", a->ok ? "true" : "false");
	json_text_quote(&t, a->err);
	json_text_put(&t, "}\n");
	return json_text_done(&t);
}

static bool take_nonce(uint8_t nonce[CONNECT_NONCE_LEN], const json_t *v)
{
	if (json_array_size(v) != CONNECT_NONCE_LEN)
		return false;
	for (unsigned i = 0; i < CONNECT_NONCE_LEN; i++) {
		const json_t *n = json_array_get(v, i);
		json_int_t value = json_integer_value(n);

		if (!json_is_integer(n) || value < 0 || value > 255)
			return false;
		nonce[i] = (uint8_t)value;
	}
	return true;
}

static bool take_addr(struct connect_addr *a, json_t *obj)
{
	int64_t port = -1;

	if (!json_text_take_pk(&a->pk, json_text_find(obj, "public_key")) ||
		!json_text_take_int(&port, json_text_find(obj, "port")) || port < 0 || port > 65535)
		return false;
	a->port = (uint16_t)port;
	return true;
}

int connect_nonce_read(uint8_t nonce[CONNECT_NONCE_LEN], const char *json, size_t len)
{
	json_t *root = json_loadb(json, len, 0, NULL);
	bool ok = take_nonce(nonce, json_text_find(root, "Nonce"));

	json_decref(root);
	return ok ? 0 : -EBADMSG;
}

int connect_call_read(struct connect_call *c, const char *json, size_t len)
{
	json_t *root = json_loadb(json, len, 0, NULL);
	bool ok = take_addr(&c->src, json_text_find(root, "SrcAddr")) &&
		  take_addr(&c->dst, json_text_find(root, "DstAddr")) &&
		  take_nonce(c->nonce, json_text_find(root, "Nonce")) &&
		  json_text_take_sig(&c->sig, json_text_find(root, "Sig"));

	json_decref(root);
	return ok ? 0 : -EBADMSG;
}

int connect_answer_read(struct connect_answer *a, const char *json, size_t len)
{
	json_t *root = json_loadb(json, len, 0, NULL);
	const json_t *ok = json_text_find(root, "OK");
	bool good = json_is_boolean(ok);

	*a = (struct connect_answer){.ok = json_is_true(ok)};
	// A refusal is one, whatever its text is.
	if (!json_text_take(a->err, sizeof(a->err), json_text_find(root, "ErrMsg")))
		a->err[0] = '\0';
	json_decref(root);
	return good ? 0 : -EBADMSG;
}

// What is signed: the text with a signature of zeros.
static size_t signed_text(const struct connect_call *c, char out[CONNECT_TEXT_MAX])
{
	struct connect_call bare = *c;

	bare.sig = (struct sign_sig){0};
	return (size_t)connect_call_write(&bare, out, CONNECT_TEXT_MAX);
}

int connect_call_sign(struct connect_call *c, const struct key_sk *sk)
{
	char text[CONNECT_TEXT_MAX];
	size_t len = signed_text(c, text);

	return sign_payload(&c->sig, sk, text, len);
}

int connect_call_verify(const struct connect_call *c)
{
	char text[CONNECT_TEXT_MAX];
	size_t len = signed_text(c, text);

	return sign_verify(&c->sig, &c->src.pk, text, len);
}

// Index behind the object that begins at p; 0: it does not end here.
static size_t object_end(const char *p, size_t len)
{
	bool quoted = false;
	unsigned depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (quoted && p[i] == '\\')
			i++; // whatever is escaped
		else if (p[i] == '"')
			quoted = !quoted;
		else if (!quoted && p[i] == '{')
			depth++;
		else if (!quoted && p[i] == '}' && --depth == 0)
			return i + 1;
	}
	return 0;
}

ssize_t connect_text_len(const void *p, size_t len, size_t max)
{
	const char *text = p;
	size_t end;

	if (len > 0 && text[0] != '{')
		return -EBADMSG;
	end = object_end(text, len < max ? len : max);
	if (end == 0 || end == len)
		return len < max ? -EAGAIN : -EBADMSG;
	return end < max && text[end] == '\n' ? (ssize_t)end + 1 : -EBADMSG;
}
