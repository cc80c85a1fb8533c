// `skyrail edge add|attach|detach|del`.
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <string.h>

static int take_name(char *dst, size_t cap, const char *name)
{
	if (strlen(name) >= cap || api_name_check(name, cap) < 0)
		return cli_error(CLI_USAGE,
			"'%s': an edge is named as its device: 1 to 15 characters, no blanks, no '/'",
			name);
	strcpy(dst, name);
	return CLI_OK;
}

static const char *const offloads[] = {"auto", "no", NULL}; // enum api_offload

static int call(struct cli *c, uint16_t type, const void *payload, size_t len)
{
	return cli_call(c, type, payload, len, NULL, NULL) < 0 ? cli_failed(c) : CLI_OK;
}

int cmd_edge_add(struct cli *c)
{
	struct api_edge_add m = {0};
	struct arg args[] = {
		{"address", ARG_NETS, &m, 0, NULL, false, false},
		{"mtu", ARG_U16, &m.mtu, 0, NULL, false, false},
		{"offload", ARG_WORD, &m.offload, 0, offloads, false, false},
		{"super-max", ARG_U16, &m.super_max, 0, NULL, false, false},
	};
	const char *name;
	int rc = cli_args(c, &name, 1, args, ARRAY_LEN(args));

	if (rc == CLI_OK)
		rc = take_name(m.name, sizeof(m.name), name);
	return rc != CLI_OK ? rc : call(c, API_EDGE_ADD, &m, sizeof(m));
}

int cmd_edge_attach(struct cli *c)
{
	struct api_edge_attach m = {0};
	struct arg args[] = {
		{"forward", ARG_U32, &m.forward_id, 0, NULL, true, false},
		{"consume", ARG_U32, &m.consume_id, 0, NULL, true, false},
	};
	const char *name;
	int rc = cli_args(c, &name, 1, args, ARRAY_LEN(args));

	if (rc == CLI_OK)
		rc = take_name(m.name, sizeof(m.name), name);
	return rc != CLI_OK ? rc : call(c, API_EDGE_ATTACH, &m, sizeof(m));
}

int cmd_edge_detach(struct cli *c)
{
	struct api_edge_attach m = {0};
	bool close = false;
	struct arg args[] = {{"close", ARG_FLAG, &close, 0, NULL, false, false}};
	const char *name;
	int rc = cli_args(c, &name, 1, args, ARRAY_LEN(args));

	m.close = close;
	if (rc == CLI_OK)
		rc = take_name(m.name, sizeof(m.name), name);
	return rc != CLI_OK ? rc : call(c, API_EDGE_DETACH, &m, sizeof(m));
}

int cmd_edge_del(struct cli *c)
{
	struct api_name_ask m = {0};
	const char *name;
	int rc = cli_args(c, &name, 1, NULL, 0);

	if (rc == CLI_OK)
		rc = take_name(m.name, 16, name);
	return rc != CLI_OK ? rc : call(c, API_EDGE_DEL, &m, sizeof(m));
}
