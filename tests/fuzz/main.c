/*
 * Runs the fuzz target that it is linked with over every file of the
 * directories (or files) named on the command line; without any, over
 * $top_srcdir/tests/fuzz/corpus/<target>, where the program is fuzz_<target>.
 * One TAP line: a crash is the program's.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

#define INPUT_MAX ((size_t)1024 * 1024)

static unsigned long
run_file(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *p = malloc(INPUT_MAX);
	size_t n;

	if (f == NULL || p == NULL) {
		(void)printf("not ok 1 - cannot read %s\n", path);
		exit(1);
	}
	n = fread(p, 1, INPUT_MAX, f);
	(void)fclose(f);
	(void)LLVMFuzzerTestOneInput(p, n);
	free(p);
	return 1;
}

static unsigned long
run_path(const char *path)
{
	unsigned long n = 0;
	struct dirent *d;
	char file[4096];
	DIR *dir;

	dir = opendir(path);
	if (dir == NULL)
		return run_file(path);
	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", path, d->d_name);
		n += run_file(file);
	}
	(void)closedir(dir);
	return n;
}

int
main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir"), *name;
	unsigned long n = 0;
	char path[4096];
	int i;

	(void)printf("1..1\n");
	for (i = 1; i < argc; i++)
		n += run_path(argv[i]);
	if (argc == 1) {
		name = strrchr(argv[0], '/');
		name = name == NULL ? argv[0] : name + 1;
		(void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s",
		    top == NULL ? "." : top,
		    strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
		n = run_path(path);
	}
	(void)printf("%sok 1 - %lu inputs\n", n == 0 ? "not " : "", n);
	return n == 0;
}
