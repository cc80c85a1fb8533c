// main() for fuzz targets where libFuzzer is not linked in: feeds each file named on the command
// line to the target once. So corpora are regression tests in every profile.

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20 };

static int replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t size;

	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	data = malloc(INPUT_MAX);
	if (data == NULL)
		abort();
	size = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	// exactly as large as the input, so that reading past its end is seen
	data = realloc(data, size > 0 ? size : 1);
	if (data == NULL)
		abort();
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	printf("%d inputs\n", argc - 1);
	return failed;
}
