// SPDX-License-Identifier: GPL-2.0
/* Work beside a goroutine that blocks; see block.h. */
#include "block.h"
#include "measure_gs.h"

static gs_wg wg;

static void task_yield(void)
{
	gs_yield();
}

static void task_rest(int64_t ns)
{
	gs_sleep(ns);
}

static void worker_main(void *n)
{
	worker(n);
	gs_wg_done(&wg);
}

static void blocker_main(void *arg)
{
	(void)arg;
	blocker();
	gs_wg_done(&wg);
}

static int goroutines(int argc, char **argv)
{
	char backend[32];

	(void)argc;
	(void)argv;
	must_share = !(gs_features() & GS_FEAT_HANDOFF);
	gs_wg_add(&wg, WORKERS + 1);
	for (int i = 0; i < WORKERS; i++)
		need(!gs_go(worker_main, units[i]));
	need(!gs_go(blocker_main, NULL));
	snprintf(backend, sizeof(backend), " backend=%s", gs_backend());
	compare_all("gsched", gs_set_maxprocs(0), backend);
	gs_wg_wait(&wg);
	return 0;
}

int main(int argc, char **argv)
{
	partners_start();
	return gs_bench(goroutines, argc, argv);
}
