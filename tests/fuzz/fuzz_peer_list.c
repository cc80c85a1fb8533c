// Lists of keys as files hold them. What is taken is found again; what is refused gives one line
// that names file and line.
#include <string.h>

#include "controlplane/transport/peer_list.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[PEER_LIST_ERR_MAX] = "", name[DPMSG_NAME_LEN];
	struct peer_list *l = peer_list_new();
	struct key_pk pk;
	size_t lines = 1;

	if (l == NULL)
		return 0;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	if (peer_list_parse(l, "file", (const char *)data, size, PEER_DENIED, err) == 0) {
		peer_list_done(l);
		fuzz_check(peer_list_count(l) <= lines);
		if (size >= KEY_PK_TEXT_LEN &&
			key_pk_from_text(&pk, (const char *)data, KEY_PK_TEXT_LEN) == 0)
			fuzz_check(peer_list_find(l, &pk, name) == PEER_DENIED);
	} else {
		fuzz_check(strncmp(err, "file:", 5) == 0 && strchr(err, '\n') == NULL);
	}
	peer_list_free(l);
	return 0;
}
