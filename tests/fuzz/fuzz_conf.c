// Configuration texts against a table with every type. What is accepted keeps its bounds and can be
// printed; what is refused gives one line of text that names the file.
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/conf/conf.h"
#include "tests/fuzz/fuzz.h"

struct elem {
	char *name;
	char *device;
	uint16_t mtu;
};

struct values {
	bool on;
	int8_t delta;
	uint32_t n;
	uint64_t wait_ns;
	uint64_t bytes;
	int mode;
	char *text;
	struct conf_list list;
	struct conf_array ports;
};

static const char *const modes[] = {"poll", "sleep", NULL};
static const struct conf_item items[] = {
	{"a", "on", CONF_BOOL, .def = "yes", CONF_FIELD(struct values, on)},
	{"a", "delta", CONF_INT, .def = "0", CONF_FIELD(struct values, delta)},
	{"a", "n", CONF_UINT, .def = "5", .min = 1, .max = 64, CONF_FIELD(struct values, n)},
	{"a", "wait", CONF_DURATION, .def = "1s", CONF_FIELD(struct values, wait_ns)},
	{"b", "bytes", CONF_SIZE, .def = "1k", CONF_FIELD(struct values, bytes)},
	{"b", "mode", CONF_ENUM, .def = "poll", .names = modes, CONF_FIELD(struct values, mode)},
	{"b", "text", CONF_STR, .max = 20, CONF_FIELD(struct values, text)},
	{"b", "list", CONF_LIST, .max = 4, CONF_FIELD(struct values, list)},
	{"p", "device", CONF_STR, .flags = CONF_REQUIRED, CONF_FIELD(struct elem, device)},
	{"p", "mtu", CONF_UINT, .def = "1500", CONF_FIELD(struct elem, mtu)},
};
static const struct conf_class classes[] = {
	{"p", offsetof(struct values, ports), sizeof(struct elem), offsetof(struct elem, name), 3},
};
static const struct conf_schema schema = {.items = items,
	.n_items = ARRAY_LEN(items),
	.classes = classes,
	.n_classes = 1,
	.size = sizeof(struct values)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[CONF_ERR_MAX];
	struct conf *c = conf_parse(&schema, "fuzz", data, size, err);
	const struct values *v;
	char *text = NULL;
	size_t len = 0;
	FILE *f;

	if (c == NULL) {
		unsigned lines = 0;

		for (const char *l = err; l != NULL; l = strchr(l + 1, '\n'), lines++)
			fuzz_check(strncmp(l + (*l == '\n'), "fuzz", 4) == 0 &&
				   lines <= CONF_MISTAKES_MAX);
		return 0;
	}
	v = conf_values(c);
	fuzz_check(v->n >= 1 && v->n <= 64 && v->ports.n <= 3 && v->list.n <= 4);
	fuzz_check(v->text != NULL && strlen(v->text) <= 20);
	f = open_memstream(&text, &len);
	fuzz_check(f != NULL);
	conf_print(c, f);
	fclose(f);
	fuzz_check(len > 0);
	free(text);
	conf_free(c);
	return 0;
}
