// The texts of dmsg 8. Go maps text back to an error and so do we: the same status stands for
// several of them.
#include "lib/wire/dmsg_answer.h"

#include "lib/base/err.h"

#include <jansson.h>
#include <string.h>

#define INVALID "entry validation error: "

static const struct {
	const char *message;
	enum dmsg_answer answer;
} texts[] = {
	{"entry of public key is not found", DMSG_ANSWER_NO_ENTRY},
	{"no delegated dmsg servers available for remote", DMSG_ANSWER_NO_SERVERS},
	{"invalid signature", DMSG_ANSWER_SIGNATURE},
	{"error bad input", DMSG_ANSWER_BAD_INPUT},
	{"something unexpected happened", DMSG_ANSWER_UNEXPECTED},
	{INVALID "entry has no version", DMSG_ANSWER_INVALID},
	{INVALID "entry has no signature", DMSG_ANSWER_INVALID},
	{INVALID "entry Keys is nil", DMSG_ANSWER_INVALID},
	{INVALID "entry has neither client or server field", DMSG_ANSWER_INVALID},
	{INVALID "server address cannot be empty", DMSG_ANSWER_INVALID},
	{INVALID "advertised entry has outdated timestamp", DMSG_ANSWER_OUTDATED},
	{INVALID "sequence field of new entry is not sequence of old entry + 1",
		DMSG_ANSWER_SEQUENCE},
	{INVALID "advertised entry timestamp is not greater than previous", DMSG_ANSWER_TIMESTAMP},
	{INVALID "advertising localhost listening address is not allowed in production mode",
		DMSG_ANSWER_LOCALHOST},
};

static enum dmsg_answer by_status(unsigned status)
{
	return status == 401       ? DMSG_ANSWER_SIGNATURE
	       : status == 429     ? DMSG_ANSWER_TOO_MANY
	       : status / 100 == 3 ? DMSG_ANSWER_MOVED
	       : status == 422     ? DMSG_ANSWER_INVALID
				   : DMSG_ANSWER_UNEXPECTED;
}

enum dmsg_answer dmsg_answer_read(unsigned status, const char *body, size_t len)
{
	enum dmsg_answer a = by_status(status);
	const char *text;
	json_t *root;

	if (status / 100 == 2)
		return DMSG_ANSWER_OK;
	root = len <= DMSG_ANSWER_MAX ? json_loadb(body, len, 0, NULL) : NULL;
	text = json_string_value(json_object_get(root, "message"));
	for (size_t i = 0; text != NULL && i < ARRAY_LEN(texts); i++)
		if (strcmp(texts[i].message, text) == 0)
			a = texts[i].answer;
	json_decref(root);
	return a;
}

const char *dmsg_answer_text(enum dmsg_answer a)
{
	static const char *const words[] = {
		[DMSG_ANSWER_OK] = "taken",
		[DMSG_ANSWER_NO_ENTRY] = "no such entry",
		[DMSG_ANSWER_NO_SERVERS] = "no servers",
		[DMSG_ANSWER_SIGNATURE] = "signature refused",
		[DMSG_ANSWER_BAD_INPUT] = "request refused",
		[DMSG_ANSWER_UNEXPECTED] = "unexpected answer",
		[DMSG_ANSWER_INVALID] = "entry refused",
		[DMSG_ANSWER_OUTDATED] = "time refused: is the clock right?",
		[DMSG_ANSWER_SEQUENCE] = "sequence refused",
		[DMSG_ANSWER_TIMESTAMP] = "time refused: a newer entry is there",
		[DMSG_ANSWER_LOCALHOST] = "a loopback address is refused",
		[DMSG_ANSWER_TOO_MANY] = "too many requests",
		[DMSG_ANSWER_MOVED] = "redirected elsewhere: not followed",
	};

	return (unsigned)a < ARRAY_LEN(words) ? words[a] : "unknown";
}
