#include "ca/meters.h"

#include <pthread.h>
#include <stdio.h>

#include "base/metrics.h"

#define LABEL_SIZE 64

static struct metric *stages[ENROLL_STAGE__COUNT];
static struct metric *issued, *pending, *refused[ERR__COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct metric *
outcome(const char *name)
{
	char label[LABEL_SIZE];

	(void)snprintf(label, sizeof(label), "outcome=\"%s\"", name);
	return metrics_counter("chancery_enroll_total",
	    "Certificate requests by how they ended.", label);
}

static void
make(void)
{
	char label[LABEL_SIZE];
	int i;

	for (i = 0; i < ENROLL_STAGE__COUNT; i++) {
		(void)snprintf(label, sizeof(label), "stage=\"%s\"",
		    enroll_stage_name((enum enroll_stage)i));
		stages[i] = metrics_histogram("chancery_enroll_stage_seconds",
		    "Time in the stages of the pipeline.", label);
	}
	issued = outcome("issued");
	pending = outcome("pending");
	for (i = ERR_NONE + 1; i < ERR__COUNT; i++)
		refused[i] = outcome(err_kind_name((enum err_kind)i));
}

void
meters_stage(enum enroll_stage stage, int64_t us)
{
	(void)pthread_once(&once, make);
	metric_observe_us(stages[stage], us);
}

void
meters_issued(void)
{
	(void)pthread_once(&once, make);
	metric_add(issued, 1);
}

void
meters_pending(void)
{
	(void)pthread_once(&once, make);
	metric_add(pending, 1);
}

void
meters_refused(enum err_kind kind)
{
	(void)pthread_once(&once, make);
	if (kind > ERR_NONE && kind < ERR__COUNT)
		metric_add(refused[kind], 1);
}
