#include "bench/procs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* The proportional share of memory of a process, in kB; 0 when unreadable. */
static long
share_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", (long)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Pss:", 4) == 0)
			kb = strtol(line + 4, NULL, 10);
	}
	(void)fclose(f);
	return kb;
}

/* Fields 4 and 14 to 17 of /proc/PID/stat. */
struct stat_line {
	pid_t parent;
	int64_t own, ended; /* ticks */
};

static int
read_stat(pid_t pid, struct stat_line *out)
{
	char path[64], text[1024], *p;
	int64_t field[18];
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return -1;
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	/* ") S ", and from field 4 on there are only numbers */
	p = strrchr(text, ')');
	if (p == NULL || strlen(p) < 4)
		return -1;
	p += 3;
	for (n = 4; n < 18; n++)
		field[n] = strtoll(p, &p, 10);
	out->parent = (pid_t)field[4];
	out->own = field[14] + field[15];
	out->ended = field[16] + field[17];
	return 0;
}

static void
add_process(pid_t root, pid_t pid, struct procs *out)
{
	int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	struct stat_line s;

	if (read_stat(pid, &s) == -1 || (pid != root && s.parent != root))
		return;
	out->cpu_us += s.own * tick_us;
	if (pid == root)
		out->cpu_us += s.ended * tick_us;
	out->rss_mb += (double)share_kb(pid) / 1024;
}

void
procs_tree(pid_t pid, struct procs *out)
{
	DIR *d = opendir("/proc");
	const struct dirent *entry;

	*out = (struct procs){ 0 };
	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			add_process(
			    pid, (pid_t)strtol(entry->d_name, NULL, 10), out);
	}
	if (d != NULL)
		(void)closedir(d);
}

void
procs_self(struct procs *out)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	out->cpu_us =
	    (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) +
	    u.ru_utime.tv_usec + u.ru_stime.tv_usec;
	out->rss_mb = (double)share_kb(getpid()) / 1024;
}
