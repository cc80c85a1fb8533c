// Answers of a discovery: each text of dmsg 8, what is none, and what stands for it then.
#include "lib/wire/dmsg_answer.h"

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static enum dmsg_answer answer(unsigned status, const char *message)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"message\":\"%s\",\"code\":%u}", message, status);
	return dmsg_answer_read(status, body, strlen(body));
}

static void texts_tell_what_happened(void **state)
{
	static const struct {
		unsigned status;
		const char *message;
		enum dmsg_answer want;
	} cases[] = {
		{200, "wrote a new entry", DMSG_ANSWER_OK},
		{200, "wrote new entry iteration", DMSG_ANSWER_OK},
		{200, "deleted entry", DMSG_ANSWER_OK},
		{404, "entry of public key is not found", DMSG_ANSWER_NO_ENTRY},
		{404, "no delegated dmsg servers available for remote", DMSG_ANSWER_NO_SERVERS},
		{401, "invalid signature", DMSG_ANSWER_SIGNATURE},
		{400, "error bad input", DMSG_ANSWER_BAD_INPUT},
		{500, "something unexpected happened", DMSG_ANSWER_UNEXPECTED},
		{422, "entry validation error: entry has no version", DMSG_ANSWER_INVALID},
		{422, "entry validation error: entry has no signature", DMSG_ANSWER_INVALID},
		{422, "entry validation error: entry Keys is nil", DMSG_ANSWER_INVALID},
		{422, "entry validation error: entry has neither client or server field",
			DMSG_ANSWER_INVALID},
		{422, "entry validation error: server address cannot be empty",
			DMSG_ANSWER_INVALID},
		{422, "entry validation error: advertised entry has outdated timestamp",
			DMSG_ANSWER_OUTDATED},
		{422,
			"entry validation error: sequence field of new entry is not sequence of "
			"old entry + 1",
			DMSG_ANSWER_SEQUENCE},
		{422,
			"entry validation error: advertised entry timestamp is not greater than "
			"previous",
			DMSG_ANSWER_TIMESTAMP},
		{422,
			"entry validation error: advertising localhost listening address is not "
			"allowed in production mode",
			DMSG_ANSWER_LOCALHOST},
		{422, "entry validation error: something of the future", DMSG_ANSWER_INVALID},
		{404, "404 page not found", DMSG_ANSWER_UNEXPECTED},
		{401, "who are you", DMSG_ANSWER_SIGNATURE},
		{429, "slow down", DMSG_ANSWER_TOO_MANY},
		{301, "elsewhere", DMSG_ANSWER_MOVED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum dmsg_answer got = answer(cases[i].status, cases[i].message);

		if (got != cases[i].want)
			fail_msg("%s: %d", cases[i].message, got);
	}
}

static void what_is_no_answer_is_unexpected(void **state)
{
	static const char *const bodies[] = {
		"", "no such page", "[]", "{}", "{\"message\":5}", "{\"message\":", "null"};
	char huge[DMSG_ANSWER_MAX + 64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_int_equal(dmsg_answer_read(404, bodies[i], strlen(bodies[i])),
			DMSG_ANSWER_UNEXPECTED);
	memset(huge, ' ', sizeof(huge));
	memcpy(huge, "{\"message\":\"entry of public key is not found\"}", 46);
	assert_int_equal(dmsg_answer_read(404, huge, sizeof(huge)), DMSG_ANSWER_UNEXPECTED);
	assert_int_equal(dmsg_answer_read(404, huge, DMSG_ANSWER_MAX), DMSG_ANSWER_NO_ENTRY);
}

static void every_answer_has_a_text(void **state)
{
	(void)state;
	for (unsigned a = 0; a <= DMSG_ANSWER_MOVED; a++)
		assert_string_not_equal(dmsg_answer_text(a), "unknown");
	assert_string_equal(dmsg_answer_text(DMSG_ANSWER_MOVED + 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_tell_what_happened),
		cmocka_unit_test(what_is_no_answer_is_unexpected),
		cmocka_unit_test(every_answer_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
