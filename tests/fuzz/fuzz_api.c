// Bytes of a hostile peer of the API: frames, names, addresses, and records of every kind made
// readable. What is JSON must stay one line without control characters.
#include "lib/api/api_field.h"
#include "lib/api/api_rec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void names_and_addresses(const uint8_t *data, size_t size)
{
	char text[300], out[64];
	struct api_edge_add e = {.n_addrs = 0};
	struct api_addr a, b;

	if (size >= sizeof(text))
		size = sizeof(text) - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	api_name_check(text, sizeof(text));
	api_nets_parse(text, &e);
	if (api_addr_parse(text, &a) < 0)
		return;
	api_addr_text(&a, out, sizeof(out));
	if (api_addr_parse(out, &b) < 0 || memcmp(&a, &b, sizeof(a)) != 0)
		abort();
}

static void record(const struct api_record *r, const uint8_t *data, size_t size)
{
	uint64_t rec[128] = {0}; // longer than any record
	char json[16384], text[200];
	int n;

	memcpy(rec, data, size < r->size ? size : r->size);
	for (size_t i = 0; i < r->n_fields; i++)
		api_field_text(&r->fields[i], rec, text, sizeof(text));
	n = api_record_json(r, rec, json, sizeof(json));
	if (n <= 0 || (size_t)n != strlen(json))
		abort();
	for (int i = 0; i < n; i++)
		if ((unsigned char)json[i] < 0x20)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_frame f;
	size_t n, at = 0;
	const struct api_record *r = api_records(&n);

	names_and_addresses(data, size);
	for (size_t i = 0; i < n; i++)
		record(&r[i], data, size);
	while (size - at >= sizeof(f)) {
		memcpy(&f, data + at, sizeof(f));
		if (api_frame_check(&f) < 0 || f.len > size - at)
			break;
		r = api_record_find(f.type);
		if (r != NULL)
			record(r, data + at + sizeof(f), f.len - sizeof(f));
		at += f.len;
	}
	return 0;
}
