/* Replays a corpus: a plain main() for fuzz targets, with TAP output. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)4 * 1024 * 1024)

static int
replay(const char *dir, const char *name)
{
	static uint8_t bytes[INPUT_MAX];
	char path[4096];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (f == NULL)
		return -1;
	n = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	return LLVMFuzzerTestOneInput(bytes, n);
}

static int
replay_all(const char *dir, DIR *d)
{
	const struct dirent *entry;
	int n = 0, failed = 0;

	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		n++;
		if (replay(dir, entry->d_name) == 0) {
			(void)printf("ok %d - %s\n", n, entry->d_name);
		} else {
			(void)printf("not ok %d - %s\n", n, entry->d_name);
			failed++;
		}
	}
	(void)printf("1..%d\n", n);
	return n > 0 && failed == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	const char *src = getenv("top_srcdir"), *name = strrchr(argv[0], '/');
	char dir[2048];
	DIR *d;
	int rc;

	(void)argc;
	(void)snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s",
	    src == NULL ? "." : src, name == NULL ? argv[0] : name + 1);
	d = opendir(dir);
	if (d == NULL) {
		(void)printf("Bail out! no corpus in %s\n", dir);
		return 1;
	}
	rc = replay_all(dir, d);
	(void)closedir(d);
	return rc;
}
