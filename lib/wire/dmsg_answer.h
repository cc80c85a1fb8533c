// What a dmsg discovery answers when it gives no entry (dmsg 8): a JSON object with a text that
// clients compare, and a code. Pure but for jansson's own memory.
#pragma once

#include <stddef.h>

enum { DMSG_ANSWER_MAX = 4096 }; // longest text that is read

// What came of a request, by the text; the status only where the text is none that we know.
enum dmsg_answer {
	DMSG_ANSWER_OK,
	DMSG_ANSWER_NO_ENTRY,
	DMSG_ANSWER_NO_SERVERS,
	DMSG_ANSWER_SIGNATURE,
	DMSG_ANSWER_BAD_INPUT,
	DMSG_ANSWER_UNEXPECTED, // also what we do not know
	DMSG_ANSWER_INVALID, // a part of the entry is missing
	DMSG_ANSWER_OUTDATED, // its time is too far from the discovery's
	DMSG_ANSWER_SEQUENCE, // not higher than that of the entry before
	DMSG_ANSWER_TIMESTAMP, // older than the entry before
	DMSG_ANSWER_LOCALHOST,
	DMSG_ANSWER_TOO_MANY, // 429
	DMSG_ANSWER_MOVED, // a redirect: it is not followed
};

enum dmsg_answer dmsg_answer_read(unsigned status, const char *body, size_t len);
// Lower-case text for people.
const char *dmsg_answer_text(enum dmsg_answer a);
