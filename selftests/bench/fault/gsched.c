// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults of goroutines; see fault.h. handoff says whether a P whose goroutine waits for
 * the disk is handed on: with the module, unless GSCHED_DEBUG has nohandoff.
 */
#include "fault.h"
#include "measure_gs.h"

static gs_wg running;

static void task_yield(void)
{
	gs_yield();
}

static void reader_main(void *arg)
{
	(void)arg;
	reader();
	gs_wg_done(&running);
}

static void computer_main(void *arg)
{
	(void)arg;
	computer();
	gs_wg_done(&running);
}

static void run_tasks(int readers)
{
	gs_wg_add(&running, readers + 1);
	need(!gs_go(computer_main, NULL));
	for (int i = 0; i < readers; i++)
		need(!gs_go(reader_main, NULL));
	gs_wg_wait(&running);
}

static int goroutines(int argc, char **argv)
{
	char details[64];

	(void)argc;
	(void)argv;
	snprintf(details, sizeof(details), " backend=%s handoff=%d", gs_backend(),
		 !!(gs_features() & GS_FEAT_HANDOFF));
	measure_all("gsched", gs_set_maxprocs(0), details);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(goroutines, argc, argv);
}
